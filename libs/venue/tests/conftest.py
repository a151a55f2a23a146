"""A wire-level double of the venue: scripted answers, byte by byte, over real sockets; and the adapter before it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.ports.venue import OrderRequest, OrderType, Side, TimeInForce
from holdfast_runtime.settings import Settings
from holdfast_venue.broker import AlpacaBroker
from holdfast_venue.factory import open_broker

ORDER_ID = "61e69015-8549-4bfd-b9c3-01e75843f47d"
PATIENCE_SECS = 30.0
"""A machine that is busy with other things is not what these tests are about."""


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedVenue:
    """Answers each request by the next script, the last one again when there are no more."""

    port: int = 0
    scripts: list[Script] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    serving: list[asyncio.Task[None]] = field(default_factory=list)

    def then(self, *scripts: Script) -> None:
        self.scripts.extend(scripts)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
                body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
                method, target, _ = line.split(" ")
                request = Request(method, target, headers, body)
                self.requests.append(request)
                self.arrived.set()
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Answers:
    """Scripts for the venue."""

    @staticmethod
    def raw(data: bytes) -> Script:
        async def script(_: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(data)

        return script

    @classmethod
    def json(cls, status: int, body: Any, **headers: str) -> Script:
        return cls.text(status, json.dumps(body), "application/json", **headers)

    @classmethod
    def text(cls, status: int, body: str, kind: str = "text/html", **headers: str) -> Script:
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body.encode())}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return cls.raw(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    @staticmethod
    def reset() -> Script:
        async def script(_: Request, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        return script

    @staticmethod
    def silence() -> Script:
        async def script(_: Request, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        return script


def order_json(**changes: Any) -> dict[str, Any]:
    """An order as Alpaca tells it."""
    return {
        "id": ORDER_ID,
        "client_order_id": "hf-one",
        "created_at": "2013-10-07T13:35:00.123456789Z",
        "updated_at": "2013-10-07T13:35:00.2Z",
        "submitted_at": "2013-10-07T13:35:00.123456789Z",
        "symbol": "SPY",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "10",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "oto",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "168.42",
        "stop_price": None,
        "status": "accepted",
        "legs": None,
        "replaces": None,
        "replaced_by": None,
        **changes,
    }


@pytest.fixture
def answers() -> type[Answers]:
    return Answers


@pytest.fixture
def told() -> Callable[..., dict[str, Any]]:
    return order_json


@pytest.fixture
def entry() -> OrderRequest:
    return OrderRequest(
        client_order_id="hf-one",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(10),
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("168.42"),
        protect_stop_price=Decimal("160.10"),
    )


@pytest.fixture
async def venue() -> AsyncIterator[ScriptedVenue]:
    scripted = ScriptedVenue()
    server = await asyncio.start_server(scripted.accept, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    yield scripted
    server.close()
    for task in scripted.serving:
        task.cancel()
    for ended in await asyncio.gather(*scripted.serving, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


class PlainSecret:
    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value


@dataclass
class PlainSecrets:
    """Secrets that a test may change."""

    key: str = "key-one"

    def get(self, name: str) -> PlainSecret:
        return PlainSecret(self.key if name.endswith("API_KEY") else f"{self.key}-secret")

    def refresh(self) -> None:
        return


@pytest.fixture
def secrets() -> PlainSecrets:
    return PlainSecrets()


@pytest.fixture
def settings_for() -> Callable[..., Settings]:
    def make(port: int, *, speed: float = 0, **venue: Any) -> Settings:
        base = f"127.0.0.1:{port}"
        addresses = {
            "trading_url": f"http://{base}",
            "data_url": f"http://{base}",
            "trading_stream_url": f"ws://{base}/stream",
            "data_stream_url": f"ws://{base}/v2/iex",
        }
        patient = {"timeout_secs": PATIENCE_SECS}
        return Settings.model_validate({"venue": {**addresses, **patient, **venue}, "replay": {"speed": speed}})

    return make


@pytest.fixture
def clock() -> SystemMonotonicClock:
    return SystemMonotonicClock()


@pytest.fixture
async def broker(
    venue: ScriptedVenue, settings_for: Callable[..., Settings], secrets: PlainSecrets, clock: SystemMonotonicClock
) -> AsyncIterator[AlpacaBroker]:
    opened = open_broker(settings_for(venue.port), secrets, monotonic_clock=clock, environ={})
    yield opened
    await opened.close()


@pytest.fixture
async def impatient(
    venue: ScriptedVenue, settings_for: Callable[..., Settings], secrets: PlainSecrets, clock: SystemMonotonicClock
) -> AsyncIterator[AlpacaBroker]:
    """A broker for answers that never come whole: long enough for a request to leave a busy machine."""
    opened = open_broker(settings_for(venue.port, timeout_secs=5.0), secrets, monotonic_clock=clock, environ={})
    yield opened
    await opened.close()
