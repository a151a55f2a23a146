"""CYCLE_FULL."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, passed


class MaxNewPerCycle(Gate):
    """One cycle opens at most so many positions; the next cycle begins at none."""

    name = "max_new_per_cycle"
    title = "New positions of this cycle"
    requirements = ("FP-3.3",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        limit = context.rules.max_new_per_cycle
        numbers = {"new": str(context.allowed.entries), "limit": str(limit)}
        if context.allowed.entries >= limit:
            return blocked("CYCLE_FULL", f"This cycle has opened as many as it may: {signal.symbol} waits.", numbers)
        return passed(numbers)
