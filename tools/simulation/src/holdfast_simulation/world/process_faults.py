"""What befalls the processes, their clocks, the bus between them and the account's keys; and a person's kill switch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_runtime.ledger_halts import KILL_SWITCH, to_micros
from holdfast_simulation.world import faults as fault_lists
from holdfast_simulation.world.clocks import HostClocks, WorldMarketClock
from holdfast_simulation.world.cycles import WorldBus
from holdfast_simulation.world.faults import Fault, Kind
from holdfast_simulation.world.invariants import Invariants
from holdfast_simulation.world.loop import SeededLoop
from holdfast_simulation.world.services import Process
from holdfast_simulation.world.venue import VenueServer


@dataclass(frozen=True, slots=True)
class ProcessFaults:
    """Begins and ends what befalls them. `seed`: of how far a clock jumps."""

    loop: SeededLoop
    processes: Mapping[str, Process]
    clocks: HostClocks
    bus: WorldBus
    server: VenueServer
    market_clock: WorldMarketClock
    database: Database
    account: str
    invariants: Invariants
    seed: int

    @property
    def begins(self) -> dict[Kind, Callable[[Fault], None]]:
        """What each kind does when it begins."""
        return {
            Kind.CRASH: self._crash,
            Kind.PAUSE: self._pause,
            Kind.UNAUTHORISED: self._revoke,
            Kind.SHORT_MEMORY: self._forget,
            Kind.KILL_SWITCH: self._kill_switch,
            Kind.CLOCK_JUMP: self._jump,
            Kind.BUS_AWAY: self._bus_goes,
            Kind.STALE_READ: self._stale_read,
        }

    @property
    def ends(self) -> dict[Kind, Callable[[Fault], None]]:
        """What each kind does when it has lasted long enough; the others end by themselves, or never."""
        return {
            Kind.CRASH: self._start,
            Kind.UNAUTHORISED: self._restore,
            Kind.SHORT_MEMORY: self._remember,
            Kind.CLOCK_JUMP: self._jump_back,
            Kind.BUS_AWAY: self._bus_comes,
        }

    def _crash(self, fault: Fault) -> None:
        self.processes[fault.target].crash()

    def _start(self, fault: Fault) -> None:
        self.processes[fault.target].start()

    def _pause(self, fault: Fault) -> None:
        self.loop.pause(self.processes[fault.target].node, fault.lasts_secs)

    def _jump(self, fault: Fault) -> None:
        self._move_clock(fault, fault_lists.jump_secs(fault, seed=self.seed))

    def _jump_back(self, fault: Fault) -> None:
        self._move_clock(fault, -fault_lists.jump_secs(fault, seed=self.seed))

    def _move_clock(self, fault: Fault, secs: float) -> None:
        self.clocks.jump(fault.target, timedelta(seconds=secs), now_secs=self.loop.time())

    def _bus_goes(self, _: Fault) -> None:
        self.bus.away = True

    def _bus_comes(self, _: Fault) -> None:
        self.bus.away = False

    def _stale_read(self, fault: Fault) -> None:
        self.bus.bucket(fault.target).stale_reads += 1

    def _revoke(self, _: Fault) -> None:
        self.server.keys_revoked = True

    def _restore(self, _: Fault) -> None:
        self.server.keys_revoked = False

    def _forget(self, _: Fault) -> None:
        self.server.forgets_before = self.market_clock.now()
        self.invariants.forgotten = True

    def _remember(self, _: Fault) -> None:
        self.server.forgets_before = None

    def _kill_switch(self, _: Fault) -> None:
        now = self.market_clock.now()
        with self.database.write.begin() as connection:
            connection.execute(
                sa.insert(tables.halts).values(
                    account=self.account,
                    halt_id=f"kill_switch.{self.loop.time():.6f}",
                    kind=KILL_SWITCH,
                    reason="by hand",
                    set_by="person",
                    since=to_micros(now),
                )
            )
        if self.invariants.killed_since_secs is None:
            self.invariants.killed_since_secs = self.loop.time()
