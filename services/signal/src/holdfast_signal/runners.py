"""From bars to drafts of cycles: the pure code that live running, a restart and the simulation all go through.

What a strategy says at an instant is a function of recorded bars alone (TL-10):
- a session makes a fresh strategy object; its windows begin with the bars of the session before, and with no older
  ones, so that every start at or before the previous open gives the same windows;
- a bar that does not follow the one before it leaves the window empty: it fills again, and until then the strategy
  is not asked about that symbol (TL-1);
- a bar that came late is put in its place and the session is replayed, so that running on and starting anew agree.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from holdfast_core.schedules import Firing, Schedule, TradeKind, firings
from holdfast_core.sessions import Calendar, Session
from holdfast_runtime.ports.venue import Bar
from holdfast_signal.strategy import Desire, Strategy, StrategyMaker, Window, Wish

MINUTE = timedelta(minutes=1)
MAX_SIGNALS = 256
"""Of one cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What one strategy wishes at one instant, complete. `prices`: the last close of each symbol in it."""

    strategy: StrategyMaker
    market_time: datetime
    valid_until: datetime
    desires: tuple[Desire, ...]
    prices: Mapping[str, Decimal]


def draft(
    strategy: StrategyMaker,
    market_time: datetime,
    valid_until: datetime,
    desires: Iterable[Desire],
    prices: Mapping[str, Decimal],
) -> Draft | None:
    """A draft of the desires whose symbols are traded and have a price, sales first; None where nothing is left."""
    kept = tuple(
        sorted(
            (each for each in desires if each.symbol in prices and each.symbol in strategy.symbols),
            key=lambda each: (each.wish is Wish.ENTER_LONG, each.symbol),
        )
    )[:MAX_SIGNALS]
    if not kept:
        return None
    return Draft(
        strategy=strategy,
        market_time=market_time,
        valid_until=valid_until,
        desires=kept,
        prices={each.symbol: prices[each.symbol] for each in kept},
    )


def closes(windows: Mapping[str, Window]) -> dict[str, Decimal]:
    """The last close of each window."""
    return {symbol: window.last.close for symbol, window in windows.items()}


def follows(end: datetime, calendar: Calendar) -> datetime:
    """Start of the bar that comes next after one that ended at `end`: at once, or at the next open."""
    return end if calendar.is_open(end) else calendar.next_open(end)


def _order(bar: Bar) -> tuple[datetime, str]:
    return bar.end, bar.symbol


class MinuteRunner:
    """One strategy on minute bars. Gives a draft when all its symbols' bars of a minute are in, or at its deadline."""

    def __init__(self, maker: StrategyMaker, calendar: Calendar, *, grace: timedelta) -> None:
        self.maker = maker
        self.symbols = maker.make().data_symbols
        self._calendar = calendar
        self._grace = grace
        self._session: Session | None = None
        self._strategy: Strategy = maker.make()
        self._windows: dict[str, deque[Bar]] = {}
        self._previous: list[Bar] = []
        self._today: list[Bar] = []
        self._closed_until: datetime | None = None
        self._pending: dict[datetime, dict[str, Bar]] = {}

    @property
    def decided_at(self) -> datetime | None:
        """The newest minute that it was asked about; None before the first."""
        return self._closed_until

    def deadline(self) -> datetime | None:
        """When `expire` has something to do: the oldest minute that still lacks a bar, and the grace."""
        return min(self._pending) + self._grace if self._pending else None

    def take(self, bar: Bar) -> list[Draft]:
        """A bar has ended. Bars of other symbols, or outside a session, are nothing to it."""
        if bar.symbol not in self.symbols or self._session_of(bar) is None:
            return []
        if self._closed_until is not None and bar.end <= self._closed_until:
            self._put_in_place(bar)
            return []
        drafts = self._close(before=bar.end)
        minute = self._pending.setdefault(bar.end, {})
        minute[bar.symbol] = bar
        if len(minute) == len(self.symbols):
            drafts += self._close(before=bar.end + MINUTE)
        return drafts

    def expire(self, now: datetime) -> list[Draft]:
        """Minutes whose deadline has come are taken as they are; what is missing in them is a gap."""
        return self._close(before=now - self._grace + timedelta(microseconds=1))

    def rebuild(self, bars: Iterable[Bar], now: datetime) -> list[Draft]:
        """Forgets everything and replays `bars` (of the previous and the present session). Returns every draft of it.

        The newest minute stays open until its deadline where a bar is missing in it, as it does live."""
        self._session = None
        self._previous, self._today, self._pending, self._closed_until = [], [], {}, None
        drafts: list[Draft] = []
        for bar in sorted(bars, key=_order):
            drafts += self.take(bar)
        return drafts + self.expire(now)

    def _session_of(self, bar: Bar) -> Session | None:
        """The session that a bar is of, which nearly always is the present one."""
        if self._session is not None and self._session.contains(bar.start):
            return self._session
        return self._calendar.session_at(bar.start)

    def _close(self, *, before: datetime) -> list[Draft]:
        drafts: list[Draft] = []
        if not self._pending:
            return drafts
        for end in sorted(each for each in self._pending if each < before):
            minute = self._pending.pop(end)
            self._closed_until = end
            made = self._run_minute(end, [minute[symbol] for symbol in sorted(minute)])
            if made is not None:
                drafts.append(made)
        return drafts

    def _run_minute(self, end: datetime, bars: Sequence[Bar]) -> Draft | None:
        session = self._session_of(bars[0])
        if session is not None and session is not self._session:
            self._begin(session)
        self._today.extend(bars)
        return self._ask(end, bars)

    def _begin(self, session: Session) -> None:
        opened_before = self._calendar.previous_session(session.open).open
        followed = self._session is not None and self._session.open == opened_before
        self._previous = self._today if followed else []
        self._today = []
        self._session = session
        self._replay_start()

    def _replay_start(self) -> None:
        self._strategy = self.maker.make()
        self._windows = {symbol: deque(maxlen=self._strategy.lookback) for symbol in self.symbols}
        for bar in self._previous:
            self._push(bar)

    def _ask(self, end: datetime, bars: Sequence[Bar]) -> Draft | None:
        whole = {bar.symbol: window for bar in bars if (window := self._push(bar)) is not None}
        desires = [desire for window in whole.values() if (desire := self._strategy.on_bar(window)) is not None]
        return draft(self.maker, end, end + MINUTE, desires, closes(whole)) if desires else None

    def _push(self, bar: Bar) -> Window | None:
        bars = self._windows[bar.symbol]
        # Both are of sessions: where one ends as the other starts nothing lies between.
        if bars and bar.start != bars[-1].end and bar.start != follows(bars[-1].end, self._calendar):
            bars.clear()
        bars.append(bar)
        return Window(bar.symbol, tuple(bars)) if len(bars) == bars.maxlen else None

    def _put_in_place(self, bar: Bar) -> None:
        """A late bar: the session so far is replayed with it. Its signals are past and are not given any more."""
        if self._session is None:
            return
        home = self._today if self._session.contains(bar.start) else self._previous
        if not home or self._calendar.session_at(bar.start) != self._calendar.session_at(home[0].start):
            return
        if any(each.symbol == bar.symbol and each.start == bar.start for each in home):
            return
        insort(home, bar, key=_order)
        self._replay_start()
        for end, group in groupby(self._today, key=lambda each: each.end):
            self._ask(end, list(group))


