"""The verification checklist of the documents: what must be so before trading is called ready (VC-1). Pure.

Each box is judged by what the running stack says, or by the catalogue that it runs; none by a promise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue import docs, requirements
from holdfast_catalogue.points import FailurePoint
from holdfast_catalogue.readiness import SILENT
from holdfast_catalogue.registry import POINTS, SERVICES, of_service

DOCUMENTED_ROWS = "FP-"
"""Rows of the requirements that are failure points of the documents."""
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the stack has shown. `decisions`: stored ones, whatever they decided. `watched_by`: who outside notices when
    all here is silent; empty: nobody. `real`: orders go to a broker, not to a recording."""

    points: Sequence[pb.FailurePoint]
    decisions: int
    fills: int
    watched_by: str
    real: bool


@dataclass(frozen=True, slots=True)
class Box:
    """One box. `open`: why it is not ticked, or empty. `said`: what ticks it."""

    name: str
    said: str
    open: str = ""


def boxes(seen: Evidence) -> list[Box]:
    """The eleven boxes, in the documents' order and words."""
    live = {(each.owner, each.id): each for each in seen.points}
    wanted = [(service, row) for service in SERVICES for row in of_service(service)]
    missing = [f"{service}: {row.id}" for service, row in wanted if (service, row.id) not in live]
    unseen = [f"{each.owner}: {each.id}" for each in seen.points if each.status == pb.STATUS_UNSPECIFIED]
    silent = [each.owner for each in seen.points if each.id == SILENT and each.status != pb.STATUS_OK]
    page = docs.render()
    total = len(POINTS)
    return [
        Box(
            "All failure points documented",
            f"{total} points cover every failure point of the documents",
            _open("this release watches nothing of", _uncovered()),
        ),
        Box(
            "Each FP has detection mechanism",
            f"{len(wanted)} detectors run and have looked",
            _open("no detector reports", missing) or _open("has not looked yet", unseen),
        ),
        Box(
            "Each FP has self-healing (where possible)",
            f"{sum(bool(each.healer) for each in POINTS)} heal, the others say why not",
            _open(
                "neither healer nor reason", _ids(each for each in POINTS if not (each.healer or each.why_no_healer))
            ),
        ),
        Box(
            "Each FP visible on dashboard",
            f"admin shows {len(seen.points)} of {len(seen.points)}",
            _open("is not shown", missing),
        ),
        Box(
            "Test harness covers all FPs",
            f"{sum(len(each.proofs) for each in POINTS)} tests and drills are named",
            _open("no test", _ids(each for each in POINTS if not each.proofs)),
        ),
        Box(
            "End-to-end test passes",
            f"{seen.fills} fills: signals have become orders, and orders positions",
            "" if seen.fills else "no order has filled yet in this ledger: let it trade on paper first",
        ),
        Box(
            "Signal injection test passes",
            f"{seen.decisions} signals have gone down the whole chain",
            "" if seen.decisions else "no signal has reached a stored decision yet: run `holdfast test`",
        ),
        Box(
            "Monitoring alerts configured",
            seen.watched_by or "nothing but a recording is traded: the pages and the stream ALERTS tell",
            "nobody outside notices when all is silent: set alerts.heartbeat_url, or alerts.rules"
            if seen.real and not seen.watched_by
            else "",
        ),
        Box(
            "Dashboard shows all FPs",
            f"all {len(SERVICES)} services report to it",
            _open("does not report", silent) or _open("never reported", _absent(seen.points)),
        ),
        Box(
            "Self-healing verified for each FP",
            "every healer has a test that sees it heal, or has nothing to heal now",
            _open("healing did not help", _unhealed(seen.points)),
        ),
        Box(
            "Documentation complete",
            "every point has its detector, its healer and its steps on its page",
            _open("is not on the page", _ids(each for each in POINTS if f"`{each.id}`" not in page)),
        ),
    ]


def _open(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{what}: {', '.join(names[:MOST_NAMED])}{more}"


def _ids(rows: Iterable[FailurePoint]) -> list[str]:
    return [each.id for each in rows]


def _uncovered() -> list[str]:
    """Failure points of the documents that no point of the catalogue is about."""
    covered = {name for each in POINTS for name in each.covers}
    return [
        f"{row.title} ({name})"
        for name, row in requirements.load().items()
        if name.startswith(DOCUMENTED_ROWS) and name not in covered
    ]


def _absent(points: Sequence[pb.FailurePoint]) -> list[str]:
    seen = {each.owner for each in points}
    return [service for service in SERVICES if service not in seen]


def _unhealed(points: Sequence[pb.FailurePoint]) -> list[str]:
    """Errors that a healer should have ended by now."""
    healed = {each.id for each in POINTS if each.healer and not each.intentional}
    return [f"{each.owner}: {each.id}" for each in points if each.status == pb.STATUS_ERROR and each.id in healed]
