"""Reads the one data connection: believes or quarantines, keeps prices fresh, marks gaps, passes bars on.

After every (re)connection it asks history for what was missed: the stream repeats nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_core.sessions import Calendar
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.ports.venue import (
    Bar,
    Feed,
    FeedEvent,
    Quote,
    StreamDown,
    StreamUp,
    Timeframe,
    TradingStatus,
    Unreadable,
)
from holdfast_runtime.settings import FeedSettings
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.wire import to_decimal, to_timestamp
from holdfast_signal.data_flow import DataFlow
from holdfast_signal.engine import Engine, persist
from holdfast_signal.idle import in_turns
from holdfast_signal.outbox import Letter, Outbox
from holdfast_signal.prices import NEVER, Prices
from holdfast_signal.quarantine import quarantine
from holdfast_signal.runners import follows
from holdfast_signal.screen import Screen
from holdfast_signal.timers import Timers

REPUBLISH = timedelta(minutes=2)
"""How far back bars of the history are published on connecting: what a process before this one may have missed."""
MAX_AHEAD_SECS = 2.0
DISCONNECTED_AFTER_SECS = 2.0

Answer = TypeVar("Answer")
Item = TypeVar("Item", Bar, Quote)

log = structlog.get_logger()


class FeedReader:
    """The loop over the data stream."""

    def __init__(
        self,
        calendars: Mapping[str, Calendar],
        *,
        feed: Feed,
        settings: FeedSettings,
        prices: Prices,
        engine: Engine,
        outbox: Outbox,
        timers: Timers,
        clock: MarketClock,
        monotonic: MonotonicClock,
        activity: Activity,
        progress: Callable[[], None],
        flow: DataFlow | None = None,
        name: str = "equity",
    ) -> None:
        """`calendars`: the symbols to be read, each with when it trades. `flow`: shared by the readers of a process,
        who have different names."""
        self._calendars = calendars
        self.symbols = self._symbols = tuple(sorted(calendars))
        self._feed = feed
        self._settings = settings
        self._prices = prices
        self._engine = engine
        self._outbox = outbox
        self._timers = timers
        self._clock = clock
        self._monotonic = monotonic
        self._activity = activity
        self._progress = progress
        self._flow = flow if flow is not None else DataFlow(activity)
        self.name = name
        """The book that it reads for."""
        self._screen = Screen(self._symbols, max_move=settings.max_bar_move)
        self._in_session: dict[str, datetime] = {}
        self._published: dict[str, datetime] = {}
        self.loaded = False
        """True once history was replayed and every strategy knows where it stands."""
        self.connected = False
        """True while the stream is there and what was missed before it is known."""
        self.standing_by = False
        """True while another process has the account's one connection: this one is ready to follow it."""

    async def run(self) -> None:
        """Reads until cancelled."""
        # There is no market time before the first tick.
        await self._clock.sleep_until(NEVER)
        async for event in in_turns(self._feed.stream(self._symbols), self._turn):
            await self._catch_clock(event)
            with self._activity.busy():
                self._prices.gather(isinstance(event, FeedEvent) and event.more)
                await self._handle(event)

    def undecided_for(self, now: datetime) -> dict[str, timedelta]:
        """See Engine.undecided_for."""
        return self._engine.undecided_for(now)

    def _turn(self) -> None:
        self._progress()
        now = self._clock.now()
        for symbol in self._symbols:
            seen = self._prices.seen_at(symbol)
            if seen != NEVER:
                metrics.FEED_AGE.labels("prices", symbol).set((now - seen).total_seconds())

    async def _catch_clock(self, event: FeedEvent | StreamUp | StreamDown | Unreadable) -> None:
        """A datum may be here before the tick of its instant: waits for that tick, for a moment."""
        if isinstance(event, FeedEvent) and (at := _time_of(event.item)) > self._clock.now():
            try:
                await asyncio.wait_for(self._clock.sleep_until(at), timeout=MAX_AHEAD_SECS)
            except TimeoutError:
                log.warning("feed.ahead_of_time", symbol=event.item.symbol, at=at.isoformat())

    async def _handle(self, event: FeedEvent | StreamUp | StreamDown | Unreadable) -> None:
        if isinstance(event, FeedEvent):
            self._take(event.item)
            if not event.more:
                self._flow.received(self.name, event.position)
        elif isinstance(event, Unreadable):
            quarantine(self._outbox, event, f"FRAME_UNREADABLE: {event.reason}", self._clock.now())
            self._flow.received(self.name, event.position)
        elif isinstance(event, StreamUp):
            self._timers.cancel(f"feed-down-{self.name}")
            self._flow.received(self.name, 0)
            await self._catch_up()
            self._prices.set_connected(True, self._symbols)
            self.connected, self.standing_by = True, False
            log.info("feed.connected", book=self.name, symbols=list(self._symbols))
        else:
            self.standing_by = event.taken
            self._lost(event.reason)

    def _take(self, item: Bar | Quote | TradingStatus) -> None:
        fault = self._screen.fault(item, self._clock.now())
        if fault is not None:
            quarantine(self._outbox, item, fault, self._clock.now())
            return
        metrics.FEED_ITEMS.labels(type(item).__name__.lower()).inc()
        self._prices.take(item)
        if isinstance(item, Bar):
            self._publish_bar(item)
            self._engine.take(item)
        else:
            if isinstance(item, Quote):
                self._publish_quote(item)
            self._engine.look_at_prices()

    async def _catch_up(self) -> None:
        """Replays history since the previous session's open; the newest prices with it."""
        now = self._clock.now()
        start = self._engine.history_start(now)
        history = await self._ask(lambda: self._feed.bars(self._symbols, Timeframe.MINUTE, start, now))
        quotes = await self._ask(lambda: self._feed.latest_quotes(self._symbols))
        self._in_session.clear()
        bars = self._believed(sorted((bar for found in history.values() for bar in found), key=_order), now)
        for bar in bars:
            self._publish_bar(bar)
        newest: dict[str, Bar | Quote] = {bar.symbol: bar for bar in bars}
        for item in [*newest.values(), *self._believed(list(quotes.values()), now)]:
            self._prices.take(item)
        self._engine.rebuild(bars, now)
        if not self.loaded:
            await self._engine.begin(now)
            self.loaded = True
            log.info("signal.warm", bars=len(bars), since=start.isoformat())
        self._engine.look_at_prices()

    async def _ask(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The venue's answer, however long it takes: without history nothing may be decided."""
        return await persist(ask, monotonic=self._monotonic, progress=self._progress)

    def _believed(self, items: list[Item], now: datetime) -> list[Item]:
        believed = []
        for item in items:
            fault = self._screen.fault(item, now)
            if fault is None:
                believed.append(item)
            else:
                quarantine(self._outbox, item, fault, now)
        return believed

    def _lost(self, reason: str) -> None:
        self.connected = False
        log.warning("feed.disconnected", book=self.name, reason=reason)
        metrics.FEED_RECONNECTS.labels("data").inc()
        # Said after a while of market time: while the venue is away in lock-step nothing gets older.
        at = self._clock.now() + timedelta(seconds=self._settings.quote_stale_secs)
        self._timers.at(f"feed-down-{self.name}", at, self._say_down)

    async def _say_down(self) -> None:
        await self._monotonic.sleep(DISCONNECTED_AFTER_SECS)
        self._prices.set_connected(False, self._symbols)

    def _publish_bar(self, bar: Bar) -> None:
        after_gap = False
        calendar = self._calendars[bar.symbol]
        if calendar.is_open(bar.start):
            before = self._in_session.get(bar.symbol)
            after_gap = before is not None and bar.start > follows(before, calendar)
            if after_gap:
                metrics.FEED_GAPS.labels("bars", bar.symbol).inc()
                log.info("feed.gap", symbol=bar.symbol, after=str(before), start=str(bar.start))
            if before is None or bar.end > before:
                self._in_session[bar.symbol] = bar.end
        if bar.end <= self._published.get(bar.symbol, self._clock.now() - REPUBLISH):
            return
        self._published[bar.symbol] = bar.end
        message = pb.Bar(
            symbol=bar.symbol,
            start=to_timestamp(bar.start),
            end=to_timestamp(bar.end),
            open=to_decimal(bar.open),
            high=to_decimal(bar.high),
            low=to_decimal(bar.low),
            close=to_decimal(bar.close),
            volume=to_decimal(bar.volume),
            ingest_time=to_timestamp(self._clock.now()),
            after_gap=after_gap,
        )
        self._put("bar", bar.symbol, bar.start, message.SerializeToString())

    def _publish_quote(self, quote: Quote) -> None:
        message = pb.Quote(
            symbol=quote.symbol,
            time=to_timestamp(quote.at),
            bid=to_decimal(quote.bid),
            ask=to_decimal(quote.ask),
            bid_size=to_decimal(quote.bid_size),
            ask_size=to_decimal(quote.ask_size),
            ingest_time=to_timestamp(self._clock.now()),
        )
        self._put("quote", quote.symbol, quote.at, message.SerializeToString())

    def _put(self, kind: str, symbol: str, at: datetime, payload: bytes) -> None:
        self._outbox.put(
            Letter(
                subject=f"market.v1.{kind}.{symbol.replace('/', '-')}",
                payload=payload,
                message_id=f"{kind}-{symbol}-{at.timestamp():.6f}",
            )
        )


def _time_of(item: Bar | Quote | TradingStatus) -> datetime:
    return item.end if isinstance(item, Bar) else item.at


def _order(bar: Bar) -> tuple[datetime, str]:
    return bar.end, bar.symbol
