"""Alpaca's WebSockets of market data, stocks and crypto: msgpack, or JSON where the client asks for it (BR-3, TL-3).

Each feed takes one connection of the account. Errors carry Alpaca's codes: 400 invalid syntax, 401 not authenticated,
402 auth failed, 403 already authenticated, 404 auth timeout, 405 symbol limit exceeded, 406 connection limit exceeded,
407 slow client, 409 insufficient subscription, 410 invalid subscribe action for this feed.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from holdfast_papermarket import market_json
from holdfast_papermarket.api.access import Keys
from holdfast_papermarket.api.sockets import CLOSE_POLICY, pump, receive
from holdfast_papermarket.data_feed import ALL_SYMBOLS, CHANNELS, WITH_TRADES, Channel, DataItem, Feed, key
from holdfast_papermarket.hubs import Connection
from holdfast_papermarket.venue import PaperVenue

Json = dict[str, Any]
STOCK_FEEDS = ("iex", "sip", "test")
OTHER_STOCK_FEEDS = ("delayed_sip", "otc", "boats", "overnight")
"""Alpaca has them, and this account has no subscription to them."""
LIMITED = (Channel.TRADES, Channel.QUOTES, Channel.ORDERBOOKS)
"""Channels whose symbols are counted; bars are free."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What one connection may do. `max_symbols` counts trades, quotes and order books; None is no limit."""

    auth_timeout_secs: float = 10.0
    max_symbols: int | None = None


def data_stream_routes(venue: PaperVenue, keys: Keys, limits: StreamLimits) -> APIRouter:
    """`/v2/{feed}` and `/v1beta3/crypto/{loc}`."""
    routes = APIRouter()

    @routes.websocket("/v2/{feed}")
    async def stocks(socket: WebSocket, feed: str) -> None:
        if feed not in (*STOCK_FEEDS, *OTHER_STOCK_FEEDS):
            await socket.close(CLOSE_POLICY)
            return
        await _DataStream(venue, keys, limits, socket, Feed.STOCKS, subscribed=feed in STOCK_FEEDS).run()

    @routes.websocket("/v1beta3/crypto/{loc}")
    async def crypto(socket: WebSocket, loc: str) -> None:
        if not loc.startswith(("us", "eu", "bs")):
            await socket.close(CLOSE_POLICY)
            return
        await _DataStream(venue, keys, limits, socket, Feed.CRYPTO, subscribed=True).run()

    return routes


