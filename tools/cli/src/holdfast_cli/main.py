"""The `holdfast` command."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from holdfast_cli import (
    backtest_command,
    backtest_grid,
    bus_command,
    certificates,
    fault_commands,
    recording_commands,
    report_command,
    simulate_command,
)
from holdfast_cli import doctor as doctor_command
from holdfast_cli import plan as plans
from holdfast_cli import ready as ready_command
from holdfast_cli import status as status_command
from holdfast_cli import trial as trial_command
from holdfast_cli import up as up_command
from holdfast_cli.recording_fit import fit
from holdfast_cli.stack_calls import StackFiles, files_of_run, mounted_files
from holdfast_cli.trace_view import TraceNotFound, show
from holdfast_exchange.faults import plan as fault_plans
from holdfast_runtime.config import InvalidConfiguration, dump_settings, load_settings
from holdfast_runtime.settings import Settings, VenueKind
from holdfast_signal.strategy import makers_of

EXIT_NOT_READY = 1
EXIT_USAGE = 2
DEFAULT_CONFIG = Path(__file__).with_name("default.yaml")
OWN_CONFIG = Path("holdfast.yaml")

app = typer.Typer(
    help="Holdfast runs trading strategies as small services that stay safe when anything around them fails.",
    no_args_is_help=True,
    add_completion=False,
)
config_app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(fault_commands.app, name="faults")
app.command("certificates")(certificates.command)
bus_app = typer.Typer(help="The streams and buckets of the bus.", no_args_is_help=True)
app.add_typer(bus_app, name="bus")
app.add_typer(recording_commands.app, name="recording")
app.command("simulate")(simulate_command.command)
console = Console()
errors = Console(stderr=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration. Default: holdfast.yaml here, else the built-in one."),
]
StateOption = Annotated[Path | None, typer.Option("--state-dir", help="Where runs are kept. Default: .holdfast here.")]

BookOption = Annotated[str | None, typer.Option(help="What is traded: equity, crypto, or both: equity,crypto")]
SymbolsOption = Annotated[str | None, typer.Option(help="Narrows the recording: SPY,IBM")]
FromOption = Annotated[str | None, typer.Option("--from", help="First day or instant: 2013-10-07")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last day or instant: 2013-10-11")]
RecordingOption = Annotated[Path | None, typer.Option(help="Folder of Parquet files to replay.")]


@app.command()
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
    settings = _settings(config, overrides)
    _refuse_impossible(settings, live=live, until_end=until_end, report=report)
    try:
        plan = plans.lay_out(settings, os.environ, live=live)
    except InvalidConfiguration as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"the run cannot be laid out in {settings.state_dir}: {error}")
    work = up_command.run(plan, console, until_end=until_end, report_file=report)
    raise typer.Exit(up_command.run_blocking(work))


@app.command()
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
    config: ConfigOption = None,
) -> None:
    """Run the services over a recording in virtual time, and say what they earned (docs/backtest.md).

    It decides, sends and fills what `holdfast up --speed max` does on the same days; no process is started.

    Exit codes: 0 done, 1 a service failed in it, 2 wrong usage, 3 an invariant did not hold.
    """
    overrides = _replayed(book=book, symbols=symbols, start=start, end=end, recording=recording)
    settings = _only(_settings(config, overrides), strategy, book_given=book is not None)
    reports = report or []
    for file in reports:
        if file != report_command.STANDARD_OUTPUT and (problem := _unwritable(file)):
            _fail(f"--report {file}: {problem}")
    _refuse_idle_books(settings)
    if settings.replay.recording is not None:
        _refuse_idle(settings, settings.replay.recording)
    if not grid:
        raise typer.Exit(backtest_command.run(settings, reports=reports, errors=errors))
    try:
        axes = backtest_grid.axes_of(grid, _settings(config, overrides))
    except InvalidConfiguration as error:
        _fail(str(error))
    runs = [
        (point, _only(_settings(config, tree), strategy, book_given=book is not None))
        for point in backtest_grid.points_of(axes)
        for tree in [backtest_grid.tree_of(point, axes, overrides)]
    ]
    raise typer.Exit(backtest_grid.run(runs, reports=reports, jobs=jobs, errors=errors))


@app.command()
def status(state_dir: StateOption = None) -> None:
    """Show the newest run: its processes, market time and the dashboard's address.

    Exit codes: 0 all ready, 1 something is not.
    """
    if not asyncio.run(status_command.show(_latest(state_dir).resolve(), console)):
        raise typer.Exit(EXIT_NOT_READY)


@app.command()
def ready(state_dir: StateOption = None) -> None:
    """List what stands between now and GREEN, with what to do about it: in the newest run, or in a pod its release.

    Exit codes: 0 GREEN, 1 not.
    """
    if not asyncio.run(ready_command.show(_stack(state_dir), console)):
        raise typer.Exit(EXIT_NOT_READY)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    admin: Annotated[str, typer.Option(help="host:port of admin's gRPC, as of kubectl port-forward.")] = "",
    certificates: Annotated[
        Path | None, typer.Option(help="With --admin: folder of operator.crt, operator.key and ca.crt.")
    ] = None,
    state_dir: StateOption = None,
) -> None:
    """Have every service examine its edges now, and say what to do about what is wrong: newest run, or in a pod.

    Exit codes: 0 nothing is RED, 1 something is.
    """
    if not admin:
        work = doctor_command.of_stack(_stack(state_dir))
    elif certificates is None:
        _fail("--admin: give --certificates too")
    else:
        work = doctor_command.of_admin_at(admin, certificates)
    if not doctor_command.show(asyncio.run(work), console, as_json=as_json):
        raise typer.Exit(EXIT_NOT_READY)


@app.command()
def report(
    until_end: Annotated[bool, typer.Option("--until-end", help="Wait until the recording has ended.")] = False,
    to: Annotated[Path, typer.Option("--to", help="Write the JSON report here; -: the standard output.")] = Path("-"),
    state_dir: StateOption = None,
) -> None:
    """Make the JSON report of the stack as it is now: the newest run's, or in a pod that of its own release.

    Exit codes: 0 made, 1 it could not be made, 2 wrong usage, 3 an invariant does not hold.
    """
    files = _stack(state_dir)
    work = report_command.run(files, errors, until_end=until_end, report_file=to)
    raise typer.Exit(up_command.run_blocking(work))


@app.command("test")
def trial(
    jaeger: Annotated[str, typer.Option(help="Base of Jaeger's query API: finds the signal's trace, too.")] = "",
    state_dir: StateOption = None,
) -> None:
    """Send one signal that can never trade down the whole chain, and find its decision and its trace.

    Needs a bus with certificates, as in a cluster. Exit codes: 0 it went its whole way, 1 it did not.
    """
    if not asyncio.run(trial_command.run(_stack(state_dir), console, jaeger=jaeger)):
        raise typer.Exit(EXIT_NOT_READY)


@bus_app.command("apply")
def bus_apply(state_dir: StateOption = None) -> None:
    """Make every stream and bucket as it is declared: of the newest run, or in a pod of its own release.

    Exit codes: 0 all are as declared, 1 the bus is away or refuses a change, 2 wrong usage.
    """
    raise typer.Exit(bus_command.run(_stack(state_dir), console, errors))


@app.command()
def token(state_dir: StateOption = None) -> None:
    """Print the dashboard's token of the newest run."""
    file = _latest(state_dir) / "admin.token"
    try:
        console.print(Text(file.read_text()), soft_wrap=True)
    except OSError as error:
        _fail(f"{file}: {error.strerror}: start a run with `holdfast up`")


