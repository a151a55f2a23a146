"""`holdfast up`: starts the stack, shows it, and with `--until-end` writes the report when the recording has ended."""

import asyncio
import contextlib
import json
import signal as signals
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from holdfast_cli.plan import Plan
from holdfast_cli.report_command import EXIT_BROKEN, EXIT_OK, conclude, ended, gather, say
from holdfast_cli.screen import Screen, called_as
from holdfast_cli.stack_calls import files_of_run, stack_calls
from holdfast_cli.supervisor import StackFailed, Supervisor
from holdfast_runtime.errors import HoldfastError

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


async def run(plan: Plan, console: Console, *, until_end: bool, report_file: Path | None) -> int:
    """Runs the stack. 0: stopped or ended well; 1: it broke; 3: it ended and an invariant did not hold."""
    supervisor = Supervisor(plan.processes)
    stack = asyncio.create_task(supervisor.run(), name="supervisor")
    try:
        async with stack_calls(files_of_run(plan.folder)) as calls:
            say(console, f"dashboard {plan.dashboard_url}  (its token: {called_as()} token)")
            screen = asyncio.create_task(Screen(plan, supervisor, console).run(calls), name="screen")
            try:
                if not until_end:
                    await first_of(stack, screen)
                    return EXIT_OK
                await first_of(stack, asyncio.create_task(ended(calls), name="wait-for-end"))
                found, books = await gather(calls, plan.folder)
                if books is not None:
                    (plan.folder / "books.json").write_text(json.dumps(books, indent=2) + "\n")
            finally:
                screen.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await screen
        return conclude(found, report_file, console)
    except asyncio.CancelledError:
        say(console, f"stopping in order; what it did is kept in {plan.folder}")
        raise
    except StackFailed as error:
        say(console, f": {error}", alarm="the stack has stopped")
        return EXIT_BROKEN
    except HoldfastError as error:
        say(console, f": {error}\nlogs: {plan.folder / 'logs'}", alarm="the report could not be made")
        return EXIT_BROKEN
    finally:
        stack.cancel()
        with contextlib.suppress(asyncio.CancelledError, StackFailed):
            await stack


async def first_of(*awaitables: asyncio.Task[Any]) -> None:
    """Returns when the first one does, or raises what it raised. The others have ended then, too, but for the stack,
    which is the first: they call it over a connection that is closed next."""
    others = awaitables[1:]
    try:
        done, _ = await asyncio.wait(awaitables, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()


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
