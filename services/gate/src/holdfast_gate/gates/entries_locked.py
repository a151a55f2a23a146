"""ENTRIES_LOCKED."""

from holdfast_gate.domain.signals import Context
from holdfast_gate.gates.base import CycleGate, Verdict, blocked, passed


class EntriesLocked(CycleGate):
    """Execution locks entries at its start, during a merge and without the lease (order protocol, point 11)."""

    name = "entries_locked"
    title = "Entries unlocked by execution"
    requirements = ("SQ-5", "BR-8")

    def judge(self, context: Context) -> Verdict:
        why = context.ledger.entries_locked_reason
        numbers = {"ledger_version": str(context.ledger.version)}
        if why:
            return blocked("ENTRIES_LOCKED", f"Execution takes no entries now: {why}", {**numbers, "why": why})
        return passed(numbers)
