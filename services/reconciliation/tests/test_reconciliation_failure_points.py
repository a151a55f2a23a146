"""Each of reconciliation's failure points: brought about in real rounds, seen by its detector, gone when it heals."""

import asyncio
import importlib.util
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_catalogue.registry import EVERY_SERVICE, of_service
from holdfast_reconciliation.watches import watches
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.venue import VenueUnavailable
from holdfast_runtime.settings import Settings
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock

_spec = importlib.util.spec_from_file_location("rounds", Path(__file__).parent / "test_reconciliation_rounds.py")
rounds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rounds)


class Station:
    """Reconciliation between a ledger and a broker, and the sentinel that looks at it."""

    def __init__(self):
        self.stack = rounds.Stack()
        self.clock = ManualMonotonicClock()
        self.watches = watches(
            self.stack.reconciler, settings=Settings(), clock=self.stack.clock, monotonic=self.clock
        )  # fmt: skip
        self.lookout = Lookout("reconciliation", self.watches, self.clock)

    async def status(self, identity, after_secs=2.0):
        return await self.lookout.status(identity, after_secs=after_secs)


@pytest.fixture
def station():
    return Station()


async def test_every_point_of_reconciliation_is_watched_and_ok_after_a_clean_round(station):
    assert [each.point for each in station.watches] == [
        each for each in of_service("reconciliation") if each.owner != EVERY_SERVICE
    ]
    assert await station.status("reconciliation.stale") == "WARN"
    await station.stack.round()
    await station.status("reconciliation.stale")
    assert {each.id for each in station.lookout.sentinel.messages() if each.status != 1} == set()


async def test_a_difference_that_nothing_explains_is_an_error_until_it_is_gone(station):
    """FP-4.5, BR-6, DI-4: with both values, and a person is told what to do where merges do not end it."""
    station.stack.broker.held["SPY"] = 7
    await station.stack.round()
    message = await station.lookout.look("reconciliation.discrepant")
    assert (message.status, message.shown["discrepancies"]) == (3, "1")
    assert "SPY: 0 here, 7 there" in message.evidence
    assert station.lookout.alerts == []
    await station.status("reconciliation.discrepant", after_secs=61)
    (alert,) = station.lookout.alerts
    assert len(alert.manual_steps) == 3
    del station.stack.broker.held["SPY"]
    await station.stack.round()
    assert await station.status("reconciliation.discrepant") == "OK"
    assert [each.status for each in station.lookout.alerts] == [3, 1]


async def test_a_clean_verdict_grows_old_when_no_round_follows(station):
    """FP-4.5, IN-3: a watchdog of the schedule, by market time."""
    await station.stack.round()
    station.stack.clock.move(rounds.NOON + timedelta(seconds=80))
    assert await station.status("reconciliation.stale") == "OK"
    station.stack.clock.move(rounds.NOON + timedelta(seconds=100))
    assert await station.status("reconciliation.stale") == "OK"
    message = await station.lookout.look("reconciliation.stale", after_secs=6)
    assert (message.status, message.shown["age_secs"], message.shown["bound_secs"]) == (3, "100", "90")
    await station.stack.round()
    assert await station.status("reconciliation.stale") == "OK"
    station.stack.clock.move(rounds.NOON + timedelta(hours=6))
    await station.stack.round()
    station.stack.clock.move(rounds.NOON + timedelta(hours=6, minutes=20))
    assert await station.status("reconciliation.stale", after_secs=10) == "OK"


async def test_a_round_that_execution_cannot_store_is_an_error_that_says_why_until_it_is(station):
    """FP-6.4: a ledger without room reads and beats on; in a replay no market time passes meanwhile."""
    station.stack.execution.away = Retry("the ledger's database did not answer: DiskFull")
    task = asyncio.create_task(station.stack.reconciler.run(lambda: None))
    await rounds.until(lambda: station.stack.reconciler.waits_for)
    await station.lookout.look("reconciliation.stale")
    message = await station.lookout.look("reconciliation.stale", after_secs=31)
    assert (message.status, "DiskFull" in message.evidence) == (3, True)
    station.stack.execution.away = None
    await rounds.until(lambda: not station.stack.reconciler.waits_for)
    task.cancel()
    assert await station.status("reconciliation.stale") == "OK"


async def test_a_broker_that_cannot_be_read_is_an_error_until_it_answers(station):
    """FP-4.1, BR-8, EX-4, MG-1: by the loop's own rounds, which go on by themselves."""
    await station.stack.round()
    assert await station.status("reconciliation.broker_unreachable") == "OK"
    station.stack.broker.trouble = [VenueUnavailable("no route")] * 7
    await station.stack.round()
    message = await station.lookout.look("reconciliation.broker_unreachable")
    assert (message.status, "no route" in message.evidence) == (3, True)
    station.stack.broker.trouble = []
    task = asyncio.create_task(station.stack.reconciler.run(lambda: None))
    await rounds.until(lambda: len(station.stack.execution.verdicts) == 3)
    task.cancel()
    message = await station.lookout.look("reconciliation.broker_unreachable")
    assert (message.status, message.heals) == (1, 1)


async def test_looking_asks_nobody_anything(station):
    """A sentinel reads what is known: no call to broker or ledger, nothing in flight."""
    await station.stack.round()
    calls = list(station.stack.broker.calls), list(station.stack.execution.asked)
    await station.status("reconciliation.stale")
    assert (station.stack.broker.calls, station.stack.execution.asked) == calls
    assert station.stack.flows.in_flight == 0
    assert station.stack.broker.cash == Decimal("1000.00")
