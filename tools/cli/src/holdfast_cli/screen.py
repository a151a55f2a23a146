"""The terminal while a stack runs: one calm live line per service, market time, and the dashboard's address."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_cli.invariants import LIVE, number
from holdfast_cli.plan import Plan
from holdfast_cli.stack_calls import StackCalls
from holdfast_cli.supervisor import Child, State, Supervisor
from holdfast_core.new_york import NEW_YORK
from holdfast_runtime.errors import HoldfastError

REFRESH_SECS = 1.0
STYLES = {
    State.READY: "green",
    State.STARTING: "cyan",
    State.UNREADY: "yellow",
    State.BACKOFF: "yellow",
    State.STUCK: "red",
    State.FAILED: "red",
    State.STOPPED: "dim",
}

ROLES = {
    "nats": "message bus",
    "papermarket": "stand-in venue, replays the recording",
    "execution": "ledger and broker session",
    "signal": "market data in, cycles of signals out",
    "gate": "decides on every signal",
    "scoring": "scores each cycle",
    "reconciliation": "compares the ledger with the broker",
    "admin": "dashboard and JSON API",
}


def called_as() -> str:
    """What a person has to type for this command: its bare name only where the shell finds that."""
    return "holdfast" if shutil.which("holdfast") else sys.argv[0]


class Screen:
    """Shows a stack until cancelled. Without a terminal it prints a line whenever a service changes its state."""

    def __init__(self, plan: Plan, supervisor: Supervisor, console: Console) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._console = console
        self._venue: Mapping[str, Any] = {}
        self._ledger: pb.GetLedgerResponse | None = None

    async def run(self, calls: StackCalls) -> None:
        if not self._console.is_terminal:
            await self._lines(calls)
            return
        with Live(self._render(), console=self._console, refresh_per_second=4, transient=False) as live:
            while True:
                await self._look(calls)
                live.update(self._render())
                await asyncio.sleep(REFRESH_SECS)

    async def _lines(self, calls: StackCalls) -> None:
        shown: dict[str, State] = {}
        while True:
            if calls.on_papermarket and not self._venue:
                with suppress(httpx.HTTPError):
                    self._venue = await calls.venue("status")
                    for note in self._notes():
                        self._console.print(note, soft_wrap=True)
            for child in self._supervisor.children:
                if shown.get(child.process.name) is not child.state:
                    shown[child.process.name] = child.state
                    self._console.print(f"{child.process.name}: {child.state}", highlight=False)
            await asyncio.sleep(REFRESH_SECS / 4)

    async def _look(self, calls: StackCalls) -> None:
        """What cannot be read now is shown as it was."""
        if calls.on_papermarket:
            try:
                self._venue = await calls.venue("status")
            except httpx.HTTPError:
                self._venue = dict(self._venue) | {"away": True}
        try:
            self._ledger = await calls.execution.get_ledger(pb.GetLedgerRequest())
        except HoldfastError:
            return

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=14)
        table.add_column(min_width=10)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for child in self._supervisor.children:
            restarts = f"  restarted {child.restarts}×" if child.restarts else ""
            table.add_row(
                Text(child.process.name, style="bold"),
                Text(str(child.state), style=STYLES[child.state]),
                Text(self._doing(child) + restarts, style="dim" if child.state is not State.READY else ""),
            )
        head = Text.assemble(("holdfast", "bold"), "  ", self._market_time())
        # Two lines: one would be wider than 80 columns.
        foot = Text.assemble(
            "dashboard ",
            (self._plan.dashboard_url, "underline cyan"),
            "   stop: ",
            ("Ctrl-C", "bold"),
            "\nits token: ",
            (f"{called_as()} token", "bold"),
        )
        return Group(head, *self._progress(), *self._notes(), table, foot)

    def _market_time(self) -> str:
        stamp = self._venue.get("market_time")
        if not stamp:
            return "market time not known yet" if self._plan.settings.venue.kind == "papermarket" else "live"
        local = datetime.fromisoformat(str(stamp)).astimezone(NEW_YORK)
        speed = self._plan.settings.replay.speed
        pace = "lock-step" if speed == 0 else f"{speed:g}×"
        return f"{local:%a %Y-%m-%d %H:%M:%S} New York  {pace}" + ("  ended" if self._venue.get("ended") else "")

    def _notes(self) -> list[Text]:
        """What a person must know of the recording before believing the run."""
        notes = self._venue.get("recording", {}).get("notes", ())
        return [Text.assemble(("recording: ", "yellow"), str(note)) for note in notes]

    def _progress(self) -> list[RenderableType]:
        done, total = self._venue.get("instants_done"), self._venue.get("instants_total")
        if done is None or not total:
            return []
        row = Table.grid()
        row.add_row(ProgressBar(total=total, completed=done, width=60))
        return [row]

    def _doing(self, child: Child) -> str:
        ledger = self._ledger
        match child.process.name:
            case "gate" if ledger is not None:
                return f"{ledger.decisions_allowed} allowed, {ledger.decisions_blocked} blocked"
            case "execution" if ledger is not None:
                working = sum(1 for intent in ledger.intents if intent.state in LIVE)
                held = sum(1 for position in ledger.positions if number(position.quantity))
                return f"positions {held}, working orders {working}, cash {number(ledger.account.cash):,.2f}"
            case "papermarket" if not self._venue.get("running", True) and self._venue.get("waiting_for"):
                return f"waits for {', '.join(self._venue['waiting_for'])}"
            case name:
                return ROLES.get(name, "")
