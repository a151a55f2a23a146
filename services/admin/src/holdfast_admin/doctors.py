"""The doctor as people see it, and as they call it: who asked is in the audit."""

from collections.abc import Iterable

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_admin.audit import Person
from holdfast_admin.domain import convert
from holdfast_admin.domain.views import CheckView, DoctorView, ExaminationView
from holdfast_admin.operations import Operations
from holdfast_catalogue.doctor.clinic import Clinic
from holdfast_runtime.calls import current

UNKNOWN = "unknown"
WORDS = {pb.VERDICT_OK: "ok", pb.VERDICT_WARN: "warn", pb.VERDICT_RED: "red"}
ORDER = ("red", "warn", UNKNOWN, "ok")


def view(clinic: Clinic) -> DoctorView:
    """Every process, in the order of the way of a trade."""
    found = [_examination(each) for each in clinic.examinations()]
    return DoctorView(verdict=_gravest(each.verdict for each in found), complete=clinic.complete, examinations=found)


async def ask(clinic: Clinic, operations: Operations, person: Person) -> int:
    """Has every process examine itself; returns the request's number."""
    number = (await clinic.ask()).number
    operations.examine(person, number)
    return number


class Doctor:
    """Implements DoctorCalls: the clinic, with its requests in the audit."""

    def __init__(self, clinic: Clinic, operations: Operations) -> None:
        self._operations = operations
        self._clinic = clinic
        self.list_examinations = clinic.list_examinations

    async def examine(self, request: pb.ExamineRequest) -> pb.ExamineResponse:  # noqa: ARG002 - no parameters
        """See DoctorService."""
        call = current()
        person = Person(name="unknown" if call is None else call.caller, via="grpc", remote="")
        return pb.ExamineResponse(request=await ask(self._clinic, self._operations, person))


def _examination(each: pb.Examination) -> ExaminationView:
    checks = sorted((_check(one) for one in each.results), key=lambda one: ORDER.index(one.verdict))
    return ExaminationView(
        service=each.service,
        instance=each.instance,
        trigger=each.trigger,
        finished_at=convert.instant(each.finished_at) if each.HasField("finished_at") else None,
        verdict=_gravest(one.verdict for one in checks) if checks else UNKNOWN,
        checks=checks,
    )


def _check(one: pb.CheckResult) -> CheckView:
    return CheckView(
        check=one.check,
        verdict=WORDS.get(one.verdict, UNKNOWN),
        evidence=one.evidence,
        steps=list(one.steps),
    )


def _gravest(verdicts: Iterable[str]) -> str:
    return min(verdicts, key=ORDER.index, default=UNKNOWN)
