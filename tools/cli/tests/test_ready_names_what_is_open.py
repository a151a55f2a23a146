"""`holdfast ready` says the light, and names what stands between now and GREEN with what to do (VC-1)."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.readiness import gather
from holdfast_catalogue.registry import POINTS, SERVICES, point
from holdfast_catalogue.standing import Finding, Standing, Status
from holdfast_cli.ready import tell

AT = datetime(2013, 10, 8, 14, 30, tzinfo=UTC)


def standing(identity: str, status: Status, owner: str) -> pb.FailurePoint:
    found = Standing(point(identity))
    found.note(Finding(status, "[red]as seen[/red]"), at=AT, now_secs=0.0)
    return found.message(owner)


def said(points: list[pb.FailurePoint]) -> tuple[bool, str]:
    out = StringIO()
    green = tell(points, Console(file=out, width=60))
    return green, out.getvalue()


def test_all_ok_is_green_in_one_line():
    green, text = said([standing(each.id, Status.OK, each.owner) for each in POINTS])
    assert green
    assert text == f"GREEN  {len(POINTS)} of {len(POINTS)} failure points are OK\n"


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
