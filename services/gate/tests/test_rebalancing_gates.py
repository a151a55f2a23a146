"""A rebalanced strategy at the gates: sized by its targets, sales first, buffer, band and minimum kept (SY-2)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_gate.domain.rules import Rules
from holdfast_gate.domain.signals import Direction
from holdfast_gate.evaluator import evaluate
from holdfast_gate.registry import GATES
from holdfast_runtime.rebalance_settings import RebalanceSettings
from holdfast_runtime.settings import GateSettings, Settings, StrategySettings

SYMBOLS = ("AIG", "BAC", "IBM", "SPY")


@pytest.fixture
def portfolio(world):
    """The world's strategy follows targets; the caps are out of the way."""
    strategy = StrategySettings(
        id="sma", kind="portfolio", symbols=SYMBOLS, rebalance=RebalanceSettings(cash_buffer=Decimal("0.1"))
    )
    limits = GateSettings(max_order_notional=Decimal(10**6), max_symbol_notional=Decimal(10**6))
    world.rules = Rules.of(Settings(strategies=(strategy,), gate=limits))
    return world


def quoted(world, bid, ask):
    """SPY's calm minute with a fresh quote beside its bar."""
    bid = Decimal(bid) if bid is not None else None
    return replace(world.prices["SPY"], bid=bid, ask=Decimal(ask), quote_at=world.now)


@pytest.fixture
def make_reduction(make_enter):
    def make(symbol="SPY", weight="0", **changes):
        return make_enter(
            symbol, signal_id=f"sma.{symbol}.reduce", direction=Direction.REDUCE_LONG,
            target_weight=Decimal(weight), **changes,
        )  # fmt: skip

    return make


@pytest.fixture
def decide(portfolio, make_enter, make_reduction):
    """One cycle of the weights: by symbol, what became of its sale and of its purchase."""

    def decided(**weights):
        wishes = [
            each
            for symbol, weight in weights.items()
            for each in (make_reduction(symbol, weight), make_enter(symbol, target_weight=Decimal(weight)))
        ]
        context = portfolio.context().planned(wishes)
        return {
            (each.candidate.symbol, "sell" if each.candidate.direction is Direction.REDUCE_LONG else "buy"): (
                each.reason, each.candidate.quantity if each.allowed else None
            )
            for each in evaluate(wishes, context)
        }  # fmt: skip

    return decided


def test_an_empty_account_buys_its_targets_of_the_equity_less_the_buffer(decide):
    found = decide(SPY="0.5", BAC="0.25")
    assert found["SPY", "buy"] == ("ALLOWED", 450)
    assert found["BAC", "buy"] == ("ALLOWED", 225)
    assert found["SPY", "sell"] == ("NOTHING_HELD", None)


def test_what_is_too_much_is_sold_and_purchases_wait_for_it(portfolio, decide):
    portfolio.hold("SPY", 500)
    found = decide(SPY="0.2", BAC="0.25")
    assert found["SPY", "sell"] == ("ALLOWED", 230)
    assert found["BAC", "buy"] == ("SALES_FIRST", None)


@pytest.mark.parametrize("purpose", [execution.PURPOSE_REDUCE, execution.PURPOSE_EXIT, execution.PURPOSE_FLATTEN])
def test_purchases_wait_while_a_sale_is_under_way(portfolio, decide, purpose):
    """Its proceeds are not there yet."""
    portfolio.hold("SPY", 270)
    portfolio.order("SPY", purpose)
    found = decide(SPY="0.2", BAC="0.25")
    assert found["SPY", "sell"] == ("EXIT_UNDERWAY", None)
    assert found["BAC", "buy"] == ("SALES_FIRST", None)


def test_a_target_of_zero_sells_all_of_it(portfolio, decide):
    portfolio.hold("SPY", 7)
    assert decide(SPY="0")["SPY", "sell"] == ("ALLOWED", 7)


def test_a_part_whose_rest_is_less_than_a_share_is_all_of_it(portfolio, decide):
    """No stop could be about it; execution takes a sale of all that is held as an exit."""
    portfolio.hold("SPY", "50.5")
    assert decide(SPY="0.0005")["SPY", "sell"] == ("ALLOWED", Decimal("50.5"))
    assert decide(SPY="0.002")["SPY", "sell"] == ("ALLOWED", 48)


def test_within_the_band_nothing_is_traded_and_the_others_are_bought(portfolio, decide):
    portfolio.snapshot.account.cash.value = "80000"
    portfolio.hold("SPY", 205)
    found = decide(SPY="0.225", BAC="0.25")
    assert found["SPY", "sell"] == ("WITHIN_BAND", None)
    assert found["SPY", "buy"] == ("POSITION_HELD", None)
    assert found["BAC", "buy"][0] == "ALLOWED"


def test_an_addition_is_skipped_and_says_so(portfolio, decide):
    portfolio.hold("SPY", 100)
    found = decide(SPY="0.5")
    assert found["SPY", "buy"] == ("ADDITION_SKIPPED", None)
    assert found["SPY", "sell"] == ("WITHIN_BAND", None)


def test_purchases_leave_the_buffer(portfolio, decide):
    portfolio.snapshot.account.cash.value = "32000"
    portfolio.hold("SPY", 680, strategy="rotation")
    portfolio.rules = replace(portfolio.rules, buying_power_fraction=Decimal(1))
    assert decide(BAC="0.9")["BAC", "buy"] == ("ALLOWED", 220)


