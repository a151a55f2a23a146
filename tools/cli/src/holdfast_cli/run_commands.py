"""The commands that run strategies: `holdfast up` in a stack of processes, `holdfast backtest` in virtual time."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from holdfast_cli import backtest_command, backtest_grid, report_command
from holdfast_cli import plan as plans
from holdfast_cli import up as up_command
from holdfast_cli.command_line import ConfigOption, StateOption, console, errors, fail, settings_of
from holdfast_cli.kube_job import IMAGE, PODS
from holdfast_cli.kube_options import ImageOption, NamespaceOption, OnOption, PodsOption, Where, target_of
from holdfast_cli.recording_fit import fit
from holdfast_runtime.config import InvalidConfiguration
from holdfast_runtime.settings import Settings, VenueKind
from holdfast_signal.strategy import makers_of

BookOption = Annotated[str | None, typer.Option(help="What is traded: equity, crypto, or both: equity,crypto")]
SymbolsOption = Annotated[str | None, typer.Option(help="Narrows the recording: SPY,IBM")]
FromOption = Annotated[str | None, typer.Option("--from", help="First day or instant: 2013-10-07")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last day or instant: 2013-10-11")]
RecordingOption = Annotated[Path | None, typer.Option(help="Folder of Parquet files to replay.")]


def up(
    config: ConfigOption = None,
    venue: Annotated[VenueKind | None, typer.Option(help="papermarket replays a recording; alpaca trades.")] = None,
    live: Annotated[bool, typer.Option("--live", help="With account.live: true, allows a live account.")] = False,
    book: BookOption = None,
    speed: Annotated[
        str | None, typer.Option(help="Market seconds per second, or max: lock-step, as fast as the system.")
    ] = None,
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    recording: RecordingOption = None,
    faults: Annotated[Path | None, typer.Option(help="Plan of faults for papermarket: docs/faults.md")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop when the recording has ended.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the JSON report here (with --until-end).")] = None,
    state_dir: StateOption = None,
) -> None:
    """Start the whole stack on this machine and trade.

    Exit codes: 0 ended well, 1 the stack broke, 2 wrong usage, 3 an invariant did not hold.
    """
    overrides = _replayed(book=book, symbols=symbols, start=start, end=end, recording=recording)
    if venue is not None:
        overrides["venue"] = {"kind": venue.value}
    if speed is not None:
        overrides["replay"]["speed"] = _pace(speed)
    if faults is not None:
        overrides["replay"]["faults"] = str(faults.absolute())
    if state_dir is not None:
        overrides["state_dir"] = str(state_dir)
    settings = settings_of(config, overrides)
    _refuse_impossible(settings, live=live, until_end=until_end, report=report)
    try:
        plan = plans.lay_out(settings, os.environ, live=live)
    except InvalidConfiguration as error:
        fail(str(error))
    except OSError as error:
        fail(f"the run cannot be laid out in {settings.state_dir}: {error}")
    work = up_command.run(plan, console, until_end=until_end, report_file=report)
    raise typer.Exit(up_command.run_blocking(work))


def backtest(
    start: FromOption = None,
    end: ToOption = None,
    symbols: SymbolsOption = None,
    strategy: Annotated[
        str | None, typer.Option(help="Ids of configured strategies: sma,rotation. Default: those that are enabled.")
    ] = None,
    recording: RecordingOption = None,
    book: BookOption = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(help="Write the report here: a page for .html, else JSON; -: the standard output. Repeatable."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(help="Try every combination: sma.fast=5,10,20 or gate.collar=0.01,0.02. Repeatable."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes for --grid; 0: one for each core.")] = 0,
    on: OnOption = Where.HERE,
    pods: PodsOption = PODS,
    image: ImageOption = IMAGE,
    namespace: NamespaceOption = "",
    config: ConfigOption = None,
) -> None:
    """Run the services over a recording in virtual time, and say what they earned (docs/backtest.md).

    It decides, sends and fills what `holdfast up --speed max` does on the same days; no process is started.

    Exit codes: 0 done, 1 a service failed in it, 2 wrong usage, or a cluster could not do it, 3 an invariant did not
    hold.
    """
    overrides = _replayed(book=book, symbols=symbols, start=start, end=end, recording=recording)
    target = target_of(on, pods=pods, image=image, namespace=namespace)
    settings = _only(settings_of(config, overrides), strategy, book_given=book is not None)
    reports = report or []
    for file in reports:
        if file != report_command.STANDARD_OUTPUT and (problem := _unwritable(file)):
            fail(f"--report {file}: {problem}")
    _refuse_idle_books(settings)
    if target is not None and not grid:
        fail("--on kube needs --grid: one backtest is one process")
    if target is not None and settings.replay.recording is not None:
        fail("--on kube replays the recording of its image alone: a folder of this machine is not in it")
    if settings.replay.recording is not None:
        _refuse_idle(settings, settings.replay.recording)
    if not grid:
        raise typer.Exit(backtest_command.run(settings, reports=reports, errors=errors))
    try:
        axes = backtest_grid.axes_of(grid, settings_of(config, overrides))
    except InvalidConfiguration as error:
        fail(str(error))
    runs = [
        (point, _only(settings_of(config, tree), strategy, book_given=book is not None))
        for point in backtest_grid.points_of(axes)
        for tree in [backtest_grid.tree_of(point, axes, overrides)]
    ]
    raise typer.Exit(backtest_grid.run(runs, reports=reports, jobs=jobs, errors=errors, target=target))


def _replayed(
    *, book: str | None, symbols: str | None, start: str | None, end: str | None, recording: Path | None
) -> dict[str, Any]:
    """What the command line says of the books and the replay, to go over the configuration."""
    replay: dict[str, Any] = {
        key: str(value)
        for key, value in (("start", start), ("end", end), ("recording", recording))
        if value is not None
    }
    if symbols is not None:
        replay["symbols"] = [each.upper() for each in _listed(symbols)]
    return {"replay": replay} | ({} if book is None else {"books": _listed(book)})


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _pace(speed: str) -> float:
    if speed == "max":
        return 0.0
    try:
        return float(speed)
    except ValueError:
        fail(f"--speed: {speed!r} is not allowed; allowed: a number from 0 to 100000, or max")


def _only(settings: Settings, strategy: str | None, *, book_given: bool) -> Settings:
    """With these strategies alone, and no other book than theirs where none is asked for."""
    if strategy is None:
        return settings
    wanted, known = _listed(strategy), {each.id: each for each in settings.strategies}
    if strangers := [each for each in wanted if each not in known]:
        fail(f"--strategy: {', '.join(strangers)}: not configured; allowed: {', '.join(known)}")
    chosen = tuple(known[each].model_copy(update={"enabled": True}) for each in dict.fromkeys(wanted))
    return settings.model_copy(update={"strategies": chosen} | ({} if book_given else {"books": ()}))


def _refuse_idle_books(settings: Settings) -> None:
    trading = {each.book for each in settings.traded if each.enabled}
    if idle := [book.value for book in settings.books if book not in trading]:
        fail(f"books: no enabled strategy is of the {' and the '.join(idle)} book: add one to the configuration")


def _refuse_impossible(settings: Settings, *, live: bool, until_end: bool, report: Path | None) -> None:
    _refuse_idle_books(settings)
    if report is not None and not until_end:
        fail("--report needs --until-end: a report is written when the recording has ended")
    if report is not None and (problem := _unwritable(report)):
        fail(f"--report {report}: {problem}")
    if settings.venue.kind is VenueKind.PAPERMARKET:
        if live:
            fail("--live needs --venue alpaca: papermarket trades no real money")
        if settings.replay.recording is not None:
            _refuse_idle(settings, settings.replay.recording)
        if settings.replay.symbols or settings.replay.start or settings.replay.end:
            _refuse_unrecorded(settings)
        if settings.replay.faults is not None:
            _refuse_wrong_faults(settings.replay.faults)
        return
    if settings.replay.faults is not None:
        fail("--faults needs the papermarket venue: nobody breaks a real one on demand")
    if until_end:
        fail("--until-end needs the papermarket venue: a real market does not end")
    missing = [key for key in plans.BROKER_KEYS if not os.environ.get(key)]
    if missing:
        fail(f"--venue alpaca needs {' and '.join(missing)} in the environment")
    if live and not settings.account.live:
        fail("--live needs account.live: true in the configuration as well; it is false")
    if settings.account.live and not live:
        fail("account.live is true: a live account is refused without --live")


def _refuse_wrong_faults(file: Path) -> None:
    # Imported here: most runs have none.
    from holdfast_exchange.faults import plan as fault_plans

    try:
        fault_plans.load(file)
    except fault_plans.PlanRefused as error:
        fail(f"the fault plan is refused\n{error}")


def _refuse_idle(settings: Settings, recording: Path) -> None:
    """Refuses a recording that no strategy can trade, and says which strategies cannot."""
    found = fit(recording, makers_of(settings.traded))
    if found.refusal:
        fail(found.refusal)
    for note in found.notes:
        errors.print(Text.assemble(("recording: ", "yellow"), note), soft_wrap=True)


def _refuse_unrecorded(settings: Settings) -> None:
    """Refuses symbols and days that the recording does not have: papermarket would, once the stack is up."""
    # Imported here: most runs replay all that is recorded.
    from holdfast_exchange import replay as replays
    from holdfast_exchange.combining import load_defaults, load_folder
    from holdfast_exchange.recording import RecordingInvalid

    told, books = settings.replay, settings.active_books
    try:
        if told.recording is None:
            combined = load_defaults(books, symbols=told.symbols)
        else:
            combined = load_folder(told.recording, books, symbols=told.symbols)
        replays.plan(combined.recording, start=told.start, end=told.end)
    except RecordingInvalid as error:
        fail(str(error))


def _unwritable(file: Path) -> str:
    """Why no report could be written there; empty where one can. Asked before the run, not after it."""
    if file.is_dir():
        return "is a folder"
    folder = next(each for each in file.absolute().parents if each.exists())
    return "" if folder.is_dir() and os.access(folder, os.W_OK) else f"nothing can be written into {folder}"
