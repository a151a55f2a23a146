"""Each gate as its requirement reads."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_gate.domain.rules import Rules
from holdfast_gate.gates.base import Outcome


def numbers(decided):
    return decided.verdicts[-1].verdict.numbers


def test_a_calm_minute_allows_the_entry_with_whole_shares_a_limit_and_a_stop_on_the_tick(world):
    """CQ-3, TL-5, TL-9."""
    decided = world.decide()
    assert (decided.allowed, decided.reason) == (True, "ALLOWED")
    order = decided.candidate
    assert (order.quantity, order.limit_price, order.stop_price) == (Decimal(100), Decimal("102.00"), Decimal("95.00"))
    assert all(given.verdict.outcome is Outcome.PASS for given in decided.verdicts)
    assert all(given.verdict.numbers for given in decided.verdicts)


def test_the_kill_switch_blocks_every_entry_and_shows_who_engaged_it_when_and_why(world, make_enter):
    """KS-1, KS-2."""
    world.halt("kill_switch")
    decided = world.decide_all(make_enter("SPY"), make_enter("IBM"))
    assert [each.reason for each in decided] == ["KILL_SWITCH_ENGAGED"] * 2
    assert numbers(decided[0]) == {
        "halt_id": "h1",
        "kind": "kill_switch",
        "since": "2013-10-07T16:00:00+00:00",
        "set_by": "ada",
        "why": "a test",
    }


@pytest.mark.parametrize("kind", ["credentials", "reconciliation"])
def test_any_halt_of_the_whole_account_blocks_entries(world, kind):
    """Invariant 10."""
    world.halt(kind)
    assert world.decide().reason == "ENTRIES_HALTED"


def test_a_halted_symbol_blocks_itself_and_no_other(world, make_enter):
    """TL-3, FP-4.5: a foreign order halts its symbol."""
    world.halt("foreign_order", symbol="SPY")
    spy, ibm = sorted(world.decide_all(make_enter("SPY"), make_enter("IBM")), key=lambda each: each.allowed)
    assert (spy.candidate.symbol, spy.reason) == ("SPY", "SYMBOL_HALTED")
    assert ibm.allowed


def test_a_symbol_that_its_exchange_halted_waits_until_it_trades_again(world):
    """BS-10, TL-3."""
    world.prices["SPY"] = replace(world.prices["SPY"], halted=True)
    assert world.decide().reason == "SYMBOL_HALTED"
    world.prices["SPY"] = replace(world.prices["SPY"], halted=False)
    assert world.decide().allowed


def test_a_safety_abort_of_one_strategy_blocks_it_and_no_other(world):
    """SQ-3, SQ-8."""
    world.halt("safety_abort", strategy="sma")
    assert world.decide().reason == "STRATEGY_HALTED"
    world.strategy = "rotation"
    assert world.decide().allowed


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_strategy_that_does_not_run_opens_nothing(world, state):
    """SQ-10, SQ-12."""
    world.snapshot.strategies[0].state = state
    decided = world.decide()
    assert (decided.reason, numbers(decided)["state"]) == ("STRATEGY_STOPPED", state)


def test_a_strategy_that_is_not_configured_opens_nothing(world):
    world.strategy = "stranger"
    assert world.decide().reason == "STRATEGY_UNKNOWN"


def test_a_strategy_may_not_trade_a_symbol_it_does_not_list(world, make_enter):
    world.strategy = "rotation"
    assert world.decide(make_enter("IBM")).reason == "STRATEGY_SYMBOL"


def test_a_cycle_past_its_validity_is_decided_as_expired_and_never_traded_late(world):
    """Order protocol, freshness."""
    world.now = world.valid_until
    assert world.decide().reason == "CYCLE_EXPIRED"


def test_a_cycle_older_than_the_last_decided_one_is_expired_and_the_same_one_again_is_not(world, noon):
    """Order protocol, freshness; a redelivery has to reach the stored decisions (BS-3)."""
    world.snapshot.strategies[0].last_decided_cycle_time.FromDatetime(noon + timedelta(seconds=1))
    assert world.decide().reason == "CYCLE_EXPIRED"
    world.snapshot.strategies[0].last_decided_cycle_time.FromDatetime(noon)
    assert world.decide().allowed


def test_entries_are_locked_while_execution_says_so(world):
    """Order protocol, point 11."""
    world.snapshot.entries_locked_reason = "merging"
    assert world.decide().reason == "ENTRIES_LOCKED"


def test_entries_need_a_clean_comparison_younger_than_90_seconds_of_market_time(world):
    """FP-4.5, invariant 10."""
    world.verdict(execution.RECONCILIATION_STATE_CLEAN, age_secs=89.9)
    assert world.decide().allowed
    world.verdict(execution.RECONCILIATION_STATE_CLEAN, age_secs=90)
    assert world.decide().reason == "RECONCILIATION_STALE"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (execution.RECONCILIATION_STATE_DISCREPANT, "RECONCILIATION_DISCREPANT"),
        (execution.RECONCILIATION_STATE_UNAVAILABLE, "RECONCILIATION_STALE"),
        (execution.RECONCILIATION_STATE_UNSPECIFIED, "RECONCILIATION_STALE"),
    ],
)
def test_anything_but_a_clean_comparison_blocks_entries(world, state, reason):
    """FP-4.5."""
    world.verdict(state)
    assert world.decide().reason == reason


def test_nothing_is_opened_while_the_session_is_closed(world):
    """TL-2, TL-3."""
    world.session_open = False
    assert world.decide().reason == "SESSION_CLOSED"


def test_an_asset_the_broker_did_not_tell_about_is_not_assumed_tradable(world):
    """TL-7."""
    del world.snapshot.assets[:]
    assert world.decide().reason == "ASSET_UNKNOWN"


@pytest.mark.parametrize(("tradable", "status"), [(False, "active"), (True, "inactive")])
def test_an_asset_the_broker_restricts_is_not_traded(world, tradable, status):
    """TL-7."""
    del world.snapshot.assets[:]
    world.snapshot.assets.add(symbol="SPY", tradable=tradable, status=status)
    assert world.decide().reason == "ASSET_NOT_TRADABLE"


def test_a_bar_is_stale_after_its_interval_and_five_seconds(world, make_price, noon):
    """Order protocol, freshness; SQ-6."""
    world.rules = replace(world.context().rules, min_stale=timedelta(0))
    world.prices["SPY"] = make_price("SPY", at=noon - timedelta(seconds=65))
    assert world.decide().allowed
    world.prices["SPY"] = make_price("SPY", at=noon - timedelta(seconds=65, microseconds=1))
    assert world.decide().reason == "FEED_STALE"


def test_a_quote_is_stale_after_five_seconds_and_then_a_fresh_bar_is_used(world, noon):
    """Order protocol, freshness."""
    world.rules = replace(world.context().rules, min_stale=timedelta(0))
    quoted = replace(world.prices["SPY"], ask=Decimal("100.50"), quote_at=noon - timedelta(seconds=5))
    world.prices["SPY"] = quoted
    assert world.decide().candidate.basis.source == "quote"
    world.prices["SPY"] = replace(quoted, quote_at=noon - timedelta(seconds=6))
    decided = world.decide()
    assert (decided.candidate.basis.source, decided.candidate.basis.price) == ("bar", Decimal(100))


def test_nothing_is_stale_within_two_seconds_of_wall_time_however_fast_the_replay_runs(make_settings):
    """Order protocol, freshness."""
    fast = make_settings().model_copy(update={"replay": make_settings().replay.model_copy(update={"speed": 60.0})})
    lock_step = make_settings().model_copy(update={"replay": make_settings().replay.model_copy(update={"speed": 0.0})})
    assert Rules.of(fast).min_stale == timedelta(seconds=120)
    assert Rules.of(lock_step).min_stale == timedelta(0)


def test_a_symbol_never_seen_and_a_cut_feed_block_entries(world):
    """SQ-6: no entry while blind."""
    world.prices["SPY"] = replace(world.prices["SPY"], connected=False)
    assert world.decide().reason == "FEED_DISCONNECTED"
    del world.prices["SPY"]
    assert world.decide().reason == "FEED_STALE"


@pytest.mark.parametrize("score", [1.999, 0.0, -1.0, float("nan"), float("-inf")])
def test_a_score_below_the_threshold_or_no_number_at_all_is_too_low(world, make_enter, score):
    """FP-3.8."""
    assert world.decide(make_enter(score=score)).reason == "SCORE_LOW"


def test_a_score_at_the_threshold_is_enough(world, make_enter):
    """FP-3.8."""
    assert world.decide(make_enter(score=2.0)).allowed


def test_a_symbol_that_another_strategy_holds_or_is_entering_is_owned(world):
    """IG-2."""
    world.hold("SPY", strategy="rotation")
    decided = world.decide()
    assert (decided.reason, numbers(decided)["owner"]) == ("SYMBOL_OWNED", "rotation")
    del world.snapshot.positions[:]
    world.order("SPY", strategy="rotation")
    assert world.decide().reason == "SYMBOL_OWNED"


def test_a_position_that_no_strategy_of_ours_opened_owns_its_symbol(world):
    """IG-2, invariant 14."""
    world.hold("SPY", strategy="")
    assert world.decide().reason == "SYMBOL_OWNED"


def test_a_symbol_that_the_strategy_holds_or_is_entering_is_not_entered_again(world):
    """Invariant 2."""
    world.hold("SPY")
    assert world.decide().reason == "POSITION_HELD"
    del world.snapshot.positions[:]
    world.order("SPY")
    assert world.decide().reason == "POSITION_HELD"


def test_two_signals_of_one_batch_cannot_both_enter_a_symbol(world, make_enter):
    """Invariant 2."""
    decided = world.decide_all(make_enter(signal_id="a"), make_enter(signal_id="b"))
    assert [each.reason for each in decided] == ["ALLOWED", "POSITION_HELD"]


def test_a_sale_that_still_rests_keeps_its_symbol_from_being_bought(world):
    """Order protocol: an opposite order rests, the venue would call it a wash trade."""
    world.order("SPY", execution.PURPOSE_STOP)
    assert world.decide().reason == "POSITION_HELD"


def test_the_17th_position_is_blocked_and_open_entries_count_as_positions(world):
    """FP-3.2."""
    for number in range(10):
        world.hold(f"X{number:02d}", 1)
    for number in range(10, 16):
        world.order(f"X{number:02d}", quantity=1)
    decided = world.decide()
    assert decided.reason == "POSITIONS_FULL"
    assert numbers(decided) == {"positions": "16", "limit": "16"}
    del world.snapshot.open_intents[-1]
    assert world.decide().allowed


def test_positions_of_another_book_do_not_fill_this_one(world):
    """BK-1: one book never blocks the other."""
    world.limits["max_positions"] = 1
    world.hold("X00", 1)
    assert world.decide().reason == "POSITIONS_FULL"
    world.snapshot.positions[0].book = 2
    assert world.decide().allowed


def test_a_stop_beside_its_position_is_not_counted_as_another_position(world):
    """FP-3.2."""
    world.limits["max_positions"] = 2
    world.hold("IBM", 1)
    world.order("IBM", execution.PURPOSE_STOP, quantity=1)
    assert world.decide().allowed


def test_the_7th_new_position_of_a_cycle_is_blocked(world, make_enter):
    """FP-3.3."""
    world.limits["max_order_notional"] = 1_000
    decided = world.decide_all(*(make_enter(f"X{number:02d}") for number in range(7)))
    assert [each.reason for each in decided] == ["ALLOWED"] * 6 + ["CYCLE_FULL"]


def test_the_best_scores_of_a_cycle_take_its_places_and_ids_break_ties(world, make_enter):
    """FP-3.3; order protocol, point 2."""
    world.limits.update(max_new_per_cycle=2)
    decided = world.decide_all(
        make_enter("X01", score=2.5), make_enter("X03", score=4.0), make_enter("X02", score=4.0), make_enter("X00")
    )
    assert [(each.candidate.symbol, each.allowed) for each in decided] == [
        ("X02", True),
        ("X03", True),
        ("X00", False),
        ("X01", False),
    ]


def test_a_symbol_entered_less_than_15_minutes_ago_cools_down_and_the_cooldown_ends_by_itself(world):
    """FP-3.7."""
    world.entered("SPY", ago=timedelta(minutes=14, seconds=59))
    decided = world.decide()
    assert (decided.reason, numbers(decided)["ends_at"]) == ("COOLDOWN_ACTIVE", "2013-10-07T16:00:01+00:00")
    del world.snapshot.last_entries[:]
    world.entered("SPY", ago=timedelta(minutes=15))
    assert world.decide().allowed


def test_a_symbol_is_entered_at_most_ten_times_a_day_and_the_count_ends_with_its_day(world):
    """Order protocol, repeated execution throttle."""
    world.entered("SPY", ago=timedelta(hours=1), today=10)
    assert world.decide().reason == "THROTTLE_ACTIVE"
    del world.snapshot.last_entries[:]
    world.entered("SPY", ago=timedelta(days=1), today=10)
    assert world.decide().allowed


@pytest.mark.parametrize(("seen", "allowed"), [("102", True), ("98", True), ("102.01", False), ("97.99", False)])
def test_a_price_outside_two_percent_of_a_fresh_one_is_refused(world, make_enter, seen, allowed):
    """TL-4: the collar."""
    decided = world.decide(make_enter(signal_price=Decimal(seen)))
    assert decided.reason == ("ALLOWED" if allowed else "COLLAR_EXCEEDED")


@pytest.mark.parametrize("seen", [None, Decimal("NaN"), Decimal(0), Decimal(-1), Decimal("Infinity")])
def test_a_missing_or_impossible_reference_price_is_refused(world, make_enter, seen):
    """TL-4: missing or NaN → refuse."""
    assert world.decide(make_enter(signal_price=seen)).reason == "COLLAR_NO_PRICE"


def test_prices_below_a_dollar_are_rounded_to_their_finer_tick(world, make_enter, make_price):
    """TL-5."""
    world.prices["SPY"] = make_price("SPY", "0.7777")
    order = world.decide(make_enter(signal_price=Decimal("0.7777"))).candidate
    assert (order.limit_price, order.stop_price) == (Decimal("0.7932"), Decimal("0.7389"))


def test_the_strategys_own_stop_distance_is_used_where_the_signal_has_none(world, make_enter):
    """TL-9."""
    assert world.decide(make_enter(stop_fraction=None)).candidate.stop_price == Decimal("95.00")


def test_a_stop_is_always_below_the_price(world, make_enter, make_price):
    """TL-9."""
    world.prices["SPY"] = make_price("SPY", "2.00")
    order = world.decide(make_enter(signal_price=Decimal(2), stop_fraction=Decimal("0.0001"))).candidate
    assert order.stop_price == Decimal("1.99")


def test_an_allocation_that_does_not_buy_one_share_is_no_order(world, make_enter):
    """CQ-3."""
    assert world.decide(make_enter(target_weight=Decimal("0.009"))).reason == "SIZE_ZERO"
    assert world.decide(make_enter(target_weight=Decimal("0.01"))).candidate.quantity == 1


def test_the_notional_caps_make_an_order_smaller_and_say_so(world):
    """Order protocol, controls on entries."""
    world.limits["max_order_notional"] = 5_000
    decided = world.decide()
    assert decided.candidate.quantity == 49
    shrunk = [each.verdict for each in decided.verdicts if each.verdict.outcome is Outcome.SHRINK]
    assert [(each.reason, each.numbers["wanted"], each.numbers["quantity"]) for each in shrunk] == [
        ("NOTIONAL_EXCEEDED", "100", "49")
    ]


def test_low_buying_power_shrinks_the_order_and_none_at_all_skips_it(world):
    """BR-7, PT-2, RC-3, FP-4.3: shrink or skip."""
    world.snapshot.account.cash.value = "10000"
    decided = world.decide()
    assert (decided.allowed, decided.candidate.quantity) == (True, 78)
    assert decided.verdicts[-1].verdict.reason == "BUYING_POWER_SHORT"
    world.snapshot.account.cash.value = "120"
    assert world.decide().reason == "BUYING_POWER_SHORT"


def test_buying_power_is_80_percent_of_equity_net_of_positions_and_open_orders(world):
    """BR-7."""
    world.snapshot.account.cash.value = "60000"
    world.snapshot.account.reserved.value = "34800"
    world.hold("IBM", 400, price=100)
    decided = world.decide()
    # 0.8 × (60,000 + 40,000) − 40,000 − 34,800 = 5,200, at a limit of 102.00.
    assert decided.candidate.quantity == 50
    assert decided.verdicts[-1].verdict.numbers["free"] == "5200.0"


def test_a_loss_on_paper_lowers_equity_and_a_gain_on_paper_buys_nothing(world, make_price):
    """BR-7: never more than execution's own bound, which counts positions at cost."""
    world.snapshot.account.cash.value = "60000"
    world.hold("IBM", 400, price=100)
    world.prices["IBM"] = make_price("IBM", "50")
    decided = world.decide()
    assert decided.verdicts[-1].verdict.numbers["equity"] == "80000"
    for known in (make_price("IBM", "250"), None):
        if known is None:
            del world.prices["IBM"]
        else:
            world.prices["IBM"] = known
        assert world.decide().verdicts[-1].verdict.numbers["equity"] == "100000"


def test_unsettled_or_reserved_cash_is_not_spent_twice(world):
    """BR-7: the cash bound holds where the account is invested by others' orders."""
    world.limits["buying_power_fraction"] = "1"
    world.snapshot.account.reserved.value = "99000"
    assert world.decide().candidate.quantity == 9


def test_gross_exposure_stays_within_its_multiple_of_equity(world):
    """Order protocol, controls on entries."""
    world.limits.update(max_gross_exposure="0.05", buying_power_fraction="1")
    assert world.decide().candidate.quantity == 49
