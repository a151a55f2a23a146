"""What the answer to a send, or to a look-up, means: the table of the order protocol, points 6 to 9.

Pure: the sender and the resolver do what is said here.
"""

from dataclasses import dataclass
from enum import StrEnum

from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.venue import (
    BrokerOrder,
    NotSent,
    OrderRefused,
    OrderRequest,
    OutcomeUnknown,
    RefusalKind,
    Throttled,
    Unauthorised,
    VenueUnavailable,
)

MAX_BACKOFF_SECS = 5.0
"""Longest wait between two look-ups: an intent is never left unasked for longer."""
LOOKUP_FAILURES_TO_ABORT = 3


ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
"""An order's sends are used up: over all its legs and restarts (point 10)."""
RETRY_REFUSED = "RETRY_REFUSED"
"""Why an entry is UNKNOWN whose retry was refused: an earlier POST of it may still arrive, and no other is sent."""


class Step(StrEnum):
    """What the intent does next after the answer to a send."""

    ADOPT = "adopt"
    """The order exists and is ours: take its state over."""
    LOOK_UP = "look_up"
    """UNKNOWN until there is evidence."""
    REJECT = "reject"
    """A proven no."""
    CREDENTIALS_HALT = "credentials_halt"
    """No further call until the credentials change; the intent stays UNKNOWN."""
    WAIT = "wait"
    """The venue's rate limit: counts as a retry."""
    GIVE_BACK = "give_back"
    """Nothing left this machine: the attempt does not count."""


class FollowUp(StrEnum):
    """What a proven no asks for beyond the state."""

    NONE = "none"
    CANCEL_OPPOSITE = "cancel_opposite"
    """An opposite order rests: cancel it, wait for the proof, then the next leg."""
    HANDOVER = "handover"
    """The shares are held by another order: the exit handover."""
    FLATTEN = "flatten"
    """The stop is already through the price: sell now."""
    SHRINK = "shrink"
    """More than can be paid for: once of what can, else skip."""
    RETRY = "retry"
    """Nothing is known that would help but time."""
    SKIP = "skip"
    """The same would be refused again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """The reading of one answer. `reason` is coded, `order` is set for ADOPT."""

    step: Step
    reason: str
    follow_up: FollowUp = FollowUp.NONE
    order: BrokerOrder | None = None
    after_secs: float = 0.0


_FOLLOW_UPS = {
    RefusalKind.WASH_TRADE: FollowUp.CANCEL_OPPOSITE,
    RefusalKind.SHARES_HELD: FollowUp.HANDOVER,
    RefusalKind.BUYING_POWER: FollowUp.SHRINK,
    RefusalKind.STOP_THROUGH_PRICE: FollowUp.FLATTEN,
    RefusalKind.MARKET_CLOSED: FollowUp.SKIP,
    RefusalKind.NOT_TRADABLE: FollowUp.SKIP,
    RefusalKind.NOT_CANCELABLE: FollowUp.SKIP,
    RefusalKind.OTHER: FollowUp.RETRY,
}


def matches(request: OrderRequest, order: BrokerOrder) -> bool:
    """True where the venue's order is the one that was asked for: client id, symbol, side and quantity."""
    return (
        order.client_order_id == request.client_order_id
        and order.symbol == request.symbol
        and order.side == request.side
        and order.quantity == request.quantity
    )


def read_answer(request: OrderRequest, answer: BrokerOrder | HoldfastError) -> SendOutcome:
    """The outcome of a send by its answer (order protocol, point 6)."""
    match answer:
        case BrokerOrder() if matches(request, answer):
            return SendOutcome(step=Step.ADOPT, reason="ORDER_ACKED", order=answer)
        case BrokerOrder():
            return SendOutcome(step=Step.LOOK_UP, reason="ANSWER_MISMATCHED")
        case OrderRefused(kind=RefusalKind.DUPLICATE_CLIENT_ID):
            return SendOutcome(step=Step.LOOK_UP, reason="CLIENT_ID_DUPLICATE")
        case OrderRefused():
            return SendOutcome(
                step=Step.REJECT, reason=f"BROKER_{answer.kind.value.upper()}", follow_up=_FOLLOW_UPS[answer.kind]
            )
        case Unauthorised():
            return SendOutcome(step=Step.CREDENTIALS_HALT, reason="CREDENTIALS_REFUSED")
        case Throttled():
            return SendOutcome(step=Step.WAIT, reason="VENUE_THROTTLED", after_secs=answer.after_secs)
        case NotSent():
            return SendOutcome(step=Step.GIVE_BACK, reason="LEASE_MARGIN_SHORT")
        case OutcomeUnknown() | VenueUnavailable():
            return SendOutcome(step=Step.LOOK_UP, reason="OUTCOME_UNKNOWN")
        case _:
            # An error of another kind says nothing about the order: only the broker can tell.
            return SendOutcome(step=Step.LOOK_UP, reason="OUTCOME_UNKNOWN")


