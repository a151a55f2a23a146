"""Alpaca's trading REST: orders, positions, account, activities, clock, calendar, assets."""

from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from fastapi import APIRouter, Request, Response

from holdfast_core.sessions import Session, sessions_between
from holdfast_exchange.orders import NewOrder, Order, OrderType, Refusal, Side, TimeInForce
from holdfast_exchange.recording import NEW_YORK
from holdfast_papermarket import trading_json
from holdfast_papermarket.api.answers import answer, bad_request, read_instant, read_number
from holdfast_papermarket.api.order_body import read_object, read_order, read_replacement
from holdfast_papermarket.api.order_queries import OrdersQuery, read_size
from holdfast_papermarket.venue import PaperVenue

MAX_ACTIVITIES = 100
NOT_FOUND = 40410000
FIRST_DAY, LAST_DAY = date(1998, 1, 1), date(2030, 12, 31)
"""What the table of sessions covers."""


def trading_routes(venue: PaperVenue, opened_at: datetime) -> APIRouter:
    """Routes of one account, opened at `opened_at` of market time."""
    routes = APIRouter(prefix="/v2", tags=["trading"])
    exchange = venue.exchange

    @routes.post("/orders")
    async def submit_order(request: Request) -> Response:
        new = read_order(await read_object(request))
        return answer(trading_json.answered(exchange, venue.submit(new)))

    @routes.get("/orders")
    async def list_orders(request: Request) -> Response:
        asked = OrdersQuery.read(request.query_params)
        return answer([trading_json.order(exchange, each, nested=asked.nested) for each in asked.choose(venue)])

    @routes.delete("/orders")
    async def cancel_orders() -> Response:
        return answer(_cancel_all(venue), 207)

    @routes.get("/orders:by_client_order_id")
    async def order_by_client_id(client_order_id: str = "", nested: bool = False) -> Response:
        found = exchange.order_by_client_id(client_order_id)
        if found is None:
            raise Refusal(404, NOT_FOUND, f"order not found for {client_order_id}")
        return answer(trading_json.order(exchange, found, nested=nested))

    @routes.get("/orders/{order_id}")
    async def get_order(order_id: str, nested: bool = False) -> Response:
        return answer(trading_json.order(exchange, exchange.order(order_id), nested=nested))

    @routes.patch("/orders/{order_id}")
    async def replace_order(order_id: str, request: Request) -> Response:
        change = read_replacement(await read_object(request))
        return answer(trading_json.answered(exchange, venue.replace(order_id, change)))

    @routes.delete("/orders/{order_id}")
    async def cancel_order(order_id: str) -> Response:
        venue.cancel(order_id)
        return Response(status_code=204)

    @routes.get("/positions")
    async def list_positions() -> Response:
        held = exchange.books.positions
        return answer([trading_json.position(exchange, held[symbol]) for symbol in sorted(held)])

    @routes.delete("/positions")
    async def close_positions(cancel_orders: bool = False) -> Response:
        if cancel_orders:
            _cancel_all(venue)
        results: list[dict[str, Any]] = []
        for symbol in sorted(exchange.books.positions):
            try:
                closing = _close(venue, symbol, None)
                results.append({"symbol": symbol, "status": 200, "body": trading_json.answered(exchange, closing)})
            except Refusal as error:
                body = {"code": error.code, "message": error.message} | error.details
                results.append({"symbol": symbol, "status": error.status, "body": body})
        return answer(results, 207)

    @routes.get("/positions/{symbol}")
    async def get_position(symbol: str) -> Response:
        name = _symbol(venue, symbol)
        if name not in exchange.books.positions:
            raise Refusal(404, NOT_FOUND, "position does not exist")
        return answer(trading_json.position(exchange, exchange.books.positions[name]))

    @routes.delete("/positions/{symbol}")
    async def close_position(symbol: str, qty: str = "", percentage: str = "") -> Response:
        name = _symbol(venue, symbol)
        held = exchange.books.held(name)
        quantity = read_number(qty, "qty")
        share = read_number(percentage, "percentage")
        if share is not None:
            quantity = (held * share / 100).quantize(Decimal(1), rounding=ROUND_DOWN)
        return answer(trading_json.answered(exchange, _close(venue, name, quantity)))

    @routes.get("/account")
    async def get_account() -> Response:
        return answer(trading_json.account(exchange, opened_at))

    @routes.get("/account/configurations")
    async def get_configurations() -> Response:
        return answer(trading_json.CONFIGURATIONS)

    @routes.get("/account/activities")
    async def list_activities(request: Request) -> Response:
        kinds = request.query_params.get("activity_types", "FILL").split(",")
        return answer(_activities(venue, request.query_params) if "FILL" in kinds else [])

    @routes.get("/account/activities/{kind}")
    async def list_activities_of(kind: str, request: Request) -> Response:
        return answer(_activities(venue, request.query_params) if kind == "FILL" else [])

    @routes.get("/clock")
    async def get_clock() -> Response:
        return answer(trading_json.clock(venue.market_now()))

    @routes.get("/calendar")
    async def get_calendar(start: str = "", end: str = "") -> Response:
        first = read_instant(start, "start").astimezone(NEW_YORK).date() if start else FIRST_DAY
        last = read_instant(end, "end").astimezone(NEW_YORK).date() if end else LAST_DAY
        asked = sessions_between(max(first, FIRST_DAY), min(last, LAST_DAY))
        return answer(trading_json.calendar(asked, _settlement(asked, exchange.config.account.settlement_days)))

    @routes.get("/assets")
    async def list_assets(status: str = "active", asset_class: str = "us_equity") -> Response:
        shown = status in ("active", "all", "") and asset_class in ("us_equity", "")
        return answer([trading_json.asset(exchange, symbol) for symbol in exchange.market.symbols if shown])

    @routes.get("/assets/{symbol}")
    async def get_asset(symbol: str) -> Response:
        return answer(trading_json.asset(exchange, _symbol(venue, symbol)))

    return routes


