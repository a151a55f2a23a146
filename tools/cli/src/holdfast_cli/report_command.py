"""The JSON report made and said: at the end of `holdfast up --until-end`, and by `holdfast report`."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from holdfast_cli import report
from holdfast_cli.stack_calls import StackCalls, StackFiles, stack_calls
from holdfast_runtime.errors import HoldfastError, Retry
from holdfast_runtime.telemetry.trace_file import TraceFiles

EXIT_OK = 0
EXIT_BROKEN = 1
EXIT_USAGE = 2
EXIT_INVARIANT = 3
LOOK_EVERY_SECS = 0.2
REPORT_TRIES = 20
STANDARD_OUTPUT = Path("-")


async def run(files: StackFiles, console: Console, *, until_end: bool, report_file: Path | None) -> int:
    """Reports on a running stack.

    Exit codes: 0 made, 1 it could not be made, 2 wrong usage, 3 an invariant does not hold.
    """
    try:
        async with stack_calls(files) as calls:
            if until_end and not calls.on_papermarket:
                say(console, " needs the papermarket venue: a real market does not end", alarm="--until-end")
                return EXIT_USAGE
            if until_end:
                await ended(calls)
            found, _ = await gather(calls)
    except HoldfastError as error:
        say(console, f": {error}", alarm="the report could not be made")
        return EXIT_BROKEN
    return conclude(found, report_file, console)


async def ended(calls: StackCalls) -> None:
    """Until the recording has ended and everything has settled."""
    while True:
        with contextlib.suppress(httpx.HTTPError):
            status = await calls.venue("status")
            if status.get("ended") and status.get("settled", True):
                return
        await asyncio.sleep(LOOK_EVERY_SECS)


async def gather(calls: StackCalls, folder: Path | None = None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The report and papermarket's books. `folder`: of the run; it has the traces that latencies are taken from.

    A service may be restarting just now: tried again, a bounded number of times. Raises HoldfastError.
    """
    for left in range(REPORT_TRIES, 0, -1):
        try:
            stages = await asyncio.to_thread(TraceFiles(folder).latencies) if folder else {}
            return await report.gather(calls, stages)
        except (Retry, httpx.HTTPError) as error:
            if left == 1:
                raise HoldfastError(str(error)) from error
            await asyncio.sleep(LOOK_EVERY_SECS)
    raise AssertionError("unreachable")


def conclude(found: dict[str, Any], report_file: Path | None, console: Console) -> int:
    """Writes the report, to the standard output where its file is `-`, and says it in a few lines."""
    if report_file is not None:
        write(found, report_file)
    decisions = found["decisions"]
    say(
        console,
        f"{len(found['orders'])} orders, {len(found['fills'])} fills, equity {found['equity']}, "
        f"realised {found['realised_pnl']}, unrealised {found['unrealised_pnl']}; "
        f"{decisions['allowed']} allowed, {decisions['blocked']} blocked; "
        f"reconciliation {found['reconciliation']['state']}",
    )
    for book, traded in found["books"].items() if len(found["books"]) > 1 else ():
        say(
            console,
            f"  {book}: {traded['orders']} orders, {traded['fills']} fills, realised {traded['realised_pnl']}, "
            f"unrealised {traded['unrealised_pnl']}, fees {traded['fees']}",
        )
    for note in found["recording"].get("notes", ()):
        say(console, f"  {note}")
    broken = [each for each in found["invariants"] if not each["held"]]
    for each in broken:
        say(console, f" {each['name']}: {each['detail']}", alarm="invariant not held")
    if report_file not in (None, STANDARD_OUTPUT):
        say(console, f"report {report_file}")
    return EXIT_INVARIANT if broken else EXIT_OK


def write(found: dict[str, Any], file: Path) -> None:
    """As JSON; to the standard output where the file is `-`."""
    text = json.dumps(found, indent=2) + "\n"
    if file == STANDARD_OUTPUT:
        print(text, end="")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def say(console: Console, words: str, *, alarm: str = "") -> None:
    """One line, unbroken; nothing in it is taken for markup."""
    console.print(Text.assemble((alarm, "red"), words), soft_wrap=True)
