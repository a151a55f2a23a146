"""POSITIONS_FULL."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, passed


class MaxPositions(Gate):
    """Open positions and open entries of the book, with those allowed earlier in the batch, stay below the limit."""

    name = "max_positions"
    title = "Room for another position"
    priority = "HIGH"
    requirements = ("FP-3.2", "RC-1", "BK-1")

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        taken = context.ledger.taken.get(context.cycle.book, frozenset())
        count = len(taken | context.allowed.symbols)
        numbers = {"positions": str(count), "limit": str(context.rules.max_positions)}
        if count >= context.rules.max_positions:
            return blocked("POSITIONS_FULL", f"The book is full: no room for {signal.symbol}.", numbers)
        return passed(numbers)
