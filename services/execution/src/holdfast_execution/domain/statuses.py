"""The venue's own words for an order's state, and what they mean to an intent."""

from holdfast_execution.domain.intents import TERMINAL, IntentState
from holdfast_runtime.ports.venue import BrokerOrder, TimeInForce

_WORDS = {
    "filled": IntentState.FILLED,
    "canceled": IntentState.CANCELLED,
    "expired": IntentState.EXPIRED,
    "rejected": IntentState.REJECTED,
    "pending_cancel": IntentState.CANCELLING,
}

REPLACED = "replaced"
"""The chain goes on under another order id."""

PENDING_REPLACE = "pending_replace"
"""Its replacement is on its way."""

DORMANT = "held"
"""A leg that waits for its parent's complete fill."""

_RANKS = {
    IntentState.PENDING: 0,
    IntentState.SENDING: 1,
    IntentState.UNKNOWN: 1,
    IntentState.ACKED: 2,
    IntentState.PARTIALLY_FILLED: 3,
    IntentState.CANCELLING: 4,
}
_TERMINAL_RANK = 5


def known_time_in_force(word: str) -> TimeInForce:
    """A word that nobody knows protects for the day at least."""
    return TimeInForce(word) if word in set(TimeInForce) else TimeInForce.DAY


def state_of(order: BrokerOrder) -> IntentState | None:
    """State that the venue's word stands for; None where the order was replaced. A word that nobody knows keeps the
    order live: it is looked at again, never forgotten."""
    if order.status == REPLACED:
        return None
    known = _WORDS.get(order.status)
    if known is not None:
        return known
    return IntentState.PARTIALLY_FILLED if order.filled_quantity > 0 else IntentState.ACKED


def is_over(order: BrokerOrder) -> bool:
    """True where the venue will do nothing more with this order."""
    state = state_of(order)
    return state is None or state in TERMINAL


def rank(state: IntentState) -> int:
    """How far a state is: news of a lower rank is old news."""
    return _TERMINAL_RANK if state in TERMINAL else _RANKS[state]


def moves(before: IntentState, after: IntentState) -> bool:
    """True where news of `after` changes an intent in `before`. Out of order, repeated and late news does not."""
    if before in TERMINAL or before == after:
        return False
    if before is IntentState.PENDING:
        return False
    return rank(after) > rank(before)
