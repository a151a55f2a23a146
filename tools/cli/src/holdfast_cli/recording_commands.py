"""`holdfast recording`: check a folder of recorded market data, or make one.

What reads Parquet is imported by the commands themselves: no other command waits for it.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from holdfast_cli.recording_history import ALPACA_DATA, TIMEFRAMES, History, HistoryFailed, Window, share
from holdfast_core.new_york import NEW_YORK

if TYPE_CHECKING:
    from holdfast_exchange.recording_check import Inspection
    from holdfast_exchange.recording_rules import Quarantined
    from holdfast_exchange.recording_writer import Rows

EXIT_FAULTS = 1
EXIT_USAGE = 2
MOST_SHOWN = 20
KEYS = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")

app = typer.Typer(
    help="Check recorded market data, or make a recording of it, for `holdfast up --recording DIR`.\n\n"
    "A recording is a folder of Parquet files, found by prefix: bars_1s*, bars_1m*, bars_1h*, bars_1d*, quotes_1m*, "
    "option_trades_1m*, option_trades_1d*, and for pairs the same after crypto_. Columns and rules: "
    "docs/recordings.md.",
    no_args_is_help=True,
)
console = Console()
errors = Console(stderr=True)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The recording.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything that was found, as JSON.")] = False,
) -> None:
    """Judge every row of a recording: which file, which row, which rule.

    Exit codes: 0 sound (gaps are data, not faults), 1 rows or files are bad, 2 wrong usage.
    """
    from holdfast_exchange.recording_check import inspect, paths_of

    if not folder.is_dir():
        _fail(f"{folder}: there is no such folder")
    with _progress("checking", max(len(paths_of(folder)), 1)) as told:
        found = inspect(folder, now=datetime.now(UTC), told=lambda _file: told(1.0))
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
    else:
        _show(folder, found)
    if not found.sound:
        raise typer.Exit(EXIT_FAULTS)


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the recording will be.")],
    csv: Annotated[
        list[Path] | None,
        typer.Option("--csv", metavar="FILE", help="Make it of CSV files; may be given several times."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="What the CSV files hold: bars_1m, quotes_1m … Default: as each file's name begins."),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of CSV files without a symbol column.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of instants in CSV files that name none: America/New_York, UTC …")
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Make it of Alpaca's history: SPY,IBM,BTC/USD")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First day or instant of the history.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day or instant of the history.")] = None,
    timeframe: Annotated[str, typer.Option(help="Bars of the history: 1m, 1h or 1d.")] = "1m",
    feed: Annotated[str, typer.Option(help="Alpaca's feed of equities: sip or iex.")] = "sip",
    data_url: Annotated[str, typer.Option(help="Where the history is asked for.")] = ALPACA_DATA,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows that break a rule and name them, instead of stopping.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the recording that is there.")] = False,
) -> None:
    """Make a recording of CSV files, or of Alpaca's history (keys: ALPACA_API_KEY, ALPACA_SECRET_KEY).

    CSV columns are those of the Parquet files: symbol, ts, open, high, low, close, volume for bars. The recording
    appears whole or not at all.

    Exit codes: 0 made, 1 rows break a rule or the history cannot be had (nothing is written), 2 wrong usage.
    """
    if bool(csv) == bool(symbols):
        _fail("give either --csv FILE, or --symbols with --from and --to")
    from holdfast_exchange import recording_writer as writer
    from holdfast_exchange.recording_files import RecordingInvalid

    try:
        writer.check_place(folder, force=force)
        if csv:
            rows = _of_csv(csv, kind, symbol, timezone)
            source = "CSV: " + ", ".join(file.name for file in csv)
        else:
            windows = _windows(symbols or "", start, end, timeframe)
            rows = [_of_history(windows, timeframe, data_url, feed)]
            source = f"{data_url}, {feed}: {symbols} {start} {end} {timeframe}"
        bad = [each for found in rows for each in found.bad]
        _name_bad(bad, "line" if csv else "row")
        if bad and not skip_bad:
            errors.print(Text("nothing is written: mend them, or leave them out with --skip-bad"))
            raise typer.Exit(EXIT_FAULTS)
        written = writer.write(folder, rows, told={"source": source}, force=force)
    except RecordingInvalid as error:
        _fail(str(error))
    except (HistoryFailed, OSError) as error:
        errors.print(Text(f"holdfast: {error}"), soft_wrap=True)
        raise typer.Exit(EXIT_FAULTS) from error
    count = sum(found.frame.height for found in rows)
    console.print(Text(f"{folder}: {count} rows in {', '.join(written)}"), soft_wrap=True)


def _of_csv(paths: list[Path], kind: str | None, symbol: str | None, timezone: str | None) -> "list[Rows]":
    """Files of one kind become one: duplicates are found over all of them."""
    from holdfast_exchange import recording_csv, recording_writer
    from holdfast_exchange.recording_files import KINDS, RecordingInvalid

    zone = _zone(timezone)
    by_name = {each.prefix: each for each in KINDS}
    if kind is not None and kind not in by_name:
        _fail(f"--kind: {kind!r} is not allowed; allowed: {', '.join(by_name)}")
    frames: dict[str, list[Any]] = {}
    with _progress("reading", len(paths)) as told:
        for path in paths:
            found = by_name[kind] if kind else recording_csv.kind_by_name(path)
            if found is None:
                raise RecordingInvalid(
                    f"{path.name}: what it holds is not in its name: add --kind bars_1m, or rename it"
                )
            frame = recording_csv.read_csv(path, found, zone=zone, symbol=(symbol or "").upper())
            frames.setdefault(found.prefix, []).append(frame)
            told(1.0)
    now = datetime.now(UTC)
    return [recording_writer.rows_of(by_name[name], each, now=now) for name, each in frames.items()]


def _of_history(windows: list[Window], step: str, url: str, feed: str) -> "Rows":
    from holdfast_exchange import recording_csv, recording_writer
    from holdfast_exchange.recording_files import BAR_KINDS

    if missing := [key for key in KEYS if not os.environ.get(key)]:
        _fail(f"Alpaca's history needs {' and '.join(missing)} in the environment")
    history = History(url, os.environ[KEYS[0]], os.environ[KEYS[1]], feed)
    columns: dict[str, list[Any]] = {}
    with _progress("asking", len(windows)) as told:
        for window in windows:
            done = 0.0

            def so_far(at: datetime, window: Window = window) -> None:
                nonlocal done
                now = share(window, at)
                told(now - done)
                done = now

            for name, values in history.bars(window, so_far).items():
                columns.setdefault(name, []).extend(values)
            told(1.0 - done)
    kind = next(each for each in BAR_KINDS if each.name == step)
    return recording_writer.rows_of(kind, [recording_csv.as_frame(kind, columns, url)], now=datetime.now(UTC))


def _windows(symbols: str, start: str | None, end: str | None, step: str) -> list[Window]:
    wanted = [each.strip().upper() for each in symbols.split(",") if each.strip()]
    if not wanted or start is None or end is None:
        _fail("Alpaca's history needs --symbols, --from and --to")
    if step not in TIMEFRAMES:
        _fail(f"--timeframe: {step!r} is not allowed; allowed: {', '.join(TIMEFRAMES)}")
    if step == "1d" and (pairs := [each for each in wanted if "/" in each]):
        _fail(f"--timeframe 1d: {', '.join(pairs)}: Alpaca's days of pairs are not days of UTC; take 1h, days follow")
    windows = []
    for symbol in wanted:
        zone = UTC if "/" in symbol else NEW_YORK
        first, last = _instant(start, "--from", zone, last=False), _instant(end, "--to", zone, last=True)
        if last < first:
            _fail(f"--to {end} is before --from {start}")
        windows.append(Window(symbol=symbol, step=step, start=first, end=last))
    return windows


def _instant(text: str, option: str, zone: Any, *, last: bool) -> datetime:
    """A day is all of it where the symbol trades."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is not None:
        moment = datetime.combine(day, time(), zone).astimezone(UTC)
        return moment + timedelta(days=1) - timedelta(seconds=1) if last else moment
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        _fail(f"{option}: {text!r} is neither a day nor an instant of ISO 8601")
    if instant.tzinfo is None:
        _fail(f"{option}: {text} has no time zone: write 2013-10-07T13:30:00Z, or the day alone")
    return instant.astimezone(UTC)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        _fail(f"--timezone: {name!r} is not known; write it like America/New_York or UTC")


