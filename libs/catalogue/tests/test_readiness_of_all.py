"""From reports on the bus to GREEN, YELLOW or RED (DA-2, MO-1, MO-2, MG-8)."""

from datetime import timedelta

import pytest

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.collector import Collector
from holdfast_catalogue.readiness import SILENT, Light, Report, assess, gather
from holdfast_catalogue.registry import SERVICES, point
from holdfast_catalogue.reports import MAX_WAITING, REPORT_EVERY_SECS, Reporter
from holdfast_catalogue.standing import Standing, Status, error, ok
from holdfast_runtime.clock import WallMarketClock
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_bus import MemoryBus

WALL = WallMarketClock()


def message(
    identity: str = "loop.stuck",
    status: Status = Status.OK,
    *,
    owner: str = "gate",
    age_secs: float = 0,
    stood_secs: float = 60,
):
    standing = Standing(point(identity))
    standing.note(error("seen") if status is Status.ERROR else ok(), at=WALL.now(), now_secs=0.0)
    found = standing.message(owner)
    found.status = pb.Status.ValueType(status)
    found.last_check.FromDatetime(WALL.now() - timedelta(seconds=age_secs))
    found.since.FromDatetime(WALL.now() - timedelta(seconds=age_secs + stood_secs))
    return found


def reports(*more: Report) -> list[Report]:
    named = {each.service for each in more}
    return [Report(name, [message(owner=name)], 1.0) for name in SERVICES if name not in named] + list(more)


def light(*more: Report) -> Light:
    return assess(gather(reports(*more), SERVICES)).light


def test_all_points_ok_is_green():
    assert light() is Light.GREEN


@pytest.mark.parametrize(
    ("identity", "status", "expected"),
    [
        ("feed.disconnected", Status.ERROR, Light.RED),
        ("feed.disconnected", Status.WARN, Light.YELLOW),
        ("order.unknown", Status.ERROR, Light.YELLOW),
        ("order.unknown", Status.WARN, Light.YELLOW),
        ("telemetry.dropping", Status.ERROR, Light.GREEN),
        ("gate.cooldown", Status.WARN, Light.GREEN),
        ("gate.max_positions", Status.WARN, Light.GREEN),
        ("gate.kill_switch", Status.ERROR, Light.RED),
    ],
)
def test_the_light_follows_severity_and_purpose(identity, status, expected):
    """PA-1: API or authentication failure, crash and kill switch are RED; blocks on purpose do not alarm."""
    assert light(Report("gate", [message(identity, status)], 1.0)) is expected


def test_a_warning_that_has_just_begun_changes_nothing_and_an_error_does():
    """What heals in a moment limits nothing: the light does not flicker."""
    for status, expected in ((Status.WARN, Light.GREEN), (Status.ERROR, Light.RED)):
        young = message("position.unprotected", status, stood_secs=1)
        assert light(Report("execution", [young], 1.0)) is expected


def test_a_status_that_was_never_found_out_is_no_green():
    unknown = message("feed.disconnected")
    unknown.status = pb.STATUS_UNSPECIFIED
    assert light(Report("signal", [unknown], 1.0)) is Light.RED


def test_a_service_that_stops_reporting_is_an_error_of_its_own():
    """Silence is a status: FP-6.1, FP-6.2, PR-1."""
    found = gather(reports(Report("gate", [message(age_secs=60)], 60.0)), SERVICES)
    silent = {each.owner: each for each in found if each.id == SILENT}
    assert silent["gate"].status == pb.STATUS_ERROR
    assert "60 s old" in silent["gate"].evidence
    assert silent["signal"].status == pb.STATUS_OK
    assert assess(found).light is Light.RED


def test_a_service_that_has_never_reported_is_an_error():
    found = assess(gather([each for each in reports() if each.service != "scoring"], SERVICES))
    assert [(each.owner, each.id) for each in found.open] == [("scoring", SILENT)]


def test_of_two_processes_the_worse_word_counts_and_a_gone_one_does_not():
    well = Report("gate", [message()], 1.0)
    assert light(well, Report("gate", [message(status=Status.ERROR)], 2.0)) is Light.RED
    assert light(well, Report("gate", [message(status=Status.ERROR)], 90.0)) is Light.GREEN


def test_what_is_open_is_listed_gravest_first():
    points = [message("order.unknown", Status.ERROR), message("feed.disconnected", Status.ERROR)]
    assert [each.id for each in assess(points).open] == ["feed.disconnected", "order.unknown"]


