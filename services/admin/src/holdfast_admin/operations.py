"""What a person may do: engage the kill switch, lift it, clear a halt. Each is audited, whatever comes of it."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.audit import Journal, Person
from holdfast_admin.domain import board
from holdfast_admin.domain.projection import NEVER
from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import HaltView, KillSwitchView
from holdfast_runtime.errors import Code, HoldfastError, Refused, Retry
from holdfast_runtime.ledger_halts import KILL_SWITCH, OpenHalt
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock

LOOK_EVERY_SECS = 2.0


class Halts(Protocol):
    """The ledger's halts; see adapters.halt_ledger."""

    async def engage(self, reason: str, set_by: str, at: datetime) -> str: ...

    async def open(self) -> list[OpenHalt]: ...


class Operations:
    """The actions, and the look at the ledger's own halts while execution cannot tell of them."""

    def __init__(
        self,
        sources: Sources,
        *,
        halts: Halts,
        execution: ExecutionCalls,
        journal: Journal,
        market_clock: MarketClock,
        wall_clock: MarketClock,
        changed: Callable[[], None],
    ) -> None:
        self._sources = sources
        self._halts = halts
        self._execution = execution
        self._journal = journal
        self._market_clock = market_clock
        self._wall = wall_clock
        self._changed = changed

    async def engage(self, person: Person, reason: str) -> KillSwitchView:
        """No new entries from here on; protective stops stay. Raises Retry where the ledger cannot be written.

        An audit that cannot be written does not hold the switch back.
        """
        what = f"kill switch: {reason}"
        try:
            halt_id = await self._halts.engage(reason, person.name, self._now())
        except Retry as error:
            self._journal.record_or_go_on(person, "engage", what, "failed", str(error))
            raise
        await self._look_or_remember(halt_id, reason, person)
        self._journal.record_or_go_on(person, "engage", what, "ok", halt_id)
        self._changed()
        return board.kill_switch(self._sources)

    async def lift(self, person: Person, note: str) -> KillSwitchView:
        """Entries are taken again. Execution does it, and only with an audit. Raises Refused NOT_ENGAGED, or Retry."""
        view = board.kill_switch(self._sources)
        if not view.engaged:
            self._journal.record(person, "lift", f"kill switch: {note}", "refused", "not engaged")
            raise Refused(Code.FAILED_PRECONDITION, "NOT_ENGAGED", "the kill switch is not engaged")
        self._journal.record(person, "lift", f"kill switch: {note}", "requested", ", ".join(view.halt_ids))
        for halt_id in view.halt_ids:
            await self._clear(person, "lift", halt_id, note)
        self._journal.record_or_go_on(person, "lift", f"kill switch: {note}", "ok", ", ".join(view.halt_ids))
        self._changed()
        return board.kill_switch(self._sources)

    async def clear(self, person: Person, halt_id: str, note: str) -> list[HaltView]:
        """What a halt held back goes on; returns the halts still in force. The kill switch has `lift`.

        Execution does it, and only with an audit. Raises Refused HALT_UNKNOWN, or Retry."""
        what = f"{halt_id}: {note}"
        halt = next((each for each in board.halts(self._sources) if each.halt_id == halt_id), None)
        if halt is None or halt_id in board.kill_switch(self._sources).halt_ids:
            self._journal.record(person, "clear", what, "refused", "no such halt is in force")
            raise Refused(Code.NOT_FOUND, "HALT_UNKNOWN", f"no halt {halt_id!r} is in force (GET /halts lists them)")
        self._journal.record(person, "clear", what, "requested", halt.reason)
        await self._clear(person, "clear", halt_id, note)
        self._journal.record_or_go_on(person, "clear", what, "ok", halt.reason)
        self._changed()
        return board.halts(self._sources)

    async def _clear(self, person: Person, action: str, halt_id: str, note: str) -> None:
        try:
            await self._execution.clear_halt(pb.ClearHaltRequest(halt_id=halt_id, cleared_by=person.name, note=note))
        except HoldfastError as error:
            self._journal.record_or_go_on(person, action, halt_id, "failed", str(error))
            raise
        self._sources.own_halts.pop(halt_id, None)
        self._sources.projection.lift(halt_id)

    def examine(self, person: Person, request: int) -> None:
        """Somebody had every service examine its edges."""
        self._journal.record_or_go_on(person, "examine", "every service", "ok", f"request {request}")

    def login(self, person: Person, result: str, detail: str = "") -> None:
        """A login, good or bad."""
        self._journal.record_or_go_on(person, "login", "session", result, detail)

    async def watch_halts(self, progress: Callable[[], None], clock: MonotonicClock) -> None:
        """While execution is away, and at the start, the ledger itself tells which halts are in force."""
        while True:
            if not self._sources.execution.up:
                # A ledger that is away as well tells nothing new: the pages say that execution does not answer.
                with contextlib.suppress(Retry):
                    await self._look()
            progress()
            await clock.sleep(LOOK_EVERY_SECS)

    async def _look(self) -> None:
        found = await self._halts.open()
        self._sources.own_halts = {each.halt_id: _view(each) for each in found}

    async def _look_or_remember(self, halt_id: str, reason: str, person: Person) -> None:
        try:
            await self._look()
        except Retry:
            self._sources.own_halts[halt_id] = HaltView(
                halt_id=halt_id, kind=KILL_SWITCH, symbol="", strategy="", reason=reason, set_by=person.name,
                since=self._now(), confirmed=False,
            )  # fmt: skip

    def _now(self) -> datetime:
        """Market time; before the first tick the newest fact's, else the wall's: the switch waits for no clock."""
        now = self._market_clock.now()
        if now > NEVER:
            return now
        return self._sources.projection.last_fact_at or self._wall.now()


def _view(halt: OpenHalt) -> HaltView:
    return HaltView(
        halt_id=halt.halt_id,
        kind=halt.kind,
        symbol=halt.symbol,
        strategy=halt.strategy,
        reason=halt.reason,
        set_by=halt.set_by,
        since=halt.since,
        confirmed=halt.noticed,
    )