def _settlement(sessions: list[Session], days: int) -> dict[date, date]:
    """When a trade of each session settles: so many sessions later. Past the table's end it is the table's last."""
    if not sessions:
        return {}
    later = sessions_between(sessions[0].day, min(sessions[-1].day + timedelta(days=days + 7), LAST_DAY))
    return {each.day: later[min(place + days, len(later) - 1)].day for place, each in enumerate(sessions)}


def _symbol(venue: PaperVenue, text: str) -> str:
    """The symbol behind a symbol or an asset id. Raises Refusal 404."""
    for symbol in venue.exchange.market.symbols:
        if text in (symbol, venue.exchange.asset_id(symbol)):
            return symbol
    raise Refusal(404, NOT_FOUND, f"asset not found for {text}")


def _cancel_all(venue: PaperVenue) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for order in venue.exchange.open_orders():
        # A leg goes with its parent.
        try:
            if venue.exchange.orders[order.id].is_open:
                venue.cancel(order.id)
        except Refusal as error:
            body = {"code": error.code, "message": error.message} | error.details
            results.append({"id": order.id, "status": error.status, "body": body})
            continue
        body = trading_json.order(venue.exchange, venue.exchange.orders[order.id], nested=False)
        results.append({"id": order.id, "status": 200, "body": body})
    return results


def _close(venue: PaperVenue, symbol: str, quantity: Decimal | None) -> Order:
    held = venue.exchange.books.held(symbol)
    if not held:
        raise Refusal(404, NOT_FOUND, f"position not found: {symbol}")
    return venue.submit(
        NewOrder(
            symbol=symbol,
            side=Side.SELL,
            quantity=held if quantity is None else quantity,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
        )
    )


def _activities(venue: PaperVenue, query: Any) -> list[dict[str, Any]]:
    """FILL activities, newest first unless asked otherwise; `page_token` is the last id of the page before."""
    fills = list(venue.exchange.books.fills)
    if query.get("after"):
        after = read_instant(query["after"], "after")
        fills = [fill for fill in fills if fill.at > after]
    if query.get("until"):
        until = read_instant(query["until"], "until", end_of_day=True)
        fills = [fill for fill in fills if fill.at <= until]
    if query.get("date"):
        day = read_instant(query["date"], "date").astimezone(NEW_YORK).date()
        fills = [fill for fill in fills if fill.at.astimezone(NEW_YORK).date() == day]
    if query.get("direction", "desc") != "asc":
        fills.reverse()
    if token := query.get("page_token"):
        ids = [trading_json.activity_id(fill) for fill in fills]
        if token not in ids:
            raise bad_request(f"invalid page_token: {token!r}")
        fills = fills[ids.index(token) + 1 :]
    size = read_size(query, "page_size", default=MAX_ACTIVITIES, most=MAX_ACTIVITIES)
    return [trading_json.activity(venue.exchange, fill) for fill in fills[:size]]
