"""The broker and the market-data feed, in the field's own words and in exact numbers.

Broker calls raise:
  Unauthorised     401: no further call until the credentials change (order protocol, point 6)
  Throttled        429: wait `after_secs`
  OrderRefused     a proven no (403, 422): the order does not exist; `kind` says which no
  OutcomeUnknown   timeout, reset, 5xx, HTML, an answer for another order: it may or may not have happened
Reads raise Unauthorised, Throttled or VenueUnavailable.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from holdfast_runtime.errors import AskBroker, AskPerson, GiveUp, Retry


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    OPG = "opg"
    CLS = "cls"


class RefusalKind(StrEnum):
    """Why the venue said no, as far as it can be told from code and message."""

    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    WASH_TRADE = "wash_trade"
    SHARES_HELD = "shares_held"
    BUYING_POWER = "buying_power"
    STOP_THROUGH_PRICE = "stop_through_price"
    MARKET_CLOSED = "market_closed"
    NOT_TRADABLE = "not_tradable"
    NOT_CANCELABLE = "not_cancelable"
    OTHER = "other"


class Unauthorised(AskPerson):
    """The venue refuses the credentials."""


class Throttled(Retry):
    """The venue's rate limit: wait `after_secs`."""


class VenueUnavailable(Retry):
    """A read that got no answer."""


class OutcomeUnknown(AskBroker):
    """A write whose outcome is not known."""


