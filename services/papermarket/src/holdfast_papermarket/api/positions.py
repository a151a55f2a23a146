"""Alpaca's positions over REST: what is held, and closing it."""

from decimal import ROUND_DOWN, Decimal
from typing import Any

from fastapi import APIRouter, Response

from holdfast_exchange.assets import FRACTION
from holdfast_exchange.orders import NewOrder, Order, OrderType, Refusal, Side, TimeInForce
from holdfast_exchange.rules import unprocessable
from holdfast_papermarket import account_json, trading_json
from holdfast_papermarket.api.answers import answer, read_number
from holdfast_papermarket.api.references import recorded_symbol
from holdfast_papermarket.venue import PaperVenue

NOT_FOUND = 40410000
ONE, HUNDRED = Decimal(1), Decimal(100)


def position_routes(venue: PaperVenue) -> APIRouter:
    """Routes of the account's positions."""
    routes = APIRouter(prefix="/v2/positions", tags=["trading"])
    exchange = venue.exchange

    @routes.get("")
    async def list_positions() -> Response:
        held = exchange.books.positions
        return answer([account_json.position(exchange, held[symbol]) for symbol in sorted(held)])

    @routes.delete("")
    async def close_positions(cancel_orders: bool = False) -> Response:
        if cancel_orders:
            cancel_all(venue)
        results: list[dict[str, Any]] = []
        for symbol in sorted(exchange.books.positions):
            try:
                closing = _close(venue, symbol, None)
                results.append({"symbol": symbol, "status": 200, "body": trading_json.answered(exchange, closing)})
            except Refusal as error:
                body = {"code": error.code, "message": error.message} | error.details
                results.append({"symbol": symbol, "status": error.status, "body": body})
        return answer(results, 207)

    @routes.get("/{symbol:path}")
    async def get_position(symbol: str) -> Response:
        return answer(account_json.position(exchange, exchange.books.positions[_held(venue, symbol)]))

    @routes.delete("/{symbol:path}")
    async def close_position(symbol: str, qty: str = "", percentage: str = "") -> Response:
        name = _held(venue, symbol)
        quantity, share = read_number(qty, "qty"), read_number(percentage, "percentage")
        if quantity is not None and share is not None:
            raise unprocessable("qty and percentage cannot be used together")
        if share is not None:
            quantity = _part(venue, name, share)
        return answer(trading_json.answered(exchange, _close(venue, name, quantity)))

    return routes


def cancel_all(venue: PaperVenue) -> list[dict[str, Any]]:
    """Cancels every open order; what became of each."""
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


def _held(venue: PaperVenue, text: str) -> str:
    """The symbol behind a symbol or an asset id, of which something is held. Raises Refusal 404."""
    for symbol in venue.exchange.books.positions:
        if text in (symbol, symbol.replace("/", ""), venue.exchange.asset_id(symbol)):
            return symbol
    recorded_symbol(venue, text)
    raise Refusal(404, NOT_FOUND, "position does not exist")


def _part(venue: PaperVenue, symbol: str, percentage: Decimal) -> Decimal:
    if not 0 < percentage <= HUNDRED:
        raise unprocessable("percentage must be between 0 and 100")
    held = abs(venue.exchange.books.held(symbol))
    step = FRACTION if venue.exchange.asset(symbol).fractionable else ONE
    return (held * percentage / HUNDRED).quantize(step, rounding=ROUND_DOWN)


def _close(venue: PaperVenue, symbol: str, quantity: Decimal | None) -> Order:
    held = venue.exchange.books.held(symbol)
    is_crypto = venue.exchange.asset(symbol).is_crypto
    return venue.submit(
        NewOrder(
            symbol=symbol,
            side=Side.SELL if held > 0 else Side.BUY,
            quantity=abs(held) if quantity is None else quantity,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC if is_crypto else TimeInForce.DAY,
        )
    )
