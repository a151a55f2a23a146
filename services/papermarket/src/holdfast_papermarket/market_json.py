"""Market data in Alpaca's JSON and msgpack: prices are numbers, `t` the start of a bar or the instant of a quote.

The recording has no single trades: the last trade of a minute is its close, at its end, with the minute's volume; the
number of trades is not known (0), and the volume-weighted price is the mean of high, low and close.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgpack
from msgpack.ext import Timestamp

from holdfast_exchange.recording import Bar, QuoteBar

Json = dict[str, Any]
PRICE_STEP = Decimal("0.0001")
Stamp = Callable[[datetime], Any]


def iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def bar(value: Bar, stamp: Stamp = iso) -> Json:
    typical = ((value.high + value.low + value.close) / 3).quantize(PRICE_STEP)
    return {
        "t": stamp(value.start),
        "o": float(value.open),
        "h": float(value.high),
        "l": float(value.low),
        "c": float(value.close),
        "v": int(value.volume),
        "n": 0,
        "vw": float(typical),
    }


def quote(value: QuoteBar, stamp: Stamp = iso) -> Json:
    return {
        "t": stamp(value.end),
        "bx": "V",
        "bp": float(value.bid_close),
        "bs": int(value.bid_size),
        "ax": "V",
        "ap": float(value.ask_close),
        "as": int(value.ask_size),
        "c": ["R"],
        "z": "B",
    }


def trade(value: Bar) -> Json:
    return {
        "t": iso(value.end),
        "x": "V",
        "p": float(value.close),
        "s": int(value.volume),
        "c": ["@"],
        "i": int(value.end.timestamp()),
        "z": "B",
    }


def stream_item(value: Bar | QuoteBar, *, packed: bool) -> Json:
    """One item of the data stream; `packed` for msgpack, whose instants are a type of their own."""
    stamp: Stamp = Timestamp.from_datetime if packed else iso
    if isinstance(value, QuoteBar):
        return {"T": "q", "S": value.symbol} | quote(value, stamp)
    return {"T": "b", "S": value.symbol} | bar(value, stamp)


class Unpackable(ValueError):
    """Bytes that are no msgpack."""


def pack(messages: list[Json]) -> bytes:
    """One frame of the data stream."""
    packed: bytes = msgpack.packb(messages)  # type: ignore[no-untyped-call]  # untyped package
    return packed


def unpack(frame: bytes) -> Any:
    """What a client has sent. Raises Unpackable."""
    try:
        return msgpack.unpackb(frame)  # type: ignore[no-untyped-call,attr-defined]  # untyped package
    except (ValueError, msgpack.UnpackException) as error:
        raise Unpackable(str(error)) from error
