"""States of an intent and the moves between them (order protocol, points 1-12, invariants 1, 11 and 13).

An intent is one wish with at most one live broker order. A *proven* terminal outcome (rejected, cancelled, expired) may
be followed by the intent's next leg, which has a client order id of its own; nothing else leaves a terminal state,
except a late fill, which is counted and alerted.
"""

from enum import StrEnum

from holdfast_runtime.errors import GiveUp


class Purpose(StrEnum):
    """Why an order exists. Only ENTRY raises risk."""

    ENTRY = "entry"
    STOP = "stop"
    EXIT = "exit"
    FLATTEN = "flatten"
    REDUCE = "reduce"
    """A part of a position, beside the stop that protects the rest (SY-2)."""

    @property
    def raises_risk(self) -> bool:
        return self is Purpose.ENTRY


class IntentState(StrEnum):
    """As `execution.v1.IntentState`."""

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACKED = "acked"
    PARTIALLY_FILLED = "partially_filled"
    CANCELLING = "cancelling"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    NOT_SENT = "not_sent"
    TOMBSTONED = "tombstoned"
    ABORTED = "aborted"


_S = IntentState

TERMINAL = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.NOT_SENT, _S.TOMBSTONED, _S.ABORTED})
"""Absorbing states."""

OPEN = frozenset(IntentState) - TERMINAL
"""The slot and the exposure of such an intent are taken."""

PROVEN = frozenset({_S.CANCELLED, _S.REJECTED, _S.EXPIRED})
"""The broker itself said that this leg is over: a next leg may follow (point 10)."""

AT_BROKER = frozenset({_S.ACKED, _S.PARTIALLY_FILLED, _S.CANCELLING})
"""A live order is known to rest at the broker."""

_OUTCOMES = frozenset(
    {_S.ACKED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.CANCELLING, _S.ABORTED}
)

TRANSITIONS: dict[IntentState, frozenset[IntentState]] = {
    _S.PENDING: frozenset({_S.SENDING, _S.NOT_SENT, _S.ABORTED}),
    # PENDING and NOT_SENT: nothing was written to the socket, the attempt is given back (point 5).
    _S.SENDING: _OUTCOMES | {_S.UNKNOWN, _S.PENDING, _S.NOT_SENT},
    # SENDING: the same client order id again (point 7). TOMBSTONED: two 404s and a minute (point 8).
    _S.UNKNOWN: _OUTCOMES | {_S.SENDING, _S.TOMBSTONED},
    _S.ACKED: _OUTCOMES - {_S.ACKED} | {_S.UNKNOWN},
    _S.PARTIALLY_FILLED: frozenset({_S.CANCELLING, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.UNKNOWN}),
    # ACKED, PARTIALLY_FILLED: the broker refused the cancel, the order lives on.
    _S.CANCELLING: frozenset(
        {_S.ACKED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.UNKNOWN}
    ),
    **{state: frozenset[IntentState]() for state in TERMINAL},
}
"""Every move that is not a fill and not a next leg."""


class IllegalTransition(GiveUp):
    """A move that the state machine does not know: a bug, or a write that came too late."""

    def __init__(self, before: IntentState, after: IntentState) -> None:
        super().__init__(f"an intent does not go from {before} to {after}")
        self.before = before
        self.after = after


def transition(before: IntentState, after: IntentState) -> IntentState:
    """State after the broker, or the engine, reported `after`.

    The same state again is no move. Terminal states absorb: whatever comes later leaves them as they are.
    Raises IllegalTransition for a move between open states that does not exist.
    """
    if before == after or before in TERMINAL:
        return before
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(before, after)
    return after


def after_fill(before: IntentState, *, complete: bool) -> IntentState:
    """State after a fill became known. A fill is evidence of an order, whatever was believed before (invariant 13).

    A complete fill is FILLED from everywhere. A partial one keeps a cancel under way and a terminal outcome.
    """
    if complete:
        return IntentState.FILLED
    if before is IntentState.CANCELLING or before in TERMINAL:
        return before
    return IntentState.PARTIALLY_FILLED


def is_late_fill(before: IntentState) -> bool:
    """A fill that reaches an intent in a terminal state: it is counted, reconciled and alerted."""
    return before in TERMINAL


def outranks_exit(purpose: Purpose, state: IntentState) -> bool:
    """True for an open order before which no scheduled sale leaves (invariant 9): one that protects, and sells."""
    return purpose is Purpose.FLATTEN or (purpose is Purpose.STOP and state is IntentState.PARTIALLY_FILLED)


def may_claim(state: IntentState) -> bool:
    """From here a POST may be prepared: a first send, or the same client order id after a look-up found nothing."""
    return state in (IntentState.PENDING, IntentState.UNKNOWN)


def may_begin_next_leg(state: IntentState) -> bool:
    """Only a proven terminal outcome is followed by a leg with an id of its own (point 10)."""
    return state in PROVEN
