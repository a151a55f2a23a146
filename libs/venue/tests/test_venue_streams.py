"""Streams on the wire: connected again, mute ones found, no frame lost in silence (traps 4 and 5)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve

from holdfast_runtime.ports.venue import (
    Bar,
    FeedEvent,
    Quote,
    StreamDown,
    StreamUp,
    TradeUpdate,
    TradingStatus,
    Unreadable,
)
from holdfast_runtime.settings import Settings
from holdfast_venue.factory import open_broker, open_feed

Handler = Callable[[ServerConnection], Awaitable[None]]
AT = datetime(2013, 10, 7, 13, 35, tzinfo=UTC)
MUTE_AFTER_SECS = 4.0
"""Half of it is what a sign of life may take, on a machine that is busy with other things too."""
BAR = {"T": "b", "S": "SPY", "o": 168.1, "h": 168.42, "l": 168.0, "c": 168.3, "v": 1000, "n": 4, "vw": 168.2}


class FixedMarketClock:
    def now(self) -> datetime:
        return AT

    async def sleep_until(self, instant: datetime) -> None:
        raise NotImplementedError


class StreamServer:
    """Runs one handler for each connection, in order; the last one again."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.connections = 0
        self.heard: list[Any] = []
        self.port = 0

    async def run(self, socket: ServerConnection) -> None:
        handler = self.handlers[min(self.connections, len(self.handlers) - 1)]
        self.connections += 1
        await handler(socket)

    async def hear(self, socket: ServerConnection) -> Any:
        frame = await socket.recv()
        message = msgpack.unpackb(frame) if isinstance(frame, bytes) else json.loads(frame)
        self.heard.append(message)
        return message


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    streams = StreamServer()
    async with serve(streams.run, "127.0.0.1", 0) as listening:
        streams.port = next(iter(listening.sockets)).getsockname()[1]
        yield streams


async def tell(socket: ServerConnection, stream: str, data: Any) -> None:
    await socket.send(json.dumps({"stream": stream, "data": data}).encode())


async def let_in(server: StreamServer, socket: ServerConnection) -> None:
    """The server's side of the trade-updates handshake."""
    assert (await server.hear(socket))["action"] == "authenticate"
    await tell(socket, "authorization", {"action": "authenticate", "status": "authorized"})
    assert (await server.hear(socket))["action"] == "listen"
    await tell(socket, "listening", {"streams": ["trade_updates"]})


async def let_in_to_data(server: StreamServer, socket: ServerConnection) -> None:
    """The server's side of the data handshake."""
    await say(socket, {"T": "success", "msg": "connected"})
    assert (await server.hear(socket))["action"] == "auth"
    await say(socket, {"T": "success", "msg": "authenticated"})
    assert (await server.hear(socket))["action"] == "subscribe"
    await say(socket, {"T": "subscription", "bars": ["SPY"]})


async def say(socket: ServerConnection, *messages: dict[str, Any]) -> None:
    await socket.send(msgpack.packb(list(messages), datetime=True))


