"""The exit handover: a position has one exit owner at a time (order protocol, "One owner of the exit").

Store the new owner → cancel what rests → the broker confirms each end → read the broker's position again → sell at
most the remainder. Each call looks at the facts as they are stored and names the one next step, so a crash at any
point goes on from what was stored; a refused sale arms the stop again.
"""

from collections.abc import Container
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from holdfast_core.money import ZERO
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role, rank

BROKER_HOLDS_NOTHING = "BROKER_HOLDS_NOTHING"


class ExitStep(StrEnum):
    """What is to be done next, once."""

    STORE_OWNER = "store_owner"
    DROP_UNSENT = "drop_unsent"
    """An order of the symbol that never left: it ends here."""
    CANCEL = "cancel"
    AWAIT = "await"
    """The broker has not confirmed an end yet, or an outcome is not known."""
    READ_POSITION = "read_position"
    SELL = "sell"
    NOTHING_HELD = "nothing_held"
    YIELD = "yield"
    """An exit of higher priority owns the position: this one ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitMove:
    """A step and what it is about. `quantity` is set for SELL, and `rest` where something is left for a later sale."""

    step: ExitStep
    intent_id: str = ""
    quantity: Decimal = ZERO
    rest: Decimal = ZERO
    reason: str = ""


def next_move(
    holding: HoldingView,
    exit_order: OrderView,
    wanted: Owner,
    *,
    broker_quantity: Decimal | None,
    given_up: Container[str] = (),
) -> ExitMove:
    """The next step of the handover to `exit_order`, which is PENDING.

    `broker_quantity` is the broker's position as read *after* the last confirmed end, None where it was not read.
    `given_up`: stops and sales of parts whose outcome has not been known for so long that no sale waits for them any
    more. What such a part may still sell is left to it.
    """
    if exit_order.phase is not Phase.PENDING:
        raise ValueError(f"{exit_order.intent_id} is {exit_order.phase}, its handover is over")
    others = [order for order in holding.orders if order.intent_id != exit_order.intent_id and not order.over]
    rival = next((order for order in others if _outranks(order, exit_order, wanted)), None)
    if rival is not None and rival.owner is wanted and rival.remaining < holding.quantity:
        return ExitMove(step=ExitStep.AWAIT, intent_id=rival.intent_id, reason="REST_SOLD_LATER")
    if rival is not None:
        return ExitMove(step=ExitStep.YIELD, intent_id=rival.intent_id, reason="EXIT_OUTRANKED")
    triggered = next((order for order in others if order.role is Role.STOP and order.sells_now), None)
    if triggered is not None and rank(Owner.STOP) < rank(wanted):
        return ExitMove(step=ExitStep.AWAIT, intent_id=triggered.intent_id, reason="STOP_TRIGGERED")
    if holding.quantity <= 0 and not others:
        return ExitMove(step=ExitStep.NOTHING_HELD, reason="NOTHING_HELD")
    if holding.quantity > 0 and holding.owner is not wanted:
        return ExitMove(step=ExitStep.STORE_OWNER, reason=wanted.value)
    left_to_parts = ZERO
    for order in sorted(others, key=lambda each: (_cancel_rank(each), each.intent_id)):
        if _is_passed_over(order, wanted, given_up):
            left_to_parts += order.remaining if order.role is Role.REDUCE else ZERO
            continue
        if order.phase is Phase.PENDING:
            return ExitMove(step=ExitStep.DROP_UNSENT, intent_id=order.intent_id, reason="EXIT_TOOK_OVER")
        if order.phase is Phase.LIVE:
            return ExitMove(step=ExitStep.CANCEL, intent_id=order.intent_id, reason="EXIT_TOOK_OVER")
        return ExitMove(step=ExitStep.AWAIT, intent_id=order.intent_id, reason="END_UNCONFIRMED")
    if holding.quantity <= 0:
        return ExitMove(step=ExitStep.NOTHING_HELD, reason="NOTHING_HELD")
    if holding.quantity <= left_to_parts:
        return ExitMove(step=ExitStep.AWAIT, reason="PART_UNKNOWN")
    if broker_quantity is None:
        return ExitMove(step=ExitStep.READ_POSITION)
    remainder = min(holding.quantity - left_to_parts, broker_quantity)
    if remainder <= 0:
        return ExitMove(step=ExitStep.NOTHING_HELD, reason=BROKER_HOLDS_NOTHING)
    if holding.is_dust(remainder):
        return ExitMove(step=ExitStep.NOTHING_HELD, reason="DUST_HELD")
    return ExitMove(step=ExitStep.SELL, quantity=remainder, rest=left_to_parts)


def must_rearm(holding: HoldingView) -> bool:
    """True where an exit owns the position but none of its orders is left: it was refused, ended, or never began."""
    return holding.owner is not Owner.STOP and not holding.of(Role.EXIT, Role.FLATTEN)


def _is_passed_over(order: OrderView, wanted: Owner, given_up: Container[str]) -> bool:
    """Nobody knows whether it lives: what a stop may hold arbitrates at the broker, a part keeps what it may sell."""
    if order.phase is not Phase.UNCERTAIN or order.role not in (Role.STOP, Role.REDUCE):
        return False
    in_a_hurry = wanted is Owner.FLATTEN or (wanted is Owner.MONITOR and order.role is Role.REDUCE)
    return in_a_hurry or order.intent_id in given_up


def _outranks(other: OrderView, exit_order: OrderView, wanted: Owner) -> bool:
    """Another sale goes first where its owner ranks higher; of equal ones the one that left, else the smaller id."""
    if other.owner is None:
        return False
    if rank(other.owner) != rank(wanted):
        return rank(other.owner) < rank(wanted)
    return other.phase is not Phase.PENDING or other.intent_id < exit_order.intent_id


def _cancel_rank(order: OrderView) -> int:
    # Entries first: one that fills while the stop is already cancelled would leave more to protect.
    return {Role.ENTRY: 0, Role.EXIT: 1, Role.FLATTEN: 1, Role.REDUCE: 1, Role.STOP: 2}[order.role]
