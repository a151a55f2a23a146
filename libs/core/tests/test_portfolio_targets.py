"""From target weights to trades: sales first, purchases from the cash there is, nothing small, nothing twice (SY-2)."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from holdfast_core.instruments import SHARES
from holdfast_core.portfolio import Line, Policy, Sleeve, consolidated, rebalance

SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
HUNDRED = Decimal(100)


def line(symbol, weight, held, price="100", *, ask=None):
    return Line(
        symbol=symbol, weight=Decimal(weight), held=Decimal(held), bid=Decimal(price), ask=Decimal(ask or price),
        lot=SHARES,
    )  # fmt: skip


def policy(buffer="0.02", min_trade="100", band="0.01"):
    return Policy(cash_buffer=Decimal(buffer), min_trade=Decimal(min_trade), band=Decimal(band))


def told(trades):
    return [("sell" if each.sells else "buy", each.symbol, each.quantity) for each in trades]


def cents(low, high):
    return st.integers(low, high).map(lambda count: Decimal(count) / HUNDRED)


@st.composite
def accounts(draw):
    """Lines whose weights add up to 1 at most, some of them held, with the account's cash and policy."""
    parts = draw(st.lists(st.integers(0, 25), min_size=4, max_size=4))
    bids = [draw(cents(1, 50_000)) for _ in SYMBOLS]
    lines = [
        Line(
            symbol=symbol,
            weight=Decimal(part) / HUNDRED,
            held=draw(st.one_of(st.integers(0, 500).map(Decimal), cents(0, 50_000))),
            bid=bid,
            ask=bid + draw(cents(0, 1_000)),
            lot=SHARES,
        )
        for symbol, part, bid in zip(SYMBOLS, parts, bids, strict=True)
    ]
    cash = draw(cents(-100_000, 10_000_000))
    rule = Policy(
        cash_buffer=draw(cents(0, 50)), min_trade=draw(cents(0, 100_000)), band=draw(cents(0, 20))
    )  # fmt: skip
    return lines, cash, rule


def worth(lines, cash):
    return cash + sum(each.held * each.bid for each in lines)


def plan(lines, cash, rule):
    return rebalance(lines, equity=worth(lines, cash), cash=cash, policy=rule)


def test_sales_come_before_purchases_and_pay_for_them():
    lines = [line("SPY", "0.5", 900), line("BAC", "0.5", 0, "10")]
    trades = rebalance(lines, equity=Decimal(100_000), cash=Decimal(10_000), policy=policy())
    assert told(trades) == [("sell", "SPY", 410), ("buy", "BAC", 4_900)]


def test_purchases_leave_the_buffer_in_cash():
    trades = rebalance([line("SPY", "1", 0)], equity=Decimal(100_000), cash=Decimal(50_000), policy=policy())
    assert told(trades) == [("buy", "SPY", 480)]


def test_a_holding_within_its_band_and_a_trade_below_the_minimum_stay_as_they_are():
    rule = policy(buffer="0", band="0.01")
    assert rebalance([line("SPY", "0.5", 509)], equity=Decimal(100_000), cash=Decimal(49_100), policy=rule) == ()
    assert told(rebalance([line("SPY", "0.5", 511)], equity=Decimal(100_000), cash=Decimal(48_900), policy=rule)) == [
        ("sell", "SPY", 11)
    ]
    rule = policy(buffer="0", band="0", min_trade="1000")
    assert rebalance([line("SPY", "0.5", 509)], equity=Decimal(100_000), cash=Decimal(49_100), policy=rule) == ()


def test_what_is_wanted_no_more_is_sold_whole_with_its_fraction():
    trades = rebalance([line("SPY", "0", "5.5")], equity=Decimal(100_000), cash=Decimal(99_450), policy=policy())
    assert told(trades) == [("sell", "SPY", Decimal("5.5"))]


def test_what_is_held_is_worth_its_bid_and_what_is_missing_costs_its_ask():
    """A wide quote sells nothing that a calm one would not."""
    rule = policy(buffer="0", band="0")
    wide = [line("SPY", "0.5", 500, "100", ask="200")]
    assert rebalance(wide, equity=Decimal(100_000), cash=Decimal(50_000), policy=rule) == ()
    wide = [line("SPY", "0.5", 600, "100", ask="101"), line("BAC", "0.5", 100, "100", ask="101")]
    assert told(rebalance(wide, equity=Decimal(100_000), cash=Decimal(30_000), policy=rule)) == [
        ("sell", "SPY", 100), ("buy", "BAC", 395),
    ]  # fmt: skip


