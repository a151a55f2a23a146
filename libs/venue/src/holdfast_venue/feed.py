"""Alpaca's market data, or papermarket's, behind the Feed port: the stream in msgpack, history by REST."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection

from holdfast_core.instruments import book_of
from holdfast_core.new_york import new_york_day
from holdfast_core.sessions import OutsideCalendar, session_of
from holdfast_runtime.errors import Malformed
from holdfast_runtime.ports.venue import (
    Bar,
    Feed,
    FeedEvent,
    NotSent,
    Quote,
    StreamDown,
    StreamUp,
    Timeframe,
    TradingStatus,
    Unreadable,
    VenueUnavailable,
)
from holdfast_venue import parsing
from holdfast_venue.access import Credentials
from holdfast_venue.answers import READ_RETRY_SECS, read_error
from holdfast_venue.http import NoAnswer, VenueHttp
from holdfast_venue.limiter import Priority
from holdfast_venue.streams import Broken, ConnectionTaken, RefusedCredentials, Stream, shown

BARS_PER_PAGE = 10_000
MAX_PAGES = 1_000
LENGTHS = {Timeframe.MINUTE: timedelta(minutes=1), Timeframe.HOUR: timedelta(hours=1)}
ONE_DAY = timedelta(days=1)
CREDENTIALS_ERRORS = frozenset({401, 402})
CONNECTION_LIMIT = 406
HALTED = frozenset({"H", "P", "Q", "1", "2", "4", "5"})
"""Status codes of the two tapes under which nothing trades: halt, pause, quotation only, opening delay, …"""

Subscribed = AsyncIterator[FeedEvent | StreamUp | StreamDown | Unreadable]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where the data of one class of assets is, and how it is asked for."""

    version: str
    bars: str
    latest_quotes: str
    feed: Mapping[str, str]
    """What each request says of the source of prices."""
    adjustment: Mapping[str, str]
    channels: tuple[str, ...]
    """Of the stream: what is subscribed to."""


STOCKS = DataSource(
    version="v2",
    bars="/stocks/bars",
    latest_quotes="/stocks/quotes/latest",
    feed={"feed": "iex"},
    adjustment={"adjustment": "raw"},
    channels=("bars", "quotes", "statuses"),
)
CRYPTO = DataSource(
    version="v1beta3",
    bars="/crypto/us/bars",
    latest_quotes="/crypto/us/latest/quotes",
    feed={},
    adjustment={},
    channels=("bars", "quotes"),
)


