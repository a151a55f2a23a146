"""What becomes of a timed trade: done, late or skipped, once (order protocol, "Timers and stop"; SQ-13, IN-3).

A missed buy is skipped beyond its grace, a missed sale runs late, and a strategy that is stopped does neither.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast_core.schedules import TradeKind
from holdfast_execution.domain.strategies import STOPPED

BUY_MISSED = "BUY_MISSED"
SCHEDULE_CHANGED = "SCHEDULE_CHANGED"


class FiringState(StrEnum):
    """How far a firing is. Only DUE changes, and only once."""

    DUE = "due"
    DONE = "done"
    LATE = "late"
    """A sale that ran after its grace."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringRow:
    """One buy or sale of one session, as the ledger has it. Instants as in `holdfast_core.schedules.Firing`."""

    firing_id: str
    strategy: str
    kind: TradeKind
    planned_at: datetime
    due_at: datetime
    ends_at: datetime
    state: FiringState
    reason: str = ""

    @property
    def judged_at(self) -> datetime:
        """When there is something to decide: for a sale its instant, for a buy the end of its grace."""
        return self.due_at if self.kind is TradeKind.SELL else self.ends_at


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a firing ends."""

    state: FiringState
    reason: str = ""


def settlement(row: FiringRow, now: datetime, *, stopped: bool, decided: bool) -> Settlement | None:
    """How `row` ends now; None: not yet.

    `stopped`: its strategy is, by a person; `decided`: the ledger holds a decision about what this buy asked for.
    """
    if now < row.judged_at:
        return None
    if row.kind is TradeKind.BUY and decided:
        return Settlement(FiringState.DONE)
    if stopped:
        return Settlement(FiringState.SKIPPED, STOPPED)
    if row.kind is TradeKind.BUY:
        return Settlement(FiringState.SKIPPED, BUY_MISSED)
    return Settlement(FiringState.LATE if now >= row.ends_at else FiringState.DONE)
