"""`holdfast ready`: what stands between now and GREEN (VC-1)."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.readiness import Light, Readiness, assess, light_of
from holdfast_cli.stack_calls import StackFiles, stack_calls
from holdfast_runtime.errors import HoldfastError

STYLES = {Light.GREEN: "bold green", Light.YELLOW: "bold yellow", Light.RED: "bold red"}


async def show(files: StackFiles, console: Console) -> bool:
    """Prints the light and every open point with what to do; True where it is GREEN.

    Admin gathers the points: one that does not answer is no GREEN."""
    async with stack_calls(files) as calls:
        try:
            answer = await calls.failure_points.list_failure_points(pb.ListFailurePointsRequest())
        except HoldfastError as error:
            console.print(
                Text.assemble(("RED", STYLES[Light.RED]), f"  admin does not answer: {error}"), soft_wrap=True
            )
            return False
    return tell(answer.points, console)


def tell(points: Sequence[pb.FailurePoint], console: Console) -> bool:
    """Prints what the points say together; True where that is GREEN."""
    found = assess(points)
    for line in lines(points, found):
        console.print(line, soft_wrap=True)
    return found.light is Light.GREEN


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
