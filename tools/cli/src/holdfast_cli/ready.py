"""`holdfast ready`: what stands between now and GREEN (VC-1)."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.checklist import Box, Evidence, boxes
from holdfast_catalogue.readiness import Light, Readiness, assess, light_of
from holdfast_cli.stack_calls import StackCalls, StackFiles, stack_calls
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.settings import VenueKind

STYLES = {Light.GREEN: "bold green", Light.YELLOW: "bold yellow", Light.RED: "bold red"}


async def show(files: StackFiles, console: Console) -> bool:
    """Prints the light and every open point with what to do, and the boxes that are not ticked; True where it is GREEN
    and all are.

    Admin gathers the points: one that does not answer is no GREEN."""
    async with stack_calls(files) as calls:
        try:
            answer = await calls.failure_points.list_failure_points(pb.ListFailurePointsRequest())
        except HoldfastError as error:
            console.print(
                Text.assemble(("RED", STYLES[Light.RED]), f"  admin does not answer: {error}"), soft_wrap=True
            )
            return False
        seen = await evidence(calls, answer.points)
    return tell(seen, console)


async def evidence(calls: StackCalls, points: Sequence[pb.FailurePoint]) -> Evidence:
    """What the stack has shown. A ledger that does not answer has shown nothing."""
    try:
        ledger = await calls.execution.get_ledger(execution.GetLedgerRequest())
    except HoldfastError:
        ledger = execution.GetLedgerResponse()
    alerts = calls.settings.alerts
    outside = [("a dead man's switch", alerts.heartbeat_url), ("alert rules", alerts.rules)]
    return Evidence(
        points=points,
        decisions=ledger.decisions_allowed + ledger.decisions_blocked,
        fills=len(ledger.fills),
        watched_by=" and ".join(name for name, given in outside if given),
        real=calls.settings.venue.kind is VenueKind.ALPACA,
    )


def tell(seen: Evidence, console: Console) -> bool:
    """Prints what the points say together and what is open of the checklist; True where nothing is."""
    found, checklist = assess(seen.points), boxes(seen)
    for line in (*lines(seen.points, found), *checked(checklist)):
        console.print(line, soft_wrap=True)
    return found.light is Light.GREEN and not any(each.open for each in checklist)


def checked(checklist: Sequence[Box]) -> list[Text]:
    """How many boxes are ticked, and each that is not with the reason (VC-1)."""
    unticked = [each for each in checklist if each.open]
    head = f"{len(checklist) - len(unticked)} of {len(checklist)} boxes of the checklist are ticked"
    return [Text(head), *(Text.assemble(("[ ] ", "bold yellow"), f"{each.name}: {each.open}") for each in unticked)]


def lines(points: Sequence[pb.FailurePoint], found: Readiness) -> list[Text]:
    """The light first, then each open point: its service, what was seen, and the manual steps."""
    well = sum(each.status == pb.STATUS_OK for each in points)
    told = [Text.assemble((found.light.value, STYLES[found.light]), f"  {well} of {len(points)} failure points are OK")]
    for each in found.open:
        status = pb.Status.Name(each.status).removeprefix("STATUS_")
        head = f"{status:<5} {each.owner}  {each.id}  {each.title}"
        told.append(Text.assemble((head, STYLES[light_of(each)]), f": {each.evidence}" if each.evidence else ""))
        told.extend(Text(f"      {number}. {step}") for number, step in enumerate(each.manual_steps, 1))
    return told
