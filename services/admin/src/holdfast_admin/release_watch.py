"""Looks at the release now and then, and says what it has found: to the doctor, and to the sentinel (IN-7)."""

from collections.abc import Callable, Sequence
from typing import Protocol

from holdfast_admin.domain.drift import Drift
from holdfast_catalogue.doctor.checks import Check, Result, doubtful, red, well
from holdfast_catalogue.registry import point
from holdfast_catalogue.standing import Finding, error, ok, warn
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.clock import MonotonicClock

EVERY_SECS = 60.0
TURN_SECS = 5.0
CHANGED_TO_ALARM_SECS = 45.0
"""An upgrade changes one object after the other: the next look has to find it too."""
UNFINISHED_TO_ALARM_SECS = 600.0
"""A rollout takes its time: pods that are not ready for longer are told."""
STEPS = point("release.drifted").manual_steps


class Looked(Protocol):
    """adapters.release.Release."""

    @property
    def in_cluster(self) -> bool: ...

    async def look(self) -> Drift: ...


class ReleaseWatch:
    """The newest word on the release."""

    def __init__(self, release: Looked, clock: MonotonicClock) -> None:
        self._release = release
        self._clock = clock
        self._newest: Drift | str = ""
        self._looked_at_secs: float | None = None
        self._changed_since_secs: float | None = None
        self._unfinished_since_secs: float | None = None

    async def run(self, progress: Callable[[], None]) -> None:
        """Looks every minute until cancelled; outside of a cluster there is nothing to look at."""
        due_secs = self._clock.now_secs()
        while True:
            if self._release.in_cluster and self._clock.now_secs() >= due_secs:
                await self.look()
                due_secs = self._clock.now_secs() + EVERY_SECS
            progress()
            await self._clock.sleep(TURN_SECS)

    async def look(self) -> None:
        """One look. What keeps it from seeing is kept as the finding."""
        try:
            self._newest = found = await self._release.look()
        except HoldfastError as problem:
            self._newest = str(problem)
        else:
            self._changed_since_secs = self._since(self._changed_since_secs, found.changed)
            self._unfinished_since_secs = self._since(self._unfinished_since_secs, found.unfinished)
        self._looked_at_secs = self._clock.now_secs()

    def _since(self, before_secs: float | None, seen: Sequence[str]) -> float | None:
        """Since when something of a kind is seen, look after look; None while nothing is."""
        if not seen:
            return None
        return self._clock.now_secs() if before_secs is None else before_secs

    def check(self) -> Check:
        """For the doctor: looks anew."""

        async def look() -> Result:
            if not self._release.in_cluster:
                return well("not in a cluster")
            await self.look()
            if isinstance(self._newest, str):
                return doubtful(f"the release cannot be looked at: {self._newest}")
            if self._newest.changed:
                return red("; ".join(self._newest.changed))
            told = "; ".join(self._newest.unfinished)
            return doubtful(told) if told else well("every object is as the release says")

        return Check(name="release", look=look, steps=STEPS, deadline_secs=10.0)

    def detect(self) -> Finding:
        """For the sentinel: the newest look."""
        if not self._release.in_cluster:
            return ok("not in a cluster")
        if self._looked_at_secs is None:
            return ok("not looked at yet")
        if isinstance(self._newest, str):
            return warn(f"the release cannot be looked at: {self._newest}")
        if self._changed_since_secs is not None:
            told, shown = "; ".join(self._newest.changed), {"changed": len(self._newest.changed)}
            lasts = self._looked_at_secs - self._changed_since_secs >= CHANGED_TO_ALARM_SECS
            return error(told, **shown) if lasts else warn(told, **shown)
        if self._unfinished_since_secs is not None:
            told = "; ".join(self._newest.unfinished)
            lasts = self._clock.now_secs() - self._unfinished_since_secs >= UNFINISHED_TO_ALARM_SECS
            return error(told) if lasts else ok(told)
        return ok("every object is as the release says")
