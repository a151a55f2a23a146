"""`holdfast up`: starts the stack, shows it, and with `--until-end` writes the report when the recording has ended."""

import asyncio
import contextlib
import json
import signal as signals
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from holdfast_cli import report
from holdfast_cli.plan import Plan
from holdfast_cli.screen import Screen, called_as
from holdfast_cli.stack_calls import StackCalls, stack_calls
from holdfast_cli.supervisor import StackFailed, Supervisor
from holdfast_runtime.errors import HoldfastError, Retry
from holdfast_runtime.telemetry.trace_file import TraceFiles

EXIT_OK = 0
EXIT_BROKEN = 1
EXIT_INVARIANT = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
LOOK_EVERY_SECS = 0.2
REPORT_TRIES = 20


async def run(plan: Plan, console: Console, *, until_end: bool, report_file: Path | None) -> int:
    """Runs the stack. 0: stopped or ended well; 1: it broke; 3: it ended and an invariant did not hold."""
    supervisor = Supervisor(plan.processes)
    stack = asyncio.create_task(supervisor.run(), name="supervisor")
    try:
        async with stack_calls(plan.folder) as calls:
            _say(console, f"dashboard {plan.dashboard_url}  (its token: {called_as()} token)")
            screen = asyncio.create_task(Screen(plan, supervisor, console).run(calls), name="screen")
            try:
                if not until_end:
                    await _first(stack, screen)
                    return EXIT_OK
                await _first(stack, asyncio.create_task(_ended(calls), name="wait-for-end"))
                found = await _report(calls, plan)
            finally:
                screen.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await screen
        return _conclude(found, report_file, console)
    except StackFailed as error:
        _say(console, f": {error}", alarm="the stack has stopped")
        return EXIT_BROKEN
    except HoldfastError as error:
        _say(console, f": {error}\nlogs: {plan.folder / 'logs'}", alarm="the report could not be made")
        return EXIT_BROKEN
    finally:
        stack.cancel()
        with contextlib.suppress(asyncio.CancelledError, StackFailed):
            await stack


async def _first(*awaitables: asyncio.Task[None]) -> None:
    """Returns when the first one does, or raises what it raised; the last one is cancelled, the first is the stack."""
    done, _ = await asyncio.wait(awaitables, return_when=asyncio.FIRST_COMPLETED)
    for task in awaitables[1:]:
        if task not in done:
            task.cancel()
    for task in done:
        task.result()


async def _ended(calls: StackCalls) -> None:
    """Until the recording has ended and everything has settled."""
    while True:
        with contextlib.suppress(httpx.HTTPError):
            status = await calls.venue("status")
            if status.get("ended") and status.get("settled", True):
                return
        await asyncio.sleep(LOOK_EVERY_SECS)


async def _report(calls: StackCalls, plan: Plan) -> dict[str, Any]:
    """A service may be restarting just now: tried again, a bounded number of times."""
    for left in range(REPORT_TRIES, 0, -1):
        try:
            stages = await asyncio.to_thread(TraceFiles(plan.folder).latencies)
            found, books = await report.gather(calls, stages)
            if books is not None:
                (plan.folder / "books.json").write_text(json.dumps(books, indent=2) + "\n")
            return found
        except (Retry, httpx.HTTPError) as error:
            if left == 1:
                raise HoldfastError(str(error)) from error
            await asyncio.sleep(LOOK_EVERY_SECS)
    raise AssertionError("unreachable")


def _conclude(found: dict[str, Any], report_file: Path | None, console: Console) -> int:
    if report_file is not None:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(json.dumps(found, indent=2) + "\n")
    decisions = found["decisions"]
    _say(
        console,
        f"{len(found['orders'])} orders, {len(found['fills'])} fills, equity {found['equity']}, "
        f"realised {found['realised_pnl']}, unrealised {found['unrealised_pnl']}; "
        f"{decisions['allowed']} allowed, {decisions['blocked']} blocked; "
        f"reconciliation {found['reconciliation']['state']}",
    )
    for book, traded in found["books"].items() if len(found["books"]) > 1 else ():
        _say(
            console,
            f"  {book}: {traded['orders']} orders, {traded['fills']} fills, realised {traded['realised_pnl']}, "
            f"unrealised {traded['unrealised_pnl']}, fees {traded['fees']}",
        )
    for note in found["recording"].get("notes", ()):
        _say(console, f"  {note}")
    broken = [each for each in found["invariants"] if not each["held"]]
    for each in broken:
        _say(console, f" {each['name']}: {each['detail']}", alarm="invariant not held")
    if report_file is not None:
        _say(console, f"report {report_file}")
    return EXIT_INVARIANT if broken else EXIT_OK


def _say(console: Console, words: str, *, alarm: str = "") -> None:
    """One line, unbroken; nothing in it is taken for markup."""
    console.print(Text.assemble((alarm, "red"), words), soft_wrap=True)


def run_blocking(work: Coroutine[Any, Any, int]) -> int:
    """Runs to the end; Ctrl-C and SIGTERM stop the stack in order."""
    try:
        return asyncio.run(_until_terminated(work))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except asyncio.CancelledError:
        return EXIT_TERMINATED


async def _until_terminated(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signals.SIGTERM, task.cancel)
    return await task
