"""Many seeds on several processes, and what they came to."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace

from holdfast_simulation.world.faults import Kind
from holdfast_simulation.world.plans import Plan, plan_of
from holdfast_simulation.world.run import Outcome, run

SEEDS_PER_PROCESS = 200
"""Then a fresh process goes on: what a seed leaves in memory stays bounded."""


@dataclass(slots=True)
class Summary:
    """Of a sweep."""

    seeds: int = 0
    active_secs: float = 0.0
    market_secs: float = 0.0
    cpu_secs: float = 0.0
    posts: int = 0
    fills: int = 0
    parts: int = 0
    with_parts: int = 0
    """Seeds in which a part of a position was sold."""
    fired: Counter[Kind] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    """Facts of the ledger by kind: which states were reached."""
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome, cpu_secs: float) -> None:
        """One more seed."""
        self.seeds += 1
        self.active_secs += outcome.active_secs
        self.market_secs += outcome.market_secs
        self.cpu_secs += cpu_secs
        self.posts += outcome.posts
        self.fills += outcome.fills
        self.parts += outcome.parts
        self.with_parts += outcome.parts > 0
        self.fired.update(outcome.fired)
        self.told.update(outcome.told)
        if outcome.violations:
            self.failed.append(outcome)

    @property
    def never_fired(self) -> list[Kind]:
        """Kinds of faults that no seed had."""
        return [kind for kind in Kind if not self.fired[kind]]

    @property
    def speed(self) -> float:
        """Active market seconds in one second of one core."""
        return self.active_secs / self.cpu_secs if self.cpu_secs else 0.0


def lives(seeds: Iterable[int], *, jobs: int) -> Generator[tuple[Outcome, float], None, None]:
    """Lives through every seed: what became of each as it ends, without its story, and the CPU seconds that it took."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, maxtasksperchild=SEEDS_PER_PROCESS) as pool:
        yield from pool.imap_unordered(_live, seeds)


def _live(seed: int) -> tuple[Outcome, float]:
    # Its story is told again by whoever asks for it.
    began_secs = time.process_time()
    outcome = run(plan_of(seed))
    return replace(outcome, story=()), time.process_time() - began_secs


def fails_as(outcome: Outcome) -> Callable[[Plan], bool]:
    """Does a plan violate something that this outcome did, whatever the numbers?"""
    wanted = {_name(each) for each in outcome.violations}

    def fails(plan: Plan) -> bool:
        return bool(wanted & {_name(each) for each in run(plan).violations})

    return fails


def _name(violation: str) -> str:
    """`invariant 6`, `failure`, …"""
    return violation.partition(":")[0]
