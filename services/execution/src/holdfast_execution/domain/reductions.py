"""The sale of a part of a position: the stop gives up that part first, and goes on protecting the rest (SY-2).

The stop stays the owner of the exit. Protection counts what a reduction sells as no longer its own, so it makes the
stop smaller (`HoldingView.protectable`); here is said when the part is free to be sold. Whatever else sells goes first.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast_core import sessions
from holdfast_core.money import ZERO
from holdfast_execution.domain.strategies import STOPPED
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role


class ReduceStep(StrEnum):
    """What is to be done next with a reduction that was not sent."""

    DROP = "drop"
    AWAIT = "await"
    """The stop does not leave its part free yet."""
    SELL = "sell"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceMove:
    """A step, and why."""

    step: ReduceStep
    reason: str = ""


def out_of_time(*, book: str, now: datetime, valid_until: datetime | None, runs: bool) -> str:
    """Why a part may not be sent any more, for the first time or again; empty while it may (point 8).

    Its size rests on a price: it is sold in time, or not at all. What is sent to a closed market would wait for the
    price of another day. `runs`: its strategy; of one that was stopped the stop stays as it is (SQ-10).
    """
    if valid_until is not None and now >= valid_until:
        return "CYCLE_EXPIRED"
    if not runs:
        return STOPPED
    return "SESSION_CLOSED" if book == "equity" and sessions.session_at(now) is None else ""


def next_step(holding: HoldingView, order: OrderView, *, late: str) -> ReduceMove:
    """The next step of `order`, which is PENDING. `late`: why it is out of time; empty where it is not."""
    if order.phase is not Phase.PENDING:
        raise ValueError(f"{order.intent_id} is {order.phase}, it was sent")
    stops = [each for each in holding.of(Role.STOP) if not each.dormant]
    if holding.quantity <= order.quantity:
        return ReduceMove(step=ReduceStep.DROP, reason="NOTHING_HELD")
    if holding.owner is not Owner.STOP or holding.of(Role.EXIT, Role.FLATTEN):
        return ReduceMove(step=ReduceStep.DROP, reason="EXIT_TOOK_OVER")
    if any(each.sells_now for each in stops):
        return ReduceMove(step=ReduceStep.DROP, reason="STOP_TRIGGERED")
    if late:
        return ReduceMove(step=ReduceStep.DROP, reason=late)
    if holding.of(Role.ENTRY) or any(each.phase is not Phase.LIVE for each in stops):
        return ReduceMove(step=ReduceStep.AWAIT)
    # Exactly the rest: no share for sale twice, and none without its stop.
    covered = sum((each.remaining for each in stops), ZERO)
    return ReduceMove(step=ReduceStep.SELL if covered == holding.protectable else ReduceStep.AWAIT)
