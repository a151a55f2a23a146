"""Everybody's reports in one place: read from the bucket, answered as FailurePointService (DA-1, MO-1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC

import structlog
from google.protobuf.message import DecodeError

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.following import follow
from holdfast_catalogue.readiness import SILENT_AFTER_SECS, Readiness, Report, assess, gather
from holdfast_catalogue.registry import SERVICES
from holdfast_catalogue.reports import service_of
from holdfast_runtime.ports.buckets import Bucket, Entry
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    points: Sequence[pb.FailurePoint]
    fresh_at_secs: float
    """Monotonic instant at which it was written, as far as can be told here."""


class Collector:
    """Implements FailurePointCalls. `own`: the points of the process this runs in, which need no bus to get here."""

    def __init__(
        self,
        bucket: Bucket,
        *,
        service: str,
        own: Callable[[], list[pb.FailurePoint]],
        clock: MonotonicClock,
        wall: MarketClock,
        services: Sequence[str] = SERVICES,
        silent_after_secs: float = SILENT_AFTER_SECS,
    ) -> None:
        self._bucket = bucket
        self._service = service
        self._own = own
        self._clock = clock
        self._wall = wall
        self._services = services
        self._silent_after_secs = silent_after_secs
        self._kept: dict[str, _Kept] = {}

    async def run(self, progress: Callable[[], None]) -> None:
        """Follows the bucket until cancelled, with idle turns while it is silent."""
        await follow(self._bucket, self.take, progress)

    def take(self, entry: Entry) -> None:
        """A report. One that cannot be read is left out: its service then falls silent, in plain sight."""
        service = service_of(entry.key)
        if service == self._service:
            return
        try:
            points = pb.ListFailurePointsResponse.FromString(entry.value).points
        except DecodeError as error:
            log.warning("failure_point.report_malformed", key=entry.key, error=str(error))
            return
        age_secs = 0.0 if entry.key in self._kept else self._age_secs(points)
        self._kept[entry.key] = _Kept(points, self._clock.now_secs() - age_secs)

    def _age_secs(self, points: Sequence[pb.FailurePoint]) -> float:
        """The first word of a process may be an old one that the bucket has kept: its own instant tells.

        Later ones came just now, whatever the clocks of two machines say.
        """
        instants = [each.last_check.ToDatetime(tzinfo=UTC) for each in points if each.HasField("last_check")]
        return max((self._wall.now() - max(instants)).total_seconds(), 0.0) if instants else 0.0

    def speaking(self) -> set[str]:
        """Keys of the other processes whose newest report is no older than silence may be."""
        now_secs = self._clock.now_secs()
        return {key for key, kept in self._kept.items() if now_secs - kept.fresh_at_secs <= self._silent_after_secs}

    def points(self) -> list[pb.FailurePoint]:
        """Every point of every service, as known now."""
        now_secs = self._clock.now_secs()
        reports = [
            Report(service_of(key), kept.points, now_secs - kept.fresh_at_secs)
            for key, kept in sorted(self._kept.items())
        ]
        reports.append(Report(self._service, self._own(), 0.0))
        return gather(reports, self._services, silent_after_secs=self._silent_after_secs)

    def readiness(self) -> Readiness:
        """GREEN, YELLOW or RED, and what is open."""
        return assess(self.points())

    async def list_failure_points(
        self,
        request: pb.ListFailurePointsRequest,  # noqa: ARG002 - no parameters
    ) -> pb.ListFailurePointsResponse:
        """See FailurePointService."""
        return pb.ListFailurePointsResponse(points=self.points())
