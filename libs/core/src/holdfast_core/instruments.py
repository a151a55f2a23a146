"""Price ticks of what is traded: an order whose price is off its tick is refused by the venue."""

from decimal import Decimal

from holdfast_core.money import round_to

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


def round_price(price: Decimal, *, up: bool | None = None, book: str = "equity") -> Decimal:
    """`price` on its tick: up, down, or to the nearest where `up` is None; never below one tick."""
    tick = tick_of(price, book=book)
    return max(round_to(price, tick, up=up), tick)


def on_tick(price: Decimal, *, book: str = "equity") -> bool:
    """True where `price` may be sent as it is."""
    return price > 0 and price % tick_of(price, book=book) == 0
