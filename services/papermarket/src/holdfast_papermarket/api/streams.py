"""Alpaca's WebSocket of trade updates: JSON in binary frames, or msgpack for a client whose content type says so.

An account has one such stream: while somebody listens, a further connection is answered with HTTP 429. Of connections
that were open before anybody listened, the first to listen has the stream; the others are told so and closed.
"""

import asyncio
import json
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from holdfast_exchange.orders import Update
from holdfast_papermarket import market_json, trading_json
from holdfast_papermarket.api.access import Keys
from holdfast_papermarket.api.answers import answer
from holdfast_papermarket.api.sockets import CLOSE_POLICY, pump, receive
from holdfast_papermarket.hubs import Connection
from holdfast_papermarket.venue import PaperVenue

Json = dict[str, Any]
TRADE_UPDATES = "trade_updates"
TOO_MANY_STREAMS = {"code": 42910000, "message": "connection limit exceeded"}
MAX_SHOWN = 64
"""Characters of an unknown action that the answer repeats."""

log = structlog.get_logger()


def stream_routes(venue: PaperVenue, keys: Keys) -> APIRouter:
    """`/stream`."""
    routes = APIRouter()

    @routes.websocket("/stream")
    async def trading(socket: WebSocket) -> None:
        if venue.updates.full:
            await socket.send_denial_response(answer(TOO_MANY_STREAMS, 429))
            return
        await _TradingStream(venue, keys, socket).run()

    return routes


class _TradingStream:
    def __init__(self, venue: PaperVenue, keys: Keys, socket: WebSocket) -> None:
        self._venue = venue
        self._keys = keys
        self._socket = socket
        self._connection: Connection[Update] = Connection()
        self._authorized = False
        self._packed = "msgpack" in socket.headers.get("content-type", "")

    async def run(self) -> None:
        await self._socket.accept()
        pumping = asyncio.create_task(pump(self._connection, self._send, self._socket))
        try:
            while (message := await receive(self._socket)) is not None:
                if not await self._take(message):
                    await self._socket.close(CLOSE_POLICY)
                    break
        except (WebSocketDisconnect, RuntimeError):
            log.info("trading_stream.gone")
        finally:
            pumping.cancel()
            self._venue.updates.leave(self._connection)

    async def _take(self, message: str | bytes) -> bool:
        """False ends the connection."""
        try:
            asked = market_json.unpack(message) if self._packed and isinstance(message, bytes) else json.loads(message)
            action, data = asked.get("action"), asked.get("data") or asked
            assert isinstance(data, dict)
        except (ValueError, AttributeError, AssertionError, RecursionError):
            await self._control("error", {"error": "invalid message"})
            return True
        if action in ("authenticate", "auth"):
            key, secret = data.get("key_id", data.get("key")), data.get("secret_key", data.get("secret"))
            self._authorized = self._keys.match(key, secret)
            status = "authorized" if self._authorized else "unauthorized"
            await self._control("authorization", {"action": "authenticate", "status": status})
            return self._authorized
        if action == "listen" and self._authorized:
            streams = data.get("streams")
            return await self._listen(streams if isinstance(streams, list) else [])
        if not self._authorized:
            await self._control("authorization", {"action": "listen", "status": "unauthorized"})
            return False
        await self._control("error", {"error": f"unknown action {str(action)[:MAX_SHOWN]}"})
        return True

    async def _listen(self, streams: list[str]) -> bool:
        """False where another connection has the account's stream."""
        updates, wanted = self._venue.updates, TRADE_UPDATES in streams
        if wanted and not self._connection.listening:
            if updates.full:
                await self._control("error", {"error": TOO_MANY_STREAMS["message"], "code": TOO_MANY_STREAMS["code"]})
                return False
            # Taken before anything is awaited, so that two cannot slip in.
            self._connection.listening = True
            updates.join(self._connection)
        elif not wanted and self._connection.listening:
            self._connection.listening = False
            updates.leave(self._connection)
        await self._control("listening", {"streams": [TRADE_UPDATES] if wanted else []})
        return True

    async def _control(self, stream: str, data: Json) -> None:
        if not self._connection.mute:
            await self._write({"stream": stream, "data": data})

    async def _send(self, updates: list[Update]) -> None:
        for update in updates:
            frame = trading_json.update(self._venue.exchange, update)
            self._venue.faults.spoil(frame, update)
            await self._write(frame)

    async def _write(self, frame: Json) -> None:
        packed = market_json.pack(frame) if self._packed else json.dumps(frame, separators=(",", ":")).encode()
        await self._socket.send_bytes(packed)
