"""Recordings: a folder of Parquet files, read, narrowed and checked (TS-3, BS-8).

Files are found by prefix: `bars_1m*`, `quotes_1m*`, `bars_1d*`, and the same after `crypto_`. `ts` is the start of the
row's interval in UTC. A row that breaks a rule is quarantined with its file, its row number and its reason; it is never
traded on and never silently dropped.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from holdfast_core.sessions import Calendar, OutsideCalendar, calendar_of
from holdfast_exchange import adjustments
from holdfast_exchange.adjustments import AdjustmentsInvalid, AdjustmentTable
from holdfast_exchange.assets import AssetClass, asset_of

MINUTE = timedelta(minutes=1)
NEW_YORK = ZoneInfo("America/New_York")
DEFAULT = "us_equities_2013w41"
_BAR_PRICES = ("open", "high", "low", "close")
_QUOTE_PRICES = tuple(f"{side}_{price}" for side in ("bid", "ask") for price in _BAR_PRICES)
_PRICE_TYPE = pl.Decimal(18, 4)
_FINE_PRICE_TYPE = pl.Decimal(28, 8)
"""Of pairs, whose prices and sizes have eight decimals."""


class RecordingInvalid(ValueError):
    """The folder cannot be replayed at all: a file, a column or a symbol is missing or of a wrong type."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices over [start, end) in dollars, volume in shares; visible from `end` on."""

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
class Quarantined:
    """A row that is not used. `row` counts from 0 within the file."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a replay needs, each list in order of its end, then symbol."""

    symbols: tuple[str, ...]
    minute_bars: tuple[Bar, ...]
    minute_quotes: tuple[QuoteBar, ...]
    daily_bars: tuple[Bar, ...]
    quarantined: tuple[Quarantined, ...]
    start: str = ""
    """First day or instant to replay, as the recording itself says; empty: its first session."""
    end: str = ""
    adjustments: AdjustmentTable = field(default_factory=AdjustmentTable)
    """Splits and dividends, for adjusted history; empty where the folder has no adjustment_factors.csv."""

    def asset_class(self, symbol: str) -> AssetClass:
        """US equity, or crypto: which calendar, sizes and rules the symbol has."""
        return asset_of(symbol).asset_class

    @property
    def asset_classes(self) -> frozenset[AssetClass]:
        """Those of all recorded symbols."""
        return frozenset(self.asset_class(symbol) for symbol in self.symbols)


def calendar_for(symbol: str) -> Calendar:
    """When a symbol trades: equities in New York's sessions, pairs round the clock in days of UTC."""
    return calendar_of("crypto" if asset_of(symbol).is_crypto else "equity")


def day_of(symbol: str, instant: datetime) -> date:
    """The date of an instant where the symbol trades: New York's for equities, UTC's for pairs."""
    return instant.astimezone(UTC if asset_of(symbol).is_crypto else NEW_YORK).date()


def default_folder() -> Path:
    """The recording that is part of this package."""
    return Path(str(resources.files(__package__).joinpath("recordings", DEFAULT)))