class Lookup(StrEnum):
    """What a look-up decided."""

    ADOPT = "adopt"
    ABORT = "abort"
    """SAFETY_ABORT for the strategy: what was found cannot be, or the attempts are used up, or nothing can be read."""
    RESEND = "resend"
    """The same client order id once more, so that a late first POST and this one cannot both live."""
    ASK_AGAIN = "ask_again"
    TOMBSTONE = "tombstone"
    """Proven absent and no longer valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """What is known of an intent whose outcome is not. Instants are seconds of the monotonic clock."""

    attempts: int
    max_retries: int
    still_valid: bool
    """An entry, or a part, until `valid_until`; another reducing order while its position exists."""
    last_post_deadline_secs: float
    absences_by_id: int = 0
    """404 answers to a look-up by client order id since the deadline passed the tombstone age."""
    absent_from_list: bool = False
    """The complete list of orders, read at tombstone age, did not hold it."""
    failed_lookups: int = 0
    """Look-ups without any answer, in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOutcome:
    """The reading of one look-up. `after_secs` is the wait before the next one."""

    lookup: Lookup
    reason: str
    after_secs: float = 0.0


def read_lookup(request: OrderRequest, order: BrokerOrder) -> LookupOutcome:
    """The venue knows the client order id: adopt what matches (live, filled or terminal), abort on anything else."""
    if matches(request, order):
        return LookupOutcome(lookup=Lookup.ADOPT, reason="ORDER_FOUND")
    return LookupOutcome(lookup=Lookup.ABORT, reason="ORDER_MISMATCHED")


def read_absence(state: Unresolved, *, now_secs: float, tombstone_after_secs: float) -> LookupOutcome:
    """The venue answered 404. One 404 is no evidence: resend the same id while valid, else wait for the tombstone."""
    if state.still_valid and state.attempts <= state.max_retries:
        return LookupOutcome(lookup=Lookup.RESEND, reason="ORDER_ABSENT")
    # All sends are used up: the strategy is aborted, and from here on the intent is only read, as an expired one is.
    waiting = Lookup.ABORT if state.still_valid else Lookup.ASK_AGAIN
    age_secs = now_secs - state.last_post_deadline_secs
    if age_secs < tombstone_after_secs:
        return LookupOutcome(
            lookup=waiting,
            reason=ATTEMPTS_EXHAUSTED if state.still_valid else "ORDER_ABSENT_YOUNG",
            after_secs=min(max(tombstone_after_secs - age_secs, 0.01), MAX_BACKOFF_SECS),
        )
    if state.absent_from_list and state.absences_by_id >= 1:
        return LookupOutcome(lookup=Lookup.TOMBSTONE, reason="ORDER_PROVEN_ABSENT")
    return LookupOutcome(lookup=waiting, reason="ORDER_ABSENT_ONCE")


def read_failure(state: Unresolved, *, first_wait_secs: float) -> LookupOutcome:
    """The look-up itself got no answer. Three in a row abort the strategy; the slow reading goes on (point 9)."""
    wait_secs = backoff_secs(state.failed_lookups, first_secs=first_wait_secs)
    if state.failed_lookups == LOOKUP_FAILURES_TO_ABORT:
        return LookupOutcome(lookup=Lookup.ABORT, reason="LOOKUP_FAILED", after_secs=wait_secs)
    return LookupOutcome(lookup=Lookup.ASK_AGAIN, reason="LOOKUP_FAILED", after_secs=wait_secs)


def backoff_secs(turn: int, *, first_secs: float, limit_secs: float = MAX_BACKOFF_SECS) -> float:
    """Wait before turn 0, 1, 2 …: doubles from `first_secs` to `limit_secs`."""
    if turn < 0:
        raise ValueError(f"turn {turn} is negative")
    return float(min(first_secs * 2.0 ** min(turn, 32), limit_secs))
