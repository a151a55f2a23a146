"""Exits lower the risk: only what makes a sale impossible stands in their way."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.execution.v1 import execution_pb2 as execution


def test_an_exit_passes_kill_switch_halts_stops_stale_data_low_scores_and_expiry(world, make_exit):
    """Order protocol, two kinds of orders: caps, collars, freezes and kill switches apply to entries only."""
    world.hold("SPY", 25)
    world.halt("kill_switch")
    world.halt("foreign_order", symbol="SPY")
    world.halt("safety_abort", strategy="sma")
    world.snapshot.strategies[0].state = "stopped"
    world.verdict(execution.RECONCILIATION_STATE_DISCREPANT)
    world.snapshot.entries_locked_reason = "no lease"
    world.prices["SPY"] = replace(world.prices["SPY"], connected=False)
    world.now += timedelta(hours=1)
    del world.snapshot.assets[:]
    decided = world.decide(make_exit(score=0.0))
    assert (decided.allowed, decided.candidate.quantity) == (True, Decimal(25))
    assert decided.candidate.limit_price is None


def test_an_exit_with_nothing_to_sell_is_told_so(world, make_exit):
    assert world.decide(make_exit()).reason == "NOTHING_HELD"


def test_a_strategy_cannot_sell_what_another_one_holds(world, make_exit):
    """IG-2."""
    world.hold("SPY", strategy="rotation")
    assert world.decide(make_exit()).reason == "SYMBOL_OWNED"


def test_an_exit_reaches_an_entry_that_has_not_filled_yet(world, make_exit):
    """One owner of the exit: the handover cancels the entry first."""
    world.order("SPY", quantity=10, filled=4)
    world.hold("SPY", 4)
    assert world.decide(make_exit()).candidate.quantity == 10


@pytest.mark.parametrize("purpose", [execution.PURPOSE_EXIT, execution.PURPOSE_FLATTEN])
def test_what_is_being_sold_is_not_sold_twice(world, make_exit, purpose):
    """Invariant 8."""
    world.hold("SPY")
    world.order("SPY", purpose)
    assert world.decide(make_exit()).reason == "EXIT_UNDERWAY"


def test_a_resting_stop_does_not_stand_in_the_way_of_an_exit(world, make_exit):
    """One owner of the exit: the stop hands over."""
    world.hold("SPY")
    world.order("SPY", execution.PURPOSE_STOP)
    assert world.decide(make_exit()).allowed


def test_an_exit_waits_for_the_session(world, make_exit):
    """TL-3."""
    world.hold("SPY")
    world.session_open = False
    assert world.decide(make_exit()).reason == "SESSION_CLOSED"


def test_exits_are_decided_before_entries_and_take_no_place_of_them(world, make_enter, make_exit):
    world.limits["max_new_per_cycle"] = 1
    world.hold("IBM")
    decided = world.decide_all(make_enter("SPY", score=5.0), make_exit("IBM", score=0.0))
    assert [(each.candidate.symbol, each.allowed) for each in decided] == [("IBM", True), ("SPY", True)]