class AlpacaFeed(Feed):
    """Implements ports.venue.Feed."""

    def __init__(
        self,
        *,
        http: VenueHttp,
        stream: Callable[[Callable[[], "DataDialect"]], Stream[FeedEvent]],
        now: Callable[[], datetime],
        source: DataSource = STOCKS,
    ) -> None:
        """`stream` opens the data stream in a dialect; `now` is market time, which hides what is not over yet."""
        self._http = http
        self._stream = stream
        self._now = now
        self._source = source

    def stream(self, symbols: tuple[str, ...]) -> Subscribed:
        return self._stream(lambda: DataDialect(symbols, self._source.channels)).follow()

    async def bars(
        self, symbols: tuple[str, ...], timeframe: Timeframe, start: datetime, end: datetime
    ) -> dict[str, list[Bar]]:
        """See the port. Raises Unauthorised, Throttled or VenueUnavailable."""
        found: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
        query: dict[str, Any] = {
            "symbols": ",".join(symbols),
            "timeframe": timeframe.value,
            "start": _instant(start),
            "end": _instant(end),
            "limit": str(BARS_PER_PAGE),
            "sort": "asc",
            **self._source.adjustment,
            **self._source.feed,
        }
        for _ in range(MAX_PAGES):
            page, next_page = await self._page(query, timeframe)
            for bar in page:
                if bar.symbol in found and start <= bar.start < end and bar.end <= self._now():
                    found[bar.symbol].append(bar)
            if not next_page:
                return {symbol: sorted(bars, key=lambda bar: bar.start) for symbol, bars in found.items()}
            query = {**query, "page_token": next_page}
        raise _unavailable("bars", f"more than {MAX_PAGES} pages")

    async def latest_quotes(self, symbols: tuple[str, ...]) -> dict[str, Quote]:
        """See the port. Raises Unauthorised, Throttled or VenueUnavailable."""
        query = {"symbols": ",".join(symbols), **self._source.feed}
        body = await self._get("latest_quotes", self._source.latest_quotes, query)
        try:
            by_symbol = parsing.mapping(parsing.mapping(body, "answer").get("quotes") or {}, "quotes")
            quotes = [
                quote({**parsing.mapping(by_symbol[symbol], "quote"), "S": symbol})
                for symbol in symbols
                if by_symbol.get(symbol) is not None
            ]
        except Malformed as error:
            raise _unavailable("latest_quotes", f"unreadable answer: {error}") from error
        return {newest.symbol: newest for newest in quotes if newest.at <= self._now()}

    async def _get(self, operation: str, path: str, query: dict[str, Any]) -> Any:
        try:
            answer = await self._http.call(operation, "GET", path, query, priority=Priority.POLL)
        except (NoAnswer, NotSent) as error:
            raise _unavailable(operation, str(error)) from error
        if not answer.ok:
            raise read_error(answer, operation=operation)
        return answer.body

    async def _page(self, query: dict[str, Any], timeframe: Timeframe) -> tuple[list[Bar], str | None]:
        answer = await self._get("bars", self._source.bars, query)
        try:
            body = parsing.mapping(answer, "answer")
            by_symbol = parsing.mapping(body.get("bars") or {}, "bars")
            page = [
                bar({**parsing.mapping(item, "bar"), "S": symbol}, timeframe)
                for symbol, listed in by_symbol.items()
                for item in parsing.items(listed, "bars")
            ]
            return page, parsing.optional_text(body, "next_page_token")
        except Malformed as error:
            raise _unavailable("bars", f"unreadable answer: {error}") from error

    async def close(self) -> None:
        """Ends threads and connections."""
        await self._http.close()


class DataDialect:
    """One connection to the data stream. Every item counts: bars, quotes, statuses and what cannot be read."""

    def __init__(self, symbols: tuple[str, ...], channels: tuple[str, ...] = STOCKS.channels) -> None:
        wanted = sorted(set(symbols))
        self._subscribe = {"action": "subscribe"} | dict.fromkeys(channels, wanted)
        self._count = 0

    async def open(self, socket: ClientConnection, credentials: Credentials) -> None:
        await _expect(socket, "success", "connected")
        await _send(socket, {"action": "auth", "key": credentials.key, "secret": credentials.secret})
        await _expect(socket, "success", "authenticated")
        await _send(socket, self._subscribe)
        await _expect(socket, "subscription", None)

    async def probe(self, socket: ClientConnection) -> None:
        # To subscribe to the same once more changes nothing and is answered.
        await _send(socket, self._subscribe)

    def read(self, frame: str | bytes) -> Iterator[FeedEvent | Unreadable]:
        last: FeedEvent | Unreadable | None = None
        try:
            for event in self._events(frame):
                if last is not None:
                    yield replace(last, more=True) if isinstance(last, FeedEvent) else last
                last = event
        except Broken:
            # What came before the venue's complaint came.
            if last is not None:
                yield last
            raise
        if last is not None:
            yield last

    def _events(self, frame: str | bytes) -> Iterator[FeedEvent | Unreadable]:
        try:
            messages = parsing.items(_decoded(frame), "frame")
        except Malformed as error:
            self._count += 1
            yield Unreadable(str(error), shown(frame), self._count)
            return
        for message in messages:
            try:
                item = self._item(parsing.mapping(message, "item"))
            except Malformed as error:
                self._count += 1
                yield Unreadable(str(error), shown(repr(message)), self._count)
                continue
            if item is not None:
                self._count += 1
                yield FeedEvent(item=item, position=self._count)

    @staticmethod
    def _item(message: parsing.Json) -> Bar | Quote | TradingStatus | None:
        match parsing.text(message, "T"):
            case "b":
                return bar(message, Timeframe.MINUTE)
            case "q":
                return quote(message)
            case "s":
                return status(message)
            case "success" | "subscription":
                return None
            case "error":
                raise Broken(f"error {message.get('code')}: {message.get('msg')}")
            case other:
                raise Malformed(f"T: {other!r} is not known")


