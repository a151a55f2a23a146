"""Which faults a call meets, and how often each has fired. Pure: its only memory is its counters."""

from dataclasses import dataclass

from holdfast_exchange.faults.base import Fault
from holdfast_exchange.faults.chance import uniform
from holdfast_exchange.faults.plan import FaultPlan
from holdfast_exchange.faults.scope import Call, within


@dataclass(frozen=True, slots=True)
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

    def asked(self, fault: Fault, call: Call) -> tuple[bool, Tally]:
        """Whether a fault fires, and its counters after the question. Changes nothing."""
        tally = self.tallies[fault.id]
        if fault.at_most is not None and tally.fired >= fault.at_most:
            return False, tally
        if not within(fault.scope, call):
            return False, tally
        seen, scope = tally.seen + 1, fault.scope
        chosen = not scope.nth or seen in scope.nth
        if chosen and scope.probability < 1:
            chosen = uniform(self.plan.seed, fault.id, seen) < scope.probability
        return chosen, Tally(seen, tally.fired + chosen)

    def fires(self, fault: Fault, call: Call) -> bool:
        """Asks one fault, and counts."""
        fires, self.tallies[fault.id] = self.asked(fault, call)
        return fires

    def draw(self, fault: Fault) -> tuple[object, ...]:
        """Words for `chance` that are new at each firing."""
        return (self.plan.seed, fault.id, "draw", self.tallies[fault.id].fired)
