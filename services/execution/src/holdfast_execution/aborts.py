"""The safety abort: no more entries of a strategy until a person looked; protection goes on (SQ-1, SQ-3, SQ-7)."""

from datetime import datetime

from holdfast_execution.ledger import Ledger
from holdfast_execution.rows import HaltRow, IntentRow

SAFETY_ABORT = "safety_abort"


def abort(ledger: Ledger, epoch: int, now: datetime, *, intent: IntentRow, reason: str) -> HaltRow:
    """Halts the strategy of `intent`; an abort that stands already is left as it is. Raises as `Ledger.add_halt`."""
    return ledger.add_halt(epoch, now, SAFETY_ABORT, f"{reason}: {intent.intent_id}", strategy=intent.strategy)