class DailyRunner:
    """One strategy on daily bars: decides once, at the open of a session."""

    def __init__(self, maker: StrategyMaker, calendar: Calendar) -> None:
        self.maker = maker
        strategy = maker.make()
        self.symbols = strategy.data_symbols
        self._lookback = strategy.lookback
        self._calendar = calendar
        self.decided_at: datetime | None = None
        """The open of the newest session that it was asked about."""

    def days(self, session: Session) -> list[date]:
        """The exchange days whose bars it needs for `session`, oldest first."""
        span = timedelta(days=self._lookback * 2 + 14)
        last = self._calendar.previous_session(session.open).day
        return [each.day for each in self._calendar.sessions_between(last - span, last)][-self._lookback :]

    def open(self, session: Session, bars: Mapping[str, Sequence[Bar]]) -> Draft | None:
        """The draft at the open of `session` from daily `bars`; a symbol that lacks one of its days is left out."""
        days = self.days(session)
        self.decided_at = session.open
        windows = {}
        for symbol in self.symbols:
            # A daily bar starts at midnight of the exchange, which is the same date in UTC.
            by_day = {bar.start.date(): bar for bar in bars.get(symbol, ())}
            if all(day in by_day for day in days):
                windows[symbol] = Window(symbol, tuple(by_day[day] for day in days))
        desires = self.maker.make().on_session_open(windows)
        return draft(self.maker, session.open, session.close, desires, closes(windows))


class TimedRunner:
    """One strategy that buys by the clock: asked at each buy time of its schedule.

    What its members wished until then is found by replaying the bars of the previous and the present session, so that
    running on, starting anew and a bar that came late agree."""

    def __init__(self, maker: StrategyMaker, schedule: Schedule, calendar: Calendar) -> None:
        self.maker = maker
        self._schedule = schedule
        self._calendar = calendar
        members = maker.make().members.values()
        self._symbols = frozenset(symbol for each in members for symbol in each.make().data_symbols)
        self._bars: dict[tuple[datetime, str], Bar] = {}
        self._since: datetime | None = None

    def take(self, bar: Bar) -> None:
        """A bar has ended: kept where a member looks at it, for the next session, too."""
        session = self._calendar.session_at(bar.start)
        if bar.symbol not in self._symbols or session is None:
            return
        since = self._calendar.previous_session(session.open).open
        if self._since is None or since > self._since:
            self._since = since
            self._bars = {key: each for key, each in self._bars.items() if each.start >= since}
        self._bars.setdefault(_order(bar), bar)

    def rebuild(self, bars: Iterable[Bar]) -> None:
        """Forgets every bar and keeps `bars` (of the previous and the present session)."""
        self._bars, self._since = {}, None
        for bar in bars:
            self.take(bar)

    @property
    def kept(self) -> tuple[Bar, ...]:
        """The bars that a replay goes over."""
        return tuple(self._bars.values())

    def buys(self, session: Session) -> list[Firing]:
        """The buys of `session` that fire."""
        found = firings(self.maker.id, self._schedule, session)
        return [each for each in found if each.kind is TradeKind.BUY and not each.void]

    def fire(self, buy: Firing, prices: Mapping[str, Decimal]) -> Draft | None:
        """The draft of `buy`: its market time is the planned one, so a restart finds the same ids (SQ-13)."""
        strategy = self.maker.make()
        for name, member in strategy.members.items():
            for desire in self._wished(member, buy.planned_at):
                strategy.on_member(name, desire)
        return draft(self.maker, buy.planned_at, buy.ends_at, strategy.on_buy_time(), prices)

    def _wished(self, member: StrategyMaker, before: datetime) -> list[Desire]:
        """Of bars that ended before that instant: the one that ends with it may be there or on its way."""
        session = self._calendar.session_at(before)
        seen = [bar for bar in self.kept if bar.end < before]
        drafts = MinuteRunner(member, self._calendar, grace=timedelta(0)).rebuild(seen, before)
        today = (each for each in drafts if session is not None and session.contains(each.market_time))
        return [desire for each in today for desire in each.desires]
