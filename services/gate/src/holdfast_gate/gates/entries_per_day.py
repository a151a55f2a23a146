"""THROTTLE_ACTIVE."""

from holdfast_gate.domain.signals import Candidate, Context
from holdfast_gate.gates.base import Gate, Verdict, blocked, passed


class EntriesPerDay(Gate):
    """A symbol is entered at most so often a day: the throttle against a loop that keeps buying."""

    name = "entries_per_day"
    title = "Entries of the symbol today"
    requirements = ("SQ-11",)

    def evaluate(self, signal: Candidate, context: Context) -> Verdict:
        last = context.ledger.last_entries.get(signal.symbol)
        limit = context.rules.max_entries_per_symbol_day
        # The count belongs to the day of the last entry: on a later day it is over.
        today = last.entries_today if last is not None and last.at.date() == context.now.date() else 0
        numbers = {"entries": str(today), "limit": str(limit)}
        if today >= limit:
            return blocked("THROTTLE_ACTIVE", f"{signal.symbol} was entered as often today as it may be.", numbers)
        return passed(numbers)
