"""The trading side of an Alpaca account, or of papermarket, behind the Broker port (order protocol; traps 1-18).

Requests are built here as strings and posted by alpaca-py's client: its own request models make floats (trap 7).
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from holdfast_runtime.errors import AskPerson, Malformed
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import (
    ADJUSTMENTS,
    Broker,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    FeeActivity,
    FillActivity,
    NotSent,
    OrderRefused,
    OrderRequest,
    OutcomeUnknown,
    RefusalKind,
    StreamDown,
    StreamUp,
    Throttled,
    TimeInForce,
    TradeUpdate,
    Unreadable,
    VenueUnavailable,
    netted,
)
from holdfast_venue import parsing
from holdfast_venue.answers import READ_RETRY_SECS, read_error, write_error
from holdfast_venue.http import Answer, NoAnswer, VenueHttp
from holdfast_venue.limiter import Priority
from holdfast_venue.streams import Stream

Value = TypeVar("Value")

MAX_CLIENT_ORDER_ID = 48
ORDERS_PER_PAGE = 500
FILLS_PER_PAGE = 100
MAX_PAGES = 1_000
UNREACHABLE_PAUSE_SECS = 0.25
"""Waited before saying NotSent where no connection could be made, so that no caller spins on it."""
NOT_FOUND = 404
UNPROCESSABLE = 422
INSTANT_STEP = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)


class AlpacaBroker(Broker):
    """Implements ports.venue.Broker. Protection, entries and polls have threads and connections of their own."""

    def __init__(
        self,
        *,
        http: VenueHttp,
        stream: Stream[TradeUpdate],
        clock: MonotonicClock,
        live: bool | None,
        may_be_live: bool,
    ) -> None:
        """`live`: None where only the account's number can tell; `may_be_live`: False refuses a live account."""
        self._http = http
        self._stream = stream
        self._clock = clock
        self._live = live
        self._may_be_live = may_be_live

    def vouch_for_credentials(self) -> None:
        self._http.access.vouch()

    async def submit_order(
        self, order: OrderRequest, *, last_write_at_secs: float, reducing: bool = False
    ) -> BrokerOrder:
        """See the port. Also NotSent where no connection could be made: nothing left this machine."""
        try:
            answer = await self._write(
                "submit_order",
                "POST",
                "/orders",
                submit_body(order),
                priority=Priority.PROTECTION if reducing else Priority.ENTRY,
                last_write_at_secs=last_write_at_secs,
                about={"client_order_id": order.client_order_id, "symbol": order.symbol},
            )
        except Throttled as error:
            if self._clock.now_secs() < last_write_at_secs:
                raise
            raise NotSent(str(error)) from error
        told = _told_order(answer, "submit_order")
        asked = (order.client_order_id, order.symbol, order.side, order.quantity)
        if (told.client_order_id, told.symbol, told.side, told.quantity) != asked:
            raise OutcomeUnknown(f"submit_order: HTTP {answer.status} tells of another order, {told.client_order_id}")
        return told

    async def cancel_order(self, order_id: str) -> None:
        try:
            path = f"/orders/{quote(order_id, safe='')}"
            await self._write("cancel_order", "DELETE", path, None, about={"order_id": order_id})
        except OrderRefused as error:
            if error.http_status != UNPROCESSABLE:
                raise
            # Whatever its words: a cancel is refused so where the order is beyond cancelling.
            kind = RefusalKind.NOT_CANCELABLE
            raise OrderRefused(kind, str(error), http_status=error.http_status, code=error.code) from error

    async def replace_order(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> BrokerOrder:
        body = {"client_order_id": _checked_id(client_order_id)}
        if quantity is not None:
            body["qty"] = _number(quantity, "quantity")
        if stop_price is not None:
            body["stop_price"] = _number(stop_price, "stop_price")
        if time_in_force is not None:
            body["time_in_force"] = time_in_force.value
        path = f"/orders/{quote(order_id, safe='')}"
        about = {"order_id": order_id, "client_order_id": client_order_id}
        answer = await self._write("replace_order", "PATCH", path, body, about=about)
        told = _told_order(answer, "replace_order")
        asked_for = told.client_order_id == client_order_id and told.replaces in (None, order_id)
        if not asked_for or (quantity is not None and told.quantity != quantity):
            raise OutcomeUnknown(f"replace_order: HTTP {answer.status} tells of another order, {told.client_order_id}")
        return told

    async def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        query = {"client_order_id": client_order_id, "nested": "true"}
        found = await self._find("order_by_client_id", "/orders:by_client_order_id", query, parsing.order)
        if found is not None and found.client_order_id != client_order_id:
            raise _unavailable("order_by_client_id", f"the answer tells of another order, {found.client_order_id}")
        return found

    async def order(self, order_id: str) -> BrokerOrder | None:
        path = f"/orders/{quote(order_id, safe='')}"
        found = await self._find("order", path, {"nested": "true"}, parsing.order)
        if found is not None and found.order_id != order_id:
            raise _unavailable("order", f"the answer tells of another order, {found.order_id}")
        return found

    async def orders(self, *, open_only: bool, since: datetime | None = None) -> list[BrokerOrder]:
        # `after` excludes its own instant and orders share instants: each page begins a little before the last one's
        # end. A page is complete for certain only when far from full, since legs may count towards the limit.
        found: dict[str, BrokerOrder] = {}
        after = None if since is None else since - INSTANT_STEP
        for _ in range(MAX_PAGES):
            query = {
                "status": "open" if open_only else "all",
                "limit": str(ORDERS_PER_PAGE),
                "direction": "asc",
                "nested": "true",
            }
            if after is not None:
                query["after"] = _instant(after)
            page = await self._get("orders", "/orders", query, parsing.orders)
            new = [order for order in page if order.order_id not in found]
            found.update((order.order_id, order) for order in new)
            if len(page) + sum(len(order.legs) for order in page) < ORDERS_PER_PAGE // 2:
                return list(found.values())
            last = page[-1].submitted_at
            if last is None or (not new and len(page) >= ORDERS_PER_PAGE):
                raise _unavailable("orders", "the list cannot be paged to its end")
            if not new:
                return list(found.values())
            after = last - INSTANT_STEP
        raise _unavailable("orders", f"more than {MAX_PAGES} pages")

    async def positions(self) -> list[BrokerPosition]:
        def parse(body: object) -> list[BrokerPosition]:
            return [parsing.position(item) for item in parsing.items(body, "positions")]

        return await self._get("positions", "/positions", {}, parse)

    async def account(self) -> BrokerAccount:
        """See the port. Raises AskPerson where real money is behind it and that was not allowed."""
        account = await self._get("account", "/account", {}, lambda body: parsing.account(body, live=self._live))
        if account.live and not self._may_be_live:
            raise live_refused("the account turns out to be a live one")
        return account

    async def asset(self, symbol: str) -> BrokerAsset | None:
        return await self._find("asset", f"/assets/{quote(symbol, safe='')}", {}, parsing.asset, Priority.POLL)

    async def clock(self) -> BrokerClock:
        return await self._get("clock", "/clock", {}, parsing.clock)

    async def fills(self, *, since: datetime | None) -> list[FillActivity]:
        after = None if since is None else since - INSTANT_STEP
        asked = {"activity_types": "FILL"}
        return await self._activities("fills", asked, after, parsing.fill, lambda fill: fill.activity_id)

    async def fees(self, *, since: datetime | None) -> list[FeeActivity]:
        # They carry a day: one that is told of `since` may be stamped at its midnight.
        after = None if since is None else since - ONE_DAY
        # By category, since the trading API does not publish every kind that its accounts tell.
        asked = {"category": "non_trade_activity"}
        told = await self._activities("fees", asked, after, parsing.fee, lambda fee: fee.activity_id)
        return netted(each for each in told if each.kind in ADJUSTMENTS)

    async def _activities(
        self,
        operation: str,
        asked: dict[str, str],
        after: datetime | None,
        parse: Callable[[object], Value],
        id_of: Callable[[Value], str],
    ) -> list[Value]:
        """Every activity that is asked for, oldest first."""
        found: dict[str, Value] = {}
        query = asked | {"direction": "asc", "page_size": str(FILLS_PER_PAGE)}
        if after is not None:
            query["after"] = _instant(after)

        def parsed(body: object) -> list[Value]:
            return [parse(item) for item in parsing.items(body, "activities")]

        for _ in range(MAX_PAGES):
            page = await self._get(operation, "/account/activities", query, parsed)
            new = [each for each in page if id_of(each) not in found]
            found.update((id_of(each), each) for each in new)
            if len(page) < FILLS_PER_PAGE:
                return list(found.values())
            if not new:
                raise _unavailable(operation, "the same page came twice")
            query = {**query, "page_token": id_of(page[-1])}
        raise _unavailable(operation, f"more than {MAX_PAGES} pages")

    def updates(self) -> AsyncIterator[TradeUpdate | StreamUp | StreamDown | Unreadable]:
        """See the port. While the credentials are refused it is down, asks nothing, and waits for others."""
        return self._stream.follow()

    async def close(self) -> None:
        """Ends threads and connections."""
        await self._http.close()

    async def _write(
        self,
        operation: str,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        priority: Priority = Priority.PROTECTION,
        last_write_at_secs: float | None = None,
        about: dict[str, str] | None = None,
    ) -> Answer:
        try:
            answer = await self._http.call(
                operation, method, path, body, priority=priority, last_write_at_secs=last_write_at_secs, about=about
            )
        except NoAnswer as error:
            if error.sent:
                raise OutcomeUnknown(f"{operation}: {error}") from error
            await self._clock.sleep(UNREACHABLE_PAUSE_SECS)
            raise NotSent(f"{operation}: no connection to the venue: {error}") from error
        if answer.ok:
            return answer
        raise write_error(answer, operation=operation)

    async def _read(self, operation: str, path: str, query: dict[str, str], priority: Priority) -> Answer:
        try:
            return await self._http.call(operation, "GET", path, query, priority=priority)
        except (NoAnswer, NotSent) as error:
            raise _unavailable(operation, str(error)) from error

    async def _get(self, operation: str, path: str, query: dict[str, str], parse: Callable[[object], Value]) -> Value:
        answer = await self._read(operation, path, query, Priority.POLL)
        if not answer.ok:
            raise read_error(answer, operation=operation)
        return _parsed(operation, answer, parse)

    async def _find(
        self,
        operation: str,
        path: str,
        query: dict[str, str],
        parse: Callable[[object], Value],
        priority: Priority = Priority.PROTECTION,
    ) -> Value | None:
        """One thing by its name. Look-ups of orders go with protection: exits and unknown outcomes wait for them."""
        answer = await self._read(operation, path, query, priority)
        # A 404 without the venue's own message is a gateway's: it says nothing of the order.
        if answer.status == NOT_FOUND and answer.message:
            return None
        if not answer.ok:
            raise read_error(answer, operation=operation)
        return _parsed(operation, answer, parse)


def submit_body(order: OrderRequest) -> dict[str, Any]:
    """The JSON of a new order: numbers as strings; OTO with the protective leg where one is asked for.

    Raises ValueError for what no caller may send: a quantity or a price that is not positive, an id too long."""
    body: dict[str, Any] = {
        "symbol": order.symbol,
        "qty": _number(order.quantity, "quantity"),
        "side": order.side.value,
        "type": order.type.value,
        "time_in_force": order.time_in_force.value,
        "client_order_id": _checked_id(order.client_order_id),
    }
    if order.limit_price is not None:
        body["limit_price"] = _number(order.limit_price, "limit_price")
    if order.stop_price is not None:
        body["stop_price"] = _number(order.stop_price, "stop_price")
    if order.protect_stop_price is not None:
        body["order_class"] = "oto"
        body["stop_loss"] = {"stop_price": _number(order.protect_stop_price, "protect_stop_price")}
    return body


def live_refused(why: str) -> AskPerson:
    """A live account needs both keys turned."""
    return AskPerson(
        f"refused to trade on a live account: {why}",
        steps=(
            "For paper trading: use the keys of a paper account.",
            "For real money: set account.live: true in the configuration AND start with --live.",
        ),
    )


def _told_order(answer: Answer, operation: str) -> BrokerOrder:
    try:
        return parsing.order(answer.body)
    except Malformed as error:
        raise OutcomeUnknown(f"{operation}: HTTP {answer.status} tells of no order: {error}") from error


def _parsed(operation: str, answer: Answer, parse: Callable[[object], Value]) -> Value:
    try:
        return parse(answer.body)
    except Malformed as error:
        raise _unavailable(operation, f"unreadable answer: {error}") from error


def _unavailable(operation: str, detail: str) -> VenueUnavailable:
    return VenueUnavailable(f"{operation}: {detail}", after_secs=READ_RETRY_SECS)


def _checked_id(client_order_id: str) -> str:
    if not 0 < len(client_order_id) <= MAX_CLIENT_ORDER_ID:
        raise ValueError(f"client order id {client_order_id!r} has {len(client_order_id)} characters")
    return client_order_id


def _number(value: Decimal, what: str) -> str:
    if not value.is_finite() or value <= 0:
        raise ValueError(f"{what}: {value} is not positive")
    return format(value, "f")


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
