"""Whatever happens in the world, the invariants of the order protocol hold (SQ-1 … SQ-15, TS-2, TS-3, TS-4).

A failure names its seed: `holdfast simulate --replay SEED` tells its story, `--shrink FILE` makes it small. Every bug
that the world has found stays here as a plan. `HOLDFAST_SIMULATED_SEEDS` says how many fresh seeds are lived through.
"""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast_simulation.plan_writing import BOUGHT_BY_THE_CLOCK, SOLD_BY_THE_CLOCK
from holdfast_simulation.world import plans
from holdfast_simulation.world.faults import Kind
from holdfast_simulation.world.market import CLOCKS_BACK
from holdfast_simulation.world.plans import Plan, plan_of
from holdfast_simulation.world.run import run
from holdfast_simulation.world.sweep import Summary, lives

SAVED = sorted(Path(__file__).parent.joinpath("plans").glob("*.json"))
SEEDS = int(os.environ.get("HOLDFAST_SIMULATED_SEEDS", "120"))
SEEDS_TOLD = 4
MANY, MAY_BE_MISSED = 400, 2
"""Each kind of fault fires where there are many seeds; of fewer the rarest, a few in a hundred seeds, may have none."""
LEAST_ACTIVE_SECS, QUIET_SHARE = 300, 0.02
"""Of market time, in each life but the few whose limits and halts let nobody trade."""


@pytest.mark.timeout(3600)
def test_fresh_seeds_violate_nothing() -> None:
    first = random.SystemRandom().randrange(2**32)
    print(f"seeds {first} to {first + SEEDS - 1}")

    found, short = Summary(), []
    for outcome, cpu_secs in lives(range(first, first + SEEDS), jobs=os.cpu_count() or 1):
        found.add(outcome, cpu_secs)
        if outcome.active_secs < LEAST_ACTIVE_SECS:
            short.append(outcome.plan.seed)

    assert [(each.plan.seed, each.violations) for each in found.failed] == []
    assert found.posts
    assert found.fills
    assert len(short) <= max(1, QUIET_SHARE * SEEDS), short
    assert len(found.never_fired) <= (0 if SEEDS >= MANY else MAY_BE_MISSED)


@pytest.mark.parametrize("file", SAVED, ids=lambda file: file.stem)
def test_a_bug_that_was_found_stays_away(file: Path) -> None:
    assert run(plans.load(file)).violations == ()


def test_one_seed_is_one_story() -> None:
    """TS-3: two runs of a seed are the same to the last line."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")

    first, second = run(plan_of(seed)), run(plan_of(seed))

    assert first.story == second.story
    assert first.digest == second.digest


def test_one_seed_is_one_story_in_another_process() -> None:
    """TS-3: neither the hashes of words nor where things lie in memory decide anything."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seeds {seed} to {seed + SEEDS_TOLD - 1}")
    script = f"from {__name__} import tell; tell({seed})"

    def told(hash_seed: str) -> bytes:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)}
        return subprocess.run(
            [sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.PIPE
        ).stdout

    assert told("1") == told("2")


def tell(first: int) -> None:
    """Prints the whole stories of some seeds."""
    for seed in range(first, first + SEEDS_TOLD):
        print("\n".join(run(plan_of(seed)).story))


def test_a_plan_is_kept_whole() -> None:
    plan = replace(plan_of(4), timed=BOUGHT_BY_THE_CLOCK + SOLD_BY_THE_CLOCK, day=CLOCKS_BACK, sweep_secs=1_200.0)

    assert plans.from_json(plans.to_json(plan)) == plan


def test_a_plan_is_made_smaller_while_it_fails() -> None:
    """The failure stands for one that needs two faults, one cycle and one trade by the clock."""
    plan = next(each for each in map(plan_of, range(1000)) if len(each.faults) == 20)
    plan = replace(plan, timed=BOUGHT_BY_THE_CLOCK + SOLD_BY_THE_CLOCK)
    wanted = {plan.faults[3].number, plan.faults[15].number}

    def fails(smaller: Plan) -> bool:
        kept = wanted <= {fault.number for fault in smaller.faults} and plan.cycles[5] in smaller.cycles
        return kept and plan.timed[1] in smaller.timed

    smallest = plans.shrunk(plan, fails)

    assert {fault.number for fault in smallest.faults} == wanted
    assert smallest.cycles == (plan.cycles[5],)
    assert smallest.timed == (plan.timed[1],)


def test_without_faults_the_world_trades() -> None:
    """A calm world must not be quiet because nothing is tried."""
    plan = next(each for each in map(plan_of, range(1000)) if not each.faults)

    outcome = run(plan)

    assert outcome.violations == ()
    assert outcome.fills >= 2
    assert not +outcome.fired
    assert not any(outcome.fired[kind] for kind in Kind)
