"""Work in flight and positions in flows: what decides whether a service is settled (ports/activity.py)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ActivityTracker:
    """The one Activity of a process. `on_change` is called whenever a report may have to be sent anew."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._sent: dict[str, int] = {}
        self._received: dict[str, int] = {}
        self._conditions: list[Callable[[], bool]] = []
        self.on_change: Callable[[], None] = lambda: None

    @contextmanager
    def busy(self) -> Iterator[None]:
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self.changed()

    def sent(self, flow: str, position: int) -> None:
        self._sent[flow] = position
        self.changed()

    def received(self, flow: str, position: int) -> None:
        self._received[flow] = position
        self.changed()

    def settled_when(self, condition: Callable[[], bool]) -> None:
        self._conditions.append(condition)

    def changed(self) -> None:
        # While something is in flight nothing can be reported: its end is the change.
        if not self._in_flight:
            self.on_change()

    @property
    def busy_now(self) -> bool:
        """True where something is in flight."""
        return self._in_flight > 0

    @property
    def settled(self) -> bool:
        """True where nothing is in flight and every condition holds."""
        return not self._in_flight and all(condition() for condition in self._conditions)

    @property
    def positions(self) -> tuple[dict[str, int], dict[str, int]]:
        """Positions sent and received, by flow."""
        return dict(self._sent), dict(self._received)