class _DataStream:
    def __init__(
        self, venue: PaperVenue, keys: Keys, limits: StreamLimits, socket: WebSocket, feed: Feed, *, subscribed: bool
    ) -> None:
        """`subscribed`: the account's data plan has this feed."""
        self._venue = venue
        self._keys = keys
        self._limits = limits
        self._socket = socket
        self._feed = feed
        self._in_plan = subscribed
        self._hub = venue.hubs[feed]
        self._connection: Connection[DataItem] = Connection()
        self._authorized = False
        # The SDK says by the content type that it wants msgpack.
        self._packed = "msgpack" in socket.headers.get("content-type", "")
        self._channels: dict[Channel, set[str]] = {channel: set() for channel in CHANNELS[feed]}

    async def run(self) -> None:
        await self._socket.accept()
        await self._say({"T": "success", "msg": "connected"})
        pumping = asyncio.create_task(pump(self._connection, self._send, self._socket, self._slow))
        try:
            if await self._begin():
                while (message := await receive(self._socket)) is not None:
                    if not await self._take(message):
                        break
                else:
                    return
            await self._socket.close(CLOSE_POLICY)
        except (WebSocketDisconnect, RuntimeError):
            log.info("data_stream.gone", feed=self._feed.value)
        finally:
            pumping.cancel()
            self._hub.leave(self._connection)

    async def _begin(self) -> bool:
        """Authenticates, by headers or by the first messages, within the time there is for it. False ends it."""
        headers = self._socket.headers
        if "apca-api-key-id" in headers:
            return await self._authenticate(headers["apca-api-key-id"], headers.get("apca-api-secret-key"))
        try:
            async with asyncio.timeout(self._limits.auth_timeout_secs):
                while not self._authorized:
                    message = await receive(self._socket)
                    if message is None or not await self._take(message):
                        return False
        except TimeoutError:
            await self._error(404, "auth timeout")
            return False
        return True

    async def _take(self, message: str | bytes) -> bool:
        """False ends the connection."""
        try:
            asked = json.loads(message) if isinstance(message, str) else market_json.unpack(message)
        except (ValueError, RecursionError):
            return await self._error(400, "invalid syntax")
        if not isinstance(asked, Mapping):
            return await self._error(400, "invalid syntax")
        action = asked.get("action")
        if action == "auth":
            return await self._authenticate(asked.get("key"), asked.get("secret"))
        if action not in ("subscribe", "unsubscribe"):
            return await self._error(400, "invalid syntax")
        if not self._authorized:
            return await self._error(401, "not authenticated")
        return await self._subscribe(asked, adding=action == "subscribe")

    async def _authenticate(self, key_id: object, secret: object) -> bool:
        if self._authorized:
            return await self._error(403, "already authenticated")
        if not self._keys.match(key_id, secret):
            await self._error(402, "auth failed")
            return False
        if not self._in_plan:
            await self._error(409, "insufficient subscription")
            return False
        if self._hub.full:
            await self._error(406, "connection limit exceeded")
            return False
        self._authorized = True
        # The slot is taken at once, so that two cannot slip in; items go only to what is subscribed.
        self._hub.join(self._connection)
        await self._say({"T": "success", "msg": "authenticated"})
        return True

    async def _subscribe(self, asked: Mapping[str, Any], *, adding: bool) -> bool:
        changes = {name: listed for name, listed in asked.items() if name != "action" and listed != []}
        if any(name not in self._channels for name in changes):
            known = {channel.value for channels in CHANNELS.values() for channel in channels}
            if set(changes) <= known:
                return await self._error(410, "invalid subscribe action for this feed")
            return await self._error(400, "invalid syntax")
        wanted = {channel: set(symbols) for channel, symbols in self._channels.items()}
        for name, listed in changes.items():
            if not isinstance(listed, list) or not all(isinstance(symbol, str) for symbol in listed):
                return await self._error(400, "invalid syntax")
            channels = [Channel(name), *WITH_TRADES] if name == Channel.TRADES else [Channel(name)]
            for channel in channels:
                if channel in wanted:
                    wanted[channel] = wanted[channel] | set(listed) if adding else wanted[channel] - set(listed)
        if adding and self._too_many(wanted):
            return await self._error(405, "symbol limit exceeded")
        self._channels = wanted
        await self._say({"T": "subscription"} | {channel: sorted(found) for channel, found in wanted.items()})
        known_symbols = {symbol for symbol in self._venue.exchange.market.symbols if self._feed.has(symbol)}
        heard = {
            key(channel, symbol)
            for channel, symbols in wanted.items()
            for symbol in symbols & {*known_symbols, ALL_SYMBOLS}
        }
        self._venue.subscribe(self._connection, frozenset(heard), self._feed)
        return True

    def _too_many(self, wanted: Mapping[Channel, set[str]]) -> bool:
        limit = self._limits.max_symbols
        if limit is None:
            return False
        counted = [symbol for channel in LIMITED for symbol in wanted.get(channel, ())]
        return ALL_SYMBOLS in counted or len(counted) > limit

    async def _error(self, code: int, message: str) -> bool:
        await self._say({"T": "error", "code": code, "msg": message})
        return True

    async def _slow(self) -> None:
        if self._connection.overrun:
            await self._error(407, "slow client")

    async def _say(self, message: Json) -> None:
        await self._write([message])

    async def _send(self, items: list[DataItem]) -> None:
        await self._frame([market_json.stream_item(item, packed=self._packed) for item in items])

    async def _write(self, messages: list[Json]) -> None:
        # What was handed over before goes out all the same.
        if not self._connection.mute:
            await self._frame(messages)

    async def _frame(self, messages: list[Json]) -> None:
        if self._packed:
            await self._socket.send_bytes(market_json.pack(messages))
        else:
            await self._socket.send_text(json.dumps(messages))
