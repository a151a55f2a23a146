"""All failure points in one ordered table."""

from holdfast_catalogue.points import EVERY_SERVICE, FailurePoint
from holdfast_catalogue.table import admin, execution, gate, process, reconciliation, scoring, signal

SERVICES = ("signal", "scoring", "gate", "execution", "reconciliation", "admin")
"""Those that stand guard, in the order of the way of a trade."""

POINTS: tuple[FailurePoint, ...] = (
    *signal.POINTS,
    *scoring.POINTS,
    *gate.POINTS,
    *execution.POINTS,
    *reconciliation.POINTS,
    *admin.POINTS,
    admin.SILENT,
    *process.POINTS,
)

BY_ID = {each.id: each for each in POINTS}


def point(identity: str) -> FailurePoint:
    """The row of a point. Raises KeyError where the table has none."""
    return BY_ID[identity]


def of_service(service: str) -> list[FailurePoint]:
    """What a service's sentinel watches: its own points, then those of every process."""
    owners = (service, EVERY_SERVICE)
    # A silent service cannot tell so itself: whoever gathers the reports does (`readiness.gather`).
    found = [each for each in POINTS if each.owner in owners and each is not admin.SILENT]
    return sorted(found, key=lambda each: owners.index(each.owner))
