"""Rules that a row must keep, and what is told of a file: bad rows are quarantined, gaps are counted (BS-8, TS-3).

Nothing is mended or invented: a row that breaks a rule is not used and named with its file, row and rule; a bar that is
missing is a gap.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

import polars as pl

from holdfast_core.sessions import xnys
from holdfast_exchange import recording_files as files
from holdfast_exchange.recording_files import DAY, HOUR, INSTANT, Content, Kind
from holdfast_exchange.rows import instant_of, micros

_SYMBOL = r"^[A-Z0-9][A-Z0-9.\-]{0,14}(/[A-Z0-9]{2,6})?$"


class Rule(StrEnum):
    """What was broken. The words after each are in `EXPLAINED`."""

    VALUE_MISSING = "VALUE_MISSING"
    VALUE_NOT_FINITE = "VALUE_NOT_FINITE"
    SYMBOL_INVALID = "SYMBOL_INVALID"
    PRICE_NOT_POSITIVE = "PRICE_NOT_POSITIVE"
    PRICE_TOO_LARGE = "PRICE_TOO_LARGE"
    COUNT_NEGATIVE = "COUNT_NEGATIVE"
    COUNT_TOO_LARGE = "COUNT_TOO_LARGE"
    HIGH_BELOW_LOW = "HIGH_BELOW_LOW"
    PRICE_OUTSIDE_RANGE = "PRICE_OUTSIDE_RANGE"
    QUOTE_CROSSED = "QUOTE_CROSSED"
    OPTION_RIGHT_UNKNOWN = "OPTION_RIGHT_UNKNOWN"
    OPTION_EXPIRED = "OPTION_EXPIRED"
    INSTANT_IMPLAUSIBLE = "INSTANT_IMPLAUSIBLE"
    INSTANT_IN_FUTURE = "INSTANT_IN_FUTURE"
    INSTANT_OFF_GRID = "INSTANT_OFF_GRID"
    DAY_OUTSIDE_CALENDAR = "DAY_OUTSIDE_CALENDAR"
    DAY_NOT_A_SESSION = "DAY_NOT_A_SESSION"
    ROW_DUPLICATE = "ROW_DUPLICATE"
    ROW_UNORDERED = "ROW_UNORDERED"


EXPLAINED: Mapping[Rule, str] = {
    Rule.VALUE_MISSING: "a value is missing",
    Rule.VALUE_NOT_FINITE: "a price or size is NaN or infinite",
    Rule.SYMBOL_INVALID: "the symbol is neither like SPY nor like BTC/USD",
    Rule.PRICE_NOT_POSITIVE: "a price is zero or negative",
    Rule.PRICE_TOO_LARGE: "a price is above 1,000,000,000 dollars",
    Rule.COUNT_NEGATIVE: "a volume or size is negative",
    Rule.COUNT_TOO_LARGE: "a volume or size is above 90,000,000,000",
    Rule.HIGH_BELOW_LOW: "the high is below the low",
    Rule.PRICE_OUTSIDE_RANGE: "open or close lies outside low … high",
    Rule.QUOTE_CROSSED: "the bid is above the ask, at the open or at the close",
    Rule.OPTION_RIGHT_UNKNOWN: "the right is neither call nor put",
    Rule.OPTION_EXPIRED: "the contract had expired",
    Rule.INSTANT_IMPLAUSIBLE: "the instant is not between 1990 and 2100",
    Rule.INSTANT_IN_FUTURE: "the instant is later than now",
    Rule.INSTANT_OFF_GRID: "the interval does not begin on a whole second, minute or hour, a daily one not at midnight "
    "(New York's for equities, UTC's for pairs)",
    Rule.DAY_OUTSIDE_CALENDAR: "the exchange calendar does not reach to that day",
    Rule.DAY_NOT_A_SESSION: "the exchange was closed on that day",
    Rule.ROW_DUPLICATE: "there is a row of the same symbol and instant before it",
    Rule.ROW_UNORDERED: "it is out of order among its symbol's rows in the file",
}


def explained(rule: str) -> str:
    """A rule in words; rules of other tables than bars, quotes and option trades by their name alone."""
    return EXPLAINED[Rule(rule)] if rule in set(Rule) else "cannot be read"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that is not used. `row` counts from 0 within the file."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was found in one file, after narrowing to the symbols wanted."""

    file: str
    kind: str
    rows: int
    used: int
    """Rows that keep every rule; those outside regular sessions are among them."""
    extended: int
    """Good rows outside regular sessions: kept, not traded."""
    symbols: tuple[str, ...]
    first: datetime | None
    last: datetime | None
    missing: int
    """Bars that are not there, between open and close of days that have any."""
    gaps: int
    """Stretches of missing bars or days."""
    days_missing: int
    """Sessions between a symbol's first and last that have no row at all."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """How many rows broke each rule."""


def read(
    kind: Kind,
    paths: Iterable[Path],
    *,
    symbols: Sequence[str] = (),
    now: datetime | None = None,
    refused: list[str] | None = None,
    told: Callable[[str], None] = lambda _file: None,
) -> pl.DataFrame:
    """Every row of the files: `file`, `row`, `symbol`, `ts`, whole numbers, its session, and the `reason` against it.

    `start` and `end` are where the row's interval lies in the session, `regular` whether it does. `now`: rows later
    than that are no facts. `told` hears of each file that was read. A file of a wrong shape raises RecordingInvalid;
    where `refused` is given, the sentence is added to it and the file is left out.
    """
    frames = []
    for path in paths:
        try:
            frames.append(files.raw(path, kind, symbols))
        except files.RecordingInvalid as error:
            if refused is None:
                raise
            refused.append(str(error))
        told(path.name)
    return judged(frames, kind, now)


def judged(frames: Iterable[pl.DataFrame], kind: Kind, now: datetime | None) -> pl.DataFrame:
    """Rows as `recording_files.raw` gives them, with what `read` adds."""
    each = [_judged(frame, kind, now) for frame in frames]
    return _in_order(pl.concat(each), kind) if each else _nothing(kind)


def _nothing(kind: Kind) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {"row": pl.UInt32(), "symbol": pl.String(), "ts": INSTANT, "file": pl.String()}
    if kind.content is Content.OPTION_TRADES:
        schema |= {"expiry": pl.Date(), "right": pl.String()}
    schema |= dict.fromkeys((*kind.prices, *kind.counts), pl.Int64())
    empty = pl.DataFrame(schema=schema)
    return _in_order(_judged(empty, kind, None), kind)


def _judged(frame: pl.DataFrame, kind: Kind, now: datetime | None) -> pl.DataFrame:
    """Each row by itself."""
    col, numbers = pl.col, (*kind.prices, *kind.counts)
    required = ("symbol", "ts", *(("expiry", "right") if kind.content is Content.OPTION_TRADES else ()), *numbers)
    faults: list[tuple[pl.Expr, Rule]] = [
        (pl.any_horizontal(col(*required).is_null()), Rule.VALUE_MISSING),
        (~files.finite(frame, numbers), Rule.VALUE_NOT_FINITE),
        (~col("symbol").str.contains(_SYMBOL), Rule.SYMBOL_INVALID),
        (~files.plausible(frame), Rule.INSTANT_IMPLAUSIBLE),
    ]
    frame = frame.with_columns(reason=_first(faults))
    instant = pl.when(files.plausible(frame)).then(col("ts")).cast(INSTANT).alias("ts")
    frame = frame.with_columns(instant, *files.whole_numbers(frame, kind))
    frame = _with_session(frame, kind)
    faults = [
        (pl.any_horizontal(col(*kind.prices).is_null()), Rule.PRICE_TOO_LARGE),
        (pl.any_horizontal(col(*kind.counts).is_null()), Rule.COUNT_TOO_LARGE),
        (pl.any_horizontal(col(*kind.prices) <= 0), Rule.PRICE_NOT_POSITIVE),
        (pl.any_horizontal(col(*kind.counts) < 0), Rule.COUNT_NEGATIVE),
        *_price_faults(kind),
        *_day_faults(kind, now),
    ]
    return frame.with_columns(reason=pl.coalesce(col("reason"), _first(faults)))


def _price_faults(kind: Kind) -> list[tuple[pl.Expr, Rule]]:
    col = pl.col
    sides = ("bid_", "ask_") if kind.content is Content.QUOTES else ("",)
    upside_down = [col(f"{side}high") < col(f"{side}low") for side in sides]
    outside = [
        ~col(f"{side}{price}").is_between(col(f"{side}low"), col(f"{side}high"))
        for side in sides
        for price in ("open", "close")
    ]
    faults = [
        (pl.any_horizontal(*upside_down), Rule.HIGH_BELOW_LOW),
        (pl.any_horizontal(*outside), Rule.PRICE_OUTSIDE_RANGE),
    ]
    if kind.content is Content.QUOTES:
        crossed = [col(f"bid_{price}") > col(f"ask_{price}") for price in ("open", "close")]
        faults.append((pl.any_horizontal(*crossed), Rule.QUOTE_CROSSED))
    if kind.content is Content.OPTION_TRADES:
        faults.append((~col("right").is_in(["call", "put"]), Rule.OPTION_RIGHT_UNKNOWN))
        faults.append((col("expiry") < col("day"), Rule.OPTION_EXPIRED))
    return faults


def _day_faults(kind: Kind, now: datetime | None) -> list[tuple[pl.Expr, Rule]]:
    first, last = xnys().covers
    outside = ~_PAIR & ~pl.col("day").is_between(first, last)
    faults = [
        (pl.col("ts") > now if now is not None else pl.lit(value=False), Rule.INSTANT_IN_FUTURE),
        (pl.col("off_grid"), Rule.INSTANT_OFF_GRID),
        (outside, Rule.DAY_OUTSIDE_CALENDAR),
        (pl.col("opens").is_null(), Rule.DAY_NOT_A_SESSION),
    ]
    return faults if kind.step != DAY else [faults[0], *faults[2:], faults[1]]


def _first(faults: Iterable[tuple[pl.Expr, Rule]]) -> pl.Expr:
    """The first rule that is broken; null where none is."""
    return pl.coalesce(*(pl.when(broken).then(pl.lit(rule.value)) for broken, rule in faults))


_PAIR = pl.col("symbol").str.contains("/", literal=True)


@cache
def _sessions() -> pl.DataFrame:
    """`day`, `opens`, `closes`, `number` of the equity calendar."""
    first, last = xnys().covers
    sessions = xnys().sessions_between(first, last)
    return pl.DataFrame(
        {
            "day": [each.day for each in sessions],
            "opens": [each.open for each in sessions],
            "closes": [each.close for each in sessions],
            "number": range(len(sessions)),
        },
        schema={"day": pl.Date(), "opens": INSTANT, "closes": INSTANT, "number": pl.Int64()},
    )


def _with_session(frame: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Adds `day`, its session (`opens`, `closes`, `number`), `off_grid`, `start`, `end` and `regular`."""
    col, ts = pl.col, pl.col("ts")
    local = ts.dt.convert_time_zone("America/New_York")
    frame = frame.with_columns(day=pl.when(_PAIR).then(ts.dt.date()).otherwise(local.dt.date()))
    midnight = col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = frame.join(_sessions(), on="day", how="left", maintain_order="left").with_columns(
        opens=pl.when(_PAIR).then(midnight).otherwise(col("opens")),
        closes=pl.when(_PAIR).then(midnight + DAY).otherwise(col("closes")),
        number=pl.when(_PAIR).then(col("day").cast(pl.Int32).cast(pl.Int64)).otherwise(col("number")),
    )
    if kind.step == DAY:
        clock = pl.when(_PAIR).then(ts.dt.time()).otherwise(local.dt.time())
        return frame.with_columns(
            off_grid=clock.cast(pl.Int64) != 0,
            start=col("opens"),
            end=col("closes"),
            regular=col("opens").is_not_null(),
        )
    ends = ts + kind.step
    off_grid = ts.to_physical() % micros(instant_of(0) + kind.step) != 0
    if kind.step == HOUR:
        # An hour that reaches into the session counts with the part of it that is in the session.
        start, end = pl.max_horizontal(ts, col("opens")), pl.min_horizontal(ends, col("closes"))
        inside = (start < end) & col("opens").is_not_null()
        return frame.with_columns(
            off_grid=off_grid,
            start=pl.when(inside).then(start).otherwise(ts),
            end=pl.when(inside).then(end).otherwise(ends),
            regular=inside.fill_null(value=False),
        )
    inside = ((ts >= col("opens")) & (ends <= col("closes"))).fill_null(value=False)
    return frame.with_columns(off_grid=off_grid, start=ts, end=ends, regular=inside)


