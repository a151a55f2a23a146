"""The crypto book at the gates: fractional sizes, the asset's steps, fees and dust (BR-5, BK-1, CG)."""

from decimal import Decimal

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_gate.domain.rules import Rules
from holdfast_runtime.settings import Settings, StrategySettings

PAIRS = ("BTC/USD", "ETH/USD")


def rules(**limits):
    strategy = StrategySettings(id="coins", kind="sma", book="crypto", symbols=PAIRS, allocation=Decimal(8000))
    return Rules.of(Settings(strategies=(strategy,), gate=limits))


@pytest.fixture
def crypto(make_world, make_price):
    """A calm minute of the crypto book: bitcoin at 6827.13 dollars."""
    world = make_world(strategy="coins", book="crypto", rules=rules())
    world.prices = {symbol: make_price(symbol, "6827.13") for symbol in PAIRS}
    for symbol in PAIRS:
        world.snapshot.assets.add(
            symbol=symbol,
            tradable=True,
            status="active",
            min_order_size=common.Decimal(value="0.0001"),
            min_trade_increment=common.Decimal(value="0.000000001"),
            price_increment=common.Decimal(value="0.01"),
        )
    world.snapshot.strategies.add(strategy="coins", state="running")
    return world


@pytest.fixture
def enter(make_enter):
    return lambda **changes: make_enter(
        "BTC/USD", **{"signal_price": Decimal("6827.13"), "stop_fraction": Decimal("0.02"), **changes}
    )


def test_an_entry_buys_coins_in_the_assets_steps_with_prices_on_its_tick(crypto, enter):
    """Nine decimals, never more than the allocation; limit and stop on the pair's own increment."""
    decided = crypto.decide(enter())
    assert decided.allowed, decided
    order = decided.candidate
    assert order.quantity == Decimal("1.171795468")
    assert order.limit_price == Decimal("6963.67")
    assert order.stop_price == Decimal("6690.59")


def test_the_brokers_own_increment_and_smallest_order_hold(crypto, enter):
    """min_trade_increment and min_order_size of the asset, not the book's."""
    asset = next(each for each in crypto.snapshot.assets if each.symbol == "BTC/USD")
    asset.min_trade_increment.value = "0.01"
    assert crypto.decide(enter()).candidate.quantity == Decimal("1.17")
    asset.min_order_size.value = "1.18"
    blocked = crypto.decide(enter())
    assert blocked.reason == "SIZE_ZERO"
    assert blocked.verdicts[-1].verdict.numbers["smallest"] == "1.18"


def test_coins_are_paid_with_settled_cash(crypto, enter, make_world):
    """BR-7, RC-3: made smaller or skipped before the venue would refuse it. Shares do not ask."""
    crypto.snapshot.reconciliation.unsettled_cash.value = "94000"
    decided = crypto.decide(enter())
    assert decided.allowed
    assert decided.candidate.quantity * decided.candidate.limit_price * Decimal("1.0025") <= 6000
    assert decided.verdicts[-1].verdict.reason == "CASH_UNSETTLED"
    crypto.snapshot.reconciliation.unsettled_cash.value = "100000"
    assert crypto.decide(enter()).reason == "CASH_UNSETTLED"
    world = make_world()
    world.snapshot.reconciliation.unsettled_cash.value = "99995"
    assert world.decide().allowed


def test_the_fee_is_kept_free_beside_the_cost(crypto, enter):
    """80 % of 10,000 dollars less 25 basis points of fee: what is left buys less than the allocation."""
    crypto.snapshot.account.cash.value = "10000"
    decided = crypto.decide(enter())
    assert decided.allowed
    order = decided.candidate
    assert order.quantity * order.limit_price * Decimal("1.0025") <= 8000
    assert (order.quantity + Decimal("0.000000001")) * order.limit_price * Decimal("1.0025") > 8000
    crypto.rules = rules(crypto_fee_bps=0)
    assert crypto.decide(enter()).candidate.quantity > order.quantity


def test_the_crypto_book_is_open_at_night_and_stale_all_the_same(crypto, enter):
    """PT-7, TL-3: there is no session to wait for; a pair without prices is not bought."""
    crypto.prices["BTC/USD"] = crypto.prices["ETH/USD"]
    assert crypto.decide(enter()).allowed
    del crypto.prices["BTC/USD"]
    assert crypto.decide(enter()).reason == "FEED_STALE"


def test_an_untradable_pair_is_not_bought(crypto, enter):
    """TL-7."""
    crypto.snapshot.assets[-2].tradable = False
    assert crypto.decide(enter()).reason == "ASSET_NOT_TRADABLE"


def held(crypto, quantity):
    crypto.snapshot.positions.add(
        symbol="BTC/USD",
        strategy="coins",
        book=common.BOOK_CRYPTO,
        quantity=common.Decimal(value=quantity),
        average_price=common.Decimal(value="6800"),
    )


def test_dust_stands_in_no_entrys_way_and_is_not_sold(crypto, enter, make_exit):
    """Below the smallest order: its own strategy may buy more, nobody tries to sell it, others leave it alone."""
    held(crypto, "0.00009")
    assert crypto.decide(enter()).allowed
    assert crypto.decide(make_exit("BTC/USD")).reason == "NOTHING_HELD"
    crypto.snapshot.positions[0].strategy = "somebody"
    assert crypto.decide(enter()).reason == "SYMBOL_OWNED"


def test_a_fraction_is_held_and_sold_whole(crypto, enter, make_exit):
    held(crypto, "0.123456789")
    assert crypto.decide(enter()).reason == "POSITION_HELD"
    leaving = crypto.decide(make_exit("BTC/USD"))
    assert leaving.allowed
    assert leaving.candidate.quantity == Decimal("0.123456789")


def test_an_equity_is_bought_whole_whatever_its_facts_say(make_world, make_enter):
    """Increments of the broker are for coins: shares stay whole, so that a stop can protect them."""
    world = make_world()
    asset = next(each for each in world.snapshot.assets if each.symbol == "SPY")
    asset.CopyFrom(
        execution.AssetFacts(
            symbol="SPY", tradable=True, status="active", min_trade_increment=common.Decimal(value="0.000000001")
        )
    )
    quantity = world.decide(make_enter("SPY", signal_price=Decimal(100))).candidate.quantity
    assert quantity == quantity.to_integral_value()
