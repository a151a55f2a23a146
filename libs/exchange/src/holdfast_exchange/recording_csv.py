"""Rows of CSV files, for making a recording of them.

The columns are those of the Parquet files, in any order and any case, `ts` may be called timestamp, datetime, date or
time. An instant is ISO 8601; one without a zone is in the zone that is given. A daily bar may have a date alone.
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from holdfast_core.new_york import NEW_YORK
from holdfast_exchange.recording_files import DAY, Content, Kind, RecordingInvalid, kind_of

INSTANT_NAMES = ("ts", "timestamp", "datetime", "date", "time")
FIRST_LINE = 2
"""Of the rows: line 1 is the heading."""
UTC = ZoneInfo("UTC")


def kind_by_name(file: Path) -> Kind | None:
    """The kind of a CSV file that is named like the Parquet file it becomes: bars_1m_week.csv."""
    return kind_of(file.name)


def read_csv(file: Path, kind: Kind, *, zone: ZoneInfo | None = None, symbol: str = "") -> pl.DataFrame:
    """The file's rows as the writer takes them; `row` is the line in the file.

    `zone`: of instants that name none. `symbol`: where the file has no such column. Values that cannot be read are
    null, and so break a rule. Raises RecordingInvalid for what concerns the whole file.
    """
    try:
        frame = pl.read_csv(file, infer_schema=False, truncate_ragged_lines=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise RecordingInvalid(f"{file.name}: not readable as CSV: {error}") from error
    names = {name.strip().lower(): name for name in frame.columns}
    stamp = next((names[name] for name in INSTANT_NAMES if name in names), None)
    if stamp is None:
        raise RecordingInvalid(f"{file.name}: columns missing: ts (or {', '.join(INSTANT_NAMES[1:])})")
    if symbol:
        frame, names = frame.with_columns(pl.lit(symbol).alias(kind.symbol)), names | {kind.symbol: kind.symbol}
    wanted = [column for column in kind.columns if column != "ts"]
    if missing := [column for column in wanted if column not in names]:
        hint = ": --symbol names it for the whole file" if missing == [kind.symbol] else ""
        raise RecordingInvalid(f"{file.name}: columns missing: {', '.join(missing)}{hint}")
    texts = frame.select(*(pl.col(names[name]).str.strip_chars().alias(name) for name in wanted))
    symbols = texts[kind.symbol].str.to_uppercase()
    instants = _instants(file, frame[stamp].str.strip_chars(), symbols, kind, zone)
    made = texts.with_columns(symbols, pl.Series("ts", instants, pl.Datetime("us", "UTC")), file=pl.lit(file.name))
    if kind.content is Content.OPTION_TRADES:
        expiry = pl.col("expiry").str.to_date("%Y-%m-%d", strict=False)
        made = made.with_columns(expiry, pl.col("right").str.to_lowercase())
    return made.with_row_index("row", offset=FIRST_LINE)


def _instants(
    file: Path, texts: pl.Series, symbols: pl.Series, kind: Kind, zone: ZoneInfo | None
) -> list[datetime | None]:
    found: list[datetime | None] = []
    for line, (text, symbol) in enumerate(zip(texts, symbols, strict=True), start=FIRST_LINE):
        instant = _instant(text or "", symbol or "", kind, zone)
        if instant is not None and instant.tzinfo is None:
            raise RecordingInvalid(
                f"{file.name}: line {line}: {text} has no time zone: name that of the file, --timezone America/New_York"
            )
        found.append(instant)
    return found


def _instant(text: str, symbol: str, kind: Kind, zone: ZoneInfo | None) -> datetime | None:
    """Naive where neither the text nor the caller names a zone; None where it is no instant."""
    own = UTC if "/" in symbol else NEW_YORK
    try:
        if kind.step == DAY and len(text) == len("2013-10-07"):
            return datetime.combine(date.fromisoformat(text), time(), own)
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=zone) if instant.tzinfo is None and zone is not None else instant
    except (ValueError, OverflowError):
        return None


def as_frame(kind: Kind, columns: Mapping[str, list[object]], source: str) -> pl.DataFrame:
    """Rows from elsewhere, column by column, as the writer takes them: `ts` aware instants, numbers as text."""
    frame = pl.DataFrame(columns, schema_overrides={"ts": pl.Datetime("us", "UTC")})
    return frame.select(kind.columns).with_columns(file=pl.lit(source)).with_row_index("row")
