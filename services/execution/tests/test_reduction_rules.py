"""When a part of a position may be sold: the pure rules (SY-2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast_execution.domain.exits import ExitStep, next_move
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


@pytest.mark.parametrize("wanted", [Owner.FLATTEN, Owner.MONITOR])
@pytest.mark.parametrize("broker_quantity", [10, 8, 7, 5])
def test_a_protective_sale_leaves_a_part_of_unknown_outcome_what_it_may_sell(
    wanted: Owner, broker_quantity: int
) -> None:
    """SY-2, invariants 7 and 8: it waits for nobody, and both together sell no more than is held."""
    unknown = order(Role.REDUCE, 3, Phase.UNCERTAIN)
    sale = replace(order(Role.FLATTEN, 10, Phase.PENDING), owner=wanted)
    move = next_move(view(10, unknown, sale, owner=wanted), sale, wanted, broker_quantity=Decimal(broker_quantity))
    assert (move.step, move.quantity, move.rest) == (ExitStep.SELL, min(7, broker_quantity), 3)


@pytest.mark.parametrize("phase", [Phase.LIVE, Phase.CANCELLING])
def test_a_protective_sale_waits_for_the_end_of_a_part_that_is_known(phase: Phase) -> None:
    """SY-2, one owner of the exit: cancel, confirmed, then all that is left."""
    known = order(Role.REDUCE, 3, phase)
    sale = replace(order(Role.FLATTEN, 10, Phase.PENDING), owner=Owner.FLATTEN)
    holding = view(10, known, order(Role.STOP, 7), sale, owner=Owner.FLATTEN)
    move = next_move(holding, sale, Owner.FLATTEN, broker_quantity=Decimal(10))
    step = ExitStep.CANCEL if phase is Phase.LIVE else ExitStep.AWAIT
    assert (move.step, move.intent_id) == (step, known.intent_id)
