"""`holdfast status`: the newest run as it is now: process ids, health as Kubernetes asks it, market time."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast_cli.plan import BUS, VENUE_SERVICE, Process, dashboard_url, process_of
from holdfast_cli.stack_calls import StackCalls, files_of_run, stack_calls
from holdfast_cli.supervisor import probe_of
from holdfast_core.new_york import NEW_YORK
from holdfast_runtime.settings import Settings

HEALTH = ".health"
WORDS = {True: ("ready", "green"), False: ("not ready", "yellow"), None: ("not running", "red")}


@dataclass(frozen=True, slots=True)
class Seen:
    """One process. `ready`: None where there is no process."""

    name: str
    pid: int | None
    ready: bool | None


async def show(folder: Path, console: Console) -> bool:
    """Prints the run in `folder`; answers whether all of its processes are ready."""
    async with stack_calls(files_of_run(folder)) as calls:
        processes = _processes(folder, calls.settings)
        seen = await asyncio.gather(*(_look(each) for each in processes))
        clock = await _market_time(calls) if any(each.pid for each in seen) else "has ended"
    table = Table.grid(padding=(0, 2))
    for each in seen:
        words, style = WORDS[each.ready]
        table.add_row(Text(each.name, "bold"), Text(words, style), Text(f"pid {each.pid}" if each.pid else "", "dim"))
    console.print(Text.assemble(("holdfast", "bold"), f"  {folder.name}  {clock}"), soft_wrap=True)
    console.print(table)
    console.print(Text(f"dashboard {dashboard_url(calls.settings)}   logs {folder / 'logs'}"), soft_wrap=True)
    return all(each.ready for each in seen)


def _processes(folder: Path, settings: Settings) -> list[Process]:
    """What of the run has written its process id, the bus first."""
    addresses = {BUS: settings.bus.url.removeprefix("nats://")} | {
        name.removesuffix(HEALTH): address for name, address in settings.endpoints.items() if name.endswith(HEALTH)
    }
    return [
        Process(
            name=name,
            command=(),
            environment={},
            health_address=address,
            error_file=folder / "logs" / f"{name}.err",
            speaks_grpc=name != BUS,
        )
        for name, address in addresses.items()
        if (folder / "logs" / f"{name}.pid").exists()
    ]


async def _look(process: Process) -> Seen:
    pid = process_of(process.error_file.with_suffix(".pid"))
    if pid is None:
        return Seen(process.name, None, None)
    async with probe_of(process) as probe:
        return Seen(process.name, pid, await probe("liveness") and await probe("readiness"))


async def _market_time(calls: StackCalls) -> str:
    if f"{VENUE_SERVICE}.http" not in calls.settings.endpoints:
        return "live market"
    try:
        status = await calls.venue("status")
    except httpx.HTTPError:
        return "the venue does not answer"
    at = datetime.fromisoformat(str(status["market_time"])).astimezone(NEW_YORK)
    waiting = f"  waits for {status['waiting_for']}" if status.get("waiting_for") else ""
    return f"{at:%a %Y-%m-%d %H:%M:%S} New York" + ("  ended" if status.get("ended") else waiting)
