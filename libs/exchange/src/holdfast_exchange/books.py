"""The account's books: cash, positions at average cost, long and short, realised profit (BR-1, DI-6).

Conservation, after every booking, to the last digit: cash + cost of all positions = starting cash + realised profit +
what came from outside trading (fees, dividends, journals).
The cost of a short position is negative: it is what its sale brought in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from holdfast_exchange.orders import AVERAGE_DIGITS, ZERO, Fill, Side

CASH_STEP = Decimal("0.00000001")
"""Cash is kept to it: coins in nine decimals at prices in four would give it ever more digits."""


def in_cash(value: Decimal) -> Decimal:
    """Dollars as they are booked: to the nearest step, halves to even."""
    rounded = value.quantize(CASH_STEP, rounding=ROUND_HALF_EVEN)
    return value if value == rounded else rounded


class Oversold(AssertionError):
    """A sale of more than is held reached the books of an account that may not short: admission has a hole."""


class Unbalanced(AssertionError):
    """A booking that would make money or shares from nothing."""


class EntryKind(StrEnum):
    """What has been booked besides fills, in Alpaca's words for account activities."""

    CASH_IN_LIEU = "CIL"
    CRYPTO_FEE = "CFEE"
    DIVIDEND = "DIV"
    FEE = "FEE"
    JOURNAL_CASH = "JNLC"
    JOURNAL_STOCK = "JNLS"
    MERGER = "MA"
    NAME_CHANGE = "NC"
    SPIN_OFF = "SPIN"
    SPLIT = "SPLIT"


OUTSIDE = frozenset(
    {
        EntryKind.CRYPTO_FEE,
        EntryKind.DIVIDEND,
        EntryKind.FEE,
        EntryKind.JOURNAL_CASH,
        EntryKind.JOURNAL_STOCK,
    }
)
"""Kinds that bring value into the account or take it away without a trade."""


