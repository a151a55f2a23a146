"""Reconnecting the broker: the present keys are tried on a read of the account before anything is sent with them.

Only a person reconnects, and no strategy starts by it (SQ-14). Execution itself tries the keys, in an examination of
its edges: what admin could try would not be what execution trades with.
"""

from holdfast.doctor.v1 import doctor_pb2 as doctor
from holdfast_admin.audit import Journal, Person
from holdfast_admin.domain import strategies
from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import ConnectionView
from holdfast_admin.operations import Operations
from holdfast_catalogue.doctor.clinic import Clinic
from holdfast_catalogue.doctor.venue import BROKER
from holdfast_runtime.errors import Code, HoldfastError, Refused, Retry
from holdfast_runtime.ports.clock import MonotonicClock

EXECUTION = "execution"
LOOK_EVERY_SECS = 0.25


class Reconnection:
    """Verifies the broker's credentials, and clears what their refusal has halted."""

    def __init__(
        self, sources: Sources, *, clinic: Clinic, operations: Operations, journal: Journal, clock: MonotonicClock
    ) -> None:
        self._sources = sources
        self._clinic = clinic
        self._operations = operations
        self._journal = journal
        self._clock = clock

    async def reconnect(self, person: Person, note: str) -> ConnectionView:
        """Raises Refused NOT_EXPIRED; Refused CREDENTIALS_REFUSED with what the broker said: all stays as it was; Retry
        where execution does not tell within 15 s."""
        expired = strategies.connection(self._sources)
        if not expired.expired:
            self._journal.record(person, "reconnect", note, "refused", "not expired")
            raise Refused(Code.FAILED_PRECONDITION, "NOT_EXPIRED", "the connection to the broker is not expired")
        self._journal.record(person, "reconnect", note, "requested", expired.reason)
        try:
            evidence = await self._verified()
            for halt_id in expired.halt_ids:
                await self._operations.clear(person, halt_id, note)
        except HoldfastError as error:
            result = "refused" if isinstance(error, Refused) else "failed"
            self._journal.record_or_go_on(person, "reconnect", note, result, str(error))
            raise
        self._journal.record_or_go_on(person, "reconnect", note, "ok", evidence)
        return strategies.connection(self._sources)

    async def _verified(self) -> str:
        """What execution has found with the keys as they are now."""
        asked = await self._clinic.ask()
        while not (found := self._answers(asked.number)) and not self._clinic.complete:
            await self._clock.sleep(LOOK_EVERY_SECS)
        if not found:
            raise Retry("execution does not say whether the broker takes the credentials: they were not tried")
        for check in found:
            if check.verdict != doctor.VERDICT_OK:
                message = f"the broker does not take the credentials: {check.evidence}"
                raise Refused(Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED", message)
        return found[0].evidence

    def _answers(self, request: int) -> list[doctor.CheckResult]:
        """Of every process of execution that has examined itself since `request`."""
        return [
            check
            for each in self._clinic.examinations()
            if each.service == EXECUTION and each.request >= request > 0
            for check in each.results
            if check.check == BROKER
        ]
