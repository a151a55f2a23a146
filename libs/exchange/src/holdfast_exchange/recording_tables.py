"""Checked rows put together: what drives the replay, minutes and days made of finer bars, tables of rows (TS-3)."""

from array import array
from collections.abc import Callable, Mapping
from datetime import date
from typing import TypeVar

import polars as pl

from holdfast_exchange.recording_files import BAR_KINDS, BAR_PRICES, BARS_1D, BARS_1H, BARS_1M, BARS_1S, Kind
from holdfast_exchange.rows import Bar, OptionBar, QuoteBar, Rows, Table, amount, instant_of

Row = TypeVar("Row", Bar, QuoteBar, OptionBar)
Columns = Mapping[str, "array[int]"]
_QUOTE_COLUMNS = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close", "size"))
_COLUMNS = ("symbol", "day", "ts", "start", "end", *BAR_PRICES, "volume")


def driving(bars: Mapping[Kind, pl.DataFrame]) -> pl.DataFrame:
    """The regular bars of each symbol and day of the finest kind that has any; `rank` counts from the finest."""
    ranked = [
        bars[kind].filter("regular").select(*_COLUMNS, rank=pl.lit(rank, pl.Int8))
        for rank, kind in enumerate(BAR_KINDS)
    ]
    together = pl.concat(ranked)
    return together.filter(pl.col("rank") == pl.col("rank").min().over("symbol", "day"))


