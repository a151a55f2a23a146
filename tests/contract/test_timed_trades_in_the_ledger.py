"""Trades by the clock in the ledger, on SQLite and PostgreSQL (SQ-13, BS-3)."""

from dataclasses import replace
from datetime import timedelta

from holdfast_core.schedules import TradeKind
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.firings import BUY_MISSED, FiringState, Settlement
from tests.contract.ledger_samples import NOW
from tests.contract.ledger_writers import buy

MISSED = Settlement(FiringState.SKIPPED, BUY_MISSED)


def test_a_buy_that_is_skipped_is_seen_by_the_limits_at_once(ledger: SqlLedger, epoch: int) -> None:
    firing = buy("sma", NOW)
    (due,) = ledger.plan_firings(epoch, NOW, [firing])
    assert (due.firing_id, due.state) == (firing.firing_id, FiringState.DUE)
    assert ledger.view(NOW).skipped_buys == frozenset()
    ledger.settle_firing(epoch, NOW, firing.firing_id, MISSED)
    assert ledger.view(NOW).skipped_buys == {("sma", NOW)}
    assert ledger.firings_due() == []


def test_what_was_bought_sold_or_is_due_is_not_skipped(ledger: SqlLedger, epoch: int) -> None:
    done, due = buy("sma", NOW), buy("etf", NOW)
    sale = replace(buy("sma", NOW + timedelta(hours=1)), kind=TradeKind.SELL)
    ledger.plan_firings(epoch, NOW, [done, due, sale])
    ledger.settle_firing(epoch, NOW, done.firing_id, Settlement(FiringState.DONE))
    ledger.settle_firing(epoch, NOW, sale.firing_id, Settlement(FiringState.SKIPPED, "STRATEGY_STOPPED"))
    assert ledger.view(NOW).skipped_buys == frozenset()


def test_skipped_buys_of_days_ago_are_left_behind(ledger: SqlLedger, epoch: int) -> None:
    """Bounded: their cycles are long over."""
    days = [NOW + timedelta(days=days) for days in range(5)]
    for day in days:
        ledger.plan_firings(epoch, day, [firing := buy("sma", day)])
        ledger.settle_firing(epoch, day, firing.firing_id, MISSED)
    assert ledger.view(days[-1]).skipped_buys == {("sma", day) for day in days[-3:]}
