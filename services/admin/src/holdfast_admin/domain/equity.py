"""The equity curve: one point for each minute of market time, rebuilt from facts and bars alone.

Equity of a minute = cash + Σ quantity × last close, each as of the end of that minute. Facts and bars may arrive in any
order; a point that changes after it may have been given out raises `revision`: whoever draws it begins again.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

MAX_POINTS = 5_000
MAX_STEPS = 50_000
SLACK = 250
"""Above either bound by so much before the oldest are folded."""

CASH = ""
"""Stands for cash where a step names a symbol."""


class Step(NamedTuple):
    """A new quantity of a symbol, or new cash, from an instant on. Sorted by version: the ledger's own order."""

    version: int
    """Twice the event's id; one more for a reading of the ledger as of that event."""
    symbol: str
    at: float
    """Seconds since 1970."""
    value: Decimal
    price: Decimal = Decimal(0)
    """What the symbol is worth until its first bar."""


class Point(NamedTuple):
    """Equity in dollars at the end of a minute, in seconds since 1970."""

    at: int
    equity: Decimal


@dataclass(slots=True)
class _State:
    """What the sweep knows before a minute."""

    cash: Decimal | None = None
    quantities: dict[str, Decimal] = field(default_factory=dict)
    closes: dict[str, Decimal] = field(default_factory=dict)
    taken: int = 0
    """Steps that are in it."""

    def copy(self) -> "_State":
        return _State(self.cash, dict(self.quantities), dict(self.closes), self.taken)

    def take(self, step: Step) -> None:
        self.taken += 1
        if step.symbol == CASH:
            self.cash = step.value
            return
        self.quantities[step.symbol] = step.value
        self.closes.setdefault(step.symbol, step.price)

    @property
    def equity(self) -> Decimal | None:
        """None before the first cash."""
        if self.cash is None:
            return None
        held = (quantity * self.closes[symbol] for symbol, quantity in self.quantities.items() if quantity)
        return sum(held, self.cash)


class EquityCurve:
    """Bounded: of more than MAX_POINTS minutes, or MAX_STEPS facts, the oldest are folded into the beginning."""

    def __init__(self, *, max_points: int = MAX_POINTS) -> None:
        self.revision = 0
        self._max_points = max_points
        self._steps: list[Step] = []
        self._known: set[tuple[int, str]] = set()
        self._minutes: list[int] = []
        self._closes: dict[int, dict[str, Decimal]] = {}
        self._latest: dict[str, tuple[int, Decimal]] = {}
        self._origin = _State()
        self._begins = 0
        """Minutes before this one are folded."""
        self._base = _State()
        self._base_minute = 0
        """Points before this minute stand; the sweep goes on from here, with `_base`."""
        self._points: list[Point] = []
        self._dirty = False

    def bar(self, symbol: str, end: datetime, close: Decimal) -> None:
        """A bar of `symbol` that ended at `end`."""
        minute = _minute_of(end.timestamp())
        if minute >= self._latest.get(symbol, (0, close))[0]:
            self._latest[symbol] = (minute, close)
        if minute < self._begins or self._closes.get(minute, {}).get(symbol) == close:
            return
        if minute not in self._closes:
            insort(self._minutes, minute)
            self._closes[minute] = {}
        self._closes[minute][symbol] = close
        self._touch(minute)
        if len(self._minutes) > self._max_points + SLACK:
            self._fold(self._minutes[-self._max_points])

    def cash(self, version: int, at: datetime, cash: Decimal, *, read: bool = False) -> None:
        """Cash as of a fact; `read`: as the ledger itself said it after that fact."""
        self._step(Step(2 * version + read, CASH, at.timestamp(), cash))

    def quantity(
        self, version: int, at: datetime, symbol: str, quantity: Decimal, price: Decimal, *, read: bool = False
    ) -> None:
        """Quantity held of a symbol, likewise; `price`: what it cost."""
        self._step(Step(2 * version + read, symbol, at.timestamp(), quantity, price))

    def latest(self, symbol: str) -> Decimal | None:
        """The newest close of a symbol."""
        found = self._latest.get(symbol)
        return found[1] if found else None

    def points(self) -> list[Point]:
        """Every point, oldest first, at most MAX_POINTS."""
        if self._dirty:
            self._sweep()
            self._dirty = False
        return self._points[-self._max_points :]

    def since(self, after: int) -> list[Point]:
        """Points from `after` on, that one included: the newest one still changes."""
        found = self.points()
        return found[bisect_left(found, after, key=lambda point: point.at) :]

    def _step(self, step: Step) -> None:
        if (step.version, step.symbol) in self._known or _minute_of(step.at) < self._begins:
            return
        self._known.add((step.version, step.symbol))
        place = bisect_left(self._steps, step)
        self._steps.insert(place, step)
        self._touch(self._base_minute - 60 if place < self._base.taken else _minute_of(step.at))
        if len(self._steps) > MAX_STEPS + SLACK:
            self._fold(_minute_of(self._steps[-MAX_STEPS // 2].at))

    def _touch(self, minute: int) -> None:
        self._dirty = True
        if minute < self._base_minute:
            self._begin_again()

    def _begin_again(self) -> None:
        """What was given out may be wrong now: everything is computed anew."""
        self.revision += 1
        self._base, self._base_minute, self._points = self._origin.copy(), self._begins, []

    def _sweep(self) -> None:
        state = self._base
        del self._points[bisect_left(self._points, self._base_minute, key=lambda point: point.at) :]
        for minute in self._minutes[bisect_left(self._minutes, self._base_minute) :]:
            if minute == self._minutes[-1]:
                # The newest minute still changes: the next sweep begins before it.
                self._base, self._base_minute = state.copy(), minute
            self._advance(state, minute)
            if (equity := state.equity) is not None:
                self._points.append(Point(minute, equity))

    def _advance(self, state: _State, minute: int) -> None:
        while state.taken < len(self._steps) and self._steps[state.taken].at <= minute:
            state.take(self._steps[state.taken])
        state.closes.update(self._closes.get(minute, {}))

    def _fold(self, begins: int) -> None:
        """Minutes before `begins`, and the steps in them, become the beginning."""
        first = bisect_left(self._minutes, begins)
        for minute in self._minutes[:first]:
            self._advance(self._origin, minute)
            del self._closes[minute]
        self._minutes = self._minutes[first:]
        self._advance(self._origin, begins - 60)
        taken, self._origin.taken = self._origin.taken, 0
        self._known -= {(step.version, step.symbol) for step in self._steps[:taken]}
        del self._steps[:taken]
        self._begins = begins
        self._dirty = True
        self._begin_again()


def _minute_of(at: float) -> int:
    """The minute whose end is at the instant or the next after it."""
    return -int(-at // 60) * 60
