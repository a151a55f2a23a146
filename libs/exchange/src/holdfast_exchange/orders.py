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


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"


class OrderClass(StrEnum):
    SIMPLE = "simple"
    OTO = "oto"


class Status(StrEnum):
    """The states of this venue, in Alpaca's words."""

    ACCEPTED = "accepted"
    """Queued: the market is closed."""
    NEW = "new"
    HELD = "held"
    """A leg that waits for the complete fill of its parent."""
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"


WORKING = frozenset({Status.NEW, Status.PARTIALLY_FILLED})
"""States in which an order may match."""
OPEN = WORKING | {Status.ACCEPTED, Status.HELD}
"""States that are not terminal."""


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
    """An order as it is asked for. `protect_stop_price` makes it an OTO with one stop leg."""

    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    time_in_force: TimeInForce
    client_order_id: str = ""
    """Empty: the venue makes one."""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    protect_stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What a replacement changes; None keeps the value."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of the account."""

    id: str
    sequence: int
    """Place in the order of acceptance, from 1: matching is in this order."""
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    time_in_force: TimeInForce
    order_class: OrderClass
    status: Status
    created_at: datetime
    updated_at: datetime
    active_from: datetime
    """It matches only what happened after this instant."""
    expires_at: datetime
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    """Sum of price times quantity over its fills."""
    triggered: bool = False
    """A stop whose price has traded: a market order from then on."""
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    replaced_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    parent: str | None = None
    leg: str | None = None
    """The live protective leg of an OTO parent."""

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
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_working(self) -> bool:
        return self.status in WORKING


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
