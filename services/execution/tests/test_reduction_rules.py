"""When a part of a position may be sold: the pure rules (SY-2)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast_execution.domain.reductions import ReduceStep, next_step, out_of_time
from holdfast_execution.domain.views import HoldingView, OrderView, Owner, Phase, Role


def view(quantity: int, *orders: OrderView, owner: Owner = Owner.STOP) -> HoldingView:
    return HoldingView(
        symbol="SPY", strategy="sma", quantity=Decimal(quantity), stop_price=None, owner=owner, orders=orders
    )


def order(role: Role, quantity: int, phase: Phase = Phase.LIVE, filled: int = 0) -> OrderView:
    return OrderView(
        intent_id=f"{role}.{quantity}",
        role=role,
        phase=phase,
        quantity=Decimal(quantity),
        filled=Decimal(filled),
        time_in_force="gtc",
    )


MINUTE = timedelta(minutes=1)
NOON = datetime(2013, 10, 7, 16, 0, tzinfo=UTC)
PART = order(Role.REDUCE, 3, Phase.PENDING)


@pytest.mark.parametrize(
    ("holding", "step", "reason"),
    [
        (view(10, PART, order(Role.STOP, 7)), ReduceStep.SELL, ""),
        (view(10, PART, order(Role.STOP, 10)), ReduceStep.AWAIT, ""),
        (view(10, PART), ReduceStep.AWAIT, ""),
        (view(10, PART, order(Role.STOP, 7, Phase.PENDING)), ReduceStep.AWAIT, ""),
        (view(10, PART, order(Role.STOP, 7, Phase.UNCERTAIN)), ReduceStep.AWAIT, ""),
        (view(10, PART, order(Role.STOP, 7), order(Role.ENTRY, 5)), ReduceStep.AWAIT, ""),
        (view(10, PART, order(Role.STOP, 7, filled=2)), ReduceStep.DROP, "STOP_TRIGGERED"),
        (view(3, PART), ReduceStep.DROP, "NOTHING_HELD"),
        (view(0, PART), ReduceStep.DROP, "NOTHING_HELD"),
        (view(10, PART, owner=Owner.FLATTEN), ReduceStep.DROP, "EXIT_TOOK_OVER"),
        (view(10, PART, order(Role.EXIT, 10)), ReduceStep.DROP, "EXIT_TOOK_OVER"),
    ],
)
def test_a_part_is_sold_when_exactly_the_rest_is_protected(holding: HoldingView, step: ReduceStep, reason: str) -> None:
    move = next_step(holding, PART, late="")
    assert (move.step, move.reason) == (step, reason)


@pytest.mark.parametrize(
    ("book", "now", "runs", "reason"),
    [
        ("equity", NOON, True, ""),
        ("equity", NOON + MINUTE, True, "CYCLE_EXPIRED"),
        ("equity", NOON, False, "STRATEGY_STOPPED"),
        ("equity", NOON - timedelta(hours=12), True, "SESSION_CLOSED"),
        ("crypto", NOON - timedelta(hours=12), True, ""),
    ],
)
def test_a_part_is_not_sold_after_its_time(book: str, now: datetime, runs: bool, reason: str) -> None:
    """SY-2; point 8: what is out of time is only read."""
    late = out_of_time(book=book, now=now, valid_until=NOON + MINUTE, runs=runs)
    assert late == reason
    move = next_step(view(10, PART, order(Role.STOP, 7)), PART, late=late)
    assert (move.step, move.reason) == (ReduceStep.DROP if reason else ReduceStep.SELL, reason)
