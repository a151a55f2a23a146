"""`holdfast doctor`: every service examines its own edges now, and says what is wrong and what to do (IN-8, VC-1)."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_catalogue.doctor.checks import Verdict, gravest, red, result
from holdfast_cli.plan import OPERATOR
from holdfast_cli.stack_calls import StackFiles, stack_calls
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import HoldfastError, Retry
from holdfast_runtime.identity import load_identity
from holdfast_runtime.ports.calls import DoctorCalls
from holdfast_runtime.rpc.client import Remotes
from holdfast_runtime.wire import from_timestamp

WITHIN_SECS = 25.0
LOOK_EVERY_SECS = 0.25
STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.RED: "bold red"}


async def of_stack(files: StackFiles) -> list[pb.Examination]:
    """Everybody's examination, of the stack that these files are of."""
    async with stack_calls(files) as calls:
        return await examine(calls.doctor)


async def of_admin_at(address: str, certificates: Path) -> list[pb.Examination]:
    """The same of the admin at `host:port`, as behind `kubectl port-forward`; the operator's certificate is needed."""
    remotes = Remotes(identity=load_identity(certificates, OPERATOR), clock=SystemMonotonicClock())
    try:
        return await examine(remotes.remote(DoctorCalls, "admin", address))
    finally:
        await remotes.close()


def show(found: Sequence[pb.Examination], console: Console, *, as_json: bool) -> bool:
    """Prints what was found; True where nothing is RED."""
    if as_json:
        console.print(Text(json.dumps(document(found), indent=2)), soft_wrap=True)
    else:
        tell(found, console)
    return verdict(found) is not Verdict.RED


async def examine(doctor: DoctorCalls, *, within_secs: float = WITHIN_SECS) -> list[pb.Examination]:
    """Asks for a fresh examination and waits for all answers, in bounds. Admin gathers them: one that does not answer
    is RED."""
    try:
        async with asyncio.timeout(within_secs):
            await doctor.examine(pb.ExamineRequest())
            while True:
                answer = await _listed(doctor)
                if answer is not None and answer.complete:
                    return list(answer.examinations)
                await asyncio.sleep(LOOK_EVERY_SECS)
    except (HoldfastError, TimeoutError) as error:
        words = str(error) or f"no whole answer within {within_secs:g} s"
        found = red(words, "Look whether admin runs: its log, its restarts.", "Look whether this place may call it.")
        return [pb.Examination(service="admin", results=[result("call admin", found)])]


async def _listed(doctor: DoctorCalls) -> pb.ListExaminationsResponse | None:
    try:
        return await doctor.list_examinations(pb.ListExaminationsRequest())
    except Retry:
        return None


def verdict(found: Sequence[pb.Examination]) -> Verdict:
    """The gravest of all; an examination that holds nothing is no OK."""
    return max((gravest(each.results) if each.results else Verdict.RED for each in found), default=Verdict.RED)


def tell(found: Sequence[pb.Examination], console: Console) -> None:
    """A table a service, RED first, each check with what to do; the sum at the end."""
    for each in sorted(found, key=lambda each: -(gravest(each.results))):
        words = f"  {each.instance}" if each.instance else ""
        if each.HasField("finished_at"):
            words += f"  examined {from_timestamp(each.finished_at):%H:%M:%S} UTC, {each.trigger}"
        console.print(Text.assemble((each.service, "bold"), (words, "dim")), soft_wrap=True)
        table = Table.grid(padding=(0, 2))
        for check in sorted(each.results, key=lambda check: -check.verdict):
            name = pb.Verdict.Name(check.verdict).removeprefix("VERDICT_")
            table.add_row(
                Text(f"  {name}", STYLES.get(gravest([check]), "")), Text(check.check), Text(check.evidence, "dim")
            )
            for number, step in enumerate(check.steps, 1):
                table.add_row("", "", Text(f"{number}. {step}"))
        console.print(table)
    results = [check for each in found for check in each.results]
    bad = sum(check.verdict != pb.VERDICT_OK for check in results)
    worst = verdict(found)
    console.print(
        Text.assemble((worst.name, STYLES[worst]), f"  {len(results) - bad} of {len(results)} checks are OK"),
        soft_wrap=True,
    )


def document(found: Sequence[pb.Examination]) -> dict[str, object]:
    """The same as JSON."""
    return {
        "verdict": verdict(found).name,
        "examinations": [
            {
                "service": each.service,
                "instance": each.instance,
                "trigger": each.trigger,
                "finished_at": from_timestamp(each.finished_at).isoformat() if each.HasField("finished_at") else None,
                "checks": [
                    {
                        "check": check.check,
                        "verdict": pb.Verdict.Name(check.verdict).removeprefix("VERDICT_"),
                        "evidence": check.evidence,
                        "steps": list(check.steps),
                    }
                    for check in each.results
                ],
            }
            for each in found
        ],
    }
