"""CYCLE_EXPIRED."""

from holdfast_gate.domain.signals import Context
from holdfast_gate.gates.base import CycleGate, Verdict, blocked, instant, passed


class CycleExpired(CycleGate):
    """A cycle is traded while it is valid and none newer of its strategy was decided (order protocol, freshness).

    Exits do not expire: they stay valid while there is a position to sell.
    """

    name = "cycle_expired"
    title = "Cycle still valid"
    requirements = ("BS-3", "IN-2")
    applies_to_reductions = True

    def judge(self, context: Context) -> Verdict:
        cycle = context.cycle
        progress = context.ledger.progress.get(cycle.strategy)
        newest = progress.last_cycle_at if progress is not None else None
        numbers = {
            "cycle_time": instant(cycle.market_time),
            "valid_until": instant(cycle.valid_until),
            "now": instant(context.now),
            "last_decided": instant(newest),
        }
        if context.now >= cycle.valid_until:
            return blocked("CYCLE_EXPIRED", "The cycle came after the end of its validity.", numbers)
        if newest is not None and cycle.market_time < newest:
            return blocked("CYCLE_EXPIRED", "A newer cycle of this strategy was decided before.", numbers)
        return passed(numbers)
