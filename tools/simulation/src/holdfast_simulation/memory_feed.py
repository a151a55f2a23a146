"""Market data in memory, behind ports.venue.Feed: history that becomes visible with market time, and a stream of it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.ports.venue import (
    Bar,
    FeedEvent,
    Quote,
    StreamDown,
    StreamUp,
    Timeframe,
    TradingStatus,
    Unreadable,
    VenueUnavailable,
)

Item = Bar | Quote | TradingStatus
Event = FeedEvent | StreamUp | StreamDown | Unreadable


def visible_at(item: Item) -> datetime:
    """When an item becomes known: a bar at its end."""
    return item.end if isinstance(item, Bar) else item.at


class MemoryFeed:
    """One venue's market data. `release` sends what has become visible since the last call to the one stream."""

    def __init__(self, clock: MarketClock, *, minute: Iterable[Bar] = (), daily: Iterable[Bar] = ()) -> None:
        self._clock = clock
        self._minute = sorted(minute, key=lambda bar: (bar.end, bar.symbol))
        self._daily = sorted(daily, key=lambda bar: (bar.end, bar.symbol))
        self._released = datetime.min.replace(tzinfo=UTC)
        self._stream: asyncio.Queue[Event] | None = None
        self._symbols: tuple[str, ...] = ()
        self._quotes: dict[str, Quote] = {}
        self.position = 0
        """Items sent on the present connection (flow `data`)."""
        self.failing_reads = 0
        """So many reads fail before one is answered."""

    async def stream(self, symbols: tuple[str, ...]) -> AsyncIterator[Event]:
        """See ports.venue.Feed."""
        self._symbols = symbols
        self._connect()
        while self._stream is not None:
            yield await self._stream.get()

    def release(self, until: datetime) -> None:
        """Sends every recorded bar that becomes visible after the last call and not after `until`."""
        for bar in self._minute:
            if self._released < bar.end <= until:
                self.send(bar)
        self._released = until

    def skip(self, until: datetime) -> None:
        """What becomes visible until then is sent to nobody: only history has it."""
        self._released = until

    def send(self, item: Item) -> None:
        """Sends one item, recorded or not. Nothing is sent while nobody listens."""
        if isinstance(item, Quote):
            self._quotes[item.symbol] = item
        if self._stream is not None and item.symbol in self._symbols:
            self.position += 1
            self._stream.put_nowait(FeedEvent(item=item, position=self.position))

    def send_unreadable(self, raw: str, reason: str) -> None:
        """Sends a frame that cannot be read."""
        if self._stream is not None:
            self.position += 1
            self._stream.put_nowait(Unreadable(reason=reason, raw=raw, position=self.position))

    def disconnect(self, reason: str = "test") -> None:
        """Ends the connection: what is released from now on is lost to the stream."""
        if self._stream is not None:
            self._stream.put_nowait(StreamDown(reason))

    def reconnect(self) -> None:
        """A new connection; its position begins anew."""
        self._connect(self._stream)

    def _connect(self, stream: asyncio.Queue[Event] | None = None) -> None:
        self._stream = stream or asyncio.Queue()
        self.position = 0
        self._stream.put_nowait(StreamUp())

    async def bars(
        self, symbols: tuple[str, ...], timeframe: Timeframe, start: datetime, end: datetime
    ) -> dict[str, list[Bar]]:
        """See ports.venue.Feed."""
        self._answer()
        recorded = self._daily if timeframe is Timeframe.DAY else self._minute
        now = self._clock.now()
        found: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
        for bar in recorded:
            if bar.symbol in found and start <= bar.start < end and bar.end <= now:
                found[bar.symbol].append(bar)
        return found

    async def latest_quotes(self, symbols: tuple[str, ...]) -> dict[str, Quote]:
        """See ports.venue.Feed."""
        self._answer()
        return {symbol: self._quotes[symbol] for symbol in symbols if symbol in self._quotes}

    def _answer(self) -> None:
        if self.failing_reads:
            self.failing_reads -= 1
            raise VenueUnavailable("the venue gives no answer", after_secs=0.0)