def test_a_rest_that_is_too_small_to_trade_or_to_protect_is_sold_with_the_part():
    """Its target would not be bought either; less than a share can carry no stop."""
    rule = policy(buffer="0", band="0", min_trade="1000")
    small = [line("SPY", "0.008", 100)]
    assert told(rebalance(small, equity=Decimal(100_000), cash=Decimal(90_000), policy=rule)) == [("sell", "SPY", 100)]
    kept = [line("SPY", "0.01", 100)]
    assert told(rebalance(kept, equity=Decimal(100_000), cash=Decimal(90_000), policy=rule)) == [("sell", "SPY", 90)]
    rule = policy(buffer="0", band="0", min_trade="0")
    less_than_one = [line("SPY", "0.0005", "5.5")]
    assert told(rebalance(less_than_one, equity=Decimal(100_000), cash=Decimal(99_450), policy=rule)) == [
        ("sell", "SPY", Decimal("5.5"))
    ]


def test_new_symbols_are_bought_before_additions():
    lines = [line("AIG", "0.5", 1), line("BAC", "0.4", 0)]
    trades = rebalance(lines, equity=Decimal(100_000), cash=Decimal(42_000), policy=policy())
    assert told(trades) == [("buy", "BAC", 392), ("buy", "AIG", 8)]


def test_several_strategies_become_one_target_for_each_symbol():
    growth = Sleeve(Decimal("0.6"), {"SPY": Decimal("0.5"), "IBM": Decimal("0.5")})
    income = Sleeve(Decimal("0.4"), {"SPY": Decimal("0.25"), "BAC": Decimal("0.75")})
    assert consolidated([growth, income]) == {
        "BAC": Decimal("0.3"), "IBM": Decimal("0.3"), "SPY": Decimal("0.4"),
    }  # fmt: skip


def test_opposite_strategies_net_out_and_nothing_is_short():
    bull = Sleeve(Decimal("0.5"), {"SPY": Decimal("0.8"), "BAC": Decimal("0.2")})
    bear = Sleeve(Decimal("0.5"), {"SPY": Decimal("-0.5"), "BAC": Decimal("-1")})
    assert consolidated([bull, bear]) == {"BAC": Decimal(0), "SPY": Decimal("0.15")}


@given(accounts())
def test_purchases_never_cost_more_than_cash_and_proceeds_less_the_buffer(account):
    lines, cash, rule = account
    trades = plan(lines, cash, rule)
    proceeds = sum(each.value for each in trades if each.sells)
    cost = sum(each.value for each in trades if not each.sells)
    assert not cost or cost <= cash + proceeds - rule.cash_buffer * worth(lines, cash)


@given(accounts())
def test_nothing_is_sold_that_is_not_held_and_nothing_is_traded_below_the_minimum(account):
    lines, cash, rule = account
    held = {each.symbol: each.held for each in lines}
    trades = plan(lines, cash, rule)
    assert len({each.symbol for each in trades}) == len(trades)
    for trade in trades:
        assert trade.quantity > 0
        assert trade.value >= rule.min_trade
        left = held[trade.symbol] - trade.quantity
        assert not trade.sells or left == 0 or left >= 1


@given(accounts())
def test_once_traded_at_the_same_prices_there_is_nothing_left_to_trade(account):
    """Of the same equity: the spread that was paid is noise within its band."""
    lines, cash, rule = account
    before = cash
    trades = {each.symbol: each for each in plan(lines, cash, rule)}
    after = []
    for each in lines:
        trade = trades.get(each.symbol)
        change = Decimal(0) if trade is None else -trade.quantity if trade.sells else trade.quantity
        after.append(replace(each, held=each.held + change))
        cash -= change * (each.ask if change > 0 else each.bid)
    assert rebalance(after, equity=worth(lines, before), cash=cash, policy=rule) == ()


@given(accounts(), st.randoms(use_true_random=False))
def test_the_order_of_the_trades_does_not_depend_on_the_order_of_the_facts(account, chance):
    lines, cash, rule = account
    shuffled = list(lines)
    chance.shuffle(shuffled)
    trades = plan(lines, cash, rule)
    assert plan(shuffled, cash, rule) == trades
    assert [each.sells for each in trades] == sorted((each.sells for each in trades), reverse=True)
