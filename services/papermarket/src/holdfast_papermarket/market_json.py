"""Market data in Alpaca's JSON and msgpack: prices are numbers, `t` the start of a bar or the instant of a quote.

The recording has no single trades: the last trade of a row is its close, at its end, with the row's volume; the number
of trades is not known (0), and the volume-weighted price is the mean of high, low and close. An order book has the one
level that a recorded quote tells. Who took a trade of a pair is not recorded: a row that closed at or above its open
counts as bought.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgpack
from msgpack.ext import Timestamp

from holdfast_exchange.recording import Bar, QuoteBar
from holdfast_papermarket.data_feed import Channel, DataItem, Halt

Json = dict[str, Any]
Stamp = Callable[[datetime], Any]
PRICE_STEP, FINE_PRICE_STEP = Decimal("0.0001"), Decimal("0.00000001")
EXCHANGE = "V"
"""IEX: the code in every quote and trade of a stock."""
TAPE = "B"


def iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def is_pair(symbol: str) -> bool:
    """True for crypto pairs, whose JSON has fewer fields and fractional sizes."""
    return "/" in symbol


def bar(value: Bar, stamp: Stamp = iso) -> Json:
    pair = is_pair(value.symbol)
    typical = ((value.high + value.low + value.close) / 3).quantize(FINE_PRICE_STEP if pair else PRICE_STEP)
    return {
        "t": stamp(value.start),
        "o": float(value.open),
        "h": float(value.high),
        "l": float(value.low),
        "c": float(value.close),
        "v": _size(value.symbol, value.volume),
        "n": 0,
        "vw": float(typical),
    }


def quote(value: QuoteBar, stamp: Stamp = iso) -> Json:
    shown = {
        "t": stamp(value.end),
        "bp": float(value.bid_close),
        "bs": _size(value.symbol, value.bid_size),
        "ap": float(value.ask_close),
        "as": _size(value.symbol, value.ask_size),
    }
    if is_pair(value.symbol):
        return shown
    return shown | {"bx": EXCHANGE, "ax": EXCHANGE, "c": ["R"], "z": TAPE}


def trade(value: Bar, stamp: Stamp = iso) -> Json:
    shown = {
        "t": stamp(value.end),
        "p": float(value.close),
        "s": _size(value.symbol, value.volume),
        "i": int(value.end.timestamp()),
    }
    if is_pair(value.symbol):
        return shown | {"tks": "B" if value.close >= value.open else "S"}
    return shown | {"x": EXCHANGE, "c": ["@"], "z": TAPE}


def orderbook(value: QuoteBar, stamp: Stamp = iso) -> Json:
    return {
        "t": stamp(value.end),
        "b": [{"p": float(value.bid_close), "s": float(value.bid_size)}],
        "a": [{"p": float(value.ask_close), "s": float(value.ask_size)}],
    }


_TYPES = {Channel.BARS: "b", Channel.DAILY_BARS: "d", Channel.TRADES: "t", Channel.QUOTES: "q"}


def stream_item(item: DataItem, *, packed: bool) -> Json:
    """One item of the data stream; `packed` for msgpack, whose instants are a type of their own."""
    stamp: Stamp = Timestamp.from_datetime if packed else iso
    row = item.row
    if isinstance(row, Halt):
        return {"T": "s", "S": row.symbol} | status(row, stamp)
    if isinstance(row, QuoteBar):
        if item.channel is Channel.ORDERBOOKS:
            # It has one level: each message is the whole book.
            return {"T": "o", "S": row.symbol} | orderbook(row, stamp) | {"r": True}
        return {"T": "q", "S": row.symbol} | quote(row, stamp)
    shown = trade(row, stamp) if item.channel is Channel.TRADES else bar(row, stamp)
    return {"T": _TYPES[item.channel], "S": row.symbol} | shown


def status(value: Halt, stamp: Stamp = iso) -> Json:
    """A halt or its end, in the codes of tapes A and B."""
    told = {"sc": "2", "sm": "Trading Halt", "rc": "P", "rm": "News Pending"}
    if not value.halted:
        told = {"sc": "3", "sm": "Resume", "rc": "", "rm": ""}
    return {"t": stamp(value.at)} | told | {"z": TAPE}


class Unpackable(ValueError):
    """Bytes that are no msgpack."""


def pack(messages: list[Json] | Json) -> bytes:
    """One frame of a stream."""
    packed: bytes = msgpack.packb(messages)  # type: ignore[no-untyped-call]  # untyped package
    return packed


def unpack(frame: bytes) -> Any:
    """What a client has sent. Raises Unpackable."""
    try:
        return msgpack.unpackb(frame)  # type: ignore[no-untyped-call,attr-defined]  # untyped package
    except (ValueError, msgpack.UnpackException) as error:
        raise Unpackable(str(error)) from error


def _size(symbol: str, value: Decimal) -> int | float:
    return float(value) if is_pair(symbol) else int(value)
