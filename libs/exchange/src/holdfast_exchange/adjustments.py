"""Adjustment factors: what an old price is in today's shares, and today's dividends (BS-2).

`adjustment_factors.csv` of a recording has one line for each stretch of days: symbol, the last date on which the
factors hold (YYYYMMDD), the price factor (dividends) and the split factor, both relative to the end of the table.
Nothing is adjusted by what has not happened yet: factors are taken relative to the present day, so a split is in the
history from the session on which it takes effect, and not before.
"""

import csv
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast_exchange.recording import Bar

FILE = "adjustment_factors.csv"
_ONE = Decimal(1)


class AdjustmentsInvalid(ValueError):
    """A line of the file cannot be read."""


class Adjustment(StrEnum):
    """What old prices are adjusted for."""

    SPLIT = "split"
    DIVIDEND = "dividend"


@dataclass(frozen=True, slots=True)
class Factors:
    """`price` for dividends and `split`, of every day up to `last_date`; an old price times both is adjusted."""

    symbol: str
    last_date: date
    price: Decimal
    split: Decimal


class AdjustmentTable:
    """The factors of all symbols. A symbol without factors is never adjusted."""

    def __init__(self, rows: Iterable[Factors] = ()) -> None:
        by_symbol: dict[str, list[Factors]] = {}
        for row in sorted(rows, key=lambda row: (row.symbol, row.last_date)):
            by_symbol.setdefault(row.symbol, []).append(row)
        self._rows: Mapping[str, list[Factors]] = by_symbol
        self._dates = {symbol: [row.last_date for row in found] for symbol, found in by_symbol.items()}

    def on(self, symbol: str, day: date) -> tuple[Decimal, Decimal]:
        """Price factor and split factor of `day`; (1, 1) where nothing is known."""
        rows = self._rows.get(symbol, [])
        at = bisect_left(self._dates.get(symbol, []), day)
        return (rows[at].price, rows[at].split) if at < len(rows) else (_ONE, _ONE)

    def adjusted(self, bar: "Bar", day: date, today: date, kinds: frozenset[Adjustment]) -> "Bar":
        """`bar` of `day` as it looks on `today`: prices in dollars, volume in shares of today."""
        price_then, split_then = self.on(bar.symbol, day)
        price_now, split_now = self.on(bar.symbol, today)
        split = split_then / split_now if Adjustment.SPLIT in kinds else _ONE
        factor = split * (price_then / price_now if Adjustment.DIVIDEND in kinds else _ONE)
        if factor == _ONE:
            return bar
        return replace(
            bar,
            open=_cut(bar.open * factor),
            high=_cut(bar.high * factor),
            low=_cut(bar.low * factor),
            close=_cut(bar.close * factor),
            volume=(bar.volume / split).quantize(_ONE),
        )


def load(folder: Path) -> AdjustmentTable:
    """The factors of the recording in `folder`; none where it has no such file. Raises AdjustmentsInvalid."""
    path = folder / FILE
    if not path.is_file():
        return AdjustmentTable()
    with path.open(encoding="utf-8", newline="") as lines:
        return AdjustmentTable([_factors(line, number) for number, line in enumerate(csv.DictReader(lines), start=2)])


def _factors(line: Mapping[str, str | None], number: int) -> Factors:
    try:
        found = Factors(
            line["symbol"] or "",
            datetime.strptime(line["last_date"] or "", "%Y%m%d").date(),  # noqa: DTZ007 - a day has no zone
            Decimal(line["price_factor"] or ""),
            Decimal(line["split_factor"] or ""),
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise AdjustmentsInvalid(f"{FILE}: line {number} cannot be read: {error!r}") from error
    if not found.symbol or not (found.price.is_finite() and found.split.is_finite()):
        raise AdjustmentsInvalid(f"{FILE}: line {number} has no symbol or a factor that is no number")
    if found.price <= 0 or found.split <= 0:
        raise AdjustmentsInvalid(f"{FILE}: line {number} has a factor that is not positive")
    return found


def _cut(price: Decimal) -> Decimal:
    return price.quantize(Decimal("0.0001"))
