"""Rows of a recording: bars, quotes and option bars, kept as columns of whole numbers.

A row object is made when it is asked for: a recording of a million rows is then a few dozen megabytes, and is read in
seconds. Instants are microseconds since 1970 in UTC; prices, sizes and volumes are in units of 10⁻⁸.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Generic, Protocol, TypeVar, overload

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECIMALS = 8
ONE = 10**DECIMALS
"""What the number 1 is in a column."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices over [start, end) in dollars, volume in shares or coins; visible from `end` on."""

    symbol: str
    start: datetime
    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class QuoteBar:
    """Best bid and ask over [start, end); what the market shows at `end` is the close of each."""

    symbol: str
    start: datetime
    end: datetime
    bid_open: Decimal
    bid_high: Decimal
    bid_low: Decimal
    bid_close: Decimal
    bid_size: Decimal
    ask_open: Decimal
    ask_high: Decimal
    ask_low: Decimal
    ask_close: Decimal
    ask_size: Decimal


@dataclass(frozen=True, slots=True)
class OptionBar:
    """Trades of one option contract over [start, end): premium in dollars a share, volume in contracts."""

    underlying: str
    start: datetime
    end: datetime
    expiry: date
    right: str
    """`call` or `put`."""
    strike: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Spanning(Protocol):
    """Any row."""

    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...


Row = TypeVar("Row", bound=Spanning)
NEAR_ROWS = 8
"""Rows of a symbol that are kept as objects: those around the present."""


def micros(instant: datetime) -> int:
    """An instant as a number of a column."""
    return (instant - EPOCH) // MICROSECOND


def instant_of(value: int) -> datetime:
    """The instant behind a number of a column."""
    return EPOCH + timedelta(microseconds=value)


def amount(value: int, decimals: int) -> Decimal:
    """A number of a column with `decimals` places; with all of them where it has more."""
    shown, rest = divmod(value, 10 ** (DECIMALS - decimals))
    return Decimal(value).scaleb(-DECIMALS) if rest else Decimal(shown).scaleb(-decimals)


class Rows(Generic[Row]):
    """Rows of one symbol, in order of their starts and of their ends."""

    __slots__ = ("_make", "_single", "ends", "starts")

    def __init__(self, starts: "array[int]", ends: "array[int]", make: Callable[[int], Row]) -> None:
        """`make` gives the row at a place."""
        self.starts = starts
        self.ends = ends
        self._make = make
        # The newest row is asked for with each order and each position: it is made of its columns once.
        self._single = lru_cache(NEAR_ROWS)(make)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Rows[Row]":
        """Rows that are objects already."""
        ordered = sorted(rows, key=lambda row: row.end)
        starts = array("q", (micros(row.start) for row in ordered))
        return cls(starts, array("q", (micros(row.end) for row in ordered)), ordered.__getitem__)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int) -> Row:
        return self._single(place)

    def __iter__(self) -> Iterator[Row]:
        return map(self._make, range(len(self.starts)))

    def changed(self, after: datetime, until: datetime, change: Callable[[Row], Row]) -> "Rows[Row]":
        """The same rows, with `change` made to each that ends in (after, until]."""
        first, last, make = self.place_after(after), self.place_after(until), self._make
        return Rows(self.starts, self.ends, lambda at: change(make(at)) if first <= at < last else make(at))

    def place_after(self, instant: datetime) -> int:
        """How many rows have ended at `instant`: the place of the first that has not."""
        return bisect_right(self.ends, micros(instant))

    def last(self, visible: datetime) -> Row | None:
        """The newest row that has ended at `visible`."""
        place = self.place_after(visible)
        return self._single(place - 1) if place else None

    def ending(self, instant: datetime) -> Row | None:
        """The row that ends exactly then."""
        place = self.place_after(instant)
        return self._single(place - 1) if place and self.ends[place - 1] == micros(instant) else None

    def starting(self, instant: datetime) -> Row | None:
        """The row that starts exactly then."""
        at = micros(instant)
        place = bisect_left(self.starts, at)
        return self._single(place) if place < len(self.starts) and self.starts[place] == at else None

    def between(self, start: datetime, end: datetime, visible: datetime) -> list[Row]:
        """Rows that start in [start, end) and have ended at `visible`, oldest first."""
        first = bisect_left(self.starts, micros(start))
        last = min(bisect_left(self.starts, micros(end)), self.place_after(visible))
        return [self._make(place) for place in range(first, last)]


class Table(Sequence[Row]):
    """Rows of several symbols: symbol after symbol, each oldest first."""

    def __init__(self, by_symbol: Mapping[str, Rows[Row]]) -> None:
        self.by_symbol = {symbol: by_symbol[symbol] for symbol in sorted(by_symbol) if len(by_symbol[symbol])}

    def __len__(self) -> int:
        return sum(map(len, self.by_symbol.values()))

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        left = place + len(self) if place < 0 else place
        for rows in self.by_symbol.values():
            if 0 <= left < len(rows):
                return rows[left]
            left -= len(rows)
        raise IndexError(place)

    def __iter__(self) -> Iterator[Row]:
        return chain.from_iterable(self.by_symbol.values())


def tabled(rows: Sequence[Row], symbol_of: Callable[[Row], str]) -> Table[Row]:
    """`rows` as a table; one that is a table already is itself."""
    if isinstance(rows, Table):
        return rows
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(symbol_of(row), []).append(row)
    return Table({symbol: Rows.of(found) for symbol, found in groups.items()})
