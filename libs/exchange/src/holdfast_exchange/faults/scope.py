"""Where and when a fault may fire, and what it is asked about."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from holdfast_exchange.orders import Side


class Endpoint(StrEnum):
    """What is asked of the REST: one endpoint, or a group of them (`orders`, `trading`, `data`)."""

    ORDERS = "orders"
    ORDERS_SUBMIT = "orders.submit"
    ORDERS_LIST = "orders.list"
    ORDERS_GET = "orders.get"
    ORDERS_BY_CLIENT_ID = "orders.by_client_id"
    ORDERS_REPLACE = "orders.replace"
    ORDERS_CANCEL = "orders.cancel"
    ORDERS_CANCEL_ALL = "orders.cancel_all"
    POSITIONS = "positions"
    POSITIONS_READ = "positions.read"
    POSITIONS_CLOSE = "positions.close"
    ACCOUNT = "account"
    ACCOUNT_READ = "account.read"
    ACCOUNT_ACTIVITIES = "account.activities"
    CLOCK = "clock"
    CALENDAR = "calendar"
    ASSETS = "assets"
    TRADING = "trading"
    DATA = "data"
    DATA_BARS = "data.bars"
    DATA_QUOTES = "data.quotes"
    DATA_TRADES = "data.trades"
    DATA_SNAPSHOTS = "data.snapshots"
    FLOW = "flow"
    INTELLIGENCE = "intelligence"
    OTHER = "other"

    def includes(self, other: "Endpoint") -> bool:
        """True where `other` is this endpoint or one of this group."""
        if self is Endpoint.TRADING:
            return other not in DATA_ENDPOINTS | OUTSIDE_ENDPOINTS
        return other is self or other.value.startswith(f"{self.value}.")


DATA_ENDPOINTS = frozenset(each for each in Endpoint if each.value.split(".")[0] == "data")
OUTSIDE_ENDPOINTS = frozenset({Endpoint.FLOW, Endpoint.INTELLIGENCE})
"""Options flow and derivatives intelligence: sources of their own."""


class OrderKind(StrEnum):
    """What an order is by its type or by its class."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    SIMPLE = "simple"
    OTO = "oto"
    OCO = "oco"
    BRACKET = "bracket"


class UpdateEvent(StrEnum):
    """Events of the trade-updates stream that a fault may choose."""

    NEW = "new"
    ACCEPTED = "accepted"
    FILL = "fill"
    PARTIAL_FILL = "partial_fill"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"


class Stream(StrEnum):
    """The venue's two kinds of WebSocket."""

    TRADE_UPDATES = "trade_updates"
    MARKET_DATA = "market_data"


class Scope(BaseModel):
    """Every given condition must hold. Nothing given: always."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Endpoint | None = Field(default=None, description="One REST endpoint, or a group of them.")
    symbol: str | None = Field(default=None, pattern=r"^[A-Z0-9./]{1,20}$", description="One symbol.")
    order_kind: OrderKind | None = Field(default=None, description="Type or class of the order in question.")
    side: Side | None = Field(default=None, description="buy or sell.")
    event: UpdateEvent | None = Field(default=None, description="Event of a trade update.")
    nth: tuple[int, ...] = Field(
        default=(), description="Only the first, third … call that everything else matches: [1, 3]."
    )
    since: AwareDatetime | None = Field(default=None, description="Market time from which it may fire.")
    until: AwareDatetime | None = Field(default=None, description="Market time before which it may fire.")
    probability: float = Field(default=1.0, gt=0, le=1, description="Chance of each matching call, from the seed.")
    at_most: int | None = Field(default=None, ge=1, le=1_000_000, description="How many times it fires at most.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if any(place < 1 for place in self.nth):
            raise ValueError("nth counts calls from 1: allowed: a list of integers from 1")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError(f"until, {self.until.isoformat()}, is not after since, {self.since.isoformat()}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a fault is asked about: a request, an update, a frame or a tick. Unknown parts are empty."""

    at: datetime
    """Market time."""
    endpoint: Endpoint | None = None
    symbols: frozenset[str] = frozenset()
    order_kinds: frozenset[OrderKind] = frozenset()
    side: Side | None = None
    event: str = ""


def within(scope: Scope, call: Call) -> bool:
    """True where everything but count and chance lets the fault fire."""
    if scope.endpoint is not None and (call.endpoint is None or not scope.endpoint.includes(call.endpoint)):
        return False
    if scope.symbol is not None and scope.symbol not in call.symbols:
        return False
    if scope.order_kind is not None and scope.order_kind not in call.order_kinds:
        return False
    if scope.side is not None and scope.side is not call.side:
        return False
    if scope.event is not None and scope.event.value != call.event:
        return False
    return (scope.since is None or call.at >= scope.since) and (scope.until is None or call.at < scope.until)
