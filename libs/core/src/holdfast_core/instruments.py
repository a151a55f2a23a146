"""Price ticks and lots of what is traded: an order that is off either is refused by the venue."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from holdfast_core.money import ZERO, round_to

PENNY = Decimal("0.01")
SUB_PENNY = Decimal("0.0001")
SUB_PENNY_BELOW = Decimal(1)
"""Rule 612 of Regulation NMS: quotes below one dollar may use four decimals, all others two."""
CRYPTO_TICK = Decimal("0.000000001")


def tick_of(price: Decimal, *, book: str = "equity") -> Decimal:
    """The smallest step of a price around `price`, in dollars. Raises ValueError for a price that is not positive."""
    if not price.is_finite() or price <= 0:
        raise ValueError(f"{price} is no price")
    if book == "crypto":
        return CRYPTO_TICK
    return SUB_PENNY if price < SUB_PENNY_BELOW else PENNY


def round_price(
    price: Decimal, *, up: bool | None = None, book: str = "equity", tick: Decimal | None = None
) -> Decimal:
    """`price` on its tick: up, down, or to the nearest where `up` is None; never below one tick.

    `tick`: the asset's own; None: the book's."""
    tick = tick or tick_of(price, book=book)
    return max(round_to(price, tick, up=up), tick)


def on_tick(price: Decimal, *, book: str = "equity") -> bool:
    """True where `price` may be sent as it is."""
    return price > 0 and price % tick_of(price, book=book) == 0


@dataclass(frozen=True, slots=True)
class Lot:
    """How much of an asset an order may be about, in shares or coins."""

    increment: Decimal
    """Quantities are multiples of it."""
    minimum: Decimal
    """Smallest quantity of an order: less than it is dust, which nobody can sell."""

    def tradable(self, quantity: Decimal) -> Decimal:
        """The most of `quantity` that one order may be about; zero where that is only dust."""
        whole = (quantity / self.increment).quantize(Decimal(1), rounding=ROUND_DOWN) * self.increment
        return whole if whole >= self.minimum else ZERO

    def bought_for(self, dollars: Decimal, price: Decimal) -> Decimal:
        """The most that `dollars` buy at `price`; zero where that is not enough for an order."""
        return self.tradable(dollars / price) if dollars > 0 and price > 0 else ZERO


SHARES = Lot(Decimal(1), Decimal(1))
COINS = Lot(Decimal("0.000000001"), Decimal("0.0001"))


def lot_of(book: str) -> Lot:
    """The lot of a book where the venue has said nothing else of an asset."""
    return COINS if book == "crypto" else SHARES


def book_of(symbol: str) -> str:
    """The book that a symbol belongs to: pairs as BTC/USD are crypto, everything else is an equity."""
    return "crypto" if "/" in symbol else "equity"


def is_dust(quantity: Decimal, book: str) -> bool:
    """True for a holding of coins that is too small for any order: nobody can sell it, and nothing has to protect it.

    A fraction of a share is none: the venue sells it."""
    return book == "crypto" and 0 < quantity < COINS.minimum
