"""Plans of the world written by hand: faults that always strike, in a window of virtual seconds."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from holdfast_core.schedules import TradeKind
from holdfast_simulation.world import market
from holdfast_simulation.world.faults import Fault, Kind
from holdfast_simulation.world.plans import SWEEP_SECS, Plan
from holdfast_simulation.world.timed import CLOCK, TimedTrade
from holdfast_simulation.world.workload import REDUCES, CyclePlan, Wish

SPEED = 30.0
CHAOS_SECS = 30.0
SYMBOL = "BAC"


def plan(
    seed: int,
    faults: Iterable[Fault],
    cycles: Iterable[CyclePlan],
    *,
    timed: Iterable[TimedTrade] = (),
    day: date = market.DAY,
    sweep_secs: float = SWEEP_SECS,
) -> Plan:
    """The seed decides the market, the schedule, and the limits on entries."""
    return Plan(
        seed=seed,
        speed=SPEED,
        chaos_secs=CHAOS_SECS,
        faults=tuple(sorted(faults, key=lambda fault: fault.at_secs)),
        cycles=tuple(sorted(cycles, key=lambda cycle: cycle.at_secs)),
        timed=tuple(timed),
        day=day,
        sweep_secs=sweep_secs,
    )


def fault(number: int, kind: Kind, target: str, from_secs: float, until_secs: float) -> Fault:
    """Whenever it can, until its end."""
    return Fault(
        number=number, kind=kind, target=target, at_secs=from_secs, lasts_secs=until_secs - from_secs, probability=1.0
    )


def on_calls(kind: Kind, calls: Iterable[str], from_secs: float, until_secs: float) -> list[Fault]:
    """The same of several calls to the broker."""
    return [fault(100 + place, kind, call, from_secs, until_secs) for place, call in enumerate(calls)]


def both_crash(number: int, from_secs: float, until_secs: float) -> list[Fault]:
    """Nobody executes."""
    names = ("execution-0", "execution-1")
    return [fault(number + n, Kind.CRASH, name, from_secs, until_secs) for n, name in enumerate(names)]


def wants(number: int, at_secs: float, *, in_: bool = True, strategy: str = "alpha", valid_secs: int = 60) -> CyclePlan:
    """A cycle with one wish, for so many seconds of market time."""
    return CyclePlan(
        number=number,
        at_secs=at_secs,
        strategy=strategy,
        wishes=(Wish(symbol=SYMBOL, lean=0.0 if in_ else 0.99, weight=Decimal("0.1")),),
        valid_secs=valid_secs,
        stop_fraction=Decimal("0.03"),
    )


BOUGHT_BY_THE_CLOCK = (TimedTrade(strategy=CLOCK, kind=TradeKind.BUY, at="09:32"),)
"""Due in the fourth virtual second."""
SOLD_BY_THE_CLOCK = (TimedTrade(strategy="alpha", kind=TradeKind.SELL, at="09:34"),)
"""Due in the eighth."""
ENTRY = (wants(0, 4.2),)
PART_AT_SECS = 10.0
PART_SOLD = (
    wants(0, 4.2, strategy="beta", valid_secs=600),
    replace(
        wants(1, PART_AT_SECS, strategy="beta", valid_secs=240),
        wishes=(Wish(symbol=SYMBOL, lean=REDUCES, weight=Decimal("0.02")),),
    ),
)
"""Bought, and a part of it sold again."""
AGAIN_AND_AGAIN = tuple(wants(number, 4.2 + number * 1.5) for number in range(16))
IN_AND_OUT = tuple(wants(number, 4.2 + number * 2.2, in_=number % 3 != 2) for number in range(11))
