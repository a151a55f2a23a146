"""Which instants of a backtest may be left out, since nothing can happen at them.

An instant is quiet where no strategy says anything, no timer of a service is due, no market opens or closes, and the
venue holds nothing but stops that the market stays clear of. Markets may open and close, too, where nothing is held and
nothing ordered, and all strategies live on bars of minutes. What the services are not shown at quiet instants they are
told at the next one, bar by bar or as history: they decide, send and fill as they do without it (a test compares).

What strategies will say is found by themselves (beforehand), or by the runners of signal, over bars that lie ahead.
Nothing of it reaches a service: it says only when to look (a test changes the future).
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain

from holdfast_core.new_york import new_york_day
from holdfast_core.sessions import Calendar, calendar_of
from holdfast_exchange.corporate_actions import ActionKind
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.orders import Order, OrderType, Side, Status
from holdfast_exchange.recording import MINUTE, Bar, QuoteBar, Recording
from holdfast_exchange.replay import LEAD, Replay
from holdfast_exchange.rows import Row, Rows, micros, tabled
from holdfast_runtime.ports import venue
from holdfast_runtime.settings import Settings
from holdfast_signal.runners import MinuteRunner
from holdfast_signal.screen import Screen
from holdfast_signal.strategy import StrategyMaker, makers_of
from holdfast_simulation.backtest.beforehand import is_steady, said_at
from holdfast_simulation.world.market import told_bar

CLEAR = Decimal("1.001")
"""Times its price: the market is clear of a stop while it stays above. The ledger's own price of it is rounded."""
_MINUTE = MINUTE // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Prices:
    """What orders of one symbol meet."""

    bars: Rows[Bar]
    quotes: Rows[QuoteBar]

    def first_at(self, limit: Decimal, after: datetime, before: datetime) -> datetime:
        """The first end in (after, before) of a bar or quotes that reach down to `limit`; `before` where none does."""
        lows = ((bar.end, bar.low) for bar in _ending(self.bars, after, before))
        quotes = _ending(self.quotes, after, before)
        bids = ((quote.end, min(quote.bid_open, quote.bid_low, quote.bid_close)) for quote in quotes)
        found = (next((at for at, low in each if low <= limit), before) for each in (lows, bids))
        return min(found)


class Quiet:
    """Knows for each instant how far it is to the next at which something can happen."""

    def __init__(self, settings: Settings, recording: Recording, replay: Replay, exchange: Exchange) -> None:
        self._replay = replay
        self._exchange = exchange
        self._calendars = [calendar_of(book) for book in sorted(settings.active_books)]
        minutes = tabled(recording.minute_bars, _symbol)
        driving = tabled(recording.driving or minutes, _symbol).by_symbol
        quotes = tabled(recording.minute_quotes, _symbol).by_symbol
        none: Rows[QuoteBar] = Rows.of(())
        self._prices = {symbol: _Prices(rows, quotes.get(symbol, none)) for symbol, rows in driving.items()}
        # Hours and days are shown in part before they end, and there are few of them; bars of another name are believed
        # only by who reads history anew.
        every = any(_has_coarse(rows, replay) for rows in driving.values()) or _has_new_names(recording, replay)
        moves = settings.feed.max_bar_move
        unsteady = {symbol for symbol, rows in minutes.by_symbol.items() if not is_steady(rows, moves)}
        self._said = None if every else _said(settings, minutes.by_symbol, unsteady, replay)
        """When strategies will say something; None: no instant is left out."""
        self._days_alike = (
            not any(maker.kind.timeframe is not venue.Timeframe.MINUTE for maker in makers_of(settings.traded))
            and not recording.corporate_actions
            and not unsteady
        )
        """Whether the beginning of a day means nothing to an account that holds nothing."""

    def after(self, now: datetime, timer: datetime | None) -> list[datetime]:
        """The instants with data after `now` that are quiet, oldest first; the last of them is to be shown.

        `timer`: the earliest instant that a service sleeps for, its comparisons of ledger and broker not counted.
        """
        if self._said is None or not self._at_rest(now):
            return []
        place = bisect_right(self._said, now)
        edges = [self._replay.end] if self._days_alike and self.holds_nothing else self._edges(now)
        before = min(chain(self._said[place : place + 1], [] if timer is None else [timer], edges))
        if (upcoming := self._replay.after(now)) is None or upcoming.at >= before:
            return []
        for order in self._exchange.open_orders():
            assert order.stop_price is not None
            before = self._prices[order.symbol].first_at(order.stop_price * CLEAR, now, before)
        return [instant.at for instant in self._replay.between(now, before) if instant.data]

    @property
    def holds_nothing(self) -> bool:
        """Nothing is held, and nothing ordered: the account is worth its cash."""
        positions = self._exchange.books.positions.values()
        return not self._exchange.open_orders() and not any(position.quantity for position in positions)

    def overnight(self, now: datetime) -> bool:
        """Every market is closed for long, and the venue at rest: all comparisons with the broker would be the same."""
        upcoming = self._replay.after(now)
        closed = not any(calendar.is_open(now) for calendar in self._calendars)
        return closed and upcoming is not None and upcoming.at - now > LEAD and self._at_rest(now)

    def _at_rest(self, now: datetime) -> bool:
        """Nothing is held but what a stop protects, and nothing is ordered but such stops."""
        orders = self._exchange.open_orders()
        covered = {order.symbol for order in orders}
        held = (symbol for symbol, position in self._exchange.books.positions.items() if position.quantity)
        return all(_is_resting_stop(order, now) for order in orders) and covered.issuperset(held)

    def _edges(self, now: datetime) -> Iterator[datetime]:
        """When a market opens or closes next, an order ends, and the venue's day does."""
        for calendar in self._calendars:
            yield calendar.next_open(now)
            yield calendar.next_close(now)
        yield from (order.expires_at for order in self._exchange.open_orders())
        yield self._exchange.account.today.ends