class OrderRefused(GiveUp):
    """A proven no."""

    def __init__(self, kind: RefusalKind, message: str, *, http_status: int, code: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.http_status = http_status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as it leaves for the venue."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    time_in_force: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    protect_stop_price: Decimal | None = None
    """Stop price of the protective leg: the order is then sent as OTO."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order as the venue tells it. `status` is the venue's own word: unknown ones exist and are kept."""

    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    filled_quantity: Decimal
    filled_average_price: Decimal | None
    type: str
    time_in_force: str
    status: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    submitted_at: datetime | None
    updated_at: datetime | None
    legs: tuple["BrokerOrder", ...] = ()
    replaces: str | None = None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPosition:
    """Net position of the account in one symbol; negative when short."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    available: Decimal | None = None
    """Of it, what no open order holds; None where the venue does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccount:
    account_id: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    trading_blocked: bool
    live: bool
    """True where real money is behind it."""
    settled_cash: Decimal | None = None
    """What may be paid without margin and unsettled proceeds, net of open orders: coins. None: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAsset:
    symbol: str
    tradable: bool
    fractionable: bool
    shortable: bool
    marginable: bool
    status: str
    min_order_size: Decimal | None = None
    """Smallest quantity of an order; None: the book's own rule."""
    min_trade_increment: Decimal | None = None
    """Quantities are multiples of it; None: the book's own rule."""
    price_increment: Decimal | None = None
    """Prices are multiples of it; None: the book's own rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerClock:
    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FillActivity:
    """One execution, from the account's FILL activities: the detail that orders lack."""

    activity_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    cumulative_quantity: Decimal
    price: Decimal
    at: datetime


SPLIT, CASH_IN_LIEU, DIVIDEND = "SPLIT", "CIL", "DIV"
ADJUSTMENTS = ("CFEE", "FEE", SPLIT, CASH_IN_LIEU, DIVIDEND)
"""The venue's words for what changes position or cash without a trade: fees, splits, cash in lieu, dividends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeActivity:
    """What changes the account without a trade, from its activities: a fee, a split, a dividend. Signed."""

    activity_id: str
    kind: str
    """The venue's own word."""
    symbol: str
    """Empty where the fee is of no symbol."""
    quantity: Decimal
    """The change of the position; a fee takes of it."""
    cash: Decimal
    """The change of the cash, in steps of 10⁻⁸ dollars."""
    price: Decimal | None
    at: datetime
    description: str


def netted(activities: Iterable[FeeActivity]) -> list[FeeActivity]:
    """With the entries of one split as one, under the first one's id: shares are never gone in between."""
    found: list[FeeActivity] = []
    splits: dict[tuple[str, datetime], int] = {}
    for each in activities:
        place = splits.get((each.symbol, each.at)) if each.kind == SPLIT else None
        if place is None:
            if each.kind == SPLIT:
                splits[each.symbol, each.at] = len(found)
            found.append(each)
        else:
            first = found[place]
            found[place] = replace(first, quantity=first.quantity + each.quantity, cash=first.cash + each.cash)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeUpdate:
    """One frame of the trade-updates stream."""

    event: str
    order: BrokerOrder
    execution_id: str | None
    price: Decimal | None
    quantity: Decimal | None
    at: datetime | None
    position: int
    """How many frames this connection has brought, this one included (flow `trade_updates`)."""


@dataclass(frozen=True, slots=True)
class StreamUp:
    """The stream is connected and subscribed: whatever happened before must be asked for."""


@dataclass(frozen=True, slots=True)
class StreamDown:
    """The stream is gone or mute."""

    reason: str
    taken: bool = False
    """Another process of this account holds the one connection that it may have."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A frame that could not be read: kept for the quarantine with its reason, never dropped silently."""

    reason: str
    raw: str
    position: int


class Broker(Protocol):
    """The trading side of one account. Every call is bounded in time."""

    def vouch_for_credentials(self) -> None:
        """A person says that they are good: where they were refused (401), unchanged they are tried once more."""

    async def submit_order(
        self, order: OrderRequest, *, last_write_at_secs: float, reducing: bool = False
    ) -> BrokerOrder:
        """Sends at most one POST, never after `last_write_at_secs` of monotonic time (checked in the sending thread).

        `reducing`: a stop or an exit: it goes before entries and polls, on threads and connections of its own.
        Raises NotSent where nothing was written: that instant had passed, or no connection could be made."""

    async def cancel_order(self, order_id: str) -> None:
        """Asks for a cancel; OrderRefused(NOT_CANCELABLE) where the order is already terminal."""

    async def replace_order(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> BrokerOrder:
        """Asks for a replacement: a new order with an id of its own."""

    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """None where the venue answers 404: one 404 is no evidence."""

    async def order(self, order_id: str) -> BrokerOrder | None: ...

    async def orders(self, *, open_only: bool, since: datetime | None = None) -> list[BrokerOrder]:
        """Oldest first, with their legs nested, complete: pages until the venue has no more."""

    async def positions(self) -> list[BrokerPosition]: ...

    async def account(self) -> BrokerAccount: ...

    async def asset(self, symbol: str) -> BrokerAsset | None: ...

    async def clock(self) -> BrokerClock: ...

    async def fills(self, *, since: datetime | None) -> list[FillActivity]:
        """FILL activities, oldest first, complete."""

    async def fees(self, *, since: datetime | None) -> list[FeeActivity]:
        """Activities of `ADJUSTMENTS`, oldest first, complete; some older than `since` may be among them. The two
        sides of a split, old shares out and new ones in, are one."""

    def updates(self) -> AsyncIterator[TradeUpdate | StreamUp | StreamDown | Unreadable]:
        """The trade-updates stream, connected again whenever it breaks or goes mute."""


class NotSent(GiveUp):
    """Nothing left this machine: the deadline had passed before the socket write, or there was no connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Prices over [start, end); visible from `end` on."""

    symbol: str
    start: datetime
    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    symbol: str
    at: datetime
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStatus:
    symbol: str
    at: datetime
    halted: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """One item of the data stream and its place on this connection (flow `data`)."""

    item: Bar | Quote | TradingStatus
    position: int
    more: bool = False
    """Something follows that came with it, in the same frame."""


class Timeframe(StrEnum):
    MINUTE = "1Min"
    HOUR = "1Hour"
    DAY = "1Day"


class Feed(Protocol):
    """Market data: the one data connection an account may have, and history."""

    def stream(self, symbols: tuple[str, ...]) -> AsyncIterator[FeedEvent | StreamUp | StreamDown | Unreadable]:
        """Bars, quotes and trading statuses as they come, connected again whenever it breaks or goes mute."""

    async def bars(
        self, symbols: tuple[str, ...], timeframe: Timeframe, start: datetime, end: datetime
    ) -> dict[str, list[Bar]]:
        """Every bar that starts in [start, end) and is already visible, oldest first; a missing bar is absent."""

    async def latest_quotes(self, symbols: tuple[str, ...]) -> dict[str, Quote]:
        """The newest visible quote of each symbol, asked after each StreamUp: the stream repeats none. Absent where
        there is none."""
