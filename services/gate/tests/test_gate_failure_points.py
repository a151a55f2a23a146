"""Each of gate's failure points: brought about on a running service, seen by its detector, gone when it heals."""

import importlib.util
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast_catalogue.readiness import Light, light_of
from holdfast_catalogue.registry import EVERY_SERVICE, of_service, point
from holdfast_gate.registry import GATES
from holdfast_gate.watches import ON_PURPOSE, watches
from holdfast_runtime.errors import Retry
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock

_spec = importlib.util.spec_from_file_location("gate_stack", Path(__file__).parent / "test_gate_service.py")
gate_stack = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gate_stack)
until = gate_stack.until


class Station:
    """A running gate, and the sentinel that looks at it."""

    def __init__(self, stack):
        self.stack = stack
        self.clock = ManualMonotonicClock()
        self.watches = watches(
            service=stack.service, snapshots=stack.snapshots, prices=stack.prices, monotonic=self.clock
        )  # fmt: skip
        self.lookout = Lookout("gate", self.watches, self.clock)

    async def status(self, identity, after_secs=2.0):
        return await self.lookout.status(identity, after_secs=after_secs)

    async def ledger(self, version):
        self.stack.tell_ledger(version)
        await until(lambda: self.stack.snapshots.view.version >= version)


@pytest.fixture
async def station(world, make_settings, noon):
    stack = await gate_stack.start(world, make_settings(), noon)
    yield Station(stack)
    await gate_stack.stop(stack)


async def test_every_point_of_gate_is_watched_and_ok_while_all_is_well(station):
    assert [each.point for each in station.watches] == [
        each for each in of_service("gate") if each.owner != EVERY_SERVICE
    ]
    await station.status("gate.kill_switch")
    assert {each.id for each in station.lookout.sentinel.messages() if each.status != 1} == set()


def test_points_of_gates_carry_the_gates_own_priority_and_requirements():
    """PA-1: one priority, whoever tells it."""
    gates = {gate.name: gate for gate in GATES}
    for name in (*ON_PURPOSE, "kill_switch"):
        row, gate = point(f"gate.{name}"), gates[name]
        assert row.priority == gate.priority, name
        assert set(row.covers) & set(gate.requirements), name


async def test_without_a_ledger_the_gates_show_an_error_until_it_streams(station):
    """DI-2, NW-1."""
    assert await station.status("gate.snapshot_missing") == "OK"
    station.stack.execution.watch_snapshot.items.put_nowait(Retry("execution is away"))
    await until(lambda: not station.stack.snapshots.connected)
    assert await station.status("gate.snapshot_missing") == "WARN"
    message = await station.lookout.look("gate.snapshot_missing", after_secs=6)
    assert (message.status, message.shown["version"]) == (3, "7")
    await station.ledger(8)
    message = await station.lookout.look("gate.snapshot_missing")
    assert (message.status, message.heals) == (1, 1)


async def test_without_prices_the_gates_show_an_error_until_they_stream(station):
    """SQ-6, NW-1."""
    station.stack.watch.items.put_nowait(Retry("signal is away"))
    await until(lambda: not station.stack.prices.connected)
    assert await station.status("gate.prices_away") == "WARN"
    assert await station.status("gate.prices_away", after_secs=6) == "ERROR"
    station.stack.tell_prices("SPY", "IBM")
    await until(lambda: station.stack.prices.connected)
    assert await station.status("gate.prices_away") == "OK"


async def test_a_cycle_that_is_decided_near_its_end_shows_before_one_is_late(station, make_request, make_scored):
    """IN-2: an alarm at 80 % of its time. One that is late is scoring's point."""
    began = station.stack.clock.at
    await station.ledger(100)
    assert await station.status("gate.nearly_late") == "OK"
    for secs, cycles in ((47, 0), (48, 1), (59, 2), (60, 2), (61, 2)):
        station.stack.clock.at = began + timedelta(seconds=secs)
        await station.stack.service.evaluate(make_request(make_scored("SPY", 3.0), cycle_id=f"sma.{secs}", at=began))
        message = await station.lookout.look("gate.nearly_late")
        assert (message.status, message.shown["cycles"]) == (2 if cycles else 1, str(cycles)), secs
    station.stack.clock.at = began + timedelta(seconds=50)
    for number in range(3):
        await station.stack.service.evaluate(make_request(make_scored("SPY", 3.0), cycle_id=f"sma.{number}", at=began))
    assert await station.status("gate.nearly_late") == "ERROR"
    assert await station.status("gate.nearly_late", after_secs=310) == "OK"


