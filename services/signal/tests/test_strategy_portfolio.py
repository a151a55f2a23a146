"""Several strategies' target weights as one cycle: one target a symbol, reductions before purchases (SY-2)."""

from datetime import time, timedelta
from decimal import Decimal

import pytest

from holdfast_core.schedules import Schedule
from holdfast_signal.strategies.portfolio import Portfolio
from holdfast_signal.strategy import InvalidStrategy, Wish, prepare

SLEEVES = {
    "growth": {"share": "0.6", "weights": {"SPY": "0.5", "IBM": "0.5"}},
    "income": {"share": "0.4", "weights": {"SPY": "-0.25", "BAC": "0.75"}},
}


def portfolio(sleeves=SLEEVES):
    return prepare(
        Portfolio, id="core", book="equity", symbols=("AIG", "BAC", "IBM", "SPY"), stop_fraction=Decimal("0.05"),
        parameters={"sleeves": sleeves}, schedule=Schedule("equity", (time(10),), (), timedelta(minutes=5)),
    )  # fmt: skip


def test_every_symbol_is_reduced_to_its_one_target_and_bought_up_to_it():
    wishes = list(portfolio().make().on_buy_time())
    assert {each.symbol: each.target_weight for each in wishes if each.wish is Wish.REDUCE_LONG} == {
        "AIG": Decimal(0), "BAC": Decimal("0.3"), "IBM": Decimal("0.3"), "SPY": Decimal("0.2"),
    }  # fmt: skip
    assert {each.symbol: each.target_weight for each in wishes if each.wish is Wish.ENTER_LONG} == {
        "BAC": Decimal("0.3"), "IBM": Decimal("0.3"), "SPY": Decimal("0.2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sleeves", "told"),
    [
        ({"a": {"share": "0.6", "weights": {"SPY": 1}}, "b": {"share": "0.5", "weights": {"SPY": 1}}}, "add up to 1.1"),
        ({"a": {"share": "1", "weights": {"TSLA": 1}}}, "TSLA is not among its symbols"),
        ({"a": {"share": "1", "weights": {"SPY": 1, "IBM": "0.1"}}}, "a.weights: they add up to 1.1"),
        ({"a": {"share": "0", "weights": {"SPY": 1}}}, "share"),
        ({}, "sleeves"),
        (
            {"a": {"share": "1", "weights": {"SPY": 1}, "kind": "sma_crossover", "parameters": {"fast": 1}}},
            r"parameters.sleeves.a: strategy a: parameters.fast: 1 is not allowed; allowed: an integer from 2 to 199",
        ),
        (
            {"a": {"share": "1", "weights": {"SPY": 1}, "kind": "sma"}},
            r"sleeves.a: strategy kind 'sma' is not installed",
        ),
        ({"a": {"share": "1", "weights": {"SPY": 1}, "kind": "etf_rotation"}}, "sleeves.a.kind: 'etf_rotation' is not"),
        ({"a": {"share": "1", "weights": {"SPY": 1}, "kind": "portfolio"}}, "allowed: a strategy on minute bars"),
        ({"a": {"share": "1", "weights": {"SPY": 1}, "parameters": {"fast": 3}}}, "needed: parameters.sleeves.a.kind"),
    ],
)
def test_targets_that_cannot_be_held_are_refused_at_the_start(sleeves, told):
    """CF-3."""
    with pytest.raises(InvalidStrategy, match=told):
        portfolio(sleeves)
