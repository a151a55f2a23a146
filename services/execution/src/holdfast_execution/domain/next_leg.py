"""Whether a refused entry goes on, and when: its next leg (order protocol, point 10; SQ-2)."""

from datetime import datetime, timedelta
from enum import StrEnum

from holdfast_execution.domain.outcomes import FollowUp

FIRST_PAUSE = timedelta(seconds=1)
"""Market time between a refusal and the first retry; doubles with each further one."""


class NextLeg(StrEnum):
    """What becomes of a refused entry."""

    RETRY = "retry"
    """The same order under an id of its own."""
    SHRINK = "shrink"
    """What can be paid for, once."""
    SKIP = "skip"
    """The refusal stands: the same order would be refused again."""
    ABORT = "abort"
    """Its sends are used up: SAFETY_ABORT of its strategy."""


def after_refusal(follow_up: FollowUp, *, sends: int, max_retries: int, shrunk: bool) -> NextLeg:
    """`sends`: of the entry over all its legs; `shrunk`: the refused leg was about less than was wanted.

    A closed market, an asset that is not traded and a stop above the price have no adjustment that helps: skipped.
    """
    if follow_up in (FollowUp.SKIP, FollowUp.FLATTEN):
        return NextLeg.SKIP
    if follow_up is FollowUp.SHRINK and shrunk:
        return NextLeg.SKIP
    if sends > max_retries:
        return NextLeg.ABORT
    return NextLeg.SHRINK if follow_up is FollowUp.SHRINK else NextLeg.RETRY


def next_attempt_at(leg: int, begun_at: datetime) -> datetime:
    """The earliest instant at which a leg may leave that was begun at `begun_at`: the first one at once."""
    return begun_at if leg == 1 else begun_at + FIRST_PAUSE * 2 ** (leg - 2)
