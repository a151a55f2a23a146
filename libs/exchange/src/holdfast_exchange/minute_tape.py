"""What is made of each minute, kept as market time goes on: nothing is made before its minute is over.

Answers depend on market time alone, not on when somebody asked before: they begin at a midnight two weeks ago.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from holdfast_exchange.market import Market
from holdfast_exchange.rows import Spanning

Row = TypeVar("Row", bound=Spanning)
Item = TypeVar("Item")
KEPT = timedelta(days=14)
"""How far back from the present there is anything."""
_LONGEST_DAY = timedelta(days=1)


class MinuteTape(Generic[Row, Item]):
    """Items by symbol, oldest first, made of the rows that `find` gives for a symbol and an interval of time.

    `make` gets rows from a midnight of UTC on, each exactly once and oldest first; `at` says when an item is of.
    """

    def __init__(
        self,
        market: Market,
        find: Callable[[str, datetime, datetime], list[Row]],
        make: Callable[[list[Row]], list[Item]],
        at: Callable[[Item], datetime],
    ) -> None:
        self._market = market
        self._find = find
        self._make = make
        self._at = at
        self._made: dict[str, list[Item]] = {}
        self._until: dict[str, datetime] = {}

    def items(self, symbol: str) -> Sequence[Item]:
        """Everything of a symbol up to the present market time."""
        now = self._market.released
        first = (now - KEPT).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # One day more, so that what adds up over a day is whole.
        since = self._until.get(symbol, first - _LONGEST_DAY)
        made = self._made.setdefault(symbol, [])
        if rows := self._find(symbol, since, now):
            made += self._make(rows)
            self._until[symbol] = rows[-1].end
        return made[bisect_left(made, first, key=self._at) :]
