"""Failure points as people see them: by service, the gravest first, and as reasons of the trading status."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_admin.domain import convert
from holdfast_admin.domain.views import FailurePointsView, Light, PointView, Reason, ServicePointsView
from holdfast_catalogue import readiness
from holdfast_catalogue.registry import BY_ID

WORDS = {pb.STATUS_OK: "ok", pb.STATUS_WARN: "warn", pb.STATUS_ERROR: "error"}
SAME_AS = {
    "gate.kill_switch": ("KILL_SWITCH",),
    "credentials.refused": ("CREDENTIALS",),
    "strategy.aborted": ("SAFETY_ABORT",),
    "halt.standing": ("RECONCILIATION", "FOREIGN_ORDER"),
    "lease.lost": ("LEASE_FREE",),
    "entries.locked": ("ENTRIES_LOCKED",),
    "feed.disconnected": ("FEED_DISCONNECTED",),
    "position.unprotected": ("STOP_MISSING",),
    "reconciliation.discrepant": ("RECONCILIATION_DISCREPANT",),
    "reconciliation.stale": ("RECONCILIATION_STALE", "RECONCILIATION_NEVER"),
    "reconciliation.broker_unreachable": ("RECONCILIATION_UNAVAILABLE",),
}
"""Codes of reasons that admin's own sources give for the same thing, sooner."""
GRAVITY = {Light.GREEN: 0, Light.YELLOW: 1, Light.RED: 2}


def light_of(point: pb.FailurePoint) -> Light:
    return Light(readiness.light_of(point).value)


def view(points: Sequence[pb.FailurePoint]) -> FailurePointsView:
    """Every point, by service in the order of the way of a trade; in each, what is wrong before what is not."""
    found = readiness.assess(points)
    services = [
        ServicePointsView(service=owner, points=sorted(map(_point, group), key=_rank))
        for owner, group in groupby(points, key=lambda each: each.owner)
    ]
    return FailurePointsView(
        light=Light(found.light.value), open=[_point(each) for each in found.open], services=services
    )


def _rank(point: PointView) -> int:
    return ("error", "warn", "unknown", "ok").index(point.status)


def _point(each: pb.FailurePoint) -> PointView:
    row = BY_ID.get(each.id)
    return PointView(
        id=each.id,
        service=each.owner,
        title=each.title,
        severity=each.severity,
        priority=each.priority,
        covers=list(each.covers),
        status=WORDS.get(each.status, "unknown"),
        light=light_of(each),
        since=convert.instant(each.since),
        last_check=convert.instant(each.last_check),
        evidence=each.evidence,
        attempts=each.heal_attempts,
        heals=each.heals,
        healer=row.healer if row is not None else "",
        why_no_healer=row.why_no_healer if row is not None else "",
        detector=row.detector if row is not None else "",
        manual_steps=list(each.manual_steps),
        shown=dict(sorted(each.shown.items())),
        intentional=each.intentional,
    )


def reasons(points: Iterable[pb.FailurePoint], said: Sequence[Reason]) -> list[Reason]:
    """What the points add to what is `said` already. One point of several services is one reason."""
    open_ = sorted(readiness.assess(points).open, key=lambda each: each.id)
    found = []
    for identity, group in groupby(open_, key=lambda each: each.id):
        same = sorted(group, key=lambda each: (-GRAVITY[light_of(each)], each.owner))
        gravest = same[0]
        silent = [each for each in same if not _is_said(each, said)]
        if silent:
            services = ", ".join(each.owner for each in silent)
            found.append(
                Reason(
                    light=light_of(gravest),
                    code=identity,
                    text=gravest.title,
                    detail=f"{services}: {silent[0].evidence}" if silent[0].evidence else services,
                )
            )
    return found


def _is_said(point: pb.FailurePoint, said: Sequence[Reason]) -> bool:
    codes = SAME_AS.get(point.id, ())
    if point.id == readiness.SILENT:
        codes = (f"{point.owner.upper()}_AWAY", f"{point.owner.upper()}_NOT_READY")
    if point.id == "bus.away":
        codes = ("NATS_AWAY", "NATS_NOT_READY")
    gravity = GRAVITY[light_of(point)]
    return any(reason.code in codes and GRAVITY[reason.light] >= gravity for reason in said)
