"""`holdfast backtest`: the services over a recording in virtual time, and the report of what they did."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from holdfast_cli import report
from holdfast_cli.report_command import EXIT_BROKEN, EXIT_USAGE, STANDARD_OUTPUT, conclude, say, write
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.settings import Settings

if TYPE_CHECKING:
    from holdfast_simulation.backtest.run import Outcome
    from holdfast_simulation.backtest.run import Progress as Told

PAGE = ".html"


def run(settings: Settings, *, reports: Sequence[Path], errors: Console) -> int:
    """Runs it and writes its reports: a page where the name ends in .html, else JSON.

    Exit codes: 0 done, 1 it cannot be believed, 2 wrong usage, 3 an invariant does not hold.
    """
    # Imported here: nobody else of this command needs the services, and the image of the command has none of them.
    try:
        from holdfast_exchange.recording import RecordingInvalid
        from holdfast_simulation.backtest import run
    except ModuleNotFoundError as error:
        services_missing(error, errors)
        return EXIT_USAGE
    try:
        opened = run.open_recording(settings)
        with progress_bar(errors) as told:
            outcome = run.run(settings, opened, told)
    except (RecordingInvalid, AskPerson) as error:
        say(errors, f": {error}", alarm="holdfast")
        return EXIT_USAGE
    except run.BacktestFailed as error:
        say(errors, f": {error}", alarm="the backtest cannot be believed")
        return EXIT_BROKEN
    found = report_of(settings, outcome)
    write_reports(found, reports)
    console = errors if STANDARD_OUTPUT in reports else Console()
    code = conclude(found, None, console)
    say(console, in_words(found["backtest"]["figures"]))
    for file in reports:
        if file != STANDARD_OUTPUT:
            say(console, f"report {file}")
    return code


def report_of(settings: Settings, outcome: "Outcome") -> dict[str, Any]:
    """The report of a run as `holdfast up` writes it, and under `backtest` what only a backtest knows."""
    from holdfast_simulation.backtest.summary import summary

    found = report.build(
        ledger=outcome.ledger,
        verdict=outcome.verdict,
        prices={price.symbol: report.seen_price(price) for price in outcome.prices},
        stages={},
        books=outcome.books,
        recording=outcome.recording,
    )
    return found | {"backtest": summary(settings, outcome)}


@contextmanager
def progress_bar(errors: Console) -> Iterator["Told"]:
    """Told how much is done of how much; shown where somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("backtest", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def services_missing(error: ModuleNotFoundError, errors: Console) -> None:
    """Says that the command stands alone here, as in its image."""
    say(errors, f": the services are not installed here ({error.name}): use a checkout", alarm="holdfast")


def write_reports(found: dict[str, Any], reports: Sequence[Path]) -> None:
    """A page where the name ends in .html, else JSON."""
    from holdfast_simulation.backtest.page import page

    for file in reports:
        if file.suffix == PAGE:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page(found), encoding="utf-8")
        else:
            write(found, file)


def in_words(figures: dict[str, Any]) -> str:
    """Figures in one sentence."""

    def shown(name: str, form: str) -> str:
        return "-" if figures[name] is None else format(figures[name], form)

    return (
        f"return {shown('total_return', '+.2%')}, volatility {shown('volatility', '.2%')}, "
        f"Sharpe {shown('sharpe', '.2f')}, Sortino {shown('sortino', '.2f')}, "
        f"maximum drawdown {shown('max_drawdown', '.2%')}; {figures['trades']} trades, "
        f"win rate {shown('win_rate', '.0%')}, profit factor {shown('profit_factor', '.2f')}, "
        f"turnover {shown('turnover', '.2f')}, costs {figures['costs']}"
    )
