"""Options flow and derivatives intelligence: the same seed gives the same, and nothing looks ahead (FP-1.x, CG, IG)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_exchange.combining import load_defaults
from holdfast_exchange.derivatives import DerivativesTape, heatmap, reading, together
from holdfast_exchange.flow import LEAST_RECORDED_PREMIUM, Provenance
from holdfast_exchange.flow_tape import FlowTape
from holdfast_exchange.market import Market
from holdfast_exchange.recording import MINUTE, Bar, OptionBar, Recording

NOON = datetime(2013, 10, 9, 16, tzinfo=UTC)
CRYPTO_NOON = datetime(2018, 4, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def stocks() -> Recording:
    return load_defaults(["equity"]).recording


@pytest.fixture(scope="module")
def pairs() -> Recording:
    return load_defaults(["crypto"]).recording


def test_the_flow_depends_on_seed_and_market_time_and_not_on_when_it_is_asked(stocks: Recording) -> None:
    late = FlowTape(Market(stocks, NOON), 7)
    market = Market(stocks, NOON - timedelta(days=1, minutes=17))
    early = FlowTape(market, 7)
    for symbol in early.symbols:
        before = [*early.alerts(symbol), *early.prints(symbol)]
        assert before
    market.release(NOON)
    for symbol in late.symbols:
        assert early.alerts(symbol) == late.alerts(symbol)
        assert early.prints(symbol) == late.prints(symbol)
    assert FlowTape(Market(stocks, NOON), 8).alerts("SPY") != late.alerts("SPY")


def test_alerts_and_prints_are_plausible_and_not_later_than_now(stocks: Recording) -> None:
    market = Market(stocks, NOON)
    tape = FlowTape(market, 7)
    assert tape.symbols == ("AIG", "BAC", "IBM", "SPY")
    ids = set()
    for symbol in tape.symbols:
        for alert in tape.alerts(symbol):
            assert alert.provenance is Provenance.GENERATED
            assert alert.start <= alert.end <= alert.created_at <= NOON
            assert (
                alert.underlying_price
                == market.minute_bars(symbol, alert.created_at - MINUTE, alert.created_at)[0].close
            )
            assert alert.ask_premium + alert.bid_premium == alert.premium > 0
            assert min(alert.ask_premium, alert.bid_premium) >= 0
            assert alert.volume >= alert.size > 0
            assert alert.expiry >= alert.created_at.date()
            assert abs(alert.strike / alert.underlying_price - 1) < Decimal("0.2")
            assert not (alert.sweep and alert.multileg)
            ids.add(alert.id)
        for found in tape.prints(symbol):
            assert found.executed_at <= NOON
            assert found.bid <= found.price <= found.ask
            assert 100 <= found.size <= found.volume
    assert len(ids) == sum(len(tape.alerts(symbol)) for symbol in tape.symbols)


def option(minute: int, price: str, volume: int, **changes: object) -> OptionBar:
    start = NOON + MINUTE * minute
    prices = [Decimal(price)] * 4
    made = OptionBar("AAPL", start, start + MINUTE, date(2013, 10, 18), "call", Decimal(480), *prices, Decimal(volume))
    return OptionBar(**({name: getattr(made, name) for name in OptionBar.__slots__} | changes))  # type: ignore[arg-type]


def test_recorded_option_trades_are_the_flow_of_their_underlying(stocks: Recording) -> None:
    """What is not recorded is None, and what is judged is named."""
    bars = (
        option(0, "5", 60, open=Decimal(4), low=Decimal(4), high=Decimal(6)),
        option(1, "5", 1),
        option(2, "5", 100),
    )
    recording = Recording(
        symbols=stocks.symbols,
        minute_bars=stocks.minute_bars,
        minute_quotes=(),
        daily_bars=(),
        quarantined=(),
        option_bars=bars,
    )
    market = Market(recording, NOON + MINUTE)
    tape = FlowTape(market, 7)
    assert tape.symbols == ("AAPL", "AIG", "BAC", "IBM", "SPY")
    [first] = tape.alerts("AAPL")
    assert (first.provenance, first.contract, first.size, first.volume) == (
        Provenance.RECORDED,
        "AAPL131018C00480000",
        60,
        60,
    )
    assert (first.open_interest, first.trades, first.iv_start, first.underlying_price) == (None, None, None, None)
    assert first.ask_premium > first.bid_premium
    assert first.made_up == ("total_ask_side_prem", "total_bid_side_prem")
    market.release(NOON + MINUTE * 2)
    assert len(tape.alerts("AAPL")) == 1, f"less than {LEAST_RECORDED_PREMIUM} dollars are no alert"
    market.release(NOON + MINUTE * 3)
    assert [alert.volume for alert in tape.alerts("AAPL")] == [60, 161]
    assert tape.prints("AAPL") == ()


def test_derivatives_depend_on_seed_and_market_time_and_not_on_when_they_are_asked(pairs: Recording) -> None:
    late = DerivativesTape(Market(pairs, CRYPTO_NOON), 7)
    market = Market(pairs, CRYPTO_NOON - timedelta(hours=9, minutes=3))
    early = DerivativesTape(market, 7)
    assert early.coins == {"BTC": "BTC/USD", "ETH": "ETH/USD", "LTC": "LTC/USD"}
    assert early.readings("BTC/USD", MINUTE)
    market.release(CRYPTO_NOON)
    for pair in late.coins.values():
        assert early.readings(pair, MINUTE) == late.readings(pair, MINUTE)
        assert early.whales(pair) == late.whales(pair)
        assert early.heatmap(pair, timedelta(hours=4)) == late.heatmap(pair, timedelta(hours=4))
    assert DerivativesTape(Market(pairs, CRYPTO_NOON), 8).readings("BTC/USD", MINUTE) != late.readings(
        "BTC/USD", MINUTE
    )


def test_longer_intervals_are_the_sum_of_their_minutes(pairs: Recording) -> None:
    tape = DerivativesTape(Market(pairs, CRYPTO_NOON + MINUTE * 7), 7)
    minutes, hours = tape.readings("BTC/USD", MINUTE), tape.readings("BTC/USD", timedelta(hours=1))
    assert hours[-1].end == CRYPTO_NOON
    inside = [each for each in minutes if hours[-1].start <= each.start < hours[-1].end]
    assert hours[-1].taker_buy == sum(each.taker_buy for each in inside)
    assert hours[-1].long_liquidated == sum(each.long_liquidated for each in inside)
    assert hours[-1].long_accounts == inside[-1].long_accounts
    assert minutes[-1].end == CRYPTO_NOON + MINUTE * 7


def candle(minute: int, low: float, high: float, close: float) -> Bar:
    start = CRYPTO_NOON + MINUTE * minute
    values = (Decimal(str(value)) for value in (close, high, low, close))
    return Bar("BTC/USD", start, start + MINUTE, *values, Decimal(10))


@settings(max_examples=100, deadline=None, print_blob=True)
@given(
    seed=st.integers(0, 2**31),
    closes=st.lists(st.floats(5_000, 9_000), min_size=1, max_size=30),
)
def test_no_liquidation_waits_where_the_price_has_been(seed: int, closes: list[float]) -> None:
    """IG-5: clusters lie above or below the prices that came after their positions were opened."""
    candles = [candle(n, close * 0.999, close * 1.001, close) for n, close in enumerate(closes)]
    found = heatmap(seed, candles)
    step = found.levels[1] - found.levels[0]
    for column, level, amount in found.cells:
        assert amount > 0
        price = found.levels[level]
        later = candles[column + 1 :]
        assert all(price < bar.low + step or price > bar.high - step for bar in later)


@settings(max_examples=100, deadline=None, print_blob=True)
@given(seed=st.integers(0, 2**31), move=st.floats(-0.05, 0.05), minute=st.integers(0, 1_000))
def test_a_reading_is_within_bounds_whatever_the_market_does(seed: int, move: float, minute: int) -> None:
    opened = 7_000.0
    close = opened * (1 + move)
    bar = candle(minute, min(opened, close), max(opened, close), close)
    bar = Bar(bar.symbol, bar.start, bar.end, Decimal(str(opened)), bar.high, bar.low, bar.close, bar.volume)
    found = reading(seed, bar)
    assert min(found.taker_buy, found.taker_sell) > 0
    assert Decimal("0.05") <= found.long_accounts <= Decimal("0.95")
    assert found.long_liquidated + found.short_liquidated <= found.turnover
    assert together([found], timedelta(hours=1))[0].turnover == found.turnover