def load(folder: Path, *, symbols: Iterable[str] = ()) -> Recording:
    """Reads and checks the recording in `folder`, narrowed to `symbols` (empty: all).

    Minute rows outside regular sessions are left out, since the replayed market has none; they are no fault and are not
    quarantined. Raises RecordingInvalid naming the file and what is wrong.
    """
    wanted = tuple(symbols)
    quarantined: list[Quarantined] = []
    minute_bars = [_minute_bar(row) for row in _rows(folder, "bars_1m", _BAR_PRICES, wanted, quarantined)]
    quotes = [_quote_bar(row) for row in _rows(folder, "quotes_1m", _QUOTE_PRICES, wanted, quarantined, optional=True)]
    daily = _daily_bars(folder, wanted, quarantined)
    found = {bar.symbol for bar in minute_bars}
    if missing := sorted(set(wanted) - found):
        recorded = sorted({str(row["symbol"]) for row in _rows(folder, "bars_1m", _BAR_PRICES, (), [])})
        raise RecordingInvalid(
            f"replay.symbols: no minute bars of {', '.join(missing)} in {folder}; recorded are {', '.join(recorded)}"
        )
    if not minute_bars:
        raise RecordingInvalid(f"{folder}: no minute bar in it is usable")
    try:
        factors = adjustments.load(folder)
    except AdjustmentsInvalid as error:
        raise RecordingInvalid(f"{folder}: {error}") from error
    manifest = folder / "recording.toml"
    told = tomllib.loads(manifest.read_text("utf-8")) if manifest.is_file() else {}
    return Recording(
        symbols=tuple(sorted(found)),
        minute_bars=_ordered(bar for bar in minute_bars if _in_session(bar)),
        minute_quotes=tuple(sorted((q for q in quotes if _in_session(q)), key=lambda q: (q.end, q.symbol))),
        daily_bars=_ordered(daily),
        quarantined=tuple(quarantined),
        start=str(told.get("start", "")),
        end=str(told.get("end", "")),
        adjustments=factors,
    )


def _ordered(bars: Iterable[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: (bar.end, bar.symbol)))


def _in_session(row: Bar | QuoteBar) -> bool:
    try:
        session = calendar_for(row.symbol).session_of(day_of(row.symbol, row.start))
    except OutsideCalendar:
        return False
    return session is not None and session.open <= row.start and row.end <= session.close


def _minute_bar(row: dict[str, object]) -> Bar:
    start = _start(row)
    return Bar(str(row["symbol"]), start, start + MINUTE, *_decimals(row, (*_BAR_PRICES, "volume")))


def _quote_bar(row: dict[str, object]) -> QuoteBar:
    start = _start(row)
    columns = (*_QUOTE_PRICES[:4], "bid_size", *_QUOTE_PRICES[4:], "ask_size")
    return QuoteBar(str(row["symbol"]), start, start + MINUTE, *_decimals(row, columns))


def _start(row: dict[str, object]) -> datetime:
    start = row["ts"]
    assert isinstance(start, datetime)
    return start.replace(tzinfo=UTC)


def _decimals(row: dict[str, object], columns: Iterable[str]) -> list[Decimal]:
    return [value if isinstance(value := row[column], Decimal) else Decimal(str(value)) for column in columns]


def _daily_bars(folder: Path, wanted: tuple[str, ...], quarantined: list[Quarantined]) -> list[Bar]:
    bars = []
    for row in _rows(folder, "bars_1d", _BAR_PRICES, wanted, quarantined, optional=True):
        start = _start(row)
        reason = "DAY_NOT_A_SESSION"
        try:
            session = calendar_for(str(row["symbol"])).session_of(day_of(str(row["symbol"]), start))
        except OutsideCalendar:
            session, reason = None, "DAY_OUTSIDE_CALENDAR"
        if session is None:
            quarantined.append(Quarantined(str(row["file"]), int(str(row["row"])), reason))
            continue
        bars.append(Bar(str(row["symbol"]), start, session.close, *_decimals(row, (*_BAR_PRICES, "volume"))))
    return bars


def _rows(
    folder: Path,
    prefix: str,
    prices: tuple[str, ...],
    wanted: tuple[str, ...],
    quarantined: list[Quarantined],
    *,
    optional: bool = False,
) -> list[dict[str, object]]:
    """The good rows of every file with `prefix`, as dicts; the bad ones go to `quarantined`."""
    files = sorted((*folder.glob(f"{prefix}*.parquet"), *folder.glob(f"crypto_{prefix}*.parquet")))
    if not files and not optional:
        raise RecordingInvalid(f"{folder}: no file {prefix}*.parquet or crypto_{prefix}*.parquet")
    good: list[dict[str, object]] = []
    for file in files:
        frame = _checked(file, prices)
        if wanted:
            frame = frame.filter(pl.col("symbol").is_in(list(wanted)) | pl.col("symbol").is_null())
        bad = frame.filter(pl.col("reason").is_not_null())
        quarantined.extend(Quarantined(file.name, row, reason) for row, reason in bad.select("row", "reason").rows())
        good.extend(frame.filter(pl.col("reason").is_null()).with_columns(file=pl.lit(file.name)).rows(named=True))
    return good


