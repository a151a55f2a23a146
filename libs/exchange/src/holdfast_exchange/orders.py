"""Orders as Alpaca knows them: their words, their states, and why one is refused.

An order is an immutable value; every change of state is a new value under the same id, so that an update which has been
handed out never changes afterwards. Quantities are shares, prices dollars per share.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)
AVERAGE_DIGITS = Decimal("0.000000001")
"""Average prices are rounded to the nine digits that the ledger keeps."""


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
"""Types with a limit price."""
STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
"""Types that wait for a price to trade."""


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    """The opening auction only."""
    CLS = "cls"
    """The closing auction only."""
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    SIMPLE = "simple"
    OTO = "oto"
    """An entry that wakes one leg: a stop loss or a take profit."""
    OCO = "oco"
    """A take profit with a stop loss below it: the first to fill ends the other."""
    BRACKET = "bracket"
    """An entry that wakes a take profit and a stop loss, which then are an OCO."""


class Intent(StrEnum):
    """What an order does to the position."""

    BUY_TO_OPEN = "buy_to_open"
    BUY_TO_CLOSE = "buy_to_close"
    SELL_TO_OPEN = "sell_to_open"
    SELL_TO_CLOSE = "sell_to_close"


class Status(StrEnum):
    """The states of this venue, in Alpaca's words."""

    PENDING_NEW = "pending_new"
    """Taken, not yet on the market."""
    ACCEPTED = "accepted"
    """Queued: its market is closed or halted."""
    NEW = "new"
    HELD = "held"
    """A leg that waits for the complete fill of its parent, or the watched stop of an OCO: see Order.armed."""
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    """A cancel is on its way: it may still fill."""
    PENDING_REPLACE = "pending_replace"
    """A replacement is on its way: it may still fill, and refuses a cancel."""
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"
    """Taken first and refused afterwards."""


WORKING = frozenset({Status.NEW, Status.PARTIALLY_FILLED})
"""States in which an order may match."""
LEAVING = frozenset({Status.PENDING_CANCEL, Status.PENDING_REPLACE})
"""States on the way out, in which an order goes on as before until it has left."""
OPEN = WORKING | LEAVING | {Status.PENDING_NEW, Status.ACCEPTED, Status.HELD}
"""States that are not terminal."""
HOLDING = OPEN - {Status.HELD}
"""States that reserve shares or buying power; a held leg reserves nothing, its sibling does."""


class Refusal(Exception):
    """A synchronous no: the order does not exist afterwards, and no state has changed.

    `status` is HTTP's, `code` and `message` are the body's, `details` the further fields of the body.
    """

    def __init__(self, status: int, code: int, message: str, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as it is asked for. Exactly one of `quantity` (not zero) and `notional` (dollars) is given."""

    symbol: str
    side: Side
    quantity: Decimal = ZERO
    notional: Decimal | None = None
    type: OrderType
    time_in_force: TimeInForce
    client_order_id: str = ""
    """Empty: the venue makes one."""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    """Dollars that a trailing stop keeps from the best price."""
    trail_percent: Decimal | None = None
    """The same in percent of the best price: 1 is one percent."""
    extended_hours: bool = False
    order_class: OrderClass | None = None
    """None: OTO where `protect_stop_price` is given, else simple."""
    take_profit_price: Decimal | None = None
    protect_stop_price: Decimal | None = None
    """Stop price of the stop-loss leg."""
    protect_limit_price: Decimal | None = None
    """Limit price of the stop-loss leg: makes it a stop-limit."""
    intent: Intent | None = None
    """What the sender takes it to do; refused where it does something else."""

    @property
    def kind(self) -> OrderClass:
        if self.order_class is not None:
            return self.order_class
        return OrderClass.SIMPLE if self.protect_stop_price is None else OrderClass.OTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What a replacement changes; None keeps the value."""

    quantity: Decimal | None = None
    """Shares altogether: what has been filled already counts."""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    """The new trail_price or trail_percent of a trailing stop."""
    time_in_force: TimeInForce | None = None
    client_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of the account."""

    id: str
    sequence: int
    """Place in the order of acceptance, from 1: its time priority."""
    client_order_id: str
    symbol: str
    side: Side
    intent: Intent
    quantity: Decimal
    """Shares. Of a notional order: what its dollars bought when it was taken; what they did buy once it is filled."""
    notional: Decimal | None = None
    """Dollars, where the order was asked for in dollars."""
    type: OrderType
    time_in_force: TimeInForce
    order_class: OrderClass
    status: Status
    created_at: datetime
    updated_at: datetime
    active_from: datetime
    """It matches only what happened after this instant."""
    expires_at: datetime
    extended_hours: bool = False
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    high_water_mark: Decimal | None = None
    """Best price since a trailing stop was taken: highest for a sale, lowest for a purchase."""
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    """Sum of price times quantity over its fills."""
    triggered: bool = False
    """A stop whose price has traded: a market or limit order from then on."""
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    replaced_at: datetime | None = None
    failed_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    parent: str | None = None
    """The entry of a leg; of an OCO's stop loss its take profit."""
    legs: tuple[str, ...] = ()
    """Newest orders of its legs: take profit, then stop loss."""
    armed: bool = False
    """A held stop that is watched: the other leg of its OCO holds the shares."""
    was: Status | None = None
    """In a pending state: the state in which it goes on until that ends."""
    due_at: datetime | None = None
    """When a pending state ends."""

    @property
    def remaining(self) -> Decimal:
        """Shares that are still to be filled."""
        return self.quantity - self.filled_quantity

    @property
    def average_price(self) -> Decimal | None:
        """Average of its fills; None before the first."""
        if not self.filled_quantity:
            return None
        return (self.filled_value / self.filled_quantity).quantize(AVERAGE_DIGITS)

    @property
    def leg(self) -> str | None:
        """The leg that protects, or the only one."""
        return self.legs[-1] if self.legs else None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_working(self) -> bool:
        """True where it may match."""
        if self.status in LEAVING:
            return self.was in WORKING
        return self.status in WORKING or (self.status is Status.HELD and self.armed)

    @property
    def reserves(self) -> bool:
        """True where it holds shares or buying power."""
        return self.status in HOLDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `cumulative` and `leaves` are the order's filled and open quantity after it."""

    id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    cumulative: Decimal
    leaves: Decimal
    at: datetime

    @property
    def signed_quantity(self) -> Decimal:
        return self.quantity if self.side is Side.BUY else -self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What the trade-updates stream says: the order as it was right after the event."""

    event: str
    order: Order
    at: datetime
    fill: Fill | None = None
    position_quantity: Decimal | None = None
    """The account's position in the symbol after a fill."""
