"""Which faults a call meets, and how often each has fired. Pure: its only memory is its counters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from holdfast_exchange.faults.base import Area, Fault
from holdfast_exchange.faults.chance import uniform
from holdfast_exchange.faults.plan import FaultPlan
from holdfast_exchange.faults.scope import Call, within

Kind = TypeVar("Kind", bound=Fault)


@dataclass(slots=True)
class Tally:
    """Counters of one fault."""

    seen: int = 0
    """Calls that its scope matched, before count and chance."""
    fired: int = 0


class FaultBoard:
    """The plan in force with its counters."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self.plan = plan or FaultPlan()
        self.tallies: dict[str, Tally] = {each.id: Tally() for each in self.plan.faults}

    def arm(self, plan: FaultPlan) -> None:
        """Another plan. A fault that stands in both unchanged keeps its counters."""
        before = {each.id: each for each in self.plan.faults}
        kept = {each.id for each in plan.faults if before.get(each.id) == each}
        self.tallies = {each.id: self.tallies[each.id] if each.id in kept else Tally() for each in plan.faults}
        self.plan = plan

    def restore(self, fault_id: str, *, seen: int, fired: int) -> None:
        """Counters as they were at a firing that was written down."""
        if fault_id in self.tallies:
            self.tallies[fault_id] = Tally(seen, fired)

    def any_of(self, *areas: Area) -> bool:
        """True where the plan has a fault there."""
        return any(each.area in areas for each in self.plan.faults)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The plan's faults of one class, in order."""
        return [each for each in self.plan.faults if isinstance(each, kind)]

    def firing(self, area: Area, call: Call) -> Iterator[Fault]:
        """The faults that `call` meets, each asked and counted when it is its turn."""
        for fault in self.plan.faults:
            if fault.area is area and self.fires(fault, call):
                yield fault

    def fires(self, fault: Fault, call: Call) -> bool:
        """Asks one fault, and counts."""
        tally = self.tallies[fault.id]
        if fault.at_most is not None and tally.fired >= fault.at_most:
            return False
        if not within(fault.scope, call):
            return False
        tally.seen += 1
        scope = fault.scope
        if scope.nth and tally.seen not in scope.nth:
            return False
        if scope.probability < 1 and uniform(self.plan.seed, fault.id, tally.seen) >= scope.probability:
            return False
        tally.fired += 1
        return True

    def draw(self, fault: Fault) -> tuple[object, ...]:
        """Words for `chance` that are new at each firing."""
        return (self.plan.seed, fault.id, "draw", self.tallies[fault.id].fired)