async def take(stream: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(60):
        return [await anext(stream) for _ in range(count)]


@pytest.fixture
def updates_of(
    server: StreamServer, settings_for: Callable[..., Settings], secrets: Any, clock: Any
) -> Callable[..., AsyncIterator[Any]]:
    def make(**venue: Any) -> AsyncIterator[Any]:
        settings = settings_for(server.port, **venue)
        return open_broker(settings, secrets, monotonic_clock=clock, environ={}).updates()

    return make


@pytest.fixture
def data_of(
    server: StreamServer, settings_for: Callable[..., Settings], secrets: Any, clock: Any
) -> Callable[..., AsyncIterator[Any]]:
    def make(**venue: Any) -> AsyncIterator[Any]:
        settings = settings_for(server.port, **venue)
        feed = open_feed(settings, secrets, market_clock=FixedMarketClock(), monotonic_clock=clock)
        return feed.stream(("SPY", "IBM"))

    return make


async def test_updates_are_read_exactly_and_counted_per_connection(server: StreamServer, updates_of: Any, told: Any):
    """Flow trade_updates."""

    async def fills(socket: ServerConnection) -> None:
        await let_in(server, socket)
        await tell(socket, "trade_updates", {"event": "new", "order": told()})
        fill = {"event": "fill", "execution_id": "x1", "price": "168.42", "qty": "10", "position_qty": "10"}
        await tell(
            socket, "trade_updates", {**fill, "timestamp": "2013-10-07T13:35:00Z", "order": told(filled_qty="10")}
        )
        await socket.close()

    server.handlers = [fills]
    up, new, fill, down, up_again, new_again = await take(updates_of(), 6)
    assert (up, up_again) == (StreamUp(), StreamUp())
    assert isinstance(new, TradeUpdate)
    assert (new.event, new.position, new.price) == ("new", 1, None)
    assert (fill.position, fill.price, fill.quantity, fill.execution_id, fill.at) == (
        2,
        Decimal("168.42"),
        Decimal(10),
        "x1",
        AT,
    )
    assert isinstance(down, StreamDown)
    assert new_again.position == 1
    assert server.heard[0]["data"] == {"key_id": "key-one", "secret_key": "key-one-secret"}


async def test_an_unreadable_frame_is_handed_on_and_the_next_one_is_read(
    server: StreamServer, updates_of: Any, told: Any
):
    """Trap 5: alpaca-py drops such a frame; trap 4: an unknown event and status are words like others."""

    async def mixed(socket: ServerConnection) -> None:
        await let_in(server, socket)
        await socket.send(b"\xff\xfe not json")
        await tell(socket, "trade_updates", {"event": "fill", "order": told(qty="NaN")})
        await tell(socket, "weather", {})
        await tell(socket, "trade_updates", {"event": "never_heard_of", "order": told(status="pending_review")})
        await socket.wait_closed()

    server.handlers = [mixed]
    _, no_json, absurd, unknown, good = await take(updates_of(), 5)
    assert [type(each) for each in (no_json, absurd, unknown)] == [Unreadable] * 3
    assert "qty" in absurd.reason
    assert "NaN" in absurd.raw
    assert (good.event, good.order.status, good.position) == ("never_heard_of", "pending_review", 4)


async def test_a_stream_that_is_open_and_mute_is_built_again(server: StreamServer, updates_of: Any, told: Any):
    """Trap 5: it is asked for a sign of life first."""

    async def mute(socket: ServerConnection) -> None:
        await let_in(server, socket)
        await server.hear(socket)
        await socket.wait_closed()

    async def alive(socket: ServerConnection) -> None:
        await let_in(server, socket)
        await tell(socket, "trade_updates", {"event": "new", "order": told()})
        await socket.wait_closed()

    server.handlers = [mute, alive]
    up, down, up_again, new = await take(updates_of(mute_after_secs=MUTE_AFTER_SECS), 4)
    assert (up, up_again) == (StreamUp(), StreamUp())
    assert "mute" in down.reason
    assert new.event == "new"
    assert [message["action"] for message in server.heard[:3]] == ["authenticate", "listen", "listen"]


async def test_a_quiet_stream_that_answers_is_kept(server: StreamServer, updates_of: Any, told: Any):
    async def quiet(socket: ServerConnection) -> None:
        await let_in(server, socket)
        for _ in range(3):
            assert (await server.hear(socket))["action"] == "listen"
            await tell(socket, "listening", {"streams": ["trade_updates"]})
        await tell(socket, "trade_updates", {"event": "new", "order": told()})
        await socket.wait_closed()

    server.handlers = [quiet]
    up, new = await take(updates_of(mute_after_secs=MUTE_AFTER_SECS), 2)
    assert (up, new.event, server.connections) == (StreamUp(), "new", 1)


async def test_one_outage_is_told_once_however_many_attempts_it_takes(server: StreamServer, updates_of: Any, told: Any):
    async def slam(socket: ServerConnection) -> None:
        await socket.close()

    async def alive(socket: ServerConnection) -> None:
        await let_in(server, socket)
        await socket.wait_closed()

    server.handlers = [slam, slam, slam, alive]
    down, up = await take(updates_of(), 2)
    assert isinstance(down, StreamDown)
    assert (up, server.connections) == (StreamUp(), 4)


async def test_while_the_credentials_are_refused_no_connection_is_tried(
    server: StreamServer, settings_for: Any, secrets: Any, clock: Any
):
    """Invariant 5: a stream waits for others to be put in place."""
    asked = asyncio.Event()

    class Watched(type(clock)):  # type: ignore[misc]
        async def sleep(self, secs: float) -> None:
            asked.set()
            await asyncio.sleep(0.001)

    async def refuse(socket: ServerConnection) -> None:
        await server.hear(socket)
        await tell(socket, "authorization", {"action": "authenticate", "status": "unauthorized"})
        await socket.wait_closed()

    async def alive(socket: ServerConnection) -> None:
        await let_in(server, socket)
        await socket.wait_closed()

    server.handlers = [refuse, alive]
    broker = open_broker(settings_for(server.port), secrets, monotonic_clock=Watched(), environ={})
    stream = broker.updates()
    (down,) = await take(stream, 1)
    assert "credentials" in down.reason
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.wait_for(asked.wait(), 30)
    assert (server.connections, waiting.done()) == (1, False)
    secrets.key = "key-two"
    assert await asyncio.wait_for(waiting, 30) == StreamUp()
    assert server.heard[-2]["data"]["key_id"] == "key-two"
    await stream.aclose()
    await broker.close()


async def test_data_comes_in_exact_numbers_and_every_item_counts(server: StreamServer, data_of: Any):
    """Flow data: bars, quotes, statuses and what cannot be read count; control messages do not."""

    async def data(socket: ServerConnection) -> None:
        await let_in_to_data(server, socket)
        quote = {"T": "q", "S": "SPY", "bp": 168.29, "bs": 3, "ap": 168.31, "as": 5, "t": AT, "bx": "V", "ax": "V"}
        halt = {"T": "s", "S": "IBM", "sc": "H", "sm": "Trading Halt", "rc": "T12", "rm": "Info", "t": AT, "z": "A"}
        await say(socket, {**BAR, "t": AT}, quote, {"T": "subscription"}, halt)
        await say(
            socket, {**BAR, "t": AT, "c": float("nan")}, {**BAR, "t": AT, "h": 1.0}, {"T": "zz"}, {**BAR, "t": AT}
        )
        await socket.send(b"\xc1")
        await socket.wait_closed()

    server.handlers = [data]
    up, bar, quote, status, *rest = await take(data_of(), 9)
    assert up == StreamUp()
    assert bar == FeedEvent(
        item=Bar(
            symbol="SPY",
            start=AT,
            end=AT.replace(minute=36),
            open=Decimal("168.1"),
            high=Decimal("168.42"),
            low=Decimal("168.0"),
            close=Decimal("168.3"),
            volume=Decimal(1000),
        ),
        position=1,
        more=True,
    )
    assert quote.item == Quote(
        symbol="SPY", at=AT, bid=Decimal("168.29"), ask=Decimal("168.31"), bid_size=Decimal(3), ask_size=Decimal(5)
    )
    assert isinstance(status.item, TradingStatus)
    assert (status.item.halted, status.position) == (True, 3)
    assert (quote.more, status.more) == (True, False)
    assert [(type(each), each.position) for each in rest] == [
        (Unreadable, 4),
        (Unreadable, 5),
        (Unreadable, 6),
        (FeedEvent, 7),
        (Unreadable, 8),
    ]
    assert server.heard[1] == {
        "action": "subscribe",
        "bars": ["IBM", "SPY"],
        "quotes": ["IBM", "SPY"],
        "statuses": ["IBM", "SPY"],
    }


async def test_a_second_data_connection_is_refused_and_tried_again(server: StreamServer, data_of: Any):
    """Error 406: one data connection an account."""

    async def full(socket: ServerConnection) -> None:
        await say(socket, {"T": "success", "msg": "connected"})
        await server.hear(socket)
        await say(socket, {"T": "error", "code": 406, "msg": "connection limit exceeded"})
        await socket.wait_closed()

    async def free(socket: ServerConnection) -> None:
        await let_in_to_data(server, socket)
        await say(socket, {**BAR, "t": AT}, {"T": "error", "code": 407, "msg": "slow client"})
        await socket.wait_closed()

    server.handlers = [full, free]
    down, up, bar, down_again = await take(data_of(), 4)
    assert "406" in down.reason
    assert up == StreamUp()
    assert (bar.position, bar.more) == (1, False), "what came before the complaint is not lost"
    assert "407" in down_again.reason


async def test_a_connection_that_another_process_holds_is_told_as_taken(server: StreamServer, data_of: Any):
    """IN-7: a signal pod of the next version stands ready while the last one still has the account's one connection."""

    async def slam(socket: ServerConnection) -> None:
        await socket.close()

    async def taken(socket: ServerConnection) -> None:
        await say(socket, {"T": "success", "msg": "connected"})
        await server.hear(socket)
        await say(socket, {"T": "error", "code": 406, "msg": "connection limit exceeded"})
        await socket.wait_closed()

    async def free(socket: ServerConnection) -> None:
        await let_in_to_data(server, socket)
        await socket.wait_closed()

    server.handlers = [slam, taken, taken, free]
    down, held, up = await take(data_of(), 3)
    assert (down.taken, held.taken, up) == (False, True, StreamUp())
