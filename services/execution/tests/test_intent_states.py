"""The intent state machine (order protocol, points 5-10; invariants 1, 11 and 13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.domain.intents import (
    AT_BROKER,
    OPEN,
    PROVEN,
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    IntentState,
    Purpose,
    after_fill,
    is_late_fill,
    may_begin_next_leg,
    may_claim,
    transition,
)
from holdfast_execution.messages import PURPOSES, STATES

states = st.sampled_from(IntentState)


def test_states_and_purposes_are_those_of_the_contract() -> None:
    assert set(STATES.values()) | {execution.INTENT_STATE_UNSPECIFIED} == set(execution.IntentState.values())
    assert set(PURPOSES.values()) | {execution.PURPOSE_UNSPECIFIED} == set(execution.Purpose.values())


def test_only_entries_raise_risk() -> None:
    assert [purpose for purpose in Purpose if purpose.raises_risk] == [Purpose.ENTRY]


@given(states, st.lists(states))
def test_terminal_states_absorb_whatever_is_reported_later(start: IntentState, reports: list[IntentState]) -> None:
    state, ended = start, start in TERMINAL
    for report in reports:
        before = state
        try:
            state = transition(state, report)
        except IllegalTransition:
            continue
        assert not ended or state is before
        ended = state in TERMINAL


@given(states)
def test_unknown_ends_only_on_evidence_of_the_broker_or_a_new_send(after: IntentState) -> None:
    """Invariant 11: never back to PENDING or NOT_SENT, as if nothing had been sent."""
    if after in (IntentState.PENDING, IntentState.NOT_SENT):
        with pytest.raises(IllegalTransition):
            transition(IntentState.UNKNOWN, after)


@given(states)
def test_a_send_is_claimed_only_where_no_order_can_be_live(state: IntentState) -> None:
    """Invariant 1."""
    assert may_claim(state) == (state in {IntentState.PENDING, IntentState.UNKNOWN})
    assert not (may_claim(state) and state in AT_BROKER | TERMINAL)
    assert may_begin_next_leg(state) == (state in PROVEN)


@given(states, st.booleans())
def test_a_fill_counts_in_every_state_and_never_opens_a_terminal_intent(state: IntentState, complete: bool) -> None:
    after = after_fill(state, complete=complete)
    assert (after is IntentState.FILLED) or not complete
    assert is_late_fill(state) == (state in TERMINAL)
    if state in TERMINAL:
        assert after in TERMINAL
    elif not complete:
        assert after in (IntentState.PARTIALLY_FILLED, IntentState.CANCELLING)


def test_every_open_state_can_end() -> None:
    for state in OPEN:
        reached, frontier = {state}, [state]
        while frontier:
            new = TRANSITIONS[frontier.pop()] - reached
            reached |= new
            frontier.extend(new)
        assert reached & TERMINAL, state
