"""`holdfast doctor` prints RED first with what to do, in words and in JSON, and waits no longer than it may (IN-8)."""

import json
from datetime import UTC, datetime
from io import StringIO

from rich.console import Console
from typer.testing import CliRunner

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_catalogue.doctor.checks import Result, Verdict, doubtful, red, result, well
from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.doctor import examine, show
from holdfast_cli.main import app
from holdfast_runtime.errors import Retry
from holdfast_runtime.wire import to_timestamp

AT = datetime(2026, 11, 21, 13, 15, tzinfo=UTC)


def examination(service: str, **found: Result) -> pb.Examination:
    return pb.Examination(
        service=service, instance="pod-1", trigger="on demand", request=7, finished_at=to_timestamp(AT),
        results=[result(name, each) for name, each in found.items()],
    )  # fmt: skip


WELL = examination("scoring", bus=well("it answers"))
CUT = examination("gate", bus=well("it answers"), execution=red("[b]refused[/b]", "Look whether execution runs."))


def said(*found: pb.Examination, as_json: bool = False) -> tuple[bool, str]:
    out = StringIO()
    fine = show(found, Console(file=out, width=100), as_json=as_json)
    return fine, out.getvalue()


def test_nothing_red_is_well():
    fine, text = said(WELL, examination("gate", disk=doubtful("900 MiB free", "Free space.")))
    assert fine
    assert text.splitlines()[-1] == "WARN  1 of 2 checks are OK"
    assert "1. Free space." in text


def test_what_is_red_comes_first_with_what_to_do():
    fine, text = said(WELL, CUT)
    assert not fine
    lines = text.splitlines()
    assert lines[0] == "gate  pod-1  examined 13:15:00 UTC, on demand"
    assert [line.split()[0] for line in lines[1:4]] == ["RED", "1.", "OK"]
    assert "[b]refused[/b]" in lines[1]
    assert lines[-1] == "RED  2 of 3 checks are OK"


def test_as_json_it_says_the_same():
    fine, text = said(WELL, CUT, as_json=True)
    found = json.loads(text)
    assert not fine
    assert found["verdict"] == "RED"
    assert [each["service"] for each in found["examinations"]] == ["scoring", "gate"]
    assert found["examinations"][1]["checks"][1] == {
        "check": "execution", "verdict": "RED", "evidence": "[b]refused[/b]", "steps": ["Look whether execution runs."]
    }  # fmt: skip


def test_an_examination_that_is_not_there_is_no_ok():
    assert not said(WELL, pb.Examination(service="gate"))[0]
    assert not said()[0]


class Admin:
    """Gathers what it is given, one answer at a time."""

    def __init__(self, *answers: pb.ListExaminationsResponse | Retry) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def examine(self, request: pb.ExamineRequest) -> pb.ExamineResponse:
        self.asked += 1
        return pb.ExamineResponse(request=7)

    async def list_examinations(self, request: pb.ListExaminationsRequest) -> pb.ListExaminationsResponse:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Retry):
            raise answer
        return answer


async def test_it_asks_once_and_waits_for_everybody():
    waiting = pb.ListExaminationsResponse(examinations=[WELL], request=7)
    done = pb.ListExaminationsResponse(examinations=[WELL, CUT], request=7, complete=True)
    admin = Admin(waiting, Retry("admin restarts"), done)
    assert await examine(admin) == [WELL, CUT]
    assert admin.asked == 1


async def test_an_answer_that_never_is_whole_is_red():
    (found,) = await examine(Admin(pb.ListExaminationsResponse(request=7)), within_secs=0.01)
    assert (found.service, found.results[0].verdict) == ("admin", Verdict.RED)
    assert found.results[0].steps


def test_an_address_alone_is_refused():
    done = CliRunner().invoke(app, ["doctor", "--admin", "127.0.0.1:8443"])
    assert done.exit_code == EXIT_USAGE