def _is_resting_stop(order: Order, now: datetime) -> bool:
    return (
        order.type is OrderType.STOP
        and order.side is Side.SELL
        and order.status is Status.NEW
        and not order.triggered
        and order.active_from <= now
    )


def _said(
    settings: Settings, minutes: Mapping[str, Rows[Bar]], unsteady: Container[str], replay: Replay
) -> list[datetime] | None:
    """When minute strategies will say something. None where one fails: its service tells of it, with the bar."""
    try:
        return sorted(_asked(settings, minutes, unsteady, replay))
    except Exception:  # noqa: BLE001 - a user's strategy raises what it likes
        return None


def _asked(
    settings: Settings, minutes: Mapping[str, Rows[Bar]], unsteady: Container[str], replay: Replay
) -> set[datetime]:
    """The strategies are asked about the whole recording at once where they can be, else bar by bar."""
    makers = [maker for maker in makers_of(settings.traded) if maker.kind.timeframe is venue.Timeframe.MINUTE]
    if not makers:
        return set()
    start = min(_history_start(calendar_of(maker.book), replay.begin) for maker in makers)
    symbols = {symbol for maker in makers for symbol in maker.make().data_symbols} & minutes.keys()
    shown = {symbol: list(_ending(minutes[symbol], start, replay.end + MINUTE)) for symbol in sorted(symbols)}
    found: set[datetime] = set()
    one_by_one = []
    for maker in makers:
        told = [
            said_at(maker, shown.get(symbol, ()), calendar_of(maker.book)) if symbol not in unsteady else None
            for symbol in maker.make().data_symbols
        ]
        if None in told:
            one_by_one.append(maker)
        found.update(*(each for each in told if each is not None))
    return found | _asked_one_by_one(one_by_one, shown, settings, replay)


def _asked_one_by_one(
    makers: Sequence[StrategyMaker], shown: Mapping[str, Sequence[Bar]], settings: Settings, replay: Replay
) -> set[datetime]:
    """By the runners of signal, over what signal will believe."""
    runners = [MinuteRunner(maker, calendar_of(maker.book), grace=timedelta(0)) for maker in makers]
    symbols = {symbol for runner in runners for symbol in runner.symbols}
    screen = Screen(symbols, max_move=settings.feed.max_bar_move)
    listed = [shown[symbol] for symbol in sorted(symbols & shown.keys())]
    found: set[datetime] = set()
    for recorded in heapq.merge(*listed, key=lambda bar: (bar.end, bar.symbol)):
        bar = told_bar(recorded)
        if screen.fault(bar, bar.end) is None:
            found |= {draft.market_time for runner in runners for draft in runner.take(bar)}
    return found | {draft.market_time for runner in runners for draft in runner.expire(replay.end + MINUTE)}


def _history_start(calendar: Calendar, begin: datetime) -> datetime:
    """As signal's engine reads history at its start."""
    session = calendar.session_at(begin) or calendar.previous_session(begin)
    return calendar.previous_session(session.open).open


def _ending(rows: Rows[Row], after: datetime, before: datetime) -> Iterator[Row]:
    """Rows that end in (after, before), oldest first."""
    first, last = bisect_right(rows.ends, micros(after)), bisect_left(rows.ends, micros(before))
    return (rows[place] for place in range(first, last))


def _has_coarse(rows: Rows[Bar], replay: Replay) -> bool:
    """Whether a bar that is replayed lasts longer than a minute."""
    shown = slice(bisect_right(rows.ends, micros(replay.begin)), bisect_left(rows.starts, micros(replay.end)))
    return any(end - start > _MINUTE for start, end in zip(rows.starts[shown], rows.ends[shown], strict=True))


def _has_new_names(recording: Recording, replay: Replay) -> bool:
    """Whether a symbol takes another name within the replay."""
    days = (new_york_day(replay.begin), new_york_day(replay.end))
    named = (action for action in recording.corporate_actions if action.kind is ActionKind.NAME_CHANGE)
    return any(days[0] <= action.ex_date <= days[1] for action in named)


def _symbol(row: Bar | QuoteBar) -> str:
    return row.symbol
