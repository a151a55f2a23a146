"""What an account may do: margin, short sales, settlement, fees, its owner's configuration (BR-6, BR-7, RC-4, TL-7)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange import account
from holdfast_exchange.account import AccountConfig
from holdfast_exchange.account_commands import Configure, JournalCash
from holdfast_exchange.books import Entry, EntryKind
from holdfast_exchange.configuration import Check, Configuration
from holdfast_exchange.fees import CRYPTO_TIERS, FeeSchedule
from holdfast_exchange.orders import Refusal
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar

Floors = Callable[..., Floor]
DAY = [bar(minute, "100", "101", "99", "100") for minute in range(30)]
COINS = [bar(minute, "100", "101", "99", "100", 1_000_000_000, symbol="BTC/USD") for minute in range(30)]
SHORTS = Configuration(no_shorting=False)


def margin(multiplier: int = 2, configuration: Configuration = SHORTS, **fields: Any) -> AccountConfig:
    return AccountConfig(multiplier=multiplier, configuration=configuration, **fields)


def balanced(floor: Floor) -> bool:
    """Conservation, to the last digit."""
    books = floor.exchange.books
    return books.cash + books.cost_total == books.starting_cash + books.realised_total + books.outside_total


# Short sales


def test_a_short_position_owes_shares_and_profits_when_they_fall(floor: Floors) -> None:
    f = floor([*DAY[:2], bar(2, "90", "90", "90", "90"), *DAY[3:]], account=margin())
    f.order("sell", 10)
    f.minute(0)
    books = f.exchange.books
    assert books.held("SPY") == -10
    assert books.positions["SPY"].average_price == 100
    assert books.cash == 101_000
    f.minute(2)
    assert account.balances(f.exchange).short_value == -900
    assert f.exchange.equity() == 100_100
    f.order("buy", 10)
    f.minute(3)
    assert books.held("SPY") == 0
    assert books.realised_total == 0, "covered at 100 again"
    assert balanced(f)


def test_a_short_sale_needs_the_owners_leave_and_margin(floor: Floors) -> None:
    cases: list[tuple[AccountConfig, dict[str, Any]]] = [
        (margin(configuration=Configuration()), {}),
        (margin(multiplier=1), {}),
        (margin(), {"starting_cash": Decimal(1_999)}),
        (margin(), {"assets": {"SPY": {"shortable": False}}}),
        (margin(), {"assets": {"SPY": {"easy_to_borrow": False}}}),
    ]
    for config, more in cases:
        f = floor(DAY, account=config, **more)
        with pytest.raises(Refusal) as refusal:
            f.order("sell", 1)
        assert refusal.value.status in (403, 422)
        assert f.exchange.orders == {}


def test_a_short_sale_reserves_three_percent_above_the_ask_or_its_limit(floor: Floors) -> None:
    f = floor(DAY, account=margin())
    f.minute(0)
    whole = f.exchange.buying_power()
    f.order("sell", 10, "limit", limit_price="102")
    assert whole - f.exchange.buying_power() == 10 * Decimal("103")
    f.order("sell", 10, "limit", limit_price="110")
    assert whole - f.exchange.buying_power() == 10 * Decimal("103") + 10 * Decimal("110")


def test_covering_needs_no_buying_power(floor: Floors) -> None:
    f = floor(DAY, account=margin(), starting_cash=Decimal(3_000))
    f.order("sell", 25)
    f.minute(0)
    power = f.exchange.buying_power()
    assert power == 3_500, "twice what remains of 3,000 dollars after half of 2,500"
    f.order("buy", 25, "limit", limit_price="200")
    assert f.exchange.buying_power() == power


# Margin


@pytest.mark.parametrize(
    ("multiplier", "power", "initial"),
    [(1, 90_000, 10_000), (2, 190_000, 5_000), (4, 390_000, 5_000)],
)
def test_the_multiplier_decides_what_may_be_bought(floor: Floors, multiplier: int, power: int, initial: int) -> None:
    f = floor(DAY, account=margin(multiplier))
    f.order("buy", 100)
    f.minute(0)
    found = account.balances(f.exchange)
    assert found.multiplier == multiplier
    assert found.buying_power == power
    assert found.initial_margin == initial
    assert found.maintenance_margin == 3_000
    assert found.non_marginable_buying_power == 90_000


def test_the_owner_may_lower_the_multiplier(floor: Floors) -> None:
    f = floor(DAY, account=margin(4))
    f.apply(Configure(f.exchange.now, Configuration(max_margin_multiplier="1")))
    assert account.balances(f.exchange).multiplier == 1
    assert f.exchange.buying_power() == 100_000
    f.apply(Configure(f.exchange.now, Configuration(max_margin_multiplier="4", dtbp_check=Check.EXIT)))
    assert f.exchange.buying_power() == 200_000, "Regulation T where day trading is not checked at entry"


@pytest.mark.parametrize(
    ("quantity", "price", "needed"),
    [("100", "2", "200"), ("100", "10", "300"), ("-100", "2", "250"), ("-100", "10", "500"), ("-100", "100", "3000")],
)
def test_maintenance_follows_side_and_price(quantity: str, price: str, needed: str) -> None:
    found = account.maintenance_of(Decimal(quantity), Decimal(price), marginable=True)
    assert found == Decimal(needed)
    whole = account.maintenance_of(Decimal(quantity), Decimal(price), marginable=False)
    assert whole == abs(Decimal(quantity)) * Decimal(price)


# Settlement


def test_proceeds_settle_on_the_next_session(floor: Floors) -> None:
    """BR-7: unsettled cash is respected where the account is told to."""
    f = floor(DAY, account=AccountConfig(spend_unsettled=False), starting_cash=Decimal(1_000))
    f.order("buy", 10)
    f.minute(0)
    f.order("sell", 10)
    f.minute(1)
    assert f.exchange.books.cash == 1_000
    assert account.balances(f.exchange).unsettled == 1_000
    assert f.exchange.buying_power() == 0
    with pytest.raises(Refusal, match="insufficient buying power"):
        f.order("buy", 1)
    f.tick(CLOSE)
    f.tick(OPEN.replace(day=8))
    assert account.balances(f.exchange).unsettled == 0
    assert f.exchange.buying_power() == 1_000


def test_by_default_proceeds_are_spent_at_once(floor: Floors) -> None:
    f = floor(DAY, starting_cash=Decimal(1_000))
    f.order("buy", 10)
    f.minute(0)
    f.order("sell", 10)
    f.minute(1)
    found = account.balances(f.exchange)
    assert found.buying_power == 1_000
    assert found.non_marginable_buying_power == 0, "coins are bought with settled cash"


# Fees


def test_commission_is_booked_beside_the_fill(floor: Floors) -> None:
    fees = FeeSchedule(per_share=Decimal("0.005"), per_order=Decimal(1))
    f = floor([bar(0, "100", "100", "100", "100", 6), *DAY[1:]], account=AccountConfig(fees=fees))
    f.order("buy", 10)
    f.minute(0)
    f.minute(1)
    booked = [each for each in f.exchange.books.activities if isinstance(each, Entry)]
    assert [each.cash for each in booked] == [Decimal("-1.03"), Decimal("-0.02")], "six shares and the order, then four"
    assert f.exchange.books.cash == 100_000 - 1_000 - Decimal("1.05")
    assert f.exchange.books.outside[EntryKind.FEE] == Decimal("-1.05")
    assert balanced(f)


def test_crypto_fees_are_taken_from_what_is_received(floor: Floors) -> None:
    """CG: 25 basis points of a taker at the lowest tier."""
    f = floor([*DAY, *COINS])
    f.order("buy", 10, symbol="BTC/USD", tif="gtc")
    f.minute(0)
    books = f.exchange.books
    assert books.held("BTC/USD") == Decimal("9.975")
    assert books.cash == 99_000
    assert books.positions["BTC/USD"].average_price == 100
    assert books.outside[EntryKind.CRYPTO_FEE] == Decimal("-2.5")
    f.order("sell", 9, symbol="BTC/USD", tif="gtc")
    f.minute(1)
    assert books.cash == 99_000 + 900 - Decimal("2.25")
    assert balanced(f)


def test_the_tier_follows_thirty_days_of_volume() -> None:
    schedule = FeeSchedule()
    assert [schedule.tier_number(tier.volume) for tier in CRYPTO_TIERS] == list(range(1, len(CRYPTO_TIERS) + 1))
    lowest, second = schedule.tier(Decimal("99999.99")), schedule.tier(Decimal(100_000))
    assert lowest is not None
    assert second is not None
    assert (lowest.maker_bps, lowest.taker_bps) == (Decimal(15), Decimal(25))
    assert (second.maker_bps, second.taker_bps) == (Decimal(12), Decimal(22))
    assert FeeSchedule(crypto_tiers=()).tier(Decimal(1)) is None


# The owner's configuration


def test_a_suspended_account_takes_no_order(floor: Floors) -> None:
    f = floor(DAY)
    f.apply(Configure(f.exchange.now, Configuration(suspend_trade=True)))
    with pytest.raises(Refusal, match="rejected by user request") as refusal:
        f.order("buy", 1)
    assert refusal.value.status == 403
    f.apply(Configure(f.exchange.now, Configuration()))
    f.order("buy", 1)


def test_a_configuration_survives_a_kill(floor: Floors) -> None:
    """TS-3."""
    f = floor(DAY)
    f.apply(Configure(f.exchange.now, Configuration(no_shorting=False, pdt_check=Check.BOTH)))
    f.apply(JournalCash(f.exchange.now, Decimal("250.5"), "a deposit"))
    again = f.again(f.commands)
    assert again.state() == f.exchange.state()
    assert again.books.cash == Decimal("100250.5")


@pytest.mark.parametrize(
    "asked", [{"no_shorting": "yes"}, {"max_margin_multiplier": "3"}, {"dtbp_check": "never"}, {"suspend_trade": 1}]
)
def test_a_configuration_that_cannot_be_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        Configuration().changed(asked)
    assert refusal.value.status == 422


def test_a_fourth_day_trade_is_refused_below_25000_dollars(floor: Floors) -> None:
    f = floor(DAY, account=margin(), starting_cash=Decimal(20_000))
    for number in range(3):
        f.order("buy", 1)
        f.minute(2 * number)
        f.order("sell", 1)
        f.minute(2 * number + 1)
    assert account.daytrade_count(f.exchange) == 3
    with pytest.raises(Refusal, match="pattern day trading") as refusal:
        f.order("buy", 1)
    assert refusal.value.code == 40310100
    f.apply(Configure(f.exchange.now, Configuration(pdt_check=Check.EXIT)))
    f.order("buy", 1)
    f.minute(6)
    with pytest.raises(Refusal, match="pattern day trading"):
        f.order("sell", 1)