class Stack:
    """Reporters of all services on one bus, and admin's collector."""

    def __init__(self):
        self.clock = ManualMonotonicClock()
        self.bus = MemoryBus(self.clock)
        self.bucket = self.bus.bucket("failurepoints")
        self.points = {name: [message(owner=name)] for name in SERVICES}
        self.reporters = {name: self.reporter(name) for name in SERVICES if name != "admin"}
        self.collector = self.collector_of()

    def reporter(self, name: str) -> Reporter:
        return Reporter(
            name, "host.example", bus=self.bus, bucket=self.bucket, clock=self.clock, points=lambda: self.points[name]
        )

    def collector_of(self) -> Collector:
        return Collector(self.bucket, service="admin", own=lambda: self.points["admin"], clock=self.clock, wall=WALL)

    async def turn(self, *, secs: float = 1.0, but: str = "") -> None:
        self.clock.advance(secs)
        for name, reporter in self.reporters.items():
            if name != but:
                await reporter.turn()
        for key in [] if self.bucket.away else await self.bucket.keys():
            entry = await self.bucket.get(key)
            self.collector.take(entry)


async def test_reports_reach_whoever_collects_them():
    """DA-1: all points, live, as FailurePointService answers them."""
    stack = Stack()
    await stack.turn()
    answer = await stack.collector.list_failure_points(pb.ListFailurePointsRequest())
    assert {each.owner for each in answer.points} == set(SERVICES)
    assert stack.collector.readiness().light is Light.GREEN


async def test_a_report_is_renewed_though_nothing_changes():
    stack = Stack()
    await stack.turn()
    first = await stack.bucket.get("gate.host-example")
    await stack.turn(secs=REPORT_EVERY_SECS)
    assert (await stack.bucket.get("gate.host-example")).revision > first.revision


async def test_a_reporter_knows_whether_the_bus_answers():
    """A server that hangs keeps its connections."""
    stack = Stack()
    await stack.turn()
    gate = stack.reporters["gate"]
    assert gate.answered
    stack.bus.away = True
    await stack.turn(secs=REPORT_EVERY_SECS)
    assert not gate.answered
    stack.bus.away = False
    await stack.turn()
    assert gate.answered


async def test_changes_and_alerts_are_messages_of_their_own():
    """MO-2: all logged; `failurepoints.v1.<service>` and `alerts.v1.<id>`."""
    stack = Stack()
    broken = message(status=Status.ERROR)
    stack.reporters["gate"].changed(broken)
    stack.reporters["gate"].alert(broken)
    await stack.turn()
    (change,) = await stack.bus.stored("FAILUREPOINTS", "failurepoints.v1.gate")
    (alert,) = await stack.bus.stored("ALERTS", "alerts.v1.loop.stuck")
    assert pb.FailurePoint.FromString(change.payload) == pb.FailurePoint.FromString(alert.payload) == broken


async def test_while_the_bus_is_away_the_newest_changes_wait_in_bounds_and_then_go_out():
    stack = Stack()
    stack.bus.away = True
    for _ in range(MAX_WAITING + 10):
        stack.reporters["gate"].changed(message(status=Status.ERROR))
    await stack.turn()
    stack.bus.away = False
    for _ in range(MAX_WAITING):
        await stack.turn()
    assert len(await stack.bus.stored("FAILUREPOINTS", "failurepoints.v1.gate", limit=1_000)) == MAX_WAITING


async def test_another_process_on_the_same_key_does_not_end_the_reports():
    stack = Stack()
    await stack.turn()
    await stack.reporter("gate").turn()
    await stack.turn(secs=REPORT_EVERY_SECS)
    await stack.turn(secs=REPORT_EVERY_SECS)
    assert stack.collector.readiness().light is Light.GREEN


async def test_an_old_report_that_the_bucket_kept_is_silence_and_the_next_one_is_life():
    """A restarted admin does not take yesterday's word for today's."""
    stack = Stack()
    stack.points["gate"] = [message(age_secs=3_600)]
    await stack.turn()
    collector = stack.collector_of()
    for key in await stack.bucket.keys():
        collector.take(await stack.bucket.get(key))
    assert [(each.owner, each.id) for each in collector.readiness().open] == [("gate", SILENT)]
    stack.points["gate"] = [message()]
    await stack.turn(secs=REPORT_EVERY_SECS)
    collector.take(await stack.bucket.get("gate.host-example"))
    assert "gate" not in {each.owner for each in collector.readiness().open}


async def test_a_report_that_cannot_be_read_leaves_its_service_silent():
    stack = Stack()
    await stack.bucket.create("gate.host-example", b"\xff\xff\xff")
    stack.collector.take(await stack.bucket.get("gate.host-example"))
    assert ("gate", SILENT) in {(each.owner, each.id) for each in stack.collector.readiness().open}
