"""`holdfast ready` says the light, and names what stands between now and GREEN with what to do (VC-1)."""

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue import checklist, requirements
from holdfast_catalogue.checklist import Evidence, boxes
from holdfast_catalogue.readiness import Report, gather
from holdfast_catalogue.registry import POINTS, SERVICES, of_service, point
from holdfast_catalogue.standing import Finding, Standing, Status
from holdfast_cli.ready import tell

AT = datetime(2013, 10, 8, 14, 30, tzinfo=UTC)


def standing(identity: str, status: Status, owner: str) -> pb.FailurePoint:
    found = Standing(point(identity))
    found.note(Finding(status, "[red]as seen[/red]"), at=AT, now_secs=0.0)
    return found.message(owner)


def all_ok() -> list[pb.FailurePoint]:
    """Every point of every service, as admin gathers them, and nothing wrong anywhere."""
    reports = [
        Report(service, [standing(row.id, Status.OK, service) for row in of_service(service)], 1.0)
        for service in SERVICES
    ]
    return gather(reports, SERVICES)


def shown(points: list[pb.FailurePoint], **changes: object) -> Evidence:
    """A stack that has traded on paper."""
    return replace(Evidence(points=points, decisions=7, fills=3, watched_by="", real=False), **changes)


def said(seen: list[pb.FailurePoint] | Evidence) -> tuple[bool, str]:
    out = StringIO()
    evidence = seen if isinstance(seen, Evidence) else shown(seen)
    green = tell(evidence, Console(file=out, width=60))
    return green, out.getvalue()


def unticked(seen: Evidence) -> dict[str, str]:
    return {each.name: each.open for each in boxes(seen) if each.open}


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue that has a point for every failure point of the documents."""
    covered = {name for each in POINTS for name in each.covers}
    rows = {name: row for name, row in requirements.load().items() if name in covered}
    monkeypatch.setattr(checklist.requirements, "load", lambda: rows)


@pytest.mark.usefixtures("whole")
def test_all_ok_is_green_in_two_lines():
    points = all_ok()
    green, text = said(points)
    assert green
    assert text == (
        f"GREEN  {len(points)} of {len(points)} failure points are OK\n11 of 11 boxes of the checklist are ticked\n"
    )


def test_the_checklist_has_the_boxes_of_the_documents_in_their_words():
    """VC-1."""
    names = [each.name for each in boxes(shown(all_ok()))]
    assert names == [
        "All failure points documented", "Each FP has detection mechanism",
        "Each FP has self-healing (where possible)", "Each FP visible on dashboard", "Test harness covers all FPs",
        "End-to-end test passes", "Signal injection test passes", "Monitoring alerts configured",
        "Dashboard shows all FPs", "Self-healing verified for each FP", "Documentation complete",
    ]  # fmt: skip


def test_a_failure_point_of_the_documents_without_a_point_is_named():
    """VC-1, FP: the catalogue says itself what it does not cover yet."""
    covered = {name for each in POINTS for name in each.covers}
    rows = requirements.load()
    missing = [f"{rows[name].title} ({name})" for name in rows if name.startswith("FP-") and name not in covered]
    said = unticked(shown(all_ok())).get("All failure points documented", "")
    assert bool(said) == bool(missing)
    assert all(each in said for each in missing[:5])


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(
    ("changes", "open_boxes"),
    [
        ({}, []),
        ({"fills": 0}, ["End-to-end test passes"]),
        ({"decisions": 0, "fills": 0}, ["End-to-end test passes", "Signal injection test passes"]),
        ({"real": True}, ["Monitoring alerts configured"]),
        ({"real": True, "watched_by": "alert rules"}, []),
        (
            {"points": [each for each in all_ok() if each.owner != "gate"]},
            ["Each FP has detection mechanism", "Each FP visible on dashboard", "Dashboard shows all FPs"],
        ),
        (
            {"points": [*all_ok(), standing("bus.away", Status.ERROR, "gate")]},
            ["Self-healing verified for each FP"],
        ),
    ],
)
def test_each_box_is_judged_by_what_the_stack_shows(changes, open_boxes):
    """VC-1."""
    seen = shown(changes.pop("points", all_ok()), **changes)
    assert list(unticked(seen)) == open_boxes
    green, text = said(seen)
    assert green == (not open_boxes)
    assert all(f"[ ] {name}: " in text for name in open_boxes)


def test_what_is_open_is_named_gravest_first_with_its_service_evidence_and_steps():
    points = [standing("order.unknown", Status.ERROR, "execution"), standing("bus.away", Status.ERROR, "gate")]
    green, text = said([*points, standing("gate.cooldown", Status.WARN, "gate")])
    assert not green
    first, *rest = text.splitlines()
    assert first == "RED  0 of 3 failure points are OK"
    assert rest[0] == "ERROR gate  bus.away  The bus cannot be reached: [red]as seen[/red]"
    assert rest[1].startswith("      1. Look whether NATS runs")
    assert "order.unknown" in text
    assert "gate.cooldown" not in text


def test_services_that_do_not_report_are_named():
    green, text = said(gather([], SERVICES))
    assert not green
    assert [line.split()[1] for line in text.splitlines() if line.startswith("ERROR")] == list(SERVICES)
