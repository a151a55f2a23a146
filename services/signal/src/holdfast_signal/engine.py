"""The strategies of this process, and when each is asked.

Minute strategies are asked as bars come, daily ones at each open of their book, timed ones at their buy times. All I/O
they need is here.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import structlog

from holdfast_core.schedules import Firing
from holdfast_core.sessions import Session, calendar_of
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.ports.venue import Bar, Feed, Timeframe
from holdfast_runtime.settings import FeedSettings
from holdfast_signal.prices import Prices
from holdfast_signal.runners import MINUTE, DailyRunner, Draft, MinuteRunner, TimedRunner
from holdfast_signal.strategy import InvalidStrategy, StrategyMaker
from holdfast_signal.timers import Timers

Answer = TypeVar("Answer")

DAY = timedelta(days=1)
MAX_BACKOFF_SECS = 5.0

log = structlog.get_logger()


class Desk(Protocol):
    """Who publishes drafts as cycles."""

    def offer(self, drafts: Iterable[Draft], *, replayed: bool = False) -> None:
        """Takes drafts to be published. `replayed`: made from history, so they may have been decided already."""


@dataclass(slots=True)
class _Waiting:
    """A draft that is made once its symbols have prices of `since` or later, at `deadline` with what there is."""

    symbols: Collection[str]
    since: datetime
    deadline: datetime
    make: Callable[[], Draft | None]
    replayed: bool


class Engine:
    """Runs every strategy; hands its drafts to the desk."""

    def __init__(
        self,
        makers: Sequence[StrategyMaker],
        *,
        feed: Feed,
        settings: FeedSettings,
        prices: Prices,
        desk: Desk,
        timers: Timers,
        clock: MarketClock,
        monotonic: MonotonicClock,
        progress: Callable[[], None],
    ) -> None:
        """Raises InvalidStrategy where a strategy looks back further than history is read."""
        self._feed = feed
        self._settings = settings
        self._prices = prices
        self._desk = desk
        self._timers = timers
        self._clock = clock
        self._monotonic = monotonic
        self._progress = progress
        self._grace = timedelta(seconds=settings.bar_grace_secs)
        self._minute: list[MinuteRunner] = []
        self._daily: list[DailyRunner] = []
        self._timed: list[TimedRunner] = []
        self._waiting: list[_Waiting] = []
        for maker in sorted(makers, key=lambda each: each.id):
            self._add(maker)

    def _add(self, maker: StrategyMaker) -> None:
        daily = maker.kind.timeframe is Timeframe.DAY
        lookback = maker.make().lookback
        most = self._settings.warmup_daily_bars if daily else self._settings.warmup_minute_bars
        if lookback > most:
            key = "feed.warmup_daily_bars" if daily else "feed.warmup_minute_bars"
            raise InvalidStrategy(f"strategy {maker.id}: looks back {lookback} bars, {key} is {most}")
        calendar = calendar_of(maker.book)
        if daily:
            self._daily.append(DailyRunner(maker, calendar))
        elif maker.schedule is not None and maker.kind.timeframe is None:
            self._timed.append(TimedRunner(maker, maker.schedule, calendar))
        elif maker.kind.timeframe is Timeframe.MINUTE:
            self._minute.append(MinuteRunner(maker, calendar, grace=self._grace))
        else:
            raise InvalidStrategy(f"strategy {maker.id}: timeframe {maker.kind.timeframe} is not run")

    def history_start(self, now: datetime) -> datetime:
        """The open of the session before the one that `now` is in or comes next: where a replay begins."""
        starts = [now]
        runners: tuple[MinuteRunner | TimedRunner, ...] = (*self._minute, *self._timed)
        for runner in runners:
            calendar = calendar_of(runner.maker.book)
            session = calendar.session_at(now) or calendar.previous_session(now)
            starts.append(calendar.previous_session(session.open).open)
        return min(starts)

    def undecided_for(self, now: datetime) -> dict[str, timedelta]:
        """By strategy whose market is open: for how long it was not asked (IN-3). A daily one is asked at the open, and
        nothing more is due from it in that session."""
        found: dict[str, timedelta] = {}
        runners: tuple[MinuteRunner | DailyRunner, ...] = (*self._minute, *self._daily)
        for runner in runners:
            session = calendar_of(runner.maker.book).session_at(now)
            if session is None:
                continue
            asked = runner.decided_at is not None and runner.decided_at >= session.open
            if isinstance(runner, DailyRunner):
                found[runner.maker.id] = timedelta(0) if asked else now - session.open
            else:
                found[runner.maker.id] = now - max(runner.decided_at or session.open, session.open)
        return found

    def take(self, bar: Bar) -> None:
        """A minute bar has ended."""
        for runner in self._minute:
            self._desk.offer(runner.take(bar))
            self._arm(runner)
        for timed in self._timed:
            timed.take(bar)
        self.look_at_prices()

    def rebuild(self, bars: Sequence[Bar], now: datetime) -> None:
        """Replays recorded minute bars from `history_start` on. What is valid still and undecided is published."""
        for runner in self._minute:
            self._desk.offer(runner.rebuild(bars, now), replayed=True)
            self._arm(runner)
        for timed in self._timed:
            timed.rebuild(bars)

    async def begin(self, now: datetime) -> None:
        """Daily and timed strategies: what is undecided still of a session that is under way, and every later one."""
        runners: tuple[DailyRunner | TimedRunner, ...] = (*self._daily, *self._timed)
        for runner in runners:
            session = calendar_of(runner.maker.book).session_at(now)
            if session is not None:
                await self._open(runner, session, replayed=True)
            self._arm_open(runner, now)

    @property
    def waits_for_prices(self) -> bool:
        """Drafts of an open or a buy time have not left yet: the next price may be the one that they wait for."""
        return bool(self._waiting)

    def look_at_prices(self) -> None:
        """Drafts of an open or a buy time leave as soon as each of their symbols has a price of then."""
        now = self._clock.now()
        for waiting in list(self._waiting):
            priced = all(self._prices.seen_at(symbol) >= waiting.since for symbol in waiting.symbols)
            if priced or now >= waiting.deadline:
                self._waiting.remove(waiting)
                if (made := waiting.make()) is not None:
                    self._desk.offer([made], replayed=waiting.replayed)

    def _arm(self, runner: MinuteRunner) -> None:
        name = f"bars-due-{runner.maker.id}"
        deadline = runner.deadline()
        if deadline is None:
            # Every bar is there: nothing has to be looked at again, and no tick has to stop for it.
            self._timers.cancel(name)
            return

        async def expire() -> None:
            self._desk.offer(runner.expire(self._clock.now()))
            self._arm(runner)

        self._timers.at(name, deadline, expire)

    def _arm_open(self, runner: DailyRunner | TimedRunner, after: datetime) -> None:
        calendar = calendar_of(runner.maker.book)
        opens = calendar.next_open(after)

        async def work() -> None:
            session = calendar.session_at(opens)
            if session is not None:
                await self._open(runner, session, replayed=False)
            self._arm_open(runner, opens)

        self._timers.at(f"open-{runner.maker.id}", opens, work)

    async def _open(self, runner: DailyRunner | TimedRunner, session: Session, *, replayed: bool) -> None:
        if isinstance(runner, TimedRunner):
            self._arm_buys(runner, session)
        else:
            await self._ask_daily(runner, session, replayed=replayed)

    def _arm_buys(self, runner: TimedRunner, session: Session) -> None:
        """Those of the session that are to come, or whose grace is not over: a restart is no reason to miss one."""
        for buy in runner.buys(session):
            if buy.ends_at > self._clock.now():
                self._timers.at(f"buy-{buy.firing_id}", buy.due_at, partial(self._buy, runner, buy))

    async def _buy(self, runner: TimedRunner, buy: Firing) -> None:
        symbols = runner.maker.symbols
        replayed = self._clock.now() > buy.due_at
        self._wait_for_prices(
            symbols, buy.due_at, lambda: runner.fire(buy, self._prices.reference(symbols)), replayed=replayed
        )

    async def _ask_daily(self, runner: DailyRunner, session: Session, *, replayed: bool) -> None:
        start = session.open - DAY * (len(runner.days(session)) * 2 + 21)
        try:
            bars = await self._history(runner.symbols, start, session.open, until=session.close)
        except NotInTime as error:
            log.error("strategy.open_missed", strategy=runner.maker.id, session=str(session.day), reason=str(error))
            return
        made = runner.open(session, bars)
        if made is None:
            log.info("strategy.nothing_at_open", strategy=runner.maker.id, session=str(session.day))
            return
        # The first minute of a session has no price yet, and without one nothing is bought.
        symbols = [each.symbol for each in made.desires]
        self._wait_for_prices(symbols, session.open, lambda: made, replayed=replayed)

    def _wait_for_prices(
        self, symbols: Collection[str], since: datetime, make: Callable[[], Draft | None], *, replayed: bool
    ) -> None:
        deadline = since + MINUTE + self._grace
        self._waiting.append(_Waiting(symbols, since, deadline, make, replayed))
        self._timers.at("prices-waited-for", deadline, self._deadline_of_prices)
        self.look_at_prices()

    async def _deadline_of_prices(self) -> None:
        self.look_at_prices()

    async def _history(
        self, symbols: tuple[str, ...], start: datetime, end: datetime, *, until: datetime
    ) -> Mapping[str, Sequence[Bar]]:
        """Daily bars, asked for until market time `until`. Raises NotInTime after that."""
        return await persist(
            lambda: self._feed.bars(symbols, Timeframe.DAY, start, end),
            monotonic=self._monotonic,
            progress=self._progress,
            lasting=lambda: self._clock.now() < until,
        )


class NotInTime(Retry):
    """The venue gave no answer while one was of use."""


async def persist(
    ask: Callable[[], Awaitable[Answer]],
    *,
    monotonic: MonotonicClock,
    progress: Callable[[], None],
    lasting: Callable[[], bool] = lambda: True,
) -> Answer:
    """The answer of the venue, asked again with growing delays while `lasting`. Raises NotInTime after that."""
    delay_secs = 0.1
    while True:
        try:
            return await ask()
        except Retry as error:
            if not lasting():
                raise NotInTime(str(error)) from error
            log.info("history.waiting", reason=str(error))
            progress()
            await monotonic.sleep(min(max(delay_secs, error.after_secs), MAX_BACKOFF_SECS))
            delay_secs = min(delay_secs * 2, MAX_BACKOFF_SECS)
