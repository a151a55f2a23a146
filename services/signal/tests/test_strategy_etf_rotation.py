"""The ETF rotation follows its rule table, comparison by comparison (SY-1)."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest

from holdfast_core.sessions import xnys
from holdfast_signal.runners import DailyRunner
from holdfast_signal.strategies.etf_rotation import Closes, EtfRotation, EtfRotationParameters, Role, targets
from holdfast_signal.strategy import InvalidStrategy, prepare

ROLES = {
    Role.MARKET: "SPY",
    Role.GROWTH: "TQQQ",
    Role.LEVERAGED_GROWTH: "SPXL",
    Role.TECHNOLOGY: "XLK",
    Role.LEVERAGED_TECHNOLOGY: "TECL",
    Role.MANAGED_FUTURES: "KMLM",
    Role.VOLATILITY: "UVXY",
    Role.CASH: "BIL",
    Role.INVERSE: "SQQQ",
    Role.BONDS: "BSV",
}
RULE = EtfRotationParameters(roles=ROLES)
CALM = dict.fromkeys(Role, 50.0)
BULL, BEAR = 101.0, 99.0
"""Price of the market; its average is 100."""


class Table(Closes):
    """Indicators as the test says; a role that is not named is missing."""

    def __init__(self, price: float | None, strength: Mapping[Role, float]) -> None:
        super().__init__({})
        self._price = price
        self._strength = strength

    def close(self, role: Role) -> float | None:
        return self._price

    def sma(self, role: Role, days: int) -> float | None:
        assert days == 200
        return 100.0 if self._price is not None else None

    def rsi(self, role: Role, days: int) -> float | None:
        assert days == (9 if role in (Role.INVERSE, Role.BONDS) else 10)
        return self._strength.get(role)


def held(price: float | None, **strength: float | None) -> dict[str, int]:
    """Percent by symbol; `strength` by role name, None where the role is missing."""
    table = {**CALM, **{Role(name): value for name, value in strength.items()}}
    present = {role: value for role, value in table.items() if value is not None}
    return {ROLES[role]: int(weight * 100) for role, weight in targets(Table(price, present), RULE).items()}


BULL_HEDGE, BEAR_HEDGE = {"UVXY": 25, "BIL": 75}, {"UVXY": 15, "BIL": 85}


@pytest.mark.parametrize(
    ("price", "strength", "wanted"),
    [
        # Bull: overbought growth or market hedges; comparisons are strict.
        (BULL, {"growth": 79.01}, BULL_HEDGE),
        (BULL, {"growth": 79.0}, {"BIL": 100}),
        (BULL, {"market": 80.01}, BULL_HEDGE),
        (BULL, {"market": 80.0}, {"BIL": 100}),
        # Bear, in the order of the table.
        (BEAR, {"growth": 30.99, "leveraged_growth": 20, "volatility": 90}, {"TECL": 100}),
        (BEAR, {"growth": 31.0, "leveraged_growth": 28.99, "volatility": 90}, {"SPXL": 100}),
        (BEAR, {"leveraged_growth": 29.0, "volatility": 84.01}, BEAR_HEDGE),
        (BEAR, {"volatility": 84.0}, {"BIL": 100}),
        (BEAR, {"volatility": 74.01}, {"BIL": 100}),
        (BEAR, {"volatility": 74.0, "inverse": 60, "bonds": 40}, {"SQQQ": 100}),
        # The market on its average is no bull.
        (100.0, {"growth": 90.0, "inverse": 60, "bonds": 40}, {"SQQQ": 100}),
        # Switcher.
        (BULL, {"technology": 60, "managed_futures": 59.9}, {"TECL": 100}),
        (BULL, {"technology": 81.0, "managed_futures": 59}, {"TECL": 100}),
        (BULL, {"technology": 81.01, "managed_futures": 59}, {"BIL": 100}),
        (BULL, {"technology": 50, "managed_futures": 50}, {"BIL": 100}),
        (BULL, {"technology": 28.99, "managed_futures": 50}, {"TECL": 100}),
        (BULL, {"technology": 29.0, "managed_futures": 50}, {"BIL": 100}),
        (BEAR, {"technology": 28.99, "managed_futures": 50}, {"TECL": 100}),
        (BEAR, {"technology": 29.0, "managed_futures": 50, "inverse": 40, "bonds": 41}, {"BSV": 100}),
        (BEAR, {"technology": 60, "managed_futures": 50}, {"TECL": 100}),
        # What is missing.
        (None, {}, {"BIL": 100}),
        (BULL, {"technology": None}, {"BIL": 100}),
        (BEAR, {"managed_futures": None}, {"BIL": 100}),
        (BEAR, {"inverse": None}, {"BSV": 100}),
        (BEAR, {"bonds": None}, {"SQQQ": 100}),
        (BEAR, {"inverse": None, "bonds": None}, {"BIL": 100}),
        (BULL, {"growth": None, "market": 80.01}, BULL_HEDGE),
        (BEAR, {"growth": None, "leveraged_growth": None, "volatility": 74.01}, {"BIL": 100}),
    ],
)
def test_the_rule_table(price, strength, wanted):
    assert held(price, **strength) == wanted


def rotation(symbols=("AIG", "BAC"), **parameters):
    roles = {
        "market": "SPY",
        "technology": "AIG",
        "managed_futures": "SPY",
        "leveraged_technology": "AIG",
        "cash": "BAC",
    }
    return prepare(
        EtfRotation, id="rotation", book="equity", symbols=symbols, stop_fraction=Decimal("0.1"),
        parameters={
            "roles": roles, "sma_days": 3, "rsi_days": 2, "defensive_rsi_days": 2, "exit_memory_sessions": 2,
            "growth_overbought": 100, "market_overbought": 100, "technology_overbought": 100, "technology_oversold": 0,
        } | parameters,
    )  # fmt: skip


def opens(day_bar, day: date, closes: Mapping[str, list[float]]) -> list[tuple[str, str]]:
    runner = DailyRunner(rotation(), xnys())
    session = xnys().session_of(day)
    days = runner.days(session)
    bars = {
        symbol: [day_bar(symbol, each, close) for each, close in zip(days, values[-len(days) :], strict=True)]
        for symbol, values in closes.items()
    }
    draft = runner.open(session, bars)
    return [] if draft is None else [(each.wish.value, each.symbol) for each in draft.desires]


def test_a_change_of_the_rule_sells_first_and_buys_then(day_bar):
    """Technology was stronger than futures until yesterday: out of the leveraged one, into cash."""
    spy = [100.0 + number * 0.1 + (number % 2) for number in range(42)]
    strong = [50.0 + number * 0.5 + (number % 2) * 0.3 for number in range(42)]
    bac = [14.0 + (number % 2) for number in range(42)]
    closes = {"SPY": spy, "AIG": strong, "BAC": bac}
    assert opens(day_bar, date(2013, 10, 8), closes) == [("ENTER_LONG", "AIG")]
    turned = {**closes, "AIG": [*strong[1:], strong[-1] - 9]}
    turned["SPY"] = [*spy[1:], spy[-1] + 3]
    assert opens(day_bar, date(2013, 10, 8), turned) == [("EXIT_LONG", "AIG"), ("ENTER_LONG", "BAC")]


def test_without_the_market_it_holds_cash(day_bar):
    closes = {"AIG": [50.0] * 42, "BAC": [14.0] * 42}
    assert opens(day_bar, date(2013, 10, 8), closes) == [("ENTER_LONG", "BAC")]


def test_a_role_that_can_be_held_must_be_among_its_symbols():
    with pytest.raises(InvalidStrategy, match=r"parameters\.roles\.cash: BAC is not among its symbols"):
        rotation(symbols=("AIG",))


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(InvalidStrategy, match="roles"):
        rotation(roles={"gold": "AIG"})


def test_it_asks_for_the_symbols_it_only_looks_at():
    assert rotation().make().data_symbols == ("AIG", "BAC", "SPY")