def steps(driven: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Names of the kinds that drive each symbol, finest first."""
    found = driven.select("symbol", "rank").unique().sort("symbol", "rank")
    named: dict[str, tuple[str, ...]] = {}
    for symbol, rank in found.iter_rows():
        named[symbol] = (*named.get(symbol, ()), BAR_KINDS[rank].name)
    return named


def minutes(bars: Mapping[Kind, pl.DataFrame]) -> pl.DataFrame:
    """Regular minutes: recorded, and on other days made of seconds."""
    recorded = bars[BARS_1M].filter("regular").select(_COLUMNS)
    seconds = bars[BARS_1S].filter("regular").select(_COLUMNS).sort("symbol", "ts")
    seconds = seconds.join(
        recorded.select("symbol", "day").unique(), on=["symbol", "day"], how="anti", maintain_order="left"
    )
    minute = pl.col("ts").dt.truncate("1m")
    made = seconds.with_columns(ts=minute, start=minute, end=minute + pl.duration(minutes=1))
    return pl.concat([recorded, _merged(made, ["symbol", "day", "ts", "start", "end"])])


def days(bars: Mapping[Kind, pl.DataFrame], minute_bars: pl.DataFrame) -> pl.DataFrame:
    """Days: recorded, and others made of minutes, else of hours; from midnight to the session's close."""
    found = bars[BARS_1D].select(*_COLUMNS)
    for finer in (minute_bars, bars[BARS_1H].filter("regular")):
        rest = (
            finer.select(_COLUMNS)
            .sort("symbol", "ts")
            .join(found.select("symbol", "day").unique(), on=["symbol", "day"], how="anti", maintain_order="left")
        )
        pair = pl.col("symbol").str.contains("/", literal=True)
        midnight = pl.col("day").cast(pl.Datetime("us"))
        utc = midnight.dt.replace_time_zone("UTC")
        local = midnight.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
        rest = rest.with_columns(ts=pl.when(pair).then(utc).otherwise(local))
        closed = _closes(bars).join(rest.select("symbol", "day").unique(), on=["symbol", "day"], how="semi")
        made = _merged(rest.drop("start", "end"), ["symbol", "day", "ts"]).join(closed, on=["symbol", "day"])
        found = pl.concat([found, made.select(_COLUMNS)])
    return found


def _closes(bars: Mapping[Kind, pl.DataFrame]) -> pl.DataFrame:
    """`start` and `end` of the session of each symbol and day that has bars."""
    sessions = [frame.select("symbol", "day", start="opens", end="closes").unique() for frame in bars.values()]
    return pl.concat(sessions).unique()


def _merged(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """One bar for each combination of `keys`; `rows` are in order of time."""
    col = pl.col
    merged = rows.group_by(keys, maintain_order=True).agg(
        col("open").first(),
        col("high").max(),
        col("low").min(),
        col("close").last(),
        col("volume").sum(),
    )
    return merged.select([column for column in _COLUMNS if column in merged.columns])


def bars(frame: pl.DataFrame, *, begin: str = "ts") -> Table[Bar]:
    """Bars by symbol. `begin` names the column of their starts: as recorded (`ts`) or within the session (`start`)."""

    def maker(symbol: str, columns: Columns, frame: pl.DataFrame) -> Callable[[int], Bar]:  # noqa: ARG001 - one shape
        prices, whole = _decimals(symbol)
        starts, ends, volume = columns[begin], columns["end"], columns["volume"]
        opened, high, low, close = (columns[name] for name in BAR_PRICES)
        return lambda place: Bar(
            symbol,
            instant_of(starts[place]),
            instant_of(ends[place]),
            amount(opened[place], prices),
            amount(high[place], prices),
            amount(low[place], prices),
            amount(close[place], prices),
            amount(volume[place], whole),
        )

    return _table(frame, begin, (*BAR_PRICES, "volume"), maker, [])


def quotes(frame: pl.DataFrame) -> Table[QuoteBar]:
    """Quotes by symbol."""

    def maker(symbol: str, columns: Columns, frame: pl.DataFrame) -> Callable[[int], QuoteBar]:  # noqa: ARG001
        prices, whole = _decimals(symbol)
        values = [(columns[name], whole if name.endswith("size") else prices) for name in _QUOTE_COLUMNS]
        starts, ends = columns["ts"], columns["end"]
        return lambda place: QuoteBar(
            symbol,
            instant_of(starts[place]),
            instant_of(ends[place]),
            *(amount(column[place], decimals) for column, decimals in values),
        )

    return _table(frame, "ts", _QUOTE_COLUMNS, maker, [])


def options(frame: pl.DataFrame) -> Table[OptionBar]:
    """Bars of option contracts by underlying, each in order of time, expiry, right and strike."""

    def maker(symbol: str, columns: Columns, frame: pl.DataFrame) -> Callable[[int], OptionBar]:
        expiries: list[date] = frame["expiry"].to_list()
        rights: list[str] = frame["right"].to_list()
        starts, ends, strikes, volume = columns["ts"], columns["end"], columns["strike"], columns["volume"]
        opened, high, low, close = (columns[name] for name in BAR_PRICES)
        return lambda place: OptionBar(
            symbol,
            instant_of(starts[place]),
            instant_of(ends[place]),
            expiries[place],
            rights[place],
            amount(strikes[place], 4),
            amount(opened[place], 4),
            amount(high[place], 4),
            amount(low[place], 4),
            amount(close[place], 4),
            amount(volume[place], 0),
        )

    return _table(frame, "ts", (*BAR_PRICES, "strike", "volume"), maker, ["expiry", "right", "strike"])


def _decimals(symbol: str) -> tuple[int, int]:
    """Places of prices and of sizes: cents and whole shares, or coins."""
    return (8, 8) if "/" in symbol else (4, 0)


def _table(
    frame: pl.DataFrame,
    begin: str,
    names: tuple[str, ...],
    maker: Callable[[str, Columns, pl.DataFrame], Callable[[int], Row]],
    order: list[str],
) -> Table[Row]:
    found = {}
    for group in frame.sort("symbol", "end", begin, *order).partition_by("symbol"):
        symbol = group["symbol"][0]
        columns = {name: array("q", group[name].to_physical().to_list()) for name in (begin, "end", *names)}
        found[symbol] = Rows(columns[begin], columns["end"], maker(symbol, columns, group))
    return Table(found)
