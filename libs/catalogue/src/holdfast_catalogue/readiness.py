"""Is it safe to trade now: from the reports of all services to GREEN, YELLOW or RED. Pure.

GREEN: every critical point is OK. YELLOW: something limits trading. RED: a critical error, trading is blocked (DA-2).
Silence is a status: a service whose last report is too old is an ERROR of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.points import Severity
from holdfast_catalogue.registry import BY_ID, point
from holdfast_catalogue.standing import Status, error, ok
from holdfast_runtime.wire import from_timestamp

SILENT = "service.silent"
SILENT_AFTER_SECS = 15.0
STEADY_SECS = 4.0
"""A warning counts once it has stood for so long: what heals in a moment limits nothing."""


class Light(StrEnum):
    """The colour of the whole."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"


@dataclass(frozen=True, slots=True)
class Report:
    """The newest word of one process. `age_secs`: how old it is."""

    service: str
    points: Sequence[pb.FailurePoint]
    age_secs: float


@dataclass(frozen=True, slots=True)
class Readiness:
    """The light, and what stands between now and GREEN, the gravest first."""

    light: Light
    open: list[pb.FailurePoint]


def gather(
    reports: Iterable[Report], services: Sequence[str], *, silent_after_secs: float = SILENT_AFTER_SECS
) -> list[pb.FailurePoint]:
    """Every point of every expected service, silence included, in the order of services and of the table.

    Of several processes of one service the worst word of each point counts; those that fell silent do not count while
    another one speaks.
    """
    by_service: dict[str, list[Report]] = {}
    for report in reports:
        by_service.setdefault(report.service, []).append(report)
    found: list[pb.FailurePoint] = []
    for service in services:
        given = by_service.get(service, [])
        fresh = [report for report in given if report.age_secs <= silent_after_secs]
        found.append(_silence(service, given, fresh, silent_after_secs))
        found += _worst(fresh or given)
    return found


def _silence(service: str, given: list[Report], fresh: list[Report], silent_after_secs: float) -> pb.FailurePoint:
    row = point(SILENT)
    if fresh:
        finding = ok(f"{len(fresh)} of {len(given)} processes report")
    elif given:
        age_secs = min(report.age_secs for report in given)
        finding = error(f"the last report is {age_secs:.0f} s old, the bound is {silent_after_secs:.0f} s")
    else:
        finding = error("it has never reported")
    checks = [each.last_check for report in given for each in report.points if each.HasField("last_check")]
    newest = max(checks, key=lambda stamp: (stamp.seconds, stamp.nanos), default=None)
    silent = finding.status is not Status.OK
    return pb.FailurePoint(
        id=row.id,
        title=row.title,
        owner=service,
        severity=row.severity.value,
        priority=row.priority,
        covers=row.covers,
        status=pb.Status.ValueType(finding.status),
        since=newest if silent else None,
        last_check=newest,
        evidence=finding.evidence,
        manual_steps=row.manual_steps,
    )


def _worst(reports: list[Report]) -> list[pb.FailurePoint]:
    worst: dict[str, pb.FailurePoint] = {}
    for report in reports:
        for each in report.points:
            if each.id not in worst or each.status > worst[each.id].status:
                worst[each.id] = each
    order = {identity: place for place, identity in enumerate(BY_ID)}
    return sorted(worst.values(), key=lambda each: (order.get(each.id, len(order)), each.id))


def light_of(each: pb.FailurePoint) -> Light:
    """What one point makes of the whole. A status that is not known is an error: nothing is guessed."""
    if each.status == pb.STATUS_OK:
        return Light.GREEN
    failed = each.status != pb.STATUS_WARN
    if each.severity == Severity.CRITICAL and failed:
        return Light.RED
    if each.intentional or each.severity == Severity.LOW:
        return Light.GREEN
    if not failed and each.HasField("since") and _stood_secs(each) < STEADY_SECS:
        return Light.GREEN
    return Light.YELLOW


def _stood_secs(each: pb.FailurePoint) -> float:
    """For how long its service has seen the present status, as of its own last check."""
    return (from_timestamp(each.last_check) - from_timestamp(each.since)).total_seconds()


def assess(points: Iterable[pb.FailurePoint]) -> Readiness:
    """The light of all points."""
    order = {Light.RED: 0, Light.YELLOW: 1}
    found = [(light_of(each), each) for each in points]
    blocking = sorted((each for each in found if each[0] in order), key=lambda each: order[each[0]])
    return Readiness(blocking[0][0] if blocking else Light.GREEN, [each for _, each in blocking])
