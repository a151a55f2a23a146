"""The reading of answers and look-ups, row by row (order protocol, points 6 to 9)."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_execution.domain.outcomes import (
    MAX_BACKOFF_SECS,
    FollowUp,
    Lookup,
    Step,
    Unresolved,
    backoff_secs,
    read_absence,
    read_answer,
    read_failure,
    read_lookup,
)
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.venue import (
    BrokerOrder,
    NotSent,
    OrderRefused,
    OrderRequest,
    OrderType,
    OutcomeUnknown,
    RefusalKind,
    Side,
    Throttled,
    TimeInForce,
    Unauthorised,
)

REQUEST = OrderRequest(
    client_order_id="hf-a",
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal(10),
    type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    limit_price=Decimal(101),
)
ORDER = BrokerOrder(
    order_id="o-1",
    client_order_id="hf-a",
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal(10),
    filled_quantity=Decimal(0),
    filled_average_price=None,
    type="limit",
    time_in_force="day",
    status="new",
    limit_price=Decimal(101),
    stop_price=None,
    submitted_at=None,
    updated_at=None,
)
STATE = Unresolved(attempts=1, max_retries=3, still_valid=True, last_post_deadline_secs=100.0)


def refused(kind: RefusalKind) -> OrderRefused:
    return OrderRefused(kind, "no", http_status=403)


@pytest.mark.parametrize(
    ("answer", "step", "follow_up"),
    [
        (ORDER, Step.ADOPT, FollowUp.NONE),
        (replace(ORDER, client_order_id="other"), Step.LOOK_UP, FollowUp.NONE),
        (replace(ORDER, symbol="IBM"), Step.LOOK_UP, FollowUp.NONE),
        (replace(ORDER, side=Side.SELL), Step.LOOK_UP, FollowUp.NONE),
        (replace(ORDER, quantity=Decimal(11)), Step.LOOK_UP, FollowUp.NONE),
        (refused(RefusalKind.DUPLICATE_CLIENT_ID), Step.LOOK_UP, FollowUp.NONE),
        (refused(RefusalKind.WASH_TRADE), Step.REJECT, FollowUp.CANCEL_OPPOSITE),
        (refused(RefusalKind.SHARES_HELD), Step.REJECT, FollowUp.HANDOVER),
        (refused(RefusalKind.BUYING_POWER), Step.REJECT, FollowUp.SHRINK),
        (refused(RefusalKind.STOP_THROUGH_PRICE), Step.REJECT, FollowUp.FLATTEN),
        (refused(RefusalKind.MARKET_CLOSED), Step.REJECT, FollowUp.SKIP),
        (refused(RefusalKind.NOT_TRADABLE), Step.REJECT, FollowUp.SKIP),
        (refused(RefusalKind.OTHER), Step.REJECT, FollowUp.RETRY),
        (Unauthorised("401", steps=()), Step.CREDENTIALS_HALT, FollowUp.NONE),
        (Throttled("429", after_secs=3.0), Step.WAIT, FollowUp.NONE),
        (OutcomeUnknown("timeout"), Step.LOOK_UP, FollowUp.NONE),
        (NotSent("late"), Step.GIVE_BACK, FollowUp.NONE),
        (HoldfastError("what"), Step.LOOK_UP, FollowUp.NONE),
    ],
)
def test_each_row_of_the_table(answer: BrokerOrder | HoldfastError, step: Step, follow_up: FollowUp) -> None:
    outcome = read_answer(REQUEST, answer)
    assert (outcome.step, outcome.follow_up) == (step, follow_up)


@given(st.sampled_from(sorted(RefusalKind)))
def test_every_refusal_has_a_row(kind: RefusalKind) -> None:
    assert read_answer(REQUEST, refused(kind)).step in (Step.REJECT, Step.LOOK_UP)


def test_what_is_found_is_adopted_if_it_matches_dead_or_alive_and_aborts_if_not() -> None:
    assert read_lookup(REQUEST, replace(ORDER, status="rejected")).lookup is Lookup.ADOPT
    assert read_lookup(REQUEST, replace(ORDER, quantity=Decimal(1))).lookup is Lookup.ABORT


@given(
    attempts=st.integers(1, 8),
    valid=st.booleans(),
    age_secs=st.floats(0, 1_000),
    absences=st.integers(0, 5),
    in_list=st.booleans(),
)
def test_absence_ends_an_intent_only_on_evidence(
    attempts: int, valid: bool, age_secs: float, absences: int, in_list: bool
) -> None:
    """Invariants 4 and 11: at most 1 + 3 sends; a tombstone needs both 404s, a minute after the last deadline."""
    state = replace(STATE, attempts=attempts, still_valid=valid, absences_by_id=absences, absent_from_list=not in_list)
    outcome = read_absence(state, now_secs=100.0 + age_secs, tombstone_after_secs=60.0)
    if outcome.lookup is Lookup.RESEND:
        assert valid
        assert attempts <= 3
    if outcome.lookup is Lookup.TOMBSTONE:
        assert not valid or attempts > 3
        assert age_secs >= 60.0
        assert absences >= 1
        assert not in_list
    if valid and attempts > 3:
        assert outcome.lookup in (Lookup.ABORT, Lookup.TOMBSTONE)


def test_the_third_failed_lookup_aborts_and_every_one_leads_to_another() -> None:
    outcomes = [read_failure(replace(STATE, failed_lookups=n), first_wait_secs=0.25) for n in range(1, 6)]
    assert [outcome.lookup is Lookup.ABORT for outcome in outcomes] == [False, False, True, False, False]
    assert all(outcome.after_secs > 0 for outcome in outcomes)


@given(turn=st.integers(0, 10_000), first=st.floats(0.01, 1))
def test_backoff_doubles_to_its_bound(turn: int, first: float) -> None:
    wait = backoff_secs(turn, first_secs=first)
    assert first <= wait <= MAX_BACKOFF_SECS
    assert backoff_secs(turn + 1, first_secs=first) >= wait