@dataclass(slots=True)
class Position:
    """Shares of one symbol, negative where they are owed, and what they cost together, in dollars, of the same sign."""

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        """Dollars a share, positive on both sides."""
        return (self.cost / self.quantity).quantize(AVERAGE_DIGITS) if self.quantity else ZERO

    @property
    def is_short(self) -> bool:
        return self.quantity < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A booking that is no fill. `cash`, `shares`, `cost` and `realised` are changes, in dollars and shares."""

    kind: EntryKind
    at: datetime
    sub_kind: str = ""
    symbol: str = ""
    cash: Decimal = ZERO
    shares: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    shown_quantity: Decimal | None = None
    """The quantity that the activity tells; None: `shares`."""
    price: Decimal | None = None
    per_share: Decimal | None = None
    description: str = ""
    group: str = ""
    """Same for all entries of one corporate action."""
    order_id: str = ""

    @property
    def outside(self) -> Decimal:
        """What it adds to the account from outside trading."""
        return self.cash + self.cost - self.realised

    @property
    def quantity(self) -> Decimal:
        return self.shares if self.shown_quantity is None else self.shown_quantity


Activity = Fill | Entry


@dataclass(slots=True)
class Books:
    """Everything that fills and other bookings have changed."""

    starting_cash: Decimal
    cash: Decimal
    positions: dict[str, Position] = field(default_factory=dict)
    realised: dict[str, Decimal] = field(default_factory=dict)
    """Profit of closed shares by symbol, in dollars."""
    outside: dict[EntryKind, Decimal] = field(default_factory=dict)
    """What came from outside trading (negative: went), by kind, in dollars."""
    fills: list[Fill] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    """Fills and entries in the order in which they were booked."""
    cash_after: list[Decimal] = field(default_factory=list)
    """Cash after each activity, in dollars."""
    unsettled: list[tuple[date, Decimal]] = field(default_factory=list)
    """Proceeds of sales with the day on which they settle, oldest first."""

    @classmethod
    def opened(cls, starting_cash: Decimal) -> "Books":
        return cls(starting_cash, starting_cash)

    def held(self, symbol: str) -> Decimal:
        """Shares held, negative where they are owed; zero without a position."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    @property
    def realised_total(self) -> Decimal:
        return sum(self.realised.values(), ZERO)

    @property
    def outside_total(self) -> Decimal:
        """Dividends, fees and journals together, in dollars."""
        return sum(self.outside.values(), ZERO)

    @property
    def cost_total(self) -> Decimal:
        return sum((position.cost for position in self.positions.values()), ZERO)

    def unsettled_cash(self, today: date) -> Decimal:
        """Proceeds of sales that have not settled at the start of `today` (a day of New York), in dollars."""
        return sum((amount for day, amount in self.unsettled if day > today), ZERO)

    def apply(self, fill: Fill, *, may_short: bool = False, settles_on: date | None = None) -> None:
        """Books one execution: first it closes what is open on the other side, then it opens. Raises Oversold.

        `settles_on`: the day from which the proceeds of a sale are settled cash; None: at once.
        """
        signed = fill.signed_quantity
        position = self.positions.get(fill.symbol) or Position(fill.symbol)
        held = position.quantity
        closing = min(fill.quantity, abs(held)) if held * signed < 0 else ZERO
        opening = fill.quantity - closing
        if opening and fill.side is Side.SELL and not may_short:
            raise Oversold(f"{fill.quantity} {fill.symbol} sold of {held} held")
        if closing:
            # Rounded once, so that what leaves the cost is exactly what the profit is reckoned from.
            all_of_it = closing == abs(held)
            removed = position.cost if all_of_it else (position.cost * closing / abs(held)).quantize(AVERAGE_DIGITS)
            received = -in_cash(fill.price * closing) if signed > 0 else in_cash(fill.price * closing)
            self.cash += received
            self.realised[fill.symbol] = self.realised.get(fill.symbol, ZERO) + received - removed
            position.quantity += closing if signed > 0 else -closing
            position.cost -= removed
        if opening:
            # The whole fill is rounded once, whatever it closes and opens.
            worth = in_cash(fill.price * fill.quantity) - in_cash(fill.price * closing)
            paid = worth if signed > 0 else -worth
            self.cash -= paid
            position.quantity += opening if signed > 0 else -opening
            position.cost += paid
        self._keep(position)
        if fill.side is Side.SELL and settles_on is not None:
            today = fill.at.date()
            # What has settled two days ago needs no place any more, whatever the time zone.
            self.unsettled = [(day, amount) for day, amount in self.unsettled if (today - day).days <= 1]
            self.unsettled.append((settles_on, fill.price * fill.quantity))
        self.fills.append(fill)
        self.activities.append(fill)
        self.cash_after.append(self.cash)

    def book(self, entries: Sequence[Entry]) -> None:
        """Books entries that belong together. Raises Unbalanced before anything has changed."""
        together = sum((entry.outside for entry in entries), ZERO)
        if together and not all(entry.kind in OUTSIDE for entry in entries if entry.outside):
            raise Unbalanced(f"{together} from nothing: {entries}")
        for entry in entries:
            self.cash += entry.cash
            if entry.shares or entry.cost:
                position = self.positions.get(entry.symbol) or Position(entry.symbol)
                position.quantity += entry.shares
                position.cost += entry.cost
                self._keep(position)
            if entry.realised:
                self.realised[entry.symbol] = self.realised.get(entry.symbol, ZERO) + entry.realised
            if entry.kind in OUTSIDE and entry.outside:
                self.outside[entry.kind] = self.outside.get(entry.kind, ZERO) + entry.outside
            self.activities.append(entry)
            self.cash_after.append(self.cash)

    def _keep(self, position: Position) -> None:
        if position.quantity:
            self.positions[position.symbol] = position
            return
        if position.cost:
            raise Unbalanced(f"{position.cost} of cost is left without a share of {position.symbol}")
        self.positions.pop(position.symbol, None)
