"""What a called service may know of the call that is being served."""

from contextvars import ContextVar
from dataclasses import dataclass

from holdfast_runtime.revisions import OWN, Revisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who calls (the service name in the certificate's SAN), until when, in monotonic seconds, and of which release."""

    caller: str
    deadline_secs: float
    revisions: Revisions = OWN


_current: ContextVar[Call | None] = ContextVar("holdfast_call", default=None)


def current() -> Call | None:
    """The call being served, None outside of one."""
    return _current.get()


def enter(call: Call | None) -> None:
    """Sets the call for the present task and what it starts."""
    _current.set(call)