def _checked(file: Path, prices: tuple[str, ...]) -> pl.DataFrame:
    """The file with `row` and `reason` columns; prices as exact decimals."""
    try:
        frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RecordingInvalid(f"{file.name}: not readable as Parquet: {error}") from error
    counts = ("volume",) if "open" in prices else ("bid_size", "ask_size")
    if missing := [column for column in ("symbol", "ts", *prices, *counts) if column not in frame.columns]:
        raise RecordingInvalid(f"{file.name}: columns missing: {', '.join(missing)}")
    ts_type = frame.schema["ts"]
    if not isinstance(ts_type, pl.Datetime) or ts_type.time_zone != "UTC":
        raise RecordingInvalid(f"{file.name}: ts is {ts_type}, not a UTC instant")
    for column in (*prices, *counts):
        if not frame.schema[column].is_numeric():
            raise RecordingInvalid(f"{file.name}: {column} is {frame.schema[column]}, not a number")
    newest_before = pl.col("ts").cum_max().shift(1).over("symbol")
    reason = (
        pl.when(pl.any_horizontal(pl.col("symbol", "ts", *prices, *counts).is_null()))
        .then(pl.lit("VALUE_MISSING"))
        .when(_any_not_finite(frame, (*prices, *counts)))
        .then(pl.lit("VALUE_NOT_FINITE"))
        .when(pl.any_horizontal(pl.col(*prices) <= 0))
        .then(pl.lit("PRICE_NOT_POSITIVE"))
        .when(pl.any_horizontal(pl.col(*counts) < 0))
        .then(pl.lit("COUNT_NEGATIVE"))
        .when(_inverted(prices))
        .then(pl.lit("HIGH_BELOW_LOW" if "open" in prices else "QUOTE_CROSSED"))
        .when(~pl.struct("symbol", "ts").is_first_distinct())
        .then(pl.lit("ROW_DUPLICATE"))
        .when(newest_before > pl.col("ts"))
        .then(pl.lit("ROW_UNORDERED"))
    )
    checked = frame.with_row_index("row").with_columns(reason=reason)
    pairs = file.name.startswith("crypto_") or bool(frame["symbol"].drop_nulls().str.contains("/", literal=True).any())
    # Shares and cents are kept as they are; coins are not whole, and their prices are finer.
    price_type, columns = (_FINE_PRICE_TYPE, (*prices, *counts)) if pairs else (_PRICE_TYPE, prices)
    exact = [
        pl.when(pl.col("reason").is_null()).then(pl.col(column)).cast(price_type).alias(column) for column in columns
    ]
    return checked.with_columns(exact)


def _any_not_finite(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.Expr:
    floats = [column for column in columns if frame.schema[column].is_float()]
    return pl.any_horizontal(~pl.col(*floats).is_finite()) if floats else pl.lit(value=False)


def _inverted(prices: tuple[str, ...]) -> pl.Expr:
    col = pl.col
    if "open" in prices:
        inside = [col(price).is_between(col("low"), col("high")) for price in ("open", "close")]
        return (col("high") < col("low")) | ~pl.all_horizontal(inside)
    opposite = [col(f"bid_{price}") > col(f"ask_{price}") for price in ("open", "close")]
    sides = [col(f"{side}_high") < col(f"{side}_low") for side in ("bid", "ask")]
    return pl.any_horizontal(*opposite, *sides)