async def test_the_kill_switch_is_shown_with_who_when_and_why(station, world):
    """KS-1, KS-2, MG-3: it turns the light RED, and alarms nobody: a person did it."""
    world.halt("kill_switch")
    await station.ledger(8)
    message = await station.lookout.look("gate.kill_switch", after_secs=1_000)
    assert message.status == 3
    assert light_of(message) is Light.RED
    assert (message.shown["set_by"], message.shown["why"]) == ("ada", "a test")
    assert station.lookout.alerts == []
    del world.snapshot.halts[:]
    await station.ledger(9)
    assert await station.status("gate.kill_switch") == "OK"


def closed(station, world):
    station.stack.clock.at += timedelta(hours=10)
    world.snapshot.reconciliation.market_time.FromDatetime(station.stack.clock.at)


def untradable(station, world):
    for asset in world.snapshot.assets:
        asset.tradable = False


def owned(station, world):
    world.hold("SPY", strategy="rotation")


def full(station, world):
    for symbol in ("AIG", "BAC", "IBM", *(f"X{number:02d}" for number in range(13))):
        world.hold(symbol)


def cooling(station, world):
    world.entered("SPY", ago=timedelta(minutes=5))


def worn_out(station, world):
    world.entered("SPY", ago=timedelta(hours=2), today=10)


def poor(station, world):
    world.snapshot.account.cash.value = "10"


def nothing(station, world):
    """The signals themselves bring the block about."""


CONDITIONS = {
    "session": (closed, 1, {}, {}),
    "asset": (untradable, 1, {}, {}),
    "score": (nothing, 1, {"score": 0.5}, {"threshold": "2"}),
    "symbol_owner": (owned, 1, {}, {"SPY": "rotation"}),
    "max_positions": (full, 1, {}, {"positions_equity": "16", "limit": "16"}),
    "max_new_per_cycle": (nothing, 7, {"target_weight": Decimal("0.1")}, {"limit": "6"}),
    "cooldown": (cooling, 1, {}, {"SPY": "600 s left", "cooling": "1"}),
    "entries_per_day": (worn_out, 1, {}, {"limit": "10"}),
    "collar": (nothing, 1, {"reference_price": Decimal(50)}, {"collar": "0.02"}),
    "buying_power": (poor, 1, {}, {"cash": "10"}),
}
SIGNALLED = ("SPY", "X20", "X21", "X22", "X23", "X24", "X25")


def scored_of(make_scored, symbol, score=3.0, **amounts):
    changes = {name: common.Decimal(value=str(value)) for name, value in amounts.items()}
    return make_scored(symbol, score, **changes)


def test_every_block_on_purpose_is_brought_about_here():
    assert sorted(CONDITIONS) == sorted(ON_PURPOSE)


@pytest.mark.parametrize("name", CONDITIONS)
async def test_a_block_on_purpose_shows_for_a_while_and_does_not_alarm(station, world, make_request, make_scored, name):
    """Shown with its priority and its numbers (DA-4), and the light stays as it is."""
    bring_about, signals, changes, shown = CONDITIONS[name]
    bring_about(station, world)
    await station.ledger(8)
    station.stack.tell_prices(*SIGNALLED, sequence=2)
    await until(lambda: "X25" in station.stack.prices.by_symbol)
    assert await station.status(f"gate.{name}") == "OK"
    batch = [scored_of(make_scored, symbol, **changes) for symbol in SIGNALLED[:signals]]
    answer = await station.stack.service.evaluate(make_request(*batch, at=station.stack.clock.at))
    assert not all(each.allowed for each in answer.decisions)
    message = await station.lookout.look(f"gate.{name}")
    assert message.status == 2, [each.reason for each in answer.decisions]
    assert shown.items() <= dict(message.shown).items()
    assert light_of(message) is Light.GREEN
    assert station.lookout.alerts == []
    assert await station.status(f"gate.{name}", after_secs=70) == "OK"
