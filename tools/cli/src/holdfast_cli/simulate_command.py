"""`holdfast simulate`: lives through seeds of the simulated world and says what did not hold."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from holdfast_cli import kube_sweep
from holdfast_cli.kube_job import IMAGE, PODS, Target
from holdfast_cli.kube_options import ImageOption, NamespaceOption, OnOption, PodsOption, Where, target_of
from holdfast_runtime.errors import AskPerson

if TYPE_CHECKING:
    from holdfast_simulation.world.plans import Plan
    from holdfast_simulation.world.run import Outcome
    from holdfast_simulation.world.sweep import Summary

    Lives = Generator[tuple[Outcome, float], None, None]

EXIT_VIOLATED = 1
EXIT_USAGE = 2
MAX_SEEDS = 1_000_000
TOLD_AT_MOST = 10
"""Failed seeds that are told one by one."""

console = Console()
errors = Console(stderr=True)


def command(
    seeds: Annotated[int, typer.Option(min=1, max=MAX_SEEDS, help="How many seeds to live through.")] = 100,
    first_seed: Annotated[int | None, typer.Option(min=0, help="The first of them. Default: a fresh one.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one for each core.")] = 0,
    replay: Annotated[int | None, typer.Option(min=0, help="Print the story of one seed, line by line.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Print the story of a saved plan instead.", exists=True)] = None,
    shrink: Annotated[
        Path | None, typer.Option(help="With --replay or --plan: save the smallest plan that fails.")
    ] = None,
    incident: Annotated[
        str | None, typer.Option(help="Print the story of what has broken another system; `list` names them.")
    ] = None,
    on: OnOption = Where.HERE,
    pods: PodsOption = PODS,
    image: ImageOption = IMAGE,
    namespace: NamespaceOption = "",
) -> None:
    """Run the services in a world where everything goes wrong, seed after seed, and check the invariants.

    Exit codes: 0 everything held, 1 an invariant did not, 2 wrong usage, or a cluster could not do it.
    """
    target = target_of(on, pods=pods, image=image, namespace=namespace)
    if target is not None and (replay, plan, incident) != (None, None, None):
        errors.print("holdfast: --on kube is for many seeds: a story is told here")
        raise typer.Exit(EXIT_USAGE)
    # Imported here: nobody else of this command needs the services, and the image of the command has none of them.
    try:
        from holdfast_simulation import incidents
        from holdfast_simulation.world import plans, run, sweep
    except ModuleNotFoundError as error:
        errors.print(Text(f"holdfast: the simulated world is not installed here ({error.name}): use a checkout"))
        raise typer.Exit(EXIT_USAGE) from None

    if incident == "list":
        for each in incidents.INCIDENTS:
            console.print(Text(f"{each.name:<26} {each.happened} ({each.source})"), soft_wrap=True)
        return
    if incident is not None:
        try:
            found = incidents.named(incident)
        except KeyError:
            errors.print(Text(f"holdfast: no incident {incident!r}: `holdfast simulate --incident list` names them"))
            raise typer.Exit(EXIT_USAGE) from None
        outcome = found.live()
        _tell_story(outcome)
        raise typer.Exit(EXIT_VIOLATED if outcome.violations else 0)
    if replay is not None or plan is not None:
        outcome = run.run(plans.load(plan) if plan is not None else plans.plan_of(replay or 0))
        _tell_story(outcome)
        if shrink is not None:
            _save_smallest(outcome, shrink)
        raise typer.Exit(EXIT_VIOLATED if outcome.violations else 0)
    if shrink is not None:
        errors.print("holdfast: --shrink needs --replay or --plan")
        raise typer.Exit(EXIT_USAGE)
    first = int.from_bytes(os.urandom(4)) if first_seed is None else first_seed
    console.print(f"seeds {first} to {first + seeds - 1}", highlight=False)
    wanted = range(first, first + seeds)
    try:
        lives = sweep.lives(wanted, jobs=jobs or os.cpu_count() or 1) if target is None else _lives_on(target, wanted)
        summary = _summary(wanted, lives)
    except (kube_sweep.SweepFailed, AskPerson) as error:
        errors.print(Text(f"holdfast: {error}"), soft_wrap=True)
        raise typer.Exit(EXIT_USAGE) from None
    _tell(summary, _commit() if target is None else target.image)
    raise typer.Exit(EXIT_VIOLATED if summary.failed else 0)


def _lives_on(target: Target, seeds: range) -> "Lives":
    """The same from a cluster."""
    from holdfast_simulation import shares

    work = shares.Work(parts=kube_sweep.parts_of(len(seeds), target), seeds=seeds)
    return kube_sweep.run(work, target, shares.life_of, _note)


def _note(what: str) -> None:
    errors.print(Text(what), soft_wrap=True)


def _summary(seeds: range, lives: "Lives") -> "Summary":
    """Of all of them; a bar moves, and whatever is violated is told at once."""
    from holdfast_simulation.world.sweep import Summary

    summary = Summary()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not sys.stderr.isatty()) as progress, closing(lives):
        task = progress.add_task("seeds", total=len(seeds))
        for outcome, cpu_secs in lives:
            summary.add(outcome, cpu_secs)
            progress.advance(task)
            if outcome.violations:
                _note(f"seed {outcome.plan.seed}: {outcome.violations[0]}")
    return summary


def _tell_story(outcome: "Outcome") -> None:
    for line in outcome.story:
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"hash {outcome.digest}, {outcome.posts} orders sent, {outcome.fills} fills"))
    for violation in outcome.violations:
        console.print(Text(violation, style="bold red"), soft_wrap=True)


def _save_smallest(outcome: "Outcome", file: Path) -> None:
    from holdfast_simulation.world import plans, sweep

    if not outcome.violations:
        console.print("nothing was violated: there is nothing to shrink")
        return
    smallest: Plan = plans.shrunk(outcome.plan, sweep.fails_as(outcome))
    file.write_text(plans.to_json(smallest) + "\n")
    console.print(f"{file}: {len(smallest.faults)} faults and {len(smallest.cycles)} cycles still fail")


def _tell(summary: "Summary", code: str) -> None:
    """`code`: what lived through them."""
    hours = summary.market_secs / 3600
    active = summary.active_secs / 3600
    lines = [
        f"{summary.seeds} seeds: {hours:,.1f} h of market time, {active:,.1f} h of it active",
        f"{summary.posts:,} orders sent, {summary.fills:,} fills",
        f"{summary.parts:,} parts of positions sold, in {summary.with_parts:,} seeds",
        f"{summary.speed:,.0f} x active market time on one core",
        "faults fired: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.fired.items())),
        "facts told: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.told.items())),
    ]
    if summary.never_fired:
        lines.append("never fired: " + ", ".join(summary.never_fired))
    for failed in summary.failed[:TOLD_AT_MOST]:
        lines += [
            f"seed {failed.plan.seed} of {code}, hash {failed.digest}: {failed.violations[0]}",
            f"  holdfast simulate --replay {failed.plan.seed}",
        ]
    lines.append(f"{len(summary.failed)} seeds violated an invariant" if summary.failed else "everything held")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _commit() -> str:
    """The commit of the working tree that this runs from; else the release."""
    told = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"commit {told.stdout.strip()}" if told.returncode == 0 else f"release {version('holdfast-cli')}"