@app.command()
def trace(
    subject: Annotated[str, typer.Argument(help="A signal id, a client order id, a broker order id or a trace id.")],
    state_dir: StateOption = None,
) -> None:
    """Print the way of a signal or an order through the services, with times."""
    try:
        show(_latest(state_dir), subject, console)
    except TraceNotFound as error:
        _fail(str(error))


@config_app.command("check")
def config_check(config: ConfigOption = None) -> None:
    """Check a configuration and print it whole, with its defaults."""
    console.print(Text(dump_settings(_settings(config, {}))), soft_wrap=True)


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
        _fail(f"--speed: {speed!r} is not allowed; allowed: a number from 0 to 100000, or max")


def _settings(config: Path | None, overrides: dict[str, Any]) -> Settings:
    file = config or (OWN_CONFIG if OWN_CONFIG.exists() else DEFAULT_CONFIG)
    if not file.exists():
        _fail(f"{file}: there is no such configuration file")
    try:
        settings = load_settings(file, os.environ, overrides)
        makers_of(settings.strategies)
    except InvalidConfiguration as error:
        _fail(f"the configuration is refused\n{error}")
    return settings


def _only(settings: Settings, strategy: str | None, *, book_given: bool) -> Settings:
    """With these strategies alone, and no other book than theirs where none is asked for."""
    if strategy is None:
        return settings
    wanted, known = _listed(strategy), {each.id: each for each in settings.strategies}
    if strangers := [each for each in wanted if each not in known]:
        _fail(f"--strategy: {', '.join(strangers)}: not configured; allowed: {', '.join(known)}")
    chosen = tuple(known[each].model_copy(update={"enabled": True}) for each in dict.fromkeys(wanted))
    return settings.model_copy(update={"strategies": chosen} | ({} if book_given else {"books": ()}))


