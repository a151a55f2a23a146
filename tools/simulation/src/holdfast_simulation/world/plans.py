"""What a seed decides beforehand: drawn, kept as a file, and made smaller while it still goes wrong."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from holdfast_core.schedules import TradeKind
from holdfast_simulation.world import faults as fault_lists
from holdfast_simulation.world import market, timed, workload
from holdfast_simulation.world.faults import Fault, Kind
from holdfast_simulation.world.timed import TimedTrade
from holdfast_simulation.world.workload import CyclePlan, Wish

T = TypeVar("T")

SPEEDS = (15.0, 30.0, 60.0)
"""Market seconds in one virtual second."""
SWEEP_SECS, ALL_DAY_SECS = 600.0, 23_400.0
"""So long before the close stops for the day become good till cancelled: as in production, or at any time, so that
lives far from the close see stops replaced, too."""
DAYS = (market.DAY, market.DAY, market.CLOCKS_FORWARD, market.CLOCKS_BACK)
FAULT_COUNTS = (0, 4, 10, 20, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One life of the world. `seed` decides what else there is to chance: the schedule, latencies, the market."""

    seed: int
    speed: float
    chaos_secs: float
    faults: tuple[Fault, ...]
    cycles: tuple[CyclePlan, ...]
    day: date = market.DAY
    timed: tuple[TimedTrade, ...] = ()
    sweep_secs: float = SWEEP_SECS


def plan_of(seed: int) -> Plan:
    """Drawn from the seed; each part from random numbers of its own."""
    shape = random.Random(f"{seed} shape")
    chaos_secs = shape.uniform(20.0, 40.0)
    speed, count = shape.choice(SPEEDS), shape.choice(FAULT_COUNTS)
    faults = fault_lists.draw(random.Random(f"{seed} faults"), count=count, within_secs=chaos_secs)
    if faults:
        strategies = [each.id for each in workload.STRATEGIES]
        faults += fault_lists.stops(random.Random(f"{seed} stops"), strategies, within_secs=chaos_secs)
        faults += fault_lists.holds(random.Random(f"{seed} holds"), within_secs=chaos_secs)
        faults += fault_lists.jumps(random.Random(f"{seed} jumps"), within_secs=chaos_secs)
        faults += fault_lists.splits(random.Random(f"{seed} splits"), within_secs=chaos_secs)
        faults += fault_lists.of_the_bus(random.Random(f"{seed} bus"), within_secs=chaos_secs)
    return Plan(
        seed=seed,
        speed=speed,
        chaos_secs=chaos_secs,
        faults=tuple(sorted(faults, key=lambda fault: fault.at_secs)),
        cycles=tuple(
            workload.draw(random.Random(f"{seed} workload"), count=shape.randint(10, 60), within_secs=chaos_secs)
        ),
        day=random.Random(f"{seed} day").choice(DAYS) if faults else market.DAY,
        timed=timed.draw(random.Random(f"{seed} timed"), within_secs=chaos_secs * speed) if faults else (),
        sweep_secs=random.Random(f"{seed} sweep").choice((SWEEP_SECS, ALL_DAY_SECS)),
    )


def to_json(plan: Plan) -> str:
    """For a file of the corpus."""
    return json.dumps(asdict(plan), default=str, indent=1)


def from_json(text: str) -> Plan:
    """The plan that `to_json` wrote. Raises ValueError or KeyError for anything else."""
    given: dict[str, Any] = json.loads(text)
    return Plan(
        seed=given["seed"],
        speed=given["speed"],
        chaos_secs=given["chaos_secs"],
        faults=tuple(Fault(**{**each, "kind": Kind(each["kind"])}) for each in given["faults"]),
        cycles=tuple(
            CyclePlan(
                **{
                    **each,
                    "stop_fraction": Decimal(each["stop_fraction"]),
                    "wishes": tuple(Wish(**{**wish, "weight": Decimal(wish["weight"])}) for wish in each["wishes"]),
                }
            )
            for each in given["cycles"]
        ),
        day=date.fromisoformat(given.get("day", str(market.DAY))),
        timed=tuple(TimedTrade(**{**each, "kind": TradeKind(each["kind"])}) for each in given.get("timed", ())),
        sweep_secs=given.get("sweep_secs", SWEEP_SECS),
    )


def load(file: Path) -> Plan:
    """A plan of the corpus."""
    return from_json(file.read_text())


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The smallest plan found that still fails: faults go first, then cycles and timed trades (delta
    debugging)."""
    smaller = replace(plan, faults=tuple(_minimal(plan.faults, lambda faults: fails(replace(plan, faults=faults)))))
    fewer = replace(
        smaller, cycles=tuple(_minimal(smaller.cycles, lambda cycles: fails(replace(smaller, cycles=cycles))))
    )
    return replace(fewer, timed=tuple(_minimal(fewer.timed, lambda trades: fails(replace(fewer, timed=trades)))))


def _minimal(whole: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """ddmin: leaves out ever smaller chunks, as long as what is left fails."""
    kept = tuple(whole)
    if kept and fails(()):
        return ()
    chunk = max(len(kept) // 2, 1)
    while kept:
        smaller = next(
            (
                without
                for first in range(0, len(kept), chunk)
                if (without := kept[:first] + kept[first + chunk :]) != kept and fails(without)
            ),
            None,
        )
        if smaller is not None:
            kept = smaller
        elif chunk == 1:
            break
        else:
            chunk = max(chunk // 2, 1)
    return kept
