"""Everybody's examinations in one place, answered as DoctorService. Runs in admin."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_catalogue.doctor.checks import red, result
from holdfast_catalogue.doctor.examiner import ASKED, REQUEST, Examiner
from holdfast_catalogue.following import follow
from holdfast_catalogue.registry import SERVICES
from holdfast_catalogue.reports import service_of
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.buckets import Bucket, Entry, RevisionConflict
from holdfast_runtime.ports.clock import MonotonicClock

ANSWER_WITHIN_SECS = 15.0
"""From a request to the last answer: a process looks for requests every second, and its checks end in 10 s."""
ANSWERS = "answers"
"""Name of the check that a process fails that says nothing."""

REQUEST_TRIES = 4
"""Of one request, where others write at the same moment."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest request. `number` 0: the bus could not take it."""

    number: int
    at_secs: float


class Clinic:
    """Implements DoctorCalls. `examiner`: of the process this runs in. `speaking`: keys of the processes that report
    their failure points now, so that each replica is expected to answer."""

    def __init__(
        self,
        bucket: Bucket,
        examiner: Examiner,
        *,
        speaking: Callable[[], set[str]],
        clock: MonotonicClock,
        services: Sequence[str] = SERVICES,
    ) -> None:
        self._bucket = bucket
        self._examiner = examiner
        self._speaking = speaking
        self._clock = clock
        self._services = services
        self._kept: dict[str, pb.Examination] = {}
        self._asked: Asked | None = None
        self._own: asyncio.Task[pb.Examination] | None = None

    async def run(self, progress: Callable[[], None]) -> None:
        """Follows the bucket until cancelled, with idle turns while it is silent."""
        await follow(self._bucket, self.take, progress)

    def take(self, entry: Entry) -> None:
        """An examination. One that cannot be read is left out: its process then does not answer, in plain sight."""
        if entry.key == REQUEST:
            return
        try:
            self._kept[entry.key] = pb.Examination.FromString(entry.value)
        except DecodeError as error:
            log.warning("doctor.result_malformed", key=entry.key, error=str(error))

    async def ask(self) -> Asked:
        """Asks every process to examine itself now; whoever asks while they do so gets the same answers. This process
        begins at once, bus or no bus."""
        if self._asked is not None and not self.complete:
            return self._asked
        try:
            number = await self._write_request()
        except (Retry, GiveUp) as error:
            log.warning("doctor.nobody_asked", error=str(error))
            number = 0
        self._asked = Asked(number, self._clock.now_secs())
        self._own = asyncio.ensure_future(self._examiner.examine(ASKED, number))
        return self._asked

    async def _write_request(self) -> int:
        """The number of a request that nobody has answered yet. Made from a fresh read where another writer came
        between (BS-5): what they asked may have been answered before this was wished for. Raises Retry where they
        always do."""
        for _ in range(REQUEST_TRIES):
            entry = await self._bucket.get(REQUEST)
            try:
                if entry is None:
                    return await self._bucket.create(REQUEST, b"examine")
                return await self._bucket.update(REQUEST, b"examine", revision=entry.revision)
            except RevisionConflict:
                continue
        raise Retry(f"{REQUEST}: somebody else wrote it {REQUEST_TRIES} times in a row", after_secs=1)

    def examinations(self) -> list[pb.Examination]:
        """The newest of every process in the order of services; who does not answer has one that says so."""
        speaking = self._speaking() | {self._examiner.key}
        found: list[pb.Examination] = []
        for service in self._services:
            keys = {key for key in speaking if service_of(key) == service}
            # Where none speaks the last words of one that has gone are better than none.
            found += [self._of(key) for key in sorted(keys)] or [self._silent(service)]
        return found

    @property
    def complete(self) -> bool:
        """True where the newest request is answered by all, or their time is over."""
        asked = self._asked
        if asked is None:
            return True
        if self._own is not None and not self._own.done():
            return False
        return self._late(asked) or all(each.request == asked.number and each.results for each in self.examinations())

    def _late(self, asked: Asked) -> bool:
        return not asked.number or self._clock.now_secs() - asked.at_secs > ANSWER_WITHIN_SECS

    def _answered(self, kept: pb.Examination, asked: Asked) -> bool:
        return bool(asked.number) and kept.request == asked.number

    def _of(self, key: str) -> pb.Examination:
        own = key == self._examiner.key
        kept = self._examiner.newest if own else self._kept.get(key)
        service, _, instance = key.partition(".")
        if kept is None:
            return self._silent(service, instance)
        asked = self._asked
        if own or asked is None or self._answered(kept, asked) or not self._late(asked):
            return kept
        return self._silent(service, kept.instance)

    def _silent(self, service: str, instance: str = "") -> pb.Examination:
        asked = self._asked
        if (asked is None and instance) or (asked is not None and not self._late(asked)):
            # It speaks, and its examination is under way.
            return pb.Examination(service=service, instance=instance)
        found = red(
            "it does not answer",
            f"Look whether {service} runs: its log, its restarts.",
            f"Look whether {service} reaches the bus: over it the doctor asks.",
        )
        return pb.Examination(service=service, instance=instance, results=[result(ANSWERS, found)])

    # --- DoctorService

    async def examine(self, request: pb.ExamineRequest) -> pb.ExamineResponse:  # noqa: ARG002 - no parameters
        """See DoctorService."""
        return pb.ExamineResponse(request=(await self.ask()).number)

    async def list_examinations(
        self,
        request: pb.ListExaminationsRequest,  # noqa: ARG002 - no parameters
    ) -> pb.ListExaminationsResponse:
        """See DoctorService."""
        asked = self._asked
        return pb.ListExaminationsResponse(
            examinations=self.examinations(), request=0 if asked is None else asked.number, complete=self.complete
        )
