"""When a process examines itself, and where the result goes.

Like the sentinel it takes no part in Activity and runs on monotonic time; that a session is near it sees by looking at
market time now and then, without a timer that would hold the lock-step.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_catalogue.doctor.checks import Check, Verdict, examine, gravest
from holdfast_catalogue.reports import report_key
from holdfast_core.sessions import Calendar, OutsideCalendar
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.buckets import Bucket, RevisionConflict
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.wire import to_timestamp

BUCKET = "doctor"
REQUEST = "admin.request"
"""Key whose revision is the newest request's number: one of admin's own, which nobody else may write."""
TURN_SECS = 1.0
START_WITHIN_SECS = 60.0
"""A service that is not ready by then is examined all the same."""
BEFORE_OPEN = timedelta(minutes=15)
SESSION_AT_MOST_EVERY_SECS = 30.0
"""In a replay that runs fast sessions follow each other in seconds."""
FIRST_AGAIN_SECS, LAST_AGAIN_SECS = 2.0, 60.0
"""What is not OK is looked at again, with growing pauses, until it is: a neighbour that was only starting, too."""

START, OPEN, ASKED, AGAIN = "start", "before the open", "on demand", "again, until all is OK"

log = structlog.get_logger()


class Examiner:
    """One process's examinations. `calendars`: of the active books; `ready`: the service can be asked; `must_repeat`: a
    replay in lock-step, in which the venue's count of requests is part of the run."""

    def __init__(
        self,
        service: str,
        instance: str,
        checks: Sequence[Check],
        *,
        bucket: Bucket,
        clock: MonotonicClock,
        wall: MarketClock,
        market: MarketClock,
        calendars: Sequence[Calendar],
        ready: Callable[[], bool],
        must_repeat: bool = False,
    ) -> None:
        self.key = report_key(service, instance)
        self._service = service
        self._instance = instance
        self._checks = checks
        self._bucket = bucket
        self._clock = clock
        self._wall = wall
        self._market = market
        self._calendars = calendars
        self._ready = ready
        self._must_repeat = must_repeat
        self._began_secs = clock.now_secs()
        self._one_at_a_time = asyncio.Lock()
        self._request: int | None = None
        self._opens: datetime | None = None
        self._session_due_secs = 0.0
        self._again_secs, self._again_due_secs = FIRST_AGAIN_SECS, 0.0
        self._told = True
        self.newest: pb.Examination | None = None
        """None until the first one has ended."""

    async def run(self, progress: Callable[[], None]) -> None:
        """Turns until cancelled."""
        while True:
            await self.turn()
            progress()
            await self._clock.sleep(TURN_SECS)

    async def turn(self) -> None:
        """Examines where it is due, and tells the result. A bus that is away is tried again next turn."""
        try:
            asked = await self._asked()
        except Retry:
            asked = self._request or 0
        if self._request is None:
            # What was asked of the process before this one is answered by the examination at start.
            self._request = asked
        if trigger := self._due(asked):
            await self.examine(trigger, asked)
        if not self._told:
            await self._tell()

    async def _asked(self) -> int:
        entry = await self._bucket.get(REQUEST)
        return 0 if entry is None else entry.revision

    def _due(self, asked: int) -> str:
        """Why an examination is due now; empty where none is."""
        now_secs = self._clock.now_secs()
        near = self._opening_soon()
        if asked != self._request:
            return ASKED
        if self.newest is None:
            return START if self._ready() or now_secs - self._began_secs >= START_WITHIN_SECS else ""
        if near is not None and near != self._opens and now_secs >= self._session_due_secs:
            self._opens = near
            self._session_due_secs = now_secs + SESSION_AT_MOST_EVERY_SECS
            return OPEN
        if gravest(self.newest.results) is not Verdict.OK and now_secs >= self._again_due_secs:
            return AGAIN
        return ""

    def _opening_soon(self) -> datetime | None:
        """The open that is at most 15 minutes away, or that a leap of market time has just passed; None: neither."""
        now = self._market.now()
        try:
            sessions = [calendar.session_at(now + BEFORE_OPEN) for calendar in self._calendars]
        except OutsideCalendar:
            return None
        return max((each.open for each in sessions if each is not None), default=None)

    async def examine(self, trigger: str, request: int) -> pb.Examination:
        """Makes one now. Never two at the same time."""
        async with self._one_at_a_time:
            if trigger in (START, OPEN):
                self._opens = self._opening_soon()
            results = await self._results(trigger)
            self._request = request
            found = self.newest = pb.Examination(
                service=self._service,
                instance=self._instance,
                trigger=trigger,
                request=request,
                finished_at=to_timestamp(self._wall.now()),
                results=results,
            )
            self._plan_again(gravest(results), again=trigger == AGAIN)
            self._told = False
        bad = {each.check: each.evidence for each in results if each.verdict != pb.VERDICT_OK}
        (log.warning if bad else log.info)("doctor.examined", trigger=trigger, checks=len(results), not_ok=bad)
        return found

    async def _results(self, trigger: str) -> list[pb.CheckResult]:
        """What is not looked at now keeps its last result."""
        last = {} if self.newest is None else {each.check: each for each in self.newest.results}
        left_out = {
            each.name
            for each in self._checks
            if self._must_repeat and each.counted and trigger != ASKED
            and (each.name not in last or last[each.name].verdict == pb.VERDICT_OK)
        }  # fmt: skip
        fresh = await examine(each for each in self._checks if each.name not in left_out)
        found = last | {each.check: each for each in fresh}
        return [found[each.name] for each in self._checks if each.name in found]

    def _plan_again(self, verdict: Verdict, *, again: bool) -> None:
        grown_secs = min(self._again_secs * 2, LAST_AGAIN_SECS) if again else FIRST_AGAIN_SECS
        self._again_secs = grown_secs if verdict is not Verdict.OK else FIRST_AGAIN_SECS
        self._again_due_secs = self._clock.now_secs() + self._again_secs

    async def _tell(self) -> None:
        assert self.newest is not None, "nothing is told before the first examination"
        told, value = self.newest, self.newest.SerializeToString()
        try:
            entry = await self._bucket.get(self.key)
            if entry is None:
                await self._bucket.create(self.key, value)
            else:
                await self._bucket.update(self.key, value, revision=entry.revision)
        except (Retry, RevisionConflict) as error:
            log.debug("doctor.result_waits", reason=str(error))
            return
        except GiveUp as error:
            log.error("doctor.result_refused", reason=str(error))
        self._told = told is self.newest
