"""What a request is about, as a fault's scope knows it."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults.scope import Call, Endpoint, OrderKind
from holdfast_exchange.orders import Order, Side
from holdfast_papermarket.faults import outside

BY_CLIENT_ID = "orders:by_client_order_id"
ORDER_ENDPOINTS = {
    "GET": Endpoint.ORDERS_GET,
    "PATCH": Endpoint.ORDERS_REPLACE,
    "DELETE": Endpoint.ORDERS_CANCEL,
}
PLAIN = {"clock": Endpoint.CLOCK, "calendar": Endpoint.CALENDAR, "assets": Endpoint.ASSETS}
DATA_WORDS = (
    ("bars", Endpoint.DATA_BARS),
    ("quotes", Endpoint.DATA_QUOTES),
    ("trades", Endpoint.DATA_TRADES),
    ("snapshot", Endpoint.DATA_SNAPSHOTS),
    ("snapshots", Endpoint.DATA_SNAPSHOTS),
)


def describe(exchange: Exchange, at: datetime, method: str, path: str, query: bytes, body: bytes) -> Call:
    """One request to the REST. What cannot be read is left open."""
    parts = path.strip("/").split("/")
    words = parse_qs(query.decode("latin-1"))
    if parts[0] in outside.SOURCES:
        named_there = outside.symbols_of(parts[1:], words, exchange.market.symbols)
        return Call(at=at, endpoint=outside.SOURCES[parts[0]], symbols=named_there)
    asked = {symbol for text in words.get("symbols", []) for symbol in text.split(",") if symbol}
    symbols = {exchange.symbol_named(symbol) for symbol in asked}
    if parts[0] == "v1" or parts[0].startswith("v1beta") or parts[:2] == ["v2", "stocks"]:
        named = {symbol for symbol in exchange.market.symbols if symbol in parts}
        return Call(at=at, endpoint=_data_endpoint(parts), symbols=frozenset(symbols | named))
    if parts[0] != "v2":
        # A page beside the API: no endpoint of it.
        return Call(at=at)
    rest = parts[1:]
    if rest == ["orders"]:
        return _of_orders(exchange, at, method, symbols, body)
    if rest == [BY_CLIENT_ID]:
        order = exchange.order_by_client_id(words.get("client_order_id", [""])[0])
        return of_order(at, Endpoint.ORDERS_BY_CLIENT_ID, order)
    if rest[:1] == ["orders"]:
        return of_order(at, ORDER_ENDPOINTS.get(method, Endpoint.ORDERS_GET), exchange.orders.get(rest[1]))
    if rest[:1] == ["positions"]:
        endpoint = Endpoint.POSITIONS_CLOSE if method == "DELETE" else Endpoint.POSITIONS_READ
        return Call(at=at, endpoint=endpoint, symbols=_named(exchange, rest[1:]))
    if rest[:1] == ["account"]:
        activities = rest[1:2] == ["activities"]
        return Call(at=at, endpoint=Endpoint.ACCOUNT_ACTIVITIES if activities else Endpoint.ACCOUNT_READ)
    return Call(at=at, endpoint=PLAIN.get(rest[0] if rest else "", Endpoint.OTHER), symbols=_named(exchange, rest[1:]))


def of_order(at: datetime, endpoint: Endpoint | None, order: Order | None, event: str = "") -> Call:
    """A call about one order of the venue."""
    if order is None:
        return Call(at=at, endpoint=endpoint, event=event)
    return Call(
        at=at,
        endpoint=endpoint,
        symbols=frozenset({order.symbol}),
        order_kinds=_kinds((order.type.value, order.order_class.value)),
        side=order.side,
        event=event,
    )


def _named(exchange: Exchange, parts: list[str]) -> frozenset[str]:
    """The symbol at the end of a path: itself, an asset id, a pair with its stroke or without."""
    return frozenset({exchange.symbol_named("/".join(parts))}) if parts else frozenset()


def _of_orders(exchange: Exchange, at: datetime, method: str, symbols: set[str], body: bytes) -> Call:
    if method == "DELETE":
        return Call(at=at, endpoint=Endpoint.ORDERS_CANCEL_ALL)
    if method != "POST":
        return Call(at=at, endpoint=Endpoint.ORDERS_LIST, symbols=frozenset(symbols))
    asked = _object(body)
    side = asked.get("side")
    return Call(
        at=at,
        endpoint=Endpoint.ORDERS_SUBMIT,
        symbols=frozenset({exchange.symbol_named(str(asked.get("symbol", "")))}),
        order_kinds=_kinds((asked.get("type"), asked.get("order_class") or OrderKind.SIMPLE.value)),
        side=Side(side) if side in (Side.BUY.value, Side.SELL.value) else None,
    )


def _data_endpoint(parts: list[str]) -> Endpoint:
    for word, endpoint in DATA_WORDS:
        if word in parts:
            return endpoint
    return Endpoint.DATA


def _kinds(words: Iterable[object]) -> frozenset[OrderKind]:
    known = {each.value: each for each in OrderKind}
    return frozenset(known[word] for word in words if isinstance(word, str) and word in known)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
