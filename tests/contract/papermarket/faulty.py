"""Words of the tests of papermarket's faults: a plan in force, requests as a client without manners sends them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from holdfast_exchange.faults.plan import from_tree
from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import PATIENCE_SECS, eventually, headers

Json = dict[str, Any]
IMPATIENT = httpx.Timeout(PATIENCE_SECS, read=0.5)
"""Of a request whose answer is not waited for; it arrives all the same."""


def arm(market: Embedded, kind: str, scope: Json | None = None, **parameters: Any) -> None:
    """Puts a plan of one fault, `it`, in force."""
    fault = {"id": "it", "kind": kind, "scope": scope or {}, **parameters}
    market.venue.faults.desk.arm(from_tree({"seed": 7, "faults": [fault]}))


def fired(market: Embedded) -> int:
    return market.venue.exchange.faults.tallies["it"].fired


def order(**fields: Any) -> Json:
    """A protected entry of ten shares that fills in the next minute."""
    asked = {"symbol": "SPY", "qty": "10", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "170"}
    return asked | {"order_class": "oto", "stop_loss": {"stop_price": "150"}, "client_order_id": "mine"} | fields


def simple(**fields: Any) -> Json:
    return {key: value for key, value in order(**fields).items() if key not in ("order_class", "stop_loss")}


@asynccontextmanager
async def rest(market: Embedded) -> AsyncIterator[httpx.AsyncClient]:
    """Trading and market-data REST with the account's keys."""
    async with httpx.AsyncClient(base_url=market.url, headers=headers(market), timeout=PATIENCE_SECS) as client:
        yield client


async def unanswered(market: Embedded, client: httpx.AsyncClient) -> None:
    """Sends an order and gives up; the fault has fired by then."""
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/v2/orders", json=order(), timeout=IMPATIENT)
    await eventually(lambda: fired(market) == 1)


def accepted(market: Embedded) -> list[str]:
    """Client order ids that the venue has taken, legs left out."""
    return [each.client_order_id for each in market.venue.exchange.orders.values() if each.parent is None]


class Listener:
    """A stream's frames, as they come, until it ends."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.items: list[Json] = []
        self.closed = False

    async def run(self) -> None:
        try:
            async for frame in self.socket:
                told = json.loads(frame) if isinstance(frame, str) else _unpacked(frame)
                self.items += told if isinstance(told, list) else [told]
        except ConnectionClosed:
            pass
        self.closed = True

    def updates(self) -> list[str]:
        return [each["data"]["event"] for each in self.items if each.get("stream") == "trade_updates"]

    def of(self, kind: str) -> list[Json]:
        return [each for each in self.items if each.get("T") == kind]


def _unpacked(frame: bytes) -> Any:
    try:
        return json.loads(frame)
    except (ValueError, UnicodeDecodeError):
        return msgpack.unpackb(frame, timestamp=3)


@asynccontextmanager
async def listening(url: str, hellos: Iterable[Json]) -> AsyncIterator[Listener]:
    async with connect(url) as socket:
        listener = Listener(socket)
        reading = asyncio.create_task(listener.run())
        for hello in hellos:
            await socket.send(json.dumps(hello))
        try:
            yield listener
        finally:
            reading.cancel()


@asynccontextmanager
async def trade_updates(market: Embedded) -> AsyncIterator[Listener]:
    """A listener of the trade updates."""
    keys = {"key_id": market.keys.key, "secret_key": market.keys.secret}
    hellos = [
        {"action": "authenticate", "data": keys},
        {"action": "listen", "data": {"streams": ["trade_updates"]}},
    ]
    async with listening(market.trading_stream_url, hellos) as listener:
        await eventually(lambda: market.venue.updates.sent is not None)
        yield listener


@asynccontextmanager
async def data_stream(market: Embedded, *channels: str, symbol: str = "SPY") -> AsyncIterator[Listener]:
    """A listener of one symbol's market data, which has had the newest minute already."""
    hellos: list[Json] = [{"action": "auth", "key": market.keys.key, "secret": market.keys.secret}]
    hellos.append({"action": "subscribe"} | {channel: [symbol] for channel in channels})
    async with listening(market.data_stream_url, hellos) as listener:
        await eventually(lambda: market.venue.data.sent is not None)
        yield listener
