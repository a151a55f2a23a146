"""Failure points on the pages and in the API, the trading status that follows from them, and admin's own points."""

import re
from datetime import timedelta

import pytest

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.failurepoint.v1 import failurepoint_pb2
from holdfast_admin.adapters.release import Release
from holdfast_admin.domain.views import ServiceView
from holdfast_admin.release_watch import ReleaseWatch
from holdfast_admin.watches import watches
from holdfast_catalogue.readiness import gather
from holdfast_catalogue.registry import EVERY_SERVICE, of_service, point
from holdfast_catalogue.standing import Finding, Standing, Status
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock

from .conftest import NOW, TOKEN, Admin, Facts

RELEASE = ReleaseWatch(Release({}), ManualMonotonicClock())
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def standing(
    identity: str, status: Status = Status.ERROR, owner: str = "gate", evidence: str = "seen", **shown: str
) -> failurepoint_pb2.FailurePoint:
    """A point as its service reports it, in that status for a minute."""
    found = Standing(point(identity))
    found.note(Finding(status, evidence, shown), at=NOW, now_secs=0.0)
    found.note(Finding(status, evidence, shown), at=NOW + timedelta(minutes=1), now_secs=60.0)
    return found.message(owner)


async def status(admin: Admin) -> dict:
    async with admin.client(**BEARER) as api:
        return (await api.get("/api/v1/status")).json()


@pytest.fixture
def calm(admin: Admin, facts: Facts) -> Admin:
    """Nothing else stands between now and GREEN."""
    for fact in (facts.account(), facts.verdict(pb.RECONCILIATION_STATE_CLEAN)):
        admin.sources.projection.apply(fact)
    return admin


async def test_every_point_of_admin_is_watched() -> None:
    own = [each for each in of_service("admin") if each.owner != EVERY_SERVICE]
    assert [each.point for each in watches(ManualMonotonicClock(), RELEASE)] == own


async def test_wrong_tokens_show_and_many_of_them_alarm(admin: Admin) -> None:
    """SE-7: through the login page itself."""
    clock = ManualMonotonicClock()
    lookout = Lookout("admin", watches(clock, RELEASE), clock)
    assert await lookout.status("login.refused") == "OK"
    async with admin.client() as client:
        await client.post("/login", data={"token": "wrong", "who": "eve"})
        assert await lookout.status("login.refused") == "WARN"
        for _ in range(12):
            await client.post("/login", data={"token": "wrong", "who": "eve"})
    assert await lookout.status("login.refused") == "ERROR"
    assert [each.id for each in lookout.alerts] == ["login.refused"]
    assert await lookout.status("login.refused", after_secs=700) == "OK"


@pytest.mark.parametrize(
    ("identity", "level", "light"),
    [
        ("feed.stale", Status.OK, "GREEN"),
        ("feed.stale", Status.WARN, "YELLOW"),
        ("loop.stuck", Status.ERROR, "RED"),
        ("gate.cooldown", Status.WARN, "GREEN"),
        ("telemetry.dropping", Status.WARN, "GREEN"),
    ],
)
async def test_the_trading_status_follows_from_the_failure_points(calm: Admin, identity, level, light) -> None:
    """DA-2, PA-1."""
    calm.points = [standing(identity, level)]
    found = await status(calm)
    assert found["light"] == light
    assert [each["code"] for each in found["reasons"]] == ([] if light == "GREEN" else [identity])


async def test_one_point_of_several_services_is_one_reason(calm: Admin) -> None:
    calm.points = [standing("loop.stuck", owner=owner) for owner in ("gate", "signal")]
    (reason,) = (await status(calm))["reasons"]
    assert reason["detail"] == "gate, signal: seen"


async def test_what_admin_sees_itself_is_not_said_twice(calm: Admin, facts: Facts) -> None:
    calm.sources.projection.apply(facts.halt("kill_switch.1"))
    calm.sources.services["gate"] = ServiceView(name="gate", title="Gate", alive=False, ready=False, since=NOW)
    silent = [each for each in gather([], ["gate"]) if each.owner == "gate"]
    calm.points = [standing("gate.kill_switch"), *silent]
    assert sorted(each["code"] for each in (await status(calm))["reasons"]) == ["GATE_AWAY", "KILL_SWITCH"]


async def test_the_api_lists_every_point_with_all_that_is_known_of_it(calm: Admin) -> None:
    """DA-1, DA-3, MO-1, MO-3: status, since, last check, evidence, healing, manual steps, quantities."""
    calm.points = [standing("feed.disconnected", owner="signal"), standing("gate.cooldown", Status.WARN, cooling="2")]
    async with calm.client(**BEARER) as api:
        found = (await api.get("/api/v1/failure-points")).json()
    assert (found["light"], [each["id"] for each in found["open"]]) == ("RED", ["feed.disconnected"])
    assert [each["service"] for each in found["services"]] == ["signal", "gate"]
    feed, cooldown = (each["points"][0] for each in found["services"])
    assert (feed["status"], feed["since"], feed["evidence"]) == ("error", "2013-10-08T14:30:00Z", "seen")
    assert feed["manual_steps"]
    assert feed["healer"]
    assert (cooldown["intentional"], cooldown["shown"]) == (True, {"cooling": "2"})


async def test_the_page_shows_what_is_open_with_what_to_do_and_every_service(calm: Admin) -> None:
    """DA-1: open ones first, with their manual steps; blocks on purpose are no errors."""
    calm.points = [
        standing("feed.disconnected", owner="signal", evidence="<b>gone</b>"),
        standing("gate.cooldown", Status.WARN),
        standing("bus.away", Status.OK),
    ]
    async with calm.client() as client:
        await client.post("/login", data={"token": TOKEN, "who": "ada"})
        text = (await client.get("/failure-points")).text
    assert text.index("Between now and GREEN") < text.index("points-signal") < text.index("points-gate")
    assert "Look at the venue&#39;s status page" in text
    assert "Blocking" in text
    assert "<b>gone</b>" not in text
    assert "1 of 2 OK" in text


async def test_of_each_service_what_is_wrong_comes_first_and_what_is_not_is_calm(calm: Admin) -> None:
    """DA-1: a warning that limits nothing is not lost among many that are OK, and what is OK does not alarm."""
    calm.points = [
        standing("bus.away", Status.OK, "signal"), standing("feed.gap", Status.WARN, "signal"),
        standing("feed.stale", Status.OK, "signal"), standing("feed.disconnected", Status.ERROR, "signal"),
    ]  # fmt: skip
    async with calm.client() as client:
        await client.post("/login", data={"token": TOKEN, "who": "ada"})
        text = (await client.get("/failure-points")).text
    rows = re.findall(r'<li id="p-signal-([a-z_.]+)"( class="calm")?>', text)
    assert rows == [
        ("feed.disconnected", ""), ("feed.gap", ""), ("bus.away", ' class="calm"'), ("feed.stale", ' class="calm"'),
    ]  # fmt: skip
    assert "OK says that it has not" in text


async def test_the_page_says_when_nothing_is_known_yet(admin: Admin) -> None:
    async with admin.client() as client:
        await client.post("/login", data={"token": TOKEN, "who": "ada"})
        assert "Nothing is known yet" in (await client.get("/failure-points")).text