def _refuse_idle_books(settings: Settings) -> None:
    trading = {each.book for each in settings.traded if each.enabled}
    if idle := [book.value for book in settings.books if book not in trading]:
        _fail(f"books: no enabled strategy is of the {' and the '.join(idle)} book: add one to the configuration")


def _refuse_impossible(settings: Settings, *, live: bool, until_end: bool, report: Path | None) -> None:
    _refuse_idle_books(settings)
    if report is not None and not until_end:
        _fail("--report needs --until-end: a report is written when the recording has ended")
    if report is not None and (problem := _unwritable(report)):
        _fail(f"--report {report}: {problem}")
    if settings.venue.kind is VenueKind.PAPERMARKET:
        if live:
            _fail("--live needs --venue alpaca: papermarket trades no real money")
        if settings.replay.recording is not None:
            _refuse_idle(settings, settings.replay.recording)
        if settings.replay.faults is not None:
            _refuse_wrong_faults(settings.replay.faults)
        return
    if settings.replay.faults is not None:
        _fail("--faults needs the papermarket venue: nobody breaks a real one on demand")
    if until_end:
        _fail("--until-end needs the papermarket venue: a real market does not end")
    missing = [key for key in plans.BROKER_KEYS if not os.environ.get(key)]
    if missing:
        _fail(f"--venue alpaca needs {' and '.join(missing)} in the environment")
    if live and not settings.account.live:
        _fail("--live needs account.live: true in the configuration as well; it is false")
    if settings.account.live and not live:
        _fail("account.live is true: a live account is refused without --live")


def _refuse_wrong_faults(file: Path) -> None:
    try:
        fault_plans.load(file)
    except fault_plans.PlanRefused as error:
        _fail(f"the fault plan is refused\n{error}")


def _refuse_idle(settings: Settings, recording: Path) -> None:
    """Refuses a recording that no strategy can trade, and says which strategies cannot."""
    found = fit(recording, makers_of(settings.traded))
    if found.refusal:
        _fail(found.refusal)
    for note in found.notes:
        errors.print(Text.assemble(("recording: ", "yellow"), note), soft_wrap=True)


def _unwritable(file: Path) -> str:
    """Why no report could be written there; empty where one can. Asked before the run, not after it."""
    if file.is_dir():
        return "is a folder"
    folder = next(each for each in file.absolute().parents if each.exists())
    return "" if folder.is_dir() and os.access(folder, os.W_OK) else f"nothing can be written into {folder}"


def _stack(state_dir: Path | None) -> StackFiles:
    """The stack that is meant: in a pod the mounted one, else the newest run."""
    mounted = mounted_files(os.environ) if state_dir is None else None
    return mounted or files_of_run(_latest(state_dir))


def _latest(state_dir: Path | None) -> Path:
    folder = plans.latest_run(state_dir or Path(".holdfast"))
    if folder is None:
        _fail(f"no run in {state_dir or Path('.holdfast')}: start one with `holdfast up`")
    return folder


def _fail(message: str) -> NoReturn:
    # As it is: what a user typed may look like markup.
    errors.print(Text(f"holdfast: {message}"), soft_wrap=True)
    raise typer.Exit(EXIT_USAGE)


if __name__ == "__main__":
    app()
