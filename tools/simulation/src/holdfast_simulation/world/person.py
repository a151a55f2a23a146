"""The person who puts it right: clears halts that are over, and stops and starts strategies."""

import asyncio
from typing import Any

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.adapters.sql import tables
from holdfast_execution.domain.strategies import StrategyState
from holdfast_runtime.errors import Refused, Retry
from holdfast_runtime.ledger_halts import CREDENTIALS, KILL_SWITCH
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_simulation.world.clocks import WorldMonotonicClock
from holdfast_simulation.world.faults import Kind
from holdfast_simulation.world.invariants import Invariants
from holdfast_simulation.world.plans import Plan
from holdfast_simulation.world.services import Ground
from holdfast_simulation.world.story import Story

PERSON_SECS = 2.0


class Person:
    """Looks at the ledger again and again: what was put right may come back, and a call of theirs may be lost."""

    def __init__(self, ground: Ground, plan: Plan, *, judge: Invariants, story: Story) -> None:
        """`judge` is told what the person knows of stops."""
        self._ground = ground
        self._plan = plan
        self._judge = judge
        self._story = story
        clock = WorldMonotonicClock(ground.loop, 0.0)
        self._calls: ExecutionCalls = ground.wire.remote(ExecutionCalls, "execution", "admin", clock)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(PERSON_SECS)
            for identity, kind in self._halts():
                await self._clear(identity, kind)
            if not any(kind == KILL_SWITCH for _, kind in self._halts()):
                self._judge.killed_since_secs = None
            for strategy, state in self._strategies():
                await self._steer(strategy, state)

    async def _clear(self, identity: str, kind: str) -> None:
        if not self._is_over(kind):
            return
        if kind == CREDENTIALS:
            self._ground.server.heard_401.clear()
        try:
            await self._calls.clear_halt(execution.ClearHaltRequest(halt_id=identity, cleared_by="person"))
        except (Retry, Refused) as error:
            self._story.say(f"person: {error}")

    async def _steer(self, strategy: str, state: str) -> None:
        stopped = self._judge.stopped_since_secs
        try:
            if self._under_way(Kind.STRATEGY_STOPPED, strategy):
                if strategy not in stopped:
                    stop = execution.StopStrategyRequest(strategy=strategy, stopped_by="person")
                    await self._calls.stop_strategy(stop)
                    stopped[strategy] = self._ground.loop.time()
                    self._ground.weather.fired[Kind.STRATEGY_STOPPED] += 1
            elif state == StrategyState.STOPPED or (state == StrategyState.FAILED and self._in_calm):
                stopped.pop(strategy, None)
                start = execution.StartStrategyRequest(strategy=strategy, started_by="person")
                await self._calls.start_strategy(start)
        except (Retry, Refused) as error:
            self._story.say(f"person: {error}")

    def _is_over(self, kind: str) -> bool:
        """True where the cause of such a halt has gone."""
        if kind == KILL_SWITCH:
            return not self._under_way(Kind.KILL_SWITCH)
        if kind == CREDENTIALS:
            return not self._ground.server.keys_revoked
        return self._in_calm

    @property
    def _in_calm(self) -> bool:
        """What only needs a look is put right then."""
        return self._ground.loop.time() > self._plan.chaos_secs

    def _under_way(self, kind: Kind, target: str = "") -> bool:
        now_secs = self._ground.loop.time()
        return any(
            fault.kind is kind and target in ("", fault.target) and fault.at_secs <= now_secs < fault.until_secs
            for fault in self._plan.faults
        )

    def _strategies(self) -> list[tuple[str, str]]:
        """Those that have decided something, by id, with their states."""
        strategies = tables.strategies.c
        return self._read(sa.select(strategies.strategy, strategies.state).order_by(strategies.strategy))

    def _halts(self) -> list[tuple[str, str]]:
        """Ids and kinds of those in force."""
        halts = tables.halts.c
        return self._read(
            sa.select(halts.halt_id, halts.kind).where(halts.cleared_at.is_(None)).order_by(halts.halt_id)
        )

    def _read(self, query: "sa.Select[Any]") -> list[tuple[str, str]]:
        with self._ground.database.read.connect() as connection:
            return [(str(row[0]), str(row[1])) for row in connection.execute(query)]
