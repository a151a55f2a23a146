"""Alpaca's two WebSockets: trade updates (JSON in binary frames) and market data (msgpack, or JSON on request)."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from holdfast_exchange.orders import Update
from holdfast_papermarket import market_json, trading_json
from holdfast_papermarket.api.access import Keys
from holdfast_papermarket.hubs import Connection
from holdfast_papermarket.venue import ALL_SYMBOLS, BARS, QUOTES, MarketItem, PaperVenue

Item = TypeVar("Item")
Json = dict[str, Any]
TRADE_UPDATES = "trade_updates"
DATA_CHANNELS = (QUOTES, BARS)
SILENT_CHANNELS = ("trades", "updatedBars", "dailyBars", "statuses", "lulds", "corrections", "cancelErrors")
"""May be subscribed to; the recording has nothing for them."""
CLOSE_POLICY = 1008

log = structlog.get_logger()


def stream_routes(venue: PaperVenue, keys: Keys) -> APIRouter:
    """`/stream` and `/v2/{feed}`."""
    routes = APIRouter()

    @routes.websocket("/stream")
    async def trading(socket: WebSocket) -> None:
        await _TradingStream(venue, keys, socket).run()

    @routes.websocket("/v2/{feed}")
    async def market_data(socket: WebSocket, feed: str) -> None:
        if feed not in ("iex", "sip", "test"):
            await socket.close(CLOSE_POLICY)
            return
        await _DataStream(venue, keys, socket).run()

    return routes


async def _pump(connection: Connection[Item], send: Callable[[list[Item]], Any], socket: WebSocket) -> None:
    """Empties a connection into its socket until one of them ends."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (items := await connection.queue.get()) is not None:
            await send(items)
        await socket.close(CLOSE_POLICY)


async def _receive(socket: WebSocket) -> str | bytes | None:
    """The next message; None when the client is gone."""
    message = await socket.receive()
    if message["type"] != "websocket.receive":
        return None
    found = message.get("text")
    return found if found is not None else bytes(message.get("bytes") or b"")


class _TradingStream:
    def __init__(self, venue: PaperVenue, keys: Keys, socket: WebSocket) -> None:
        self._venue = venue
        self._keys = keys
        self._socket = socket
        self._connection: Connection[Update] = Connection()
        self._authorized = False

    async def run(self) -> None:
        await self._socket.accept()
        pump = asyncio.create_task(_pump(self._connection, self._send, self._socket))
        try:
            while (message := await _receive(self._socket)) is not None:
                if not await self._take(message):
                    break
        except (WebSocketDisconnect, RuntimeError):
            log.info("trading_stream.gone")
        finally:
            pump.cancel()
            self._venue.updates.leave(self._connection)

    async def _take(self, message: str | bytes) -> bool:
        """False ends the connection."""
        try:
            asked = json.loads(message)
            action, data = asked.get("action"), asked.get("data") or asked
            assert isinstance(data, dict)
        except (ValueError, AttributeError, AssertionError):
            await self._control("error", {"error": "invalid message"})
            return True
        if action in ("authenticate", "auth"):
            key, secret = data.get("key_id", data.get("key")), data.get("secret_key", data.get("secret"))
            self._authorized = self._keys.match(key, secret)
            status = "authorized" if self._authorized else "unauthorized"
            await self._control("authorization", {"action": "authenticate", "status": status})
            return self._authorized
        if action == "listen" and self._authorized:
            await self._listen(data.get("streams") or [])
            return True
        await self._control("error", {"error": "unauthorized" if not self._authorized else f"unknown action {action}"})
        return self._authorized

    async def _listen(self, streams: list[str]) -> None:
        wanted = TRADE_UPDATES in streams
        await self._control("listening", {"streams": [TRADE_UPDATES] if wanted else []})
        if wanted and not self._connection.listening:
            self._connection.listening = True
            self._venue.updates.join(self._connection)

    async def _control(self, stream: str, data: Json) -> None:
        await self._socket.send_bytes(json.dumps({"stream": stream, "data": data}).encode())

    async def _send(self, updates: list[Update]) -> None:
        for update in updates:
            frame = trading_json.update(self._venue.exchange, update)
            await self._socket.send_bytes(json.dumps(frame, separators=(",", ":")).encode())


class _DataStream:
    def __init__(self, venue: PaperVenue, keys: Keys, socket: WebSocket) -> None:
        self._venue = venue
        self._keys = keys
        self._socket = socket
        self._connection: Connection[MarketItem] = Connection()
        self._authorized = False
        self._joined = False
        # The SDK says by the content type that it wants msgpack.
        self._packed = "msgpack" in socket.headers.get("content-type", "")
        self._subscribed: dict[str, set[str]] = {name: set() for name in (*DATA_CHANNELS, *SILENT_CHANNELS)}

    async def run(self) -> None:
        await self._socket.accept()
        await self._say({"T": "success", "msg": "connected"})
        pump = asyncio.create_task(_pump(self._connection, self._send, self._socket))
        try:
            while (message := await _receive(self._socket)) is not None:
                if not await self._take(message):
                    break
        except (WebSocketDisconnect, RuntimeError):
            log.info("data_stream.gone")
        finally:
            pump.cancel()
            self._venue.data.leave(self._connection)

    async def _take(self, message: str | bytes) -> bool:
        """False ends the connection."""
        try:
            asked = json.loads(message) if isinstance(message, str) else market_json.unpack(message)
            assert isinstance(asked, Mapping)
        except (ValueError, AssertionError):
            return await self._error(400, "invalid syntax")
        action = asked.get("action")
        if action == "auth":
            return await self._authenticate(asked)
        if not self._authorized:
            return await self._error(401, "not authenticated")
        if action in ("subscribe", "unsubscribe"):
            await self._subscribe(asked, adding=action == "subscribe")
            return True
        return await self._error(400, "invalid syntax")

    async def _authenticate(self, asked: Mapping[str, Any]) -> bool:
        if self._authorized:
            return await self._error(403, "already authenticated")
        if not self._keys.match(asked.get("key"), asked.get("secret")):
            await self._error(402, "auth failed")
            return False
        if self._venue.data.full:
            await self._error(406, "connection limit exceeded")
            return False
        self._authorized = True
        # The slot is taken at once, so that two cannot slip in; items go only to what is subscribed.
        self._venue.data.join(self._connection)
        await self._say({"T": "success", "msg": "authenticated"})
        return True

    async def _subscribe(self, asked: Mapping[str, Any], *, adding: bool) -> None:
        for name, symbols in self._subscribed.items():
            listed = asked.get(name)
            if isinstance(listed, list):
                change = {str(symbol) for symbol in listed}
                symbols.update(change) if adding else symbols.difference_update(change)
        await self._say({"T": "subscription"} | {name: sorted(found) for name, found in self._subscribed.items()})
        known = {*self._venue.exchange.market.symbols, ALL_SYMBOLS}
        wanted = {f"{name}:{symbol}" for name in DATA_CHANNELS for symbol in self._subscribed[name] & known}
        self._venue.subscribe(self._connection, frozenset(wanted))

    async def _error(self, code: int, message: str) -> bool:
        await self._say({"T": "error", "code": code, "msg": message})
        return True

    async def _say(self, message: Json) -> None:
        await self._write([message])

    async def _send(self, items: list[MarketItem]) -> None:
        await self._write([market_json.stream_item(item, packed=self._packed) for item in items])

    async def _write(self, messages: list[Json]) -> None:
        if self._packed:
            await self._socket.send_bytes(market_json.pack(messages))
        else:
            await self._socket.send_text(json.dumps(messages))
