"""The body of POST and PATCH /v2/orders, read as Alpaca reads it: numbers as strings or JSON numbers."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from fastapi import Request

from holdfast_exchange.orders import (
    ZERO,
    Intent,
    NewOrder,
    OrderClass,
    OrderType,
    Refusal,
    Replacement,
    Side,
    TimeInForce,
)
from holdfast_exchange.rules import unprocessable
from holdfast_papermarket.api.answers import BAD_REQUEST, MAX_SHOWN, bad_request, read_json, read_number

MAX_BODY_BYTES = 64 * 1024
MAX_CLIENT_ID = 128
Word = TypeVar("Word", bound=Enum)


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refusal 400."""
    content = await request.body()
    if len(content) > MAX_BODY_BYTES:
        raise bad_request("request body is too large")
    body = await read_json(request)
    if not isinstance(body, dict):
        raise bad_request("request body format is invalid")
    return body


def read_order(body: Mapping[str, Any]) -> NewOrder:
    """Raises Refusal 422 naming the field."""
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise unprocessable("symbol is required")
    quantity = read_number(body.get("qty"), "qty")
    notional = read_number(body.get("notional"), "notional")
    if quantity is None and notional is None:
        raise unprocessable("qty or notional is required")
    if quantity is not None and notional is not None:
        raise unprocessable("only one of qty or notional is accepted")
    if body.get("legs"):
        raise unprocessable("order class mleg is not supported")
    take_profit, stop_loss = _leg(body, "take_profit"), _leg(body, "stop_loss")
    intent = body.get("position_intent")
    return NewOrder(
        symbol=symbol,
        side=_word(Side, body.get("side"), "side"),
        quantity=ZERO if quantity is None else quantity,
        notional=notional,
        type=_word(OrderType, body.get("type"), "type"),
        time_in_force=_word(TimeInForce, body.get("time_in_force"), "time_in_force"),
        client_order_id=_client_order_id(body),
        limit_price=read_number(body.get("limit_price"), "limit_price"),
        stop_price=read_number(body.get("stop_price"), "stop_price"),
        trail_price=read_number(body.get("trail_price"), "trail_price"),
        trail_percent=read_number(body.get("trail_percent"), "trail_percent"),
        extended_hours=_flag(body, "extended_hours"),
        order_class=_word(OrderClass, body.get("order_class") or OrderClass.SIMPLE, "order_class"),
        take_profit_price=read_number(take_profit.get("limit_price"), "take_profit.limit_price"),
        protect_stop_price=read_number(stop_loss.get("stop_price"), "stop_loss.stop_price"),
        protect_limit_price=read_number(stop_loss.get("limit_price"), "stop_loss.limit_price"),
        intent=_word(Intent, intent, "position_intent") if intent else None,
    )


def read_replacement(body: Mapping[str, Any]) -> Replacement:
    """Raises Refusal 422 naming the field."""
    tif = body.get("time_in_force")
    if body.get("notional") is not None:
        raise unprocessable("notional orders cannot be replaced")
    return Replacement(
        quantity=read_number(body.get("qty"), "qty"),
        limit_price=read_number(body.get("limit_price"), "limit_price"),
        stop_price=read_number(body.get("stop_price"), "stop_price"),
        trail=read_number(body.get("trail"), "trail"),
        time_in_force=None if not tif else _word(TimeInForce, tif, "time_in_force"),
        client_order_id=_client_order_id(body),
    )


def _leg(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name) or {}
    if not isinstance(found, Mapping):
        raise unprocessable(f"{name} must be an object")
    return found


def _flag(body: Mapping[str, Any], name: str) -> bool:
    found = body.get(name)
    if found is not None and not isinstance(found, bool):
        raise unprocessable(f"invalid {name}: {str(found)[:MAX_SHOWN]!r}")
    return bool(found)


def _client_order_id(body: Mapping[str, Any]) -> str:
    found = body.get("client_order_id") or ""
    if not isinstance(found, str):
        raise unprocessable("client_order_id must be a text")
    if len(found) > MAX_CLIENT_ID:
        raise Refusal(422, BAD_REQUEST, f"client_order_id must be no more than {MAX_CLIENT_ID} characters")
    return found


def _word(kind: type[Word], value: object, name: str) -> Word:
    try:
        return kind(value)
    except ValueError:
        raise unprocessable(f"invalid {name}: {str(value)[:MAX_SHOWN]!r}") from None
