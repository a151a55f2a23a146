"""Looks at failure points by hand: a sentinel over a service's watches, turned when a test says so."""

from collections.abc import Iterable
from typing import Protocol

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.sentinel import Sentinel, Watch
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.ports.clock import MonotonicClock


class MovedClock(MonotonicClock, Protocol):
    """Monotonic time that a test moves."""

    def advance(self, secs: float) -> None: ...


class Lookout:
    """Turns a sentinel over `watches`, and keeps what it told."""

    def __init__(self, service: str, watches: Iterable[Watch], clock: MovedClock) -> None:
        self._clock = clock
        self.changes: list[pb.FailurePoint] = []
        self.alerts: list[pb.FailurePoint] = []
        self.sentinel = Sentinel(service, watches, clock=clock, wall=WallMarketClock(), listener=self)

    def changed(self, point: pb.FailurePoint) -> None:
        """See catalogue.sentinel.Listener."""
        self.changes.append(point)

    def alert(self, point: pb.FailurePoint) -> None:
        """See catalogue.sentinel.Listener."""
        self.alerts.append(point)

    async def look(self, identity: str, *, after_secs: float = 2.0) -> pb.FailurePoint:
        """How the point stands after so much monotonic time."""
        self._clock.advance(after_secs)
        await self.sentinel.turn()
        return next(each for each in self.sentinel.messages() if each.id == identity)

    async def status(self, identity: str, *, after_secs: float = 2.0) -> str:
        """`OK`, `WARN` or `ERROR` after so much monotonic time."""
        return name_of((await self.look(identity, after_secs=after_secs)).status)


def name_of(status: pb.Status.ValueType) -> str:
    return pb.Status.Name(status).removeprefix("STATUS_")
