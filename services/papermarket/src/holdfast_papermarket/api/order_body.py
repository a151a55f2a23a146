"""The body of POST and PATCH /v2/orders, read as Alpaca reads it: numbers as strings or JSON numbers."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from fastapi import Request

from holdfast_exchange.orders import NewOrder, OrderType, Refusal, Replacement, Side, TimeInForce
from holdfast_papermarket.api.answers import BAD_REQUEST, bad_request, read_number

UNPROCESSABLE = 42210000
MAX_BODY_BYTES = 64 * 1024
MAX_CLIENT_ID = 128
Word = TypeVar("Word", bound=Enum)


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refusal 400."""
    content = await request.body()
    if len(content) > MAX_BODY_BYTES:
        raise bad_request("request body is too large")
    try:
        body = await request.json()
    except ValueError:
        raise bad_request("request body format is invalid") from None
    if not isinstance(body, dict):
        raise bad_request("request body format is invalid")
    return body


def read_order(body: Mapping[str, Any]) -> NewOrder:
    """Raises Refusal 422 naming the field."""
    _refuse_unsupported(body)
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise _unprocessable("symbol is required")
    quantity = read_number(body.get("qty"), "qty")
    if quantity is None:
        raise _unprocessable("qty or notional is required")
    return NewOrder(
        symbol=symbol,
        side=_word(Side, body.get("side"), "side"),
        quantity=quantity,
        type=_word(OrderType, body.get("type"), "type"),
        time_in_force=_word(TimeInForce, body.get("time_in_force"), "time_in_force"),
        client_order_id=_client_order_id(body),
        limit_price=read_number(body.get("limit_price"), "limit_price"),
        stop_price=read_number(body.get("stop_price"), "stop_price"),
        protect_stop_price=_protection(body),
    )


def read_replacement(body: Mapping[str, Any]) -> Replacement:
    """Raises Refusal 422 naming the field."""
    tif = body.get("time_in_force")
    return Replacement(
        quantity=read_number(body.get("qty"), "qty"),
        limit_price=read_number(body.get("limit_price"), "limit_price"),
        stop_price=read_number(body.get("stop_price"), "stop_price"),
        time_in_force=None if not tif else _word(TimeInForce, tif, "time_in_force"),
        client_order_id=_client_order_id(body),
    )


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    """What this version of the venue does not trade is refused, never traded as something else."""
    for name in ("notional", "trail_price", "trail_percent", "take_profit", "legs"):
        if body.get(name):
            raise _unprocessable(f"{name} is not supported")
    if body.get("extended_hours"):
        raise _unprocessable("extended hours order must be DAY limit orders")


def _protection(body: Mapping[str, Any]) -> Any:
    order_class = body.get("order_class") or "simple"
    stop_loss = body.get("stop_loss")
    if order_class == "simple":
        if stop_loss:
            raise _unprocessable("simple orders must not have a stop_loss")
        return None
    if order_class != "oto":
        raise _unprocessable(f"order class {order_class} is not supported")
    if not isinstance(stop_loss, Mapping) or stop_loss.get("stop_price") is None:
        raise _unprocessable("oto orders require a stop_loss.stop_price")
    if stop_loss.get("limit_price"):
        raise _unprocessable("stop_loss.limit_price is not supported")
    return read_number(stop_loss["stop_price"], "stop_loss.stop_price")


def _client_order_id(body: Mapping[str, Any]) -> str:
    found = body.get("client_order_id") or ""
    if not isinstance(found, str):
        raise _unprocessable("client_order_id must be a text")
    if len(found) > MAX_CLIENT_ID:
        raise Refusal(422, BAD_REQUEST, f"client_order_id must be no more than {MAX_CLIENT_ID} characters")
    return found


def _word(kind: type[Word], value: object, name: str) -> Word:
    try:
        return kind(value)
    except ValueError:
        raise _unprocessable(f"invalid {name}: {value!r}") from None


def _unprocessable(message: str) -> Refusal:
    return Refusal(422, UNPROCESSABLE, message)
