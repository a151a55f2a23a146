"""Errors typed by what to do next.

HoldfastError
 ├─ Retry           the same call may succeed later; carries the delay
 ├─ GiveUp          retries are useless
 │   ├─ Malformed   a message or a value that can never be read: quarantined with its reason
 │   └─ Refused     the answer is no; carries a canonical code, a coded reason and its numbers
 ├─ AskBroker       the outcome is not known here: only the broker can tell
 └─ AskPerson       nothing that a program may do helps; carries the manual steps
"""

from collections.abc import Mapping
from enum import Enum


class HoldfastError(Exception):
    """Base of every error that names what to do next."""


class Retry(HoldfastError):
    """The same call may succeed after `after_secs`."""

    def __init__(self, message: str, *, after_secs: float = 1.0) -> None:
        super().__init__(message)
        self.after_secs = after_secs


class GiveUp(HoldfastError):
    """Retries are useless."""


class Malformed(GiveUp):
    """A message or a stored value that can never be read. It is quarantined with this reason, never dropped."""


class Code(Enum):
    """Canonical codes of gRPC, by name, so that services need not import it."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DEADLINE_EXCEEDED = 4
    UNAUTHENTICATED = 16


class Refused(GiveUp):
    """The answer is no. `reason` is coded (NOT_HOLDER), `metadata` holds the numbers behind it."""

    def __init__(self, code: Code, reason: str, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})


NOT_HOLDER = "NOT_HOLDER"
"""Reason of a Refused by a process that stands by: nothing was done, the next one may hold the account."""


class AskBroker(HoldfastError):
    """The outcome is unknown here; only the broker can tell."""


class AskPerson(HoldfastError):
    """Only a person can help. `steps` say how."""

    def __init__(self, message: str, *, steps: tuple[str, ...]) -> None:
        super().__init__(message)
        self.steps = steps