def _in_order(frame: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Rows against each other: duplicates over all files, the order within each. Only rows that are good count."""
    col, good = pl.col, pl.col("reason").is_null()
    identity = [*kind.identity]
    duplicate = frame.filter(good).with_columns(twice=~pl.struct(*identity, "ts").is_first_distinct())
    duplicate = duplicate.filter(col("twice")).select("file", "row", late=pl.lit(Rule.ROW_DUPLICATE.value))
    frame = _marked(frame, duplicate)
    group = ["file", *identity]
    ordered = frame.filter(good).with_columns(
        behind=(col("ts") < col("ts").cum_max().shift(1).over(group)).fill_null(value=False),
        ahead=(col("ts") > col("ts").cum_min(reverse=True).shift(-1).over(group)).fill_null(value=False),
    )
    # One row that is far ahead leaves all after it behind: whichever way blames fewer rows is right.
    fewer = col("ahead").sum().over(group) < col("behind").sum().over(group)
    blamed = ordered.filter(pl.when(fewer).then(col("ahead")).otherwise(col("behind")))
    return _marked(frame, blamed.select("file", "row", late=pl.lit(Rule.ROW_UNORDERED.value)))


def _marked(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    if found.is_empty():
        return frame
    joined = frame.join(found, on=["file", "row"], how="left", maintain_order="left")
    return joined.with_columns(reason=pl.coalesce("reason", "late")).drop("late")


def quarantined(frame: pl.DataFrame) -> list[Quarantined]:
    """The rows that broke a rule, in the order of the files."""
    bad = frame.filter(pl.col("reason").is_not_null()).select("file", "row", "reason")
    return [Quarantined(file, row, reason) for file, row, reason in bad.iter_rows()]


def reports(frame: pl.DataFrame, kind: Kind, paths: Iterable[Path]) -> list[FileReport]:
    """One for each file."""
    return [_report(frame.filter(pl.col("file") == path.name), kind, path.name) for path in paths]


def _report(frame: pl.DataFrame, kind: Kind, name: str) -> FileReport:
    good = frame.filter(pl.col("reason").is_null())
    regular = good.filter("regular")
    missing, gaps = _gaps(regular, kind)
    days_missing, day_gaps = _days_missing(regular)
    broken = frame.filter(pl.col("reason").is_not_null())["reason"].value_counts().sort("reason")
    return FileReport(
        file=name,
        kind=kind.prefix,
        rows=frame.height,
        used=good.height,
        extended=good.height - regular.height,
        symbols=tuple(sorted(good["symbol"].unique())),
        first=_instant(good["ts"].min()),
        last=_instant(good["ts"].max()),
        missing=missing,
        gaps=gaps + day_gaps,
        days_missing=days_missing,
        quarantined=dict(broken.iter_rows()),
    )


def _gaps(regular: pl.DataFrame, kind: Kind) -> tuple[int, int]:
    """Bars missing within the sessions of recorded days, and in how many stretches. Contracts trade when they do."""
    if kind.step == DAY or kind.content is Content.OPTION_TRADES or regular.is_empty():
        return 0, 0
    col, day = pl.col, ["symbol", "day"]
    ordered = regular.sort("symbol", "start")
    before = (col("start") - col("end").shift(1).over(day).fill_null(col("opens"))).dt.total_microseconds()
    tails = ordered.group_by(day).agg(pl.col("closes").last() - pl.col("end").last()).get_columns()[-1]
    holes = pl.concat([ordered.select(before.alias("hole"))["hole"], tails.dt.total_microseconds().alias("hole")])
    holes = holes.filter(holes > 0)
    step = micros(instant_of(0) + kind.step)
    return int(((holes + step - 1) // step).sum()), len(holes)


def _days_missing(regular: pl.DataFrame) -> tuple[int, int]:
    """Sessions without any row between a symbol's first and last, and in how many stretches."""
    days = regular.select("symbol", "number").unique().sort("symbol", "number")
    steps = days.select((pl.col("number") - pl.col("number").shift(1).over("symbol") - 1).alias("step"))["step"]
    holes = steps.drop_nulls().filter(steps.drop_nulls() > 0)
    return int(holes.sum()), len(holes)


def _instant(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
