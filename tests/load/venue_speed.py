"""How fast the stand-in venue is: libs/exchange alone, and papermarket's HTTP beside a bare uvicorn answer.

Run as a program this is one of the servers: `venue_speed.py bare|papermarket FOLDER`; it prints its port.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import uvloop
from measuring import Figures, percentiles

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.commands import Advance, Submit
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.orders import NewOrder, OrderType, Side, TimeInForce
from holdfast_exchange.replay import plan
from holdfast_papermarket.adapters.http_server import HttpServer
from holdfast_papermarket.embedded import embedded

HOST = "127.0.0.1"
IN_FLIGHT = 16
MAX_RESTING = 160
ORDERS_PER_MINUTE = 20
RICH = Decimal(10**12)
DAY = "2013-10-08"
KEYS = "APCA-API-KEY-ID: embedded-key\r\nAPCA-API-SECRET-KEY: embedded-secret\r\n"


@dataclass(frozen=True, slots=True)
class ExchangeSpeed:
    """1/s, on one core, without journal and network."""

    bars: float
    """Bars of a recorded day released, nothing in the book."""
    resting_bars: float
    """The same with 100 resting orders that never fill."""
    orders: float
    """Orders submitted, matched and filled, the release of their bars included."""


def exchange_speed() -> ExchangeSpeed:
    recording = recordings.load(default_folder_of("equity"))
    bars, secs = _replayed(recording, lambda _exchange, _minute: 0)
    resting, resting_secs = _replayed(recording, _rest)
    _, order_secs, orders = _traded(recording)
    return ExchangeSpeed(bars=bars / secs, resting_bars=resting / resting_secs, orders=orders / order_secs)


def _replayed(recording: recordings.Recording, before: Callable[[Exchange, int], int]) -> tuple[int, float]:
    return _traded(recording, before)[:2]


def _traded(
    recording: recordings.Recording, before: Callable[[Exchange, int], int] | None = None
) -> tuple[int, float, int]:
    """Bars, seconds and orders of a recorded day; `before` acts before each minute and tells how many it sent."""
    replay = plan(recording, start=DAY, end=DAY)
    exchange = Exchange("bench", Market(recording, replay.begin), ExchangeConfig(starting_cash=RICH))
    act = before or _trade
    bars = orders = 0
    began = time.perf_counter()
    number, instant = 0, replay.after(replay.begin)
    while instant is not None:
        number += 1
        if instant.data:
            orders += act(exchange, number)
        exchange.apply(Advance(number, instant.at, instant.data))
        bars += len(exchange.market.bars_ending(instant.at)) if instant.data else 0
        instant = replay.after(instant.at)
    return bars, time.perf_counter() - began, orders


def _rest(exchange: Exchange, minute: int) -> int:
    if minute > 2 or exchange.orders:
        return 0
    for place in range(100):
        exchange.apply(Submit(exchange.now, _order("SPY", OrderType.LIMIT, TimeInForce.GTC, Decimal(place % 50 + 1))))
    return 100


def _trade(exchange: Exchange, minute: int) -> int:
    for place in range(ORDERS_PER_MINUTE):
        exchange.apply(Submit(exchange.now, _order(exchange.market.symbols[place % 4], OrderType.MARKET)))
    return ORDERS_PER_MINUTE


def _order(
    symbol: str, kind: OrderType, tif: TimeInForce = TimeInForce.DAY, limit_price: Decimal | None = None
) -> NewOrder:
    return NewOrder(
        symbol=symbol, side=Side.BUY, quantity=Decimal(1), type=kind, time_in_force=tif, limit_price=limit_price
    )


# HTTP


async def http_speed(folder: Path, *, requests: int) -> dict[str, Figures]:
    """One request in flight, then `IN_FLIGHT` connections, of each kind; the bare answer before and after."""
    found: dict[str, Figures] = {}
    clients = count()

    def order() -> bytes:
        body = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "limit", "limit_price": "2", "time_in_force": "day"}
        return _request("POST", "/v2/orders", json.dumps(body | {"client_order_id": f"bench-{next(clients)}"}))

    async with _server("bare", folder) as bare, _server("papermarket", folder) as paper:
        first = await _measured(bare, lambda: _request("GET", "/v2/clock"), requests)
        found["clock"] = await _measured(paper, lambda: _request("GET", "/v2/clock"), requests)
        found["account"] = await _measured(paper, lambda: _request("GET", "/v2/account"), requests)
        # Each rests and reserves buying power: many would measure a book that nobody has.
        found["order"] = await _measured(paper, order, min(requests, MAX_RESTING))
        last = await _measured(bare, lambda: _request("GET", "/v2/clock"), requests)
    means = ((one + other) / 2 for one, other in zip(asdict(first).values(), asdict(last).values(), strict=True))
    found["bare"] = Figures(*means)
    return found


def _request(method: str, path: str, body: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{KEYS}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def _measured(port: int, make: Callable[[], bytes], requests: int) -> Figures:
    reader, writer = await asyncio.open_connection(HOST, port)
    took = []
    for _ in range(requests):
        began = time.perf_counter()
        await _exchanged(reader, writer, make())
        took.append((time.perf_counter() - began) * 1000)
    writer.close()
    began = time.perf_counter()
    await asyncio.gather(*(_many(port, make, requests // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    rate = requests // IN_FLIGHT * IN_FLIGHT / (time.perf_counter() - began)
    warm = took[len(took) // 10 :]
    return Figures(*percentiles(warm), rate)


async def _many(port: int, make: Callable[[], bytes], requests: int) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    for _ in range(requests):
        await _exchanged(reader, writer, make())
    writer.close()


async def _exchanged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))


@contextlib.asynccontextmanager
async def _server(kind: str, folder: Path) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, kind, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def _serve_bare() -> None:
    """Through the same HttpServer as papermarket's, with a clock's answer ready made."""
    content = json.dumps({"timestamp": "2013-10-08T09:35:00-04:00", "is_open": True} | {"next": "x" * 80}).encode()
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())],
    }

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": content})

    server = HttpServer(app, host=HOST, port=0)
    serving = asyncio.create_task(server.run())
    await server.until_started()
    print(server.port, flush=True)
    await serving


async def _serve_papermarket(folder: Path) -> None:
    recording = recordings.load(default_folder_of("equity"))
    async with embedded(recording, folder, start=DAY, end=DAY) as market:
        for _ in range(10):
            market.clock.step()
        print(market.port, flush=True)
        await asyncio.Event().wait()


def measure(folder: Path, *, requests: int = 2000) -> dict[str, Any]:
    """Everything of this module, as `make bench` shows it."""
    exchange = exchange_speed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        http = runner.run(http_speed(folder, requests=requests))
    return {"exchange": asdict(exchange), "http": {name: asdict(each) for name, each in http.items()}}


def show(found: dict[str, Any]) -> None:
    """The rows of the venue in the table."""
    titles = {
        "bare": "bare uvicorn answer",
        "clock": "papermarket GET /v2/clock",
        "account": "papermarket GET /v2/account",
        "order": "papermarket POST /v2/orders, journalled",
    }
    for name, title in titles.items():
        each = found["http"][name]
        print(f"{title:58}{each['p50_ms']:9.2f}{each['p99_ms']:9.2f}{each['rate']:10.0f}")
    told = found["exchange"]
    print(f"{'libs/exchange alone: bars released':76}{told['bars']:10.0f}")
    print(f"{'libs/exchange alone: bars released over 100 resting orders':76}{told['resting_bars']:10.0f}")
    print(f"{'libs/exchange alone: orders submitted, matched, filled':76}{told['orders']:10.0f}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory(prefix="holdfast-venue-") as scratch:
            show(measure(Path(scratch)))
    else:
        serving = _serve_bare() if sys.argv[1] == "bare" else _serve_papermarket(Path(sys.argv[2]))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as alone:
            alone.run(serving)
