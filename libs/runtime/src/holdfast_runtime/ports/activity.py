"""What the lock-step needs to know: is this service settled, and how far has it come in each flow."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Activity(Protocol):
    """Work in flight and positions in flows. Without lock-step it only counts."""

    def busy(self) -> AbstractContextManager[None]:
        """While inside, the service is not settled. Hold it over all work that a message or a timer began."""

    def sent(self, flow: str, position: int) -> None:
        """The service has sent up to `position` in `flow` (a stream sequence, a version, a count)."""

    def received(self, flow: str, position: int) -> None:
        """The service has applied everything up to `position` in `flow`."""

    def settled_when(self, condition: Callable[[], bool]) -> None:
        """One more condition for being settled, e.g. no unresolved intent."""

    def changed(self) -> None:
        """Something a condition depends on has changed: look again."""
