"""`holdfast backtest --grid`: every combination of some settings, and a table of what each came to."""

import itertools
import json
import math
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from holdfast_cli import kube_sweep
from holdfast_cli.backtest_command import in_words, progress_bar, services_missing, write_reports
from holdfast_cli.kube_job import Target
from holdfast_cli.report_command import EXIT_BROKEN, EXIT_OK, EXIT_USAGE, STANDARD_OUTPUT, say
from holdfast_runtime.config import InvalidConfiguration
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.settings import Settings, StrategySettings

if TYPE_CHECKING:
    from holdfast_simulation.backtest.grid import Tried

    Tries = Generator[tuple[int, Tried | str], None, None]

MOST_RUNS = 1_000

KeyPath = tuple[str | int, ...]
Point = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting that is tried with several values."""

    key: str
    path: KeyPath
    """Where it is in the tree of the configuration."""
    values: tuple[Any, ...]


def axes_of(texts: Sequence[str], settings: Settings) -> list[Axis]:
    """Reads `sma.fast=5,10`: of a strategy, or of the configuration (`gate.collar=0.01,0.02`).

    Raises InvalidConfiguration where that cannot be read, or where it would be too many runs.
    """
    axes = [_axis(text, settings) for text in texts]
    keys = [axis.key for axis in axes]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InvalidConfiguration(f"--grid: given twice: {', '.join(twice)}")
    if (count := math.prod(len(axis.values) for axis in axes)) > MOST_RUNS:
        raise InvalidConfiguration(f"--grid: {count} runs are too many; allowed: up to {MOST_RUNS}")
    return axes


def _axis(text: str, settings: Settings) -> Axis:
    key, _, listed = text.partition("=")
    values = tuple(_value(each.strip()) for each in listed.split(",") if each.strip())
    if not key or not values:
        raise InvalidConfiguration(f"--grid: {text!r} is not allowed; allowed: key=a,b,c, as sma.fast=5,10,20")
    first, _, rest = key.partition(".")
    ids = [each.id for each in settings.strategies]
    if rest and first in ids:
        return Axis(key, ("strategies", ids.index(first), *_of_strategy(rest)), values)
    return Axis(key, tuple(key.split(".")), values)


def _of_strategy(name: str) -> KeyPath:
    return (name,) if name in StrategySettings.model_fields else ("parameters", *name.split("."))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def points_of(axes: Sequence[Axis]) -> list[Point]:
    """Every combination, by key."""
    keys = [axis.key for axis in axes]
    return [dict(zip(keys, each, strict=True)) for each in itertools.product(*(axis.values for axis in axes))]


def tree_of(point: Point, axes: Sequence[Axis], base: Mapping[str, Any]) -> dict[str, Any]:
    """What goes over the configuration for a point; `base` goes over it anyhow."""
    tree = {key: dict(value) if isinstance(value, Mapping) else value for key, value in base.items()}
    for axis in axes:
        parent: dict[Any, Any] = tree
        for part in axis.path[:-1]:
            parent = parent.setdefault(part, {})
        parent[axis.path[-1]] = point[axis.key]
    return tree


def run(
    runs: Sequence[tuple[Point, Settings]],
    *,
    reports: Sequence[Path],
    jobs: int,
    errors: Console,
    target: Target | None = None,
) -> int:
    """Runs them all, here or on a cluster, and writes their table. Exit codes as of `holdfast backtest`."""
    try:
        from holdfast_simulation.backtest import grid
    except ModuleNotFoundError as error:
        services_missing(error, errors)
        return EXIT_USAGE
    settings = [each for _, each in runs]
    here = jobs or os.cpu_count() or 1
    tries = grid.try_all(settings, jobs=here) if target is None else _tries_on(target, settings, errors)
    found: list[dict[str, Any]] = []
    try:
        with progress_bar(errors) as told, closing(tries):
            for place, tried in tries:
                point = runs[place][0]
                if isinstance(tried, str):
                    say(errors, f": {point}: {tried}", alarm="the backtest cannot be believed")
                    return EXIT_BROKEN
                found.append({"settings": point} | asdict(tried))
                told(len(found), len(runs))
    except (kube_sweep.SweepFailed, AskPerson) as error:
        say(errors, f": {error}", alarm="holdfast")
        return EXIT_USAGE
    found.sort(key=lambda each: (-each["figures"]["total_return"], json.dumps(each["settings"])))
    write_reports({"grid": found}, reports)
    console = errors if STANDARD_OUTPUT in reports else Console()
    console.print(_table(found))
    say(console, f"best of {len(found)}, which is no forecast: {in_words(found[0]['figures'])}")
    for file in reports:
        if file != STANDARD_OUTPUT:
            say(console, f"report {file}")
    return EXIT_OK


def _tries_on(target: Target, settings: Sequence[Settings], errors: Console) -> "Tries":
    """The same from a cluster."""
    from holdfast_simulation import shares

    work = shares.Work(parts=kube_sweep.parts_of(len(settings), target), runs=settings)
    return kube_sweep.run(work, target, shares.run_of, lambda what: say(errors, what))


def _table(found: Sequence[dict[str, Any]]) -> Table:
    keys = list(found[0]["settings"])
    table = Table(*keys, box=None)
    for name in ("return", "Sharpe", "drawdown", "trades", "win rate", "turnover", "costs"):
        table.add_column(name, justify="right")
    for each in found:
        f = each["figures"]
        table.add_row(
            *(str(each["settings"][key]) for key in keys),
            f"{f['total_return']:+.2%}",
            "-" if f["sharpe"] is None else f"{f['sharpe']:.2f}",
            f"{f['max_drawdown']:.2%}",
            str(f["trades"]),
            "-" if f["win_rate"] is None else f"{f['win_rate']:.0%}",
            f"{f['turnover']:.2f}",
            f["costs"],
        )
    return table
