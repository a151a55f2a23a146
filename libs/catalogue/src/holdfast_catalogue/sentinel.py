"""Runs the detectors a process owns, heals in bounds, verifies, and escalates (SH-1, SH-2, MO-2, MO-3).

It decides nothing about trading: it takes no part in Activity, runs on monotonic time alone, and only reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.points import FailurePoint
from holdfast_catalogue.standing import Event, Finding, Standing, Status, error
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.telemetry import metrics

CADENCE_SECS = 2.0
DETECT_BOUND_SECS = 1.0
HEAL_BOUND_SECS = 5.0

Detector = Callable[[], Finding | Awaitable[Finding]]
Healer = Callable[[], Awaitable[None]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A point, the detector that looks at real state, and the healer where the sentinel itself runs one."""

    point: FailurePoint
    detect: Detector
    heal: Healer | None = None
    every_secs: float = CADENCE_SECS
    """How often it is looked at; never more often than the sentinel turns."""

    def __post_init__(self) -> None:
        if (self.heal is None) != (self.point.max_attempts == 0):
            raise ValueError(f"{self.point.id}: a healer needs a bound of attempts, and the other way round")


class Listener(Protocol):
    """Who is told what happens to a point; must not block."""

    def changed(self, point: pb.FailurePoint) -> None: ...

    def alert(self, point: pb.FailurePoint) -> None:
        """A person is needed, or no longer."""


class Sentinel:
    """One process's watches. `owner` is the service's name; `listener` is told of changes and alerts."""

    def __init__(
        self,
        owner: str,
        watches: Iterable[Watch],
        *,
        clock: MonotonicClock,
        wall: MarketClock,
        listener: Listener,
        detect_bound_secs: float = DETECT_BOUND_SECS,
        heal_bound_secs: float = HEAL_BOUND_SECS,
    ) -> None:
        self._owner = owner
        self._clock = clock
        self._wall = wall
        self._listener = listener
        self._detect_bound_secs = detect_bound_secs
        self._heal_bound_secs = heal_bound_secs
        self._watches = tuple(watches)
        self._standings = {watch.point.id: Standing(watch.point) for watch in self._watches}
        self._due_secs = {watch.point.id: clock.now_secs() for watch in self._watches}
        if len(self._standings) != len(self._watches):
            raise ValueError("a point is watched twice in one process")

    def messages(self) -> list[pb.FailurePoint]:
        """Every point as it stands, in the order of the watches."""
        return [self._standings[watch.point.id].message(self._owner) for watch in self._watches]

    async def run(self, progress: Callable[[], None], *, cadence_secs: float = CADENCE_SECS) -> None:
        """Turns until cancelled."""
        while True:
            await self.turn()
            progress()
            await self._clock.sleep(cadence_secs)

    async def turn(self) -> None:
        """Looks at everything that is due, each in its own bound."""
        now_secs = self._clock.now_secs()
        due = [watch for watch in self._watches if now_secs >= self._due_secs[watch.point.id]]
        await asyncio.gather(*(self._look(watch) for watch in due))

    async def _look(self, watch: Watch) -> None:
        standing = self._standings[watch.point.id]
        now_secs = self._clock.now_secs()
        self._due_secs[watch.point.id] = now_secs + watch.every_secs
        self._note(standing, await self._find(watch))
        if watch.heal is not None and _asks_for_healing(standing) and standing.may_heal(now_secs):
            await self._heal(watch, watch.heal, standing)
        if standing.escalate(self._clock.now_secs()):
            self._tell(Event.ESCALATED, standing)

    async def _find(self, watch: Watch) -> Finding:
        """What the detector saw. One that fails or is late has seen nothing: an ERROR, never an OK."""
        try:
            found = watch.detect()
            if isinstance(found, Finding):
                return found
            async with asyncio.timeout(self._detect_bound_secs):
                return await found
        except TimeoutError:
            return error(f"the detector gave no answer within {self._detect_bound_secs:g} s")
        except Exception as failure:  # whatever a detector raises is the finding
            found = error(f"the detector failed: {type(failure).__name__}: {failure}")
            if self._standings[watch.point.id].finding != found:
                log.warning("failure_point.detector_failed", point=watch.point.id, exc_info=failure)
            return found

    async def _heal(self, watch: Watch, heal: Healer, standing: Standing) -> None:
        """One attempt, and the detector's word on it."""
        standing.began_attempt(self._clock.now_secs())
        log.info("failure_point.healing", point=watch.point.id, attempt=standing.attempts)
        try:
            async with asyncio.timeout(self._heal_bound_secs):
                await heal()
        except Exception as failure:  # a healer that fails has used up its attempt, nothing more
            log.warning("failure_point.heal_failed", point=watch.point.id, exc_info=failure)
        self._note(standing, await self._find(watch))

    def _note(self, standing: Standing, finding: Finding) -> None:
        metrics.FAILURE_POINT_STATUS.labels(point=standing.point.id).set(finding.status - Status.OK)
        for event in standing.note(finding, at=self._wall.now(), now_secs=self._clock.now_secs()):
            self._tell(event, standing)

    def _tell(self, event: Event, standing: Standing) -> None:
        finding = standing.finding
        assert finding is not None, "nothing is told before the first finding"
        about = {"point": standing.point.id, "status": finding.status.name, "evidence": finding.evidence}
        message = standing.message(self._owner)
        match event:
            case Event.CHANGED:
                quiet = finding.status is Status.OK or standing.point.intentional
                (log.info if quiet else log.warning)("failure_point.changed", **about)
                self._listener.changed(message)
            case Event.HEALED:
                metrics.FAILURE_POINT_HEALS.labels(point=standing.point.id).inc()
                log.info("failure_point.healed", attempts=standing.attempts, **about)
            case Event.ESCALATED:
                log.error("failure_point.escalated", steps=list(standing.point.manual_steps), **about)
                self._listener.alert(message)
            case Event.RESOLVED:
                log.info("failure_point.resolved", **about)
                self._listener.alert(message)


def _asks_for_healing(standing: Standing) -> bool:
    """Only an ERROR: a warning may pass by itself."""
    return standing.finding is not None and standing.finding.status is Status.ERROR
