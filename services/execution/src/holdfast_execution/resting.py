"""Symbols that protection need not look at: nothing has changed since it found nothing to do, and nothing is due."""

import heapq
from datetime import datetime

from holdfast_execution.books import Mirror
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.rows import HaltRow


class Resting:
    """Which symbols rest, and which have to be looked at, followed from change to change."""

    def __init__(self) -> None:
        self._until: dict[str, datetime | None] = {}
        self._ends: list[tuple[datetime, str]] = []
        self._awake: set[str] = set()
        self._seen_version = -1
        self._bars: tuple[tuple[HaltRow, ...], frozenset[str]] = ((), frozenset())
        """What entries of symbols that rest were not barred by."""

    def awake(self, mirror: Mirror, now: datetime) -> list[str]:
        """Symbols with something open that do not rest, in their order."""
        bars = (mirror.halts, mirror.not_running)
        touched = None if bars != self._bars else mirror.touched_since(self._seen_version)
        self._seen_version, self._bars = mirror.version, bars
        if touched is None:
            self._until.clear()
            self._ends.clear()
            self._awake = set(mirror.by_symbol) | {each for each in mirror.positions if _counts(mirror, each)}
            return sorted(self._awake)
        for symbol in touched:
            self._until.pop(symbol, None)
            if _counts(mirror, symbol):
                self._awake.add(symbol)
            else:
                self._awake.discard(symbol)
        while self.first_end is not None and self._ends[0][0] <= now:
            _, symbol = heapq.heappop(self._ends)
            del self._until[symbol]
            self._awake.add(symbol)
        return sorted(self._awake)

    @property
    def first_end(self) -> datetime | None:
        """The first instant at which something is due of a symbol that rests."""
        # What changed meanwhile, or rests until another instant, is passed over.
        while self._ends and self._until.get(self._ends[0][1]) != self._ends[0][0]:
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def let_rest(self, symbol: str, mirror: Mirror, until: datetime | None) -> None:
        """Nothing was to be done about `symbol`, before `until`. One rests where only entries and stops work at the
        broker: what is held is looked at every time, since prices and the clock of the session count."""
        position = mirror.positions.get(symbol)
        if position is not None and position.quantity:
            return
        if all(each.state is IntentState.ACKED for each in mirror.of_symbol(symbol)):
            self._awake.discard(symbol)
            self._until[symbol] = until
            if until is not None:
                heapq.heappush(self._ends, (until, symbol))


def _counts(mirror: Mirror, symbol: str) -> bool:
    """Something is open of it, or still counts as protected although nothing is held."""
    position = mirror.positions.get(symbol)
    if position is not None and (position.quantity or position.protection not in ("", "none")):
        return True
    return symbol in mirror.by_symbol