def _show(folder: Path, found: "Inspection") -> None:
    table = Table("file", "rows", "bad", "symbols", "from", "to", "missing", "gaps", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.no_wrap = True
        column.justify = "right"
    table.columns[0].overflow = "fold"
    for each in found.files:
        bad = sum(each.quarantined.values())
        days = (_day(each.first), _day(each.last))
        cells = (str(len(each.symbols)), *days, str(each.missing + each.days_missing), str(each.gaps))
        table.add_row(Text(each.file), str(each.rows), Text(str(bad), "red" if bad else ""), *cells)
    if found.files:
        console.print(table)
    for sentence in found.refused:
        console.print(Text.assemble(("refused: ", "red"), sentence), soft_wrap=True)
    for name in found.unread:
        console.print(Text(f"not read: {name}: no prefix of a recording fits its name"), soft_wrap=True)
    _name_bad(list(found.quarantined), "row", console)
    if found.steps:
        console.print(Text("replayed with: " + ", ".join(f"{name} {'+'.join(by)}" for name, by in found.steps.items())))
    verdict = "sound" if found.sound else f"{len(found.quarantined)} bad rows, {len(found.refused)} refusals"
    console.print(Text(f"{folder}: {verdict}"), soft_wrap=True)


def _name_bad(bad: "list[Quarantined]", word: str, where: Console = errors) -> None:
    from holdfast_exchange.recording_rules import explained

    for each in bad[:MOST_SHOWN]:
        line = f"{each.file} {word} {each.row}: {each.reason}: {explained(each.reason)}"
        where.print(Text(line), soft_wrap=True)
    if len(bad) > MOST_SHOWN:
        where.print(Text(f"… and {len(bad) - MOST_SHOWN} more"))


def _as_json(found: "Inspection") -> dict[str, Any]:
    told = asdict(found) | {"sound": found.sound}
    for file in told["files"]:
        file["first"], file["last"] = (each and each.isoformat() for each in (file["first"], file["last"]))
    return told


def _day(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d}"


@contextmanager
def _progress(words: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar on the terminal while it lasts; nothing where there is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(words, total=total)
        yield lambda steps: bar.advance(task, steps)


def _fail(message: str) -> NoReturn:
    errors.print(Text(f"holdfast: {message}"), soft_wrap=True)
    raise typer.Exit(EXIT_USAGE)
