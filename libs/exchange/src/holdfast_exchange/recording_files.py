"""The files of a recording: kinds, columns, and how one is read as whole numbers (TS-3).

Files are found by prefix and read by their columns. A file that lacks a column, or has one of a wrong type, is refused
with a sentence; a bad row is not (see recording_rules).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import polars as pl

from holdfast_exchange.rows import DECIMALS, ONE

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BAR_PRICES = ("open", "high", "low", "close")
QUOTE_PRICES = tuple(f"{side}_{price}" for side in ("bid", "ask") for price in BAR_PRICES)
INSTANT = pl.Datetime("us", "UTC")
EQUITY_DECIMALS = 4
"""Places of a share's price; one that is a binary fraction in the file is rounded to them. Pairs have eight."""
MAX_PRICE = 10**9
MAX_COUNT = 9 * 10**10
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}


class RecordingInvalid(ValueError):
    """The folder cannot be replayed at all: a file, a column or a symbol is missing or of a wrong type."""


class Content(StrEnum):
    """What a row is."""

    BARS = "bars"
    QUOTES = "quotes"
    OPTION_TRADES = "option_trades"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: `<content>_<name>*.parquet`, `step` is the length of a row's interval."""

    content: Content
    name: str
    step: timedelta

    @property
    def prefix(self) -> str:
        return f"{self.content}_{self.name}"

    @property
    def prices(self) -> tuple[str, ...]:
        """Columns in dollars, all positive."""
        if self.content is Content.QUOTES:
            return QUOTE_PRICES
        return (*BAR_PRICES, "strike") if self.content is Content.OPTION_TRADES else BAR_PRICES

    @property
    def counts(self) -> tuple[str, ...]:
        """Columns in shares, coins or contracts, none negative."""
        return ("bid_size", "ask_size") if self.content is Content.QUOTES else ("volume",)

    @property
    def symbol(self) -> str:
        return "underlying" if self.content is Content.OPTION_TRADES else "symbol"

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns of which only one row may be at an instant, as they are named once read."""
        return ("symbol", "expiry", "right", "strike") if self.content is Content.OPTION_TRADES else ("symbol",)

    @property
    def columns(self) -> tuple[str, ...]:
        extra = ("expiry", "right") if self.content is Content.OPTION_TRADES else ()
        return (self.symbol, "ts", *extra, *self.prices, *self.counts)


BARS_1S = Kind(Content.BARS, "1s", SECOND)
BARS_1M = Kind(Content.BARS, "1m", MINUTE)
BARS_1H = Kind(Content.BARS, "1h", HOUR)
BARS_1D = Kind(Content.BARS, "1d", DAY)
QUOTES_1M = Kind(Content.QUOTES, "1m", MINUTE)
OPTIONS_1M = Kind(Content.OPTION_TRADES, "1m", MINUTE)
OPTIONS_1D = Kind(Content.OPTION_TRADES, "1d", DAY)
BAR_KINDS = (BARS_1S, BARS_1M, BARS_1H, BARS_1D)
"""Finest first."""
KINDS = (*BAR_KINDS, QUOTES_1M, OPTIONS_1M, OPTIONS_1D)
PAIRS_PREFIX = "crypto_"
ACTIONS_PREFIX = "corporate_actions"


def files_of(folder: Path, kind: Kind) -> list[Path]:
    """The folder's files of a kind, by name; those of pairs last."""
    return [
        *sorted(folder.glob(f"{kind.prefix}*.parquet")),
        *sorted(folder.glob(f"{PAIRS_PREFIX}{kind.prefix}*.parquet")),
    ]


def kind_of(name: str) -> Kind | None:
    """The kind of a file by its name; None where no prefix fits."""
    return next((kind for kind in KINDS if name.removeprefix(PAIRS_PREFIX).startswith(kind.prefix)), None)


def unknown_files(folder: Path) -> list[str]:
    """Parquet files that no prefix claims: they are not read."""
    names = (file.name for file in folder.glob("*.parquet"))
    return sorted(name for name in names if kind_of(name) is None and not name.startswith(ACTIONS_PREFIX))


