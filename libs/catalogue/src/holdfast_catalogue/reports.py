"""Takes a process's points to the bus: changes and alerts as messages, the whole as one value of the bucket.

Nothing here holds the sentinel up: while the bus is away the newest changes wait, in bounds, and the rest is counted.
"""

from collections import deque
from collections.abc import Callable

import structlog

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.buckets import Bucket, RevisionConflict
from holdfast_runtime.ports.bus import Bus
from holdfast_runtime.ports.clock import MonotonicClock

BUCKET = "failurepoints"
REPORT_EVERY_SECS = 5.0
"""A report is renewed after so long though nothing has changed: silence is a status."""
TURN_SECS = 1.0
MAX_WAITING = 256
MAX_PER_TURN = 32

log = structlog.get_logger()


def report_key(service: str, instance: str) -> str:
    """Key of one process's report. `instance` tells replicas apart: a host's name."""
    plain = "".join(each if each.isalnum() or each in "-_" else "-" for each in instance) or "one"
    return f"{service}.{plain}"


def service_of(key: str) -> str:
    """The service whose report this is."""
    return key.partition(".")[0]


class Reporter:
    """Implements the sentinel's Listener. `points` gives every point as it stands."""

    def __init__(
        self,
        service: str,
        instance: str,
        *,
        bus: Bus,
        bucket: Bucket,
        clock: MonotonicClock,
        points: Callable[[], list[pb.FailurePoint]],
    ) -> None:
        self._service = service
        self._key = report_key(service, instance)
        self._bus = bus
        self._bucket = bucket
        self._clock = clock
        self._points = points
        self._waiting: deque[tuple[str, bytes, str]] = deque()
        self._revision: int | None = None
        self._due_secs = 0.0
        self.answered = True
        """False while the newest report was not confirmed."""

    def changed(self, point: pb.FailurePoint) -> None:
        self._due_secs = 0.0
        self._put(f"failurepoints.v1.{self._service}", point, "change")

    def alert(self, point: pb.FailurePoint) -> None:
        self._put(f"alerts.v1.{point.id}", point, "alert")

    def _put(self, subject: str, point: pb.FailurePoint, kind: str) -> None:
        # The instant of the check tells two changes of one point apart; a repeated publish stays the same message.
        at = f"{point.last_check.seconds}.{point.last_check.nanos:09d}"
        self._waiting.append((subject, point.SerializeToString(), f"{kind}-{self._key}-{point.id}-{point.status}-{at}"))
        while len(self._waiting) > MAX_WAITING:
            lost, _, _ = self._waiting.popleft()
            log.warning("failure_point.change_dropped", subject=lost)

    async def run(self, progress: Callable[[], None]) -> None:
        """Reports until cancelled."""
        while True:
            await self.turn()
            progress()
            await self._clock.sleep(TURN_SECS)

    async def turn(self) -> None:
        """Publishes what waits, and the report where it is due. A bus that is away is tried again next turn."""
        try:
            # The report first: what the others see must not wait behind a stream that is full.
            if self._clock.now_secs() >= self._due_secs:
                await self._write(pb.ListFailurePointsResponse(points=self._points()).SerializeToString())
                self._due_secs = self._clock.now_secs() + REPORT_EVERY_SECS
            await self._publish()
        except (Retry, RevisionConflict) as error:
            self._revision = None
            log.debug("failure_point.report_waits", reason=str(error))
        except GiveUp as error:
            self._due_secs = self._clock.now_secs() + REPORT_EVERY_SECS
            log.error("failure_point.report_refused", reason=str(error))

    async def _publish(self) -> None:
        for _ in range(min(len(self._waiting), MAX_PER_TURN)):
            letter = self._waiting[0]
            subject, payload, message_id = letter
            try:
                await self._bus.publish(subject, payload, message_id=message_id)
            except GiveUp as error:
                log.error("failure_point.change_refused", subject=subject, reason=str(error))
            if self._waiting[0] is letter:
                self._waiting.popleft()

    async def _write(self, value: bytes) -> None:
        try:
            await self._put_report(value)
        except Retry:
            self.answered = False
            raise
        self.answered = True

    async def _put_report(self, value: bytes) -> None:
        if self._revision is None:
            entry = await self._bucket.get(self._key)
            self._revision = 0 if entry is None else entry.revision
        if self._revision:
            self._revision = await self._bucket.update(self._key, value, revision=self._revision)
        else:
            self._revision = await self._bucket.create(self._key, value)