def bar(message: parsing.Json, timeframe: Timeframe) -> Bar:
    """A bar of Alpaca's short names. Raises Malformed where its prices contradict each other."""
    start = parsing.instant(message, "t")
    opens, high = parsing.positive(message, "o"), parsing.positive(message, "h")
    low, close = parsing.positive(message, "l"), parsing.positive(message, "c")
    if not low <= min(opens, close) <= max(opens, close) <= high:
        raise Malformed(f"bar: open {opens}, high {high}, low {low}, close {close} contradict each other")
    symbol = parsing.text(message, "S")
    return Bar(
        symbol=symbol,
        start=start,
        end=bar_end(start, timeframe, book_of(symbol)),
        open=opens,
        high=high,
        low=low,
        close=close,
        volume=parsing.not_negative(message, "v"),
    )


def bar_end(start: datetime, timeframe: Timeframe, book: str = "equity") -> datetime:
    """When a bar becomes visible: after its length, a daily one of equities at its session's close. Raises
    Malformed."""
    length = LENGTHS.get(timeframe, ONE_DAY if book == "crypto" else None)
    if length is not None:
        return start + length
    # A daily bar carries midnight in New York.
    day = new_york_day(start)
    try:
        session = session_of(day)
    except OutsideCalendar as error:
        raise Malformed(f"t: {error}") from error
    if session is None:
        raise Malformed(f"t: {day} has a daily bar and no session")
    return session.close


def quote(message: parsing.Json) -> Quote:
    """A quote; a side without one has price 0."""
    return Quote(
        symbol=parsing.text(message, "S"),
        at=parsing.instant(message, "t"),
        bid=parsing.not_negative(message, "bp"),
        ask=parsing.not_negative(message, "ap"),
        bid_size=parsing.not_negative(message, "bs"),
        ask_size=parsing.not_negative(message, "as"),
    )


def status(message: parsing.Json) -> TradingStatus:
    """A trading status: halted under the tapes' codes for it."""
    code = parsing.text(message, "sc")
    words = [code, *(str(message[name]) for name in ("sm", "rc", "rm") if message.get(name))]
    return TradingStatus(
        symbol=parsing.text(message, "S"),
        at=parsing.instant(message, "t"),
        halted=code in HALTED,
        reason=" ".join(words),
    )


def _decoded(frame: str | bytes) -> Any:
    try:
        if isinstance(frame, str):
            return json.loads(frame, parse_float=Decimal)
        return msgpack.unpackb(frame, timestamp=3)  # type: ignore[no-untyped-call,attr-defined] # untyped package
    except (ValueError, OverflowError, msgpack.UnpackException) as error:
        raise Malformed(f"the frame is unreadable: {type(error).__name__}") from error


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(msgpack.packb(message))  # type: ignore[no-untyped-call] # untyped package


async def _expect(socket: ClientConnection, kind: str, word: str | None) -> None:
    """The next frame must be this answer."""
    try:
        message = parsing.mapping(parsing.items(_decoded(await socket.recv()), "frame")[0], "frame")
    except (Malformed, IndexError) as error:
        raise Broken(f"handshake: {error}") from error
    if message.get("T") == "error":
        reason = f"error {message.get('code')}: {message.get('msg')}"
        if message.get("code") == CONNECTION_LIMIT:
            raise ConnectionTaken(reason)
        raise RefusedCredentials(reason) if message.get("code") in CREDENTIALS_ERRORS else Broken(reason)
    if message.get("T") != kind or (word is not None and message.get("msg") != word):
        raise Broken(f"handshake: {message.get('T')!r} came instead of {word or kind!r}")


def _unavailable(operation: str, detail: str) -> VenueUnavailable:
    return VenueUnavailable(f"{operation}: {detail}", after_secs=READ_RETRY_SECS)


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
