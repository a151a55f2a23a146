"""Recordings: a folder of Parquet files, read, narrowed, checked and put together (TS-3, BS-8).

`ts` is the start of a row's interval in UTC. The finest bars that are recorded of a symbol on a day drive the replay
(`driving`); minutes and days that are not recorded are made of finer ones. A row that breaks a rule is quarantined with
its file, its row number and its reason; it is never traded on and never silently dropped.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from holdfast_core.new_york import new_york_day
from holdfast_core.sessions import Calendar, calendar_of
from holdfast_exchange import adjustments, corporate_actions
from holdfast_exchange import recording_files as files
from holdfast_exchange import recording_rules as rules
from holdfast_exchange import recording_tables as tables
from holdfast_exchange.adjustments import AdjustmentsInvalid, AdjustmentTable
from holdfast_exchange.assets import AssetClass, asset_of
from holdfast_exchange.corporate_actions import CorporateAction
from holdfast_exchange.recording_files import MINUTE as MINUTE
from holdfast_exchange.recording_files import Kind
from holdfast_exchange.recording_files import RecordingInvalid as RecordingInvalid
from holdfast_exchange.recording_rules import FileReport as FileReport
from holdfast_exchange.recording_rules import Quarantined as Quarantined
from holdfast_exchange.rows import Bar as Bar
from holdfast_exchange.rows import OptionBar as OptionBar
from holdfast_exchange.rows import QuoteBar as QuoteBar

MANIFEST = "recording.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a replay needs. Loaded ones are in order of symbol, then time."""

    symbols: tuple[str, ...]
    minute_bars: Sequence[Bar]
    """Of regular sessions; made of seconds on days of which no minutes are recorded."""
    minute_quotes: Sequence[QuoteBar]
    daily_bars: Sequence[Bar]
    """Start at midnight, visible at the session's close; made of finer bars on days that are not recorded."""
    quarantined: tuple[Quarantined, ...]
    start: str = ""
    """First day or instant to replay, as the recording itself says; empty: its first session."""
    end: str = ""
    adjustments: AdjustmentTable = field(default_factory=AdjustmentTable)
    """Splits and dividends, for adjusted history; empty where the folder has no adjustment_factors.csv."""
    driving: Sequence[Bar] = ()
    """The finest bars of each symbol and day, within regular sessions: what orders are matched with. Empty: minutes."""
    hourly_bars: Sequence[Bar] = ()
    """As recorded, none made of minutes; the first and last of a session end and begin with it."""
    corporate_actions: tuple[CorporateAction, ...] = ()
    """Splits, dividends, mergers …, in the order in which they take effect."""
    option_bars: Sequence[OptionBar] = ()
    """Per contract and minute, by underlying."""
    option_days: Sequence[OptionBar] = ()
    """Per contract and day, by underlying."""
    extended_bars: Sequence[Bar] = ()
    """Minutes outside regular sessions: kept, not replayed."""
    extended_quotes: Sequence[QuoteBar] = ()
    files: tuple[FileReport, ...] = ()
    """What was found in each file."""
    unread: tuple[str, ...] = ()
    """Parquet files whose name no prefix claims."""
    steps: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Which bars drive each symbol, finest first: 1s, 1m, 1h, 1d."""

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
    return instant.astimezone(UTC).date() if asset_of(symbol).is_crypto else new_york_day(instant)


def load(folder: Path, *, symbols: Iterable[str] = (), now: datetime | None = None) -> Recording:
    """Reads and checks the recording in `folder`, narrowed to `symbols` (empty: all).

    Rows outside regular sessions are kept apart, since they are not replayed; they are no fault. `now`: rows later than
    that are quarantined. Raises RecordingInvalid naming the file and what is wrong.
    """
    wanted = tuple(symbols)
    found = {kind: _Read.of(kind, folder, wanted, now) for kind in files.KINDS}
    bars = {kind: found[kind].good for kind in files.BAR_KINDS}
    driving = tables.driving(bars)
    recorded = tuple(sorted(driving["symbol"].unique()))
    bad = sum(each.frame["reason"].count() for each in found.values())
    if not recorded and (bad or not wanted):
        raise RecordingInvalid(_nothing_to_replay(folder, wanted, found, bad))
    if missing := sorted(set(wanted) - set(recorded)):
        everything = load(folder, now=now).symbols
        raise RecordingInvalid(
            f"replay.symbols: no bars of {', '.join(missing)} in {folder}; recorded are {', '.join(everything)}"
        )
    minutes, quotes = tables.minutes(bars), found[files.QUOTES_1M].good
    told = _manifest(folder)
    actions, unusable = corporate_actions.read_table(folder, wanted)
    try:
        factors = adjustments.load(folder)
    except AdjustmentsInvalid as error:
        raise RecordingInvalid(f"{folder}: {error}") from error
    return Recording(
        symbols=recorded,
        minute_bars=tables.bars(minutes),
        minute_quotes=tables.quotes(quotes.filter("regular")),
        daily_bars=tables.bars(tables.days(bars, minutes)),
        quarantined=(
            *(row for each in found.values() for row in rules.quarantined(each.frame)),
            *(Quarantined(row.file, row.row, row.reason) for row in unusable),
        ),
        corporate_actions=actions,
        start=told.get("start", ""),
        end=told.get("end", ""),
        adjustments=factors,
        driving=tables.bars(driving, begin="start"),
        hourly_bars=tables.bars(bars[files.BARS_1H].filter("regular")),
        option_bars=tables.options(found[files.OPTIONS_1M].good.filter("regular")),
        option_days=tables.options(found[files.OPTIONS_1D].good),
        extended_bars=tables.bars(bars[files.BARS_1M].filter(~pl.col("regular"))),
        extended_quotes=tables.quotes(quotes.filter(~pl.col("regular"))),
        files=tuple(report for each in found.values() for report in each.reports()),
        unread=tuple(files.unknown_files(folder)),
        steps=tables.steps(driving),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """The files of one kind."""

    kind: Kind
    paths: list[Path]
    frame: pl.DataFrame

    @classmethod
    def of(cls, kind: Kind, folder: Path, wanted: tuple[str, ...], now: datetime | None) -> "_Read":
        paths = files.files_of(folder, kind)
        return cls(kind, paths, rules.read(kind, paths, symbols=wanted, now=now))

    @property
    def good(self) -> pl.DataFrame:
        return self.frame.filter(pl.col("reason").is_null())

    def reports(self) -> list[FileReport]:
        return rules.reports(self.frame, self.kind, self.paths)


def _nothing_to_replay(folder: Path, wanted: tuple[str, ...], found: dict[Kind, _Read], bad: int) -> str:
    if not folder.is_dir():
        return f"{folder}: there is no such folder"
    if not any(found[kind].paths for kind in files.BAR_KINDS):
        prefixes = ", ".join(f"{kind.prefix}*.parquet" for kind in files.BAR_KINDS)
        return f"{folder}: no file of bars: {prefixes}, or the same after {files.PAIRS_PREFIX}"
    narrowed = f" of {', '.join(wanted)}" if wanted else ""
    return f"{folder}: no bar{narrowed} in it is usable; {bad} rows are quarantined: see `holdfast recording check`"


def _manifest(folder: Path) -> dict[str, str]:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    try:
        told = tomllib.loads(manifest.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecordingInvalid(f"{MANIFEST}: {error}") from error
    return {key: str(value) for key, value in told.items()}
