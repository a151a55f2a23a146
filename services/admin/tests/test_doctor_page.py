"""The doctor on the page, in the API and over gRPC: what was found, what to do, and who asked (IN-8, SE-7)."""

import asyncio
import re

import httpx

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_admin.doctors import Doctor
from holdfast_catalogue.doctor.checks import red
from holdfast_runtime import calls

from .conftest import TOKEN, Admin

OWN = {"X-Holdfast": "1", "Origin": "http://admin.test"}


async def examined(admin: Admin) -> None:
    """Until the process itself has answered; the others of this stack never do."""
    while admin.examiner.newest is None:  # noqa: ASYNC110 - it waits for a task that ends by itself
        await asyncio.sleep(0)
    admin.clock.secs += 60


async def test_an_edge_that_is_cut_is_told_with_what_to_do(admin: Admin, api: httpx.AsyncClient) -> None:
    admin.seen = red("<b>connection refused</b>", "Look whether NATS runs.")
    asked = await api.post("/api/v1/doctor")
    assert (asked.status_code, asked.json()["complete"]) == (202, False)
    await examined(admin)
    found = (await api.get("/api/v1/doctor")).json()
    assert (found["verdict"], found["complete"]) == ("red", True)
    own = next(each for each in found["examinations"] if each["service"] == "admin")
    assert own["checks"] == [
        {
            "check": "bus", "verdict": "red", "evidence": "<b>connection refused</b>",
            "steps": ["Look whether NATS runs."],
        }
    ]  # fmt: skip
    gate = next(each for each in found["examinations"] if each["service"] == "gate")
    assert [(each["check"], each["verdict"]) for each in gate["checks"]] == [("answers", "red")]
    async with admin.client() as client:
        await client.post("/login", data={"token": TOKEN, "who": "ada"})
        page = (await client.get("/doctor")).text
    assert "Look whether NATS runs." in page
    assert "&lt;b&gt;connection refused" in page, "what was found is text"
    assert re.search(r"\d+ of \d+ checks (is|are) not OK", page)


async def test_asking_again_is_audited_and_no_foreign_page_can_do_it(admin: Admin) -> None:
    async with admin.client() as client:
        await client.post("/login", data={"token": TOKEN, "who": "ada"})
        assert (await client.post("/doctor")).status_code == 403
        assert admin.examiner.newest is None
        answer = await client.post("/doctor", headers=OWN)
        assert "examines its edges now" in answer.text
        await examined(admin)
    assert [(each.who, each.action) for each in admin.audit.newest() if each.action == "examine"] == [
        ("ada", "examine")
    ]


async def test_over_grpc_the_caller_is_in_the_audit(admin: Admin) -> None:
    calls.enter(calls.Call(caller="operator", deadline_secs=admin.clock.now_secs() + 5))
    doctor = Doctor(admin.clinic, admin.operations)
    assert (await doctor.examine(pb.ExamineRequest())).request > 0
    await examined(admin)
    (entry,) = [each for each in admin.audit.newest() if each.action == "examine"]
    assert (entry.who, entry.via) == ("operator", "grpc")
    answer = await doctor.list_examinations(pb.ListExaminationsRequest())
    assert answer.complete
    assert answer.examinations[-1].service == "admin"