def raw(file: Path, kind: Kind, wanted: Iterable[str] = ()) -> pl.DataFrame:
    """The file's columns with `row` (from 0) and `file`, narrowed to symbols. Raises RecordingInvalid."""
    try:
        lazy = pl.scan_parquet(file)
        schema = lazy.collect_schema()
        _check_schema(file.name, kind, schema)
        frame = lazy.select(kind.columns).with_row_index("row").collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RecordingInvalid(f"{file.name}: not readable as Parquet: {error}") from error
    frame = frame.rename({kind.symbol: "symbol"}).with_columns(pl.col("symbol").cast(pl.String), file=pl.lit(file.name))
    if symbols := list(wanted):
        frame = frame.filter(pl.col("symbol").is_in(symbols) | pl.col("symbol").is_null())
    return frame


def _check_schema(name: str, kind: Kind, schema: pl.Schema) -> None:
    if missing := [column for column in kind.columns if column not in schema]:
        raise RecordingInvalid(f"{name}: columns missing: {', '.join(missing)}")
    ts = schema["ts"]
    if not isinstance(ts, pl.Datetime) or ts.time_zone != "UTC":
        raise RecordingInvalid(f"{name}: ts is {ts}, not a UTC instant")
    texts = (kind.symbol, "right") if kind.content is Content.OPTION_TRADES else (kind.symbol,)
    for column in texts:
        if schema[column] not in (pl.String, pl.Categorical, pl.Enum):
            raise RecordingInvalid(f"{name}: {column} is {schema[column]}, not text")
    if kind.content is Content.OPTION_TRADES and schema["expiry"] != pl.Date:
        raise RecordingInvalid(f"{name}: expiry is {schema['expiry']}, not a date")
    for column in (*kind.prices, *kind.counts):
        if not schema[column].is_numeric():
            raise RecordingInvalid(f"{name}: {column} is {schema[column]}, not a number")


def plausible(frame: pl.DataFrame) -> pl.Expr:
    """True where `ts` is an instant of 1990 … 2100: in its own unit, since garbage may not survive a change of it."""
    unit = frame.schema["ts"]
    assert isinstance(unit, pl.Datetime)
    per_second = _PER_SECOND[unit.time_unit]
    first, last = (int(limit.timestamp()) * per_second for limit in (EARLIEST, LATEST))
    return pl.col("ts").to_physical().is_between(first, last)


def finite(frame: pl.DataFrame, columns: Iterable[str]) -> pl.Expr:
    """True where no value is NaN or infinite."""
    floats = [column for column in columns if frame.schema[column].is_float()]
    return pl.all_horizontal(pl.col(*floats).is_finite()) if floats else pl.lit(value=True)


def whole_numbers(frame: pl.DataFrame, kind: Kind) -> list[pl.Expr]:
    """Every price and count in units of 10⁻⁸; null where it is missing, not finite or out of bounds."""
    prices = [_whole(frame, column, MAX_PRICE, price=True) for column in kind.prices]
    return [*prices, *(_whole(frame, column, MAX_COUNT, price=False) for column in kind.counts)]


def _whole(frame: pl.DataFrame, column: str, limit: int, *, price: bool) -> pl.Expr:
    value, kind = pl.col(column), frame.schema[column]
    inside = pl.when(value.is_between(-limit, limit)).then(value)
    whole: pl.Expr
    if kind.is_float():
        exact = inside.cast(pl.Float64)
        rounded = exact.round(DECIMALS)
        if price:
            pair = pl.col("symbol").str.contains("/", literal=True)
            rounded = pl.when(pair).then(rounded).otherwise(exact.round(EQUITY_DECIMALS))
        whole = (rounded * ONE).round().cast(pl.Int64, strict=False)
    elif kind.is_decimal():
        whole = inside.cast(pl.Decimal(38, DECIMALS), strict=False).to_physical().cast(pl.Int64)
    else:
        whole = inside.cast(pl.Int64) * ONE
    return whole.alias(column)