def test_a_part_is_not_sold_of_what_is_being_bought_or_belongs_to_another(portfolio, decide):
    portfolio.hold("SPY", 500)
    portfolio.order("SPY")
    portfolio.hold("BAC", 500, strategy="rotation")
    found = decide(SPY="0.1", BAC="0.1")
    assert found["SPY", "sell"] == ("ENTRY_UNDERWAY", None)
    assert found["BAC", "sell"] == ("SYMBOL_OWNED", None)


def test_a_part_is_not_sold_late_closed_stopped_or_without_a_fresh_price(portfolio, decide):
    """Nothing is guessed: its size rests on a price."""
    portfolio.hold("SPY", 500)
    del portfolio.prices["SPY"]
    assert decide(SPY="0.1")["SPY", "sell"] == ("FEED_STALE", None)
    portfolio.snapshot.strategies[0].state = "stopped"
    assert decide(SPY="0.1")["SPY", "sell"] == ("STRATEGY_STOPPED", None)
    portfolio.session_open = False
    assert decide(SPY="0.1")["SPY", "sell"] == ("SESSION_CLOSED", None)
    portfolio.now += timedelta(hours=1)
    assert decide(SPY="0.1")["SPY", "sell"] == ("CYCLE_EXPIRED", None)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [("99.9", "200"), ("0.01", "199999"), ("150", "150.1"), ("99.9", "102"), ("102.5", "100"), (None, "100")],
)
def test_no_trade_is_sized_by_prices_that_lie_further_apart_than_the_collar(portfolio, decide, bid, ask):
    """A sale leaves at market: one wide quote, or one beside the last bar, must not sell what is wanted."""
    portfolio.hold("SPY", 300)
    assert decide(SPY="0.2")["SPY", "sell"] == ("ALLOWED", 66)
    portfolio.prices["SPY"] = quoted(portfolio, bid, ask)
    found = decide(SPY="0.2", BAC="0.25")
    assert found["SPY", "sell"] == ("PRICES_APART", None)
    assert found["BAC", "buy"] == ("ALLOWED", 292)


def test_what_is_held_is_worth_its_bid(portfolio, decide):
    portfolio.hold("SPY", 300)
    portfolio.prices["SPY"] = quoted(portfolio, "99", "100.9")
    assert decide(SPY="0.2")["SPY", "sell"] == ("ALLOWED", 63)
    assert decide(SPY="0.245")["SPY", "sell"] == ("WITHIN_BAND", None)


def test_prices_that_lie_apart_are_told_with_the_collar(portfolio, make_reduction):
    portfolio.hold("SPY", 300)
    portfolio.prices["SPY"] = quoted(portfolio, "99.9", "200")
    wish = make_reduction("SPY", "0.2")
    (found,) = evaluate([wish], portfolio.context().planned([wish]))
    assert found.verdicts[-1].verdict.numbers == {
        "bid": "99.9", "ask": "200", "apart": "0.500500", "collar": "0.02",
    }  # fmt: skip


FACED = {"cycle_expired", "session", "holding", "strategy", "symbol_halted", "size"}
"""By a reduction: it is no emergency, and its size rests on a price of its time."""
PASSED_BY = {
    "kill_switch", "entries_locked", "reconciliation", "asset", "feed", "score", "symbol_owner", "max_positions",
    "max_new_per_cycle", "cooldown", "entries_per_day", "collar", "caps", "buying_power",
}  # fmt: skip
"""What only limits risk (order protocol, two kinds of orders)."""


def test_a_reduction_faces_no_gate_that_only_limits_risk():
    assert {each.name for each in GATES if each.applies_to_reductions} == FACED
    assert {each.name for each in GATES if not each.applies_to_reductions} == PASSED_BY


def test_what_blocks_every_entry_blocks_no_reduction(portfolio, make_reduction):
    """Order protocol, two kinds of orders: kill switch, freezes, caps and throttles are for what increases risk."""
    portfolio.hold("SPY", 500)
    portfolio.halt("kill_switch")
    portfolio.halt("foreign_order", symbol="SPY")
    portfolio.verdict(execution.RECONCILIATION_STATE_DISCREPANT)
    portfolio.snapshot.entries_locked_reason = "merging"
    portfolio.snapshot.assets[SYMBOLS.index("SPY")].tradable = False
    portfolio.entered("SPY", ago=timedelta(seconds=1), today=99)
    portfolio.rules = replace(
        portfolio.rules, max_positions=0, max_new_per_cycle=0, max_order_notional=Decimal(1), buying_power_fraction=0
    )
    wish = make_reduction("SPY", "0.1", score=0.0, signal_price=None)
    (found,) = evaluate([wish], portfolio.context().planned([wish]))
    assert (found.reason, found.candidate.quantity) == ("ALLOWED", 365)


def test_no_part_is_sold_of_what_its_exchange_has_halted(portfolio, decide, make_exit):
    """BS-10: its last price is none to size a trade by, and nothing waits for it. An exit has no size to find."""
    portfolio.hold("SPY", 500)
    portfolio.prices["SPY"] = replace(portfolio.prices["SPY"], halted=True)
    found = decide(SPY="0.1", BAC="0.1")
    assert found["SPY", "sell"] == ("SYMBOL_HALTED", None)
    assert found["BAC", "buy"][0] == "ALLOWED"
    assert portfolio.decide(make_exit()).allowed


def test_without_settings_of_rebalance_no_part_is_sold(world, make_reduction):
    world.hold("SPY", 500)
    assert world.decide(make_reduction("SPY", "0.1")).reason == "REBALANCE_OFF"


def test_an_exit_is_not_kept_waiting_by_a_reduction(world, make_exit):
    """One owner of the exit: what sells all of it takes over."""
    world.hold("SPY", 500)
    world.order("SPY", execution.PURPOSE_REDUCE)
    assert world.decide(make_exit()).allowed
