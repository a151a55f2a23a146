"""What issuers do with their shares: splits, dividends, mergers, spin-offs, new names; read from a recording's table.

A table is a file `corporate_actions*.csv` or `.parquet` with the columns of `CorporateAction`: `kind`, `symbol`,
`ex_date` and, as the kind needs them, `old_rate`, `new_rate`, `cash`, `new_symbol`, `payable_date`, `record_date`,
`declaration_date`. Days are ISO 8601, rates and cash decimal numbers; an empty field is an absent one.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import polars as pl

PREFIX = "corporate_actions"
_NAMESPACE = UUID("0b0e3a44-3f0a-5d0f-8c1d-5a0b6b7f2c41")
_ONE = Decimal(1)


class ActionKind(StrEnum):
    """Alpaca's words of its data API, in the singular."""

    CASH_DIVIDEND = "cash_dividend"
    FORWARD_SPLIT = "forward_split"
    REVERSE_SPLIT = "reverse_split"
    STOCK_MERGER = "stock_merger"
    CASH_MERGER = "cash_merger"
    STOCK_AND_CASH_MERGER = "stock_and_cash_merger"
    SPIN_OFF = "spin_off"
    NAME_CHANGE = "name_change"


SPLITS = frozenset({ActionKind.FORWARD_SPLIT, ActionKind.REVERSE_SPLIT})
_NEED_CASH = frozenset({ActionKind.CASH_DIVIDEND, ActionKind.CASH_MERGER, ActionKind.STOCK_AND_CASH_MERGER})
_NEED_SYMBOL = frozenset(
    {ActionKind.STOCK_MERGER, ActionKind.STOCK_AND_CASH_MERGER, ActionKind.SPIN_OFF, ActionKind.NAME_CHANGE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateAction:
    """One action. It takes effect before the open of `ex_date`, a day of New York. Raises ValueError saying why not."""

    kind: ActionKind
    symbol: str
    ex_date: date
    old_rate: Decimal = _ONE
    new_rate: Decimal = _ONE
    """`old_rate` shares become `new_rate`: of the symbol itself, or of `new_symbol` (spin-off: beside them)."""
    cash: Decimal = Decimal(0)
    """Dollars for each share."""
    new_symbol: str = ""
    """Acquirer, spun-off company, or the new name."""
    payable_date: date | None = None
    """The day on which a dividend is paid; None: the ex-date."""
    record_date: date | None = None
    declaration_date: date | None = None
    """The day from which it is known; None: the ex-date."""

    def __post_init__(self) -> None:
        if not self.symbol:
            raise ValueError("no symbol")
        if not (_positive(self.old_rate) and _positive(self.new_rate)):
            raise ValueError(f"rates {self.old_rate} and {self.new_rate} must be positive numbers")
        if self.kind is ActionKind.FORWARD_SPLIT and self.new_rate <= self.old_rate:
            raise ValueError(f"a forward split must make more shares, not {self.new_rate} of {self.old_rate}")
        if self.kind is ActionKind.REVERSE_SPLIT and self.new_rate >= self.old_rate:
            raise ValueError(f"a reverse split must make fewer shares, not {self.new_rate} of {self.old_rate}")
        if self.kind in _NEED_CASH and not _positive(self.cash):
            raise ValueError(f"cash of {self.cash} must be a positive number")
        if self.kind in _NEED_SYMBOL and self.new_symbol in ("", self.symbol):
            raise ValueError("new_symbol is missing")

    @property
    def ratio(self) -> Decimal:
        """New shares for each old one."""
        return self.new_rate / self.old_rate

    @property
    def known_from(self) -> date:
        """The day from which the market knows of it: no look-ahead."""
        return self.ex_date if self.declaration_date is None else self.declaration_date

    @property
    def paid_on(self) -> date:
        return self.ex_date if self.payable_date is None else max(self.payable_date, self.ex_date)

    @property
    def id(self) -> str:
        """The same for the same action in every run."""
        return str(uuid5(_NAMESPACE, f"{self.kind}/{self.symbol}/{self.ex_date}/{self.new_symbol}"))

    @property
    def place(self) -> tuple[date, str, str, str]:
        """Actions take effect in this order."""
        return self.ex_date, self.symbol, self.kind.value, self.new_symbol


@dataclass(frozen=True, slots=True)
class UnusableRow:
    """A row that is not used. `row` counts from 0 within the file."""

    file: str
    row: int
    reason: str
    detail: str


def read_table(
    folder: Path, symbols: Iterable[str] = ()
) -> tuple[tuple[CorporateAction, ...], tuple[UnusableRow, ...]]:
    """The actions of the recording in `folder`, in their order, and its bad rows; no symbols means all of them."""
    wanted = frozenset(symbols)
    found: dict[str, CorporateAction] = {}
    bad: list[UnusableRow] = []
    for file in sorted(folder.glob(f"{PREFIX}*")):
        if file.suffix not in (".csv", ".parquet"):
            continue
        for number, row in enumerate(_rows(file)):
            try:
                action = _action(row)
            except (ValueError, ArithmeticError, KeyError) as error:
                bad.append(UnusableRow(file.name, number, "ACTION_INVALID", str(error)))
                continue
            if action.id in found:
                bad.append(UnusableRow(file.name, number, "ROW_DUPLICATE", action.id))
            elif not wanted or action.symbol in wanted:
                found[action.id] = action
    return tuple(sorted(found.values(), key=lambda action: action.place)), tuple(bad)


def _rows(file: Path) -> Sequence[Mapping[str, Any]]:
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    return pl.read_parquet(file).rows(named=True)


def _action(row: Mapping[str, Any]) -> CorporateAction:
    told = {name: str(value).strip() for name, value in row.items() if name and value not in (None, "")}
    return CorporateAction(
        kind=ActionKind(told["kind"]),
        symbol=told["symbol"],
        ex_date=_day(told["ex_date"]),
        old_rate=Decimal(told.get("old_rate", "1")),
        new_rate=Decimal(told.get("new_rate", "1")),
        cash=Decimal(told.get("cash", "0")),
        new_symbol=told.get("new_symbol", ""),
        payable_date=_day_or_none(told.get("payable_date")),
        record_date=_day_or_none(told.get("record_date")),
        declaration_date=_day_or_none(told.get("declaration_date")),
    )


def _day_or_none(text: str | None) -> date | None:
    return None if text is None else _day(text)


def _day(text: str) -> date:
    return datetime.fromisoformat(text).date() if len(text) > len("2014-06-09") else date.fromisoformat(text)


def _positive(value: Decimal) -> bool:
    return value.is_finite() and value > 0
