"""Limits that execution enforces again inside the submit transaction (FP-3.2, FP-3.3, FP-3.7, BR-7; controls)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.limits import GATE, Limits, enforce
from holdfast_execution.ledger import (
    AccountRow,
    HaltRow,
    IntentRow,
    LastEntryRow,
    LedgerView,
    PositionRow,
    StrategyRow,
)
from holdfast_runtime.ports.venue import OrderType, Side, TimeInForce
from holdfast_runtime.wire import to_decimal, to_timestamp

NOW = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
CLEAN = execution.ReconciliationVerdict(
    state=execution.RECONCILIATION_STATE_CLEAN, market_time=to_timestamp(NOW - timedelta(seconds=30))
)
VIEW = LedgerView(
    version=7,
    now=NOW,
    account=AccountRow(
        opened=True,
        account_id="paper",
        starting_cash=Decimal(100_000),
        cash=Decimal(100_000),
        realised_pnl=Decimal(0),
        reserved=Decimal(0),
        version=7,
    ),
    positions=(),
    open_intents=(),
    halts=(),
    last_entries=(),
    entries_last_minute=0,
    strategies=(StrategyRow(strategy="sma", state="running", last_decided_cycle_time=NOW - timedelta(minutes=1)),),
    verdict=CLEAN,
    skipped_buys=frozenset(),
)


def wanted(symbol: str = "IBM", *, exit_long: bool = False, score: float = 3.0, dollars: int = 1800) -> gate.Decision:
    made = gate.Decision(
        signal_id=f"sma.{symbol}",
        strategy="sma",
        symbol=symbol,
        direction=common.DIRECTION_EXIT_LONG if exit_long else common.DIRECTION_ENTER_LONG,
        allowed=True,
        reason="ALLOWED",
        quantity=to_decimal(Decimal(10)),
        limit_price=to_decimal(Decimal(dollars) / 10),
        market_time=to_timestamp(NOW),
        valid_until=to_timestamp(NOW + timedelta(minutes=1)),
    )
    made.score.value = score
    return made


def held(symbol: str = "IBM", *, strategy: str = "sma", cost: int = 1800) -> PositionRow:
    return PositionRow(
        symbol=symbol, strategy=strategy, book="equity", quantity=Decimal(10), average_price=Decimal(cost) / 10,
        cost=Decimal(cost), realised_pnl=Decimal(0), protection="active", stop_price=None, stop_quantity=Decimal(0),
        exit_owner="", opened_at=NOW, updated_at=NOW,
    )  # fmt: skip


def working(symbol: str = "IBM", *, strategy: str = "sma", purpose: Purpose = Purpose.ENTRY) -> IntentRow:
    return IntentRow(
        intent_id=f"{symbol}.{purpose}", signal_id="", strategy=strategy, symbol=symbol, book="equity", side=Side.BUY,
        purpose=purpose, state=IntentState.ACKED, leg=1, attempts=1, total_attempts=1, client_order_id="c",
        broker_order_id="b", order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(10),
        leg_quantity=Decimal(10), limit_price=Decimal(180), stop_price=None, protect_stop_price=None,
        filled_quantity=Decimal(0), filled_average_price=None, reason="", valid_until=None, parent_intent_id="",
        traceparent="", created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def halt(kind: str = "kill_switch", *, symbol: str = "", strategy: str = "") -> HaltRow:
    return HaltRow(
        halt_id=kind, kind=kind, symbol=symbol, strategy=strategy, reason="drill", set_by="alice", since=NOW
    )  # fmt: skip


def reason(view: LedgerView = VIEW, limits: Limits | None = None, locked: str = "", **wish: object) -> str:
    (ruled,) = enforce(limits or Limits(), view, [wanted(**wish)], locked)  # type: ignore[arg-type]
    assert ruled.allowed == (ruled.reason == "ALLOWED")
    if not ruled.allowed:
        assert ruled.verdicts[-1].gate == GATE
        assert ruled.verdicts[-1].outcome == gate.OUTCOME_BLOCK
        assert not ruled.HasField("quantity")
    return ruled.reason


CASES: dict[str, LedgerView] = {
    "ALLOWED": VIEW,
    "KILL_SWITCH_ENGAGED": replace(VIEW, halts=(halt(),)),
    "SYMBOL_HALTED": replace(VIEW, halts=(halt("foreign_order", symbol="IBM"),)),
    "STRATEGY_HALTED": replace(VIEW, halts=(halt("safety_abort", strategy="sma"),)),
    "ENTRIES_HALTED": replace(VIEW, halts=(halt("credentials"),)),
    "STRATEGY_STOPPED": replace(VIEW, strategies=(replace(VIEW.strategies[0], state="stopped"),)),
    "CYCLE_EXPIRED": replace(VIEW, now=NOW + timedelta(minutes=1)),
    "BUY_MISSED": replace(VIEW, skipped_buys=frozenset({("sma", NOW)})),
    "SYMBOL_OWNED": replace(VIEW, positions=(held(strategy="etf"),)),
    "POSITION_HELD": replace(VIEW, open_intents=(working(),)),
    "COOLDOWN_ACTIVE": replace(
        VIEW, last_entries=(LastEntryRow(symbol="IBM", market_time=NOW - timedelta(minutes=14), entries_today=1),)
    ),
    "THROTTLE_ACTIVE": replace(
        VIEW, last_entries=(LastEntryRow(symbol="IBM", market_time=NOW - timedelta(hours=1), entries_today=10),)
    ),
    "RATE_EXCEEDED": replace(VIEW, entries_last_minute=60),
    "POSITIONS_FULL": replace(VIEW, positions=tuple(held(f"S{number}", cost=1) for number in range(16))),
    "EXPOSURE_EXCEEDED": replace(
        VIEW, account=replace(VIEW.account, cash=Decimal(1000)), positions=(held("BAC", cost=99_000),)
    ),
    "BUYING_POWER_SHORT": replace(VIEW, account=replace(VIEW.account, reserved=Decimal(79_000))),
}


@pytest.mark.parametrize("code", CASES)
def test_each_limit_blocks_with_its_reason(code: str) -> None:
    assert reason(CASES[code]) == code


def test_entries_need_a_clean_verdict_younger_than_ninety_seconds() -> None:
    stale = execution.ReconciliationVerdict(
        state=execution.RECONCILIATION_STATE_CLEAN, market_time=to_timestamp(NOW - timedelta(seconds=91))
    )
    discrepant = execution.ReconciliationVerdict(
        state=execution.RECONCILIATION_STATE_DISCREPANT, market_time=to_timestamp(NOW)
    )
    for verdict in (None, stale, discrepant):
        assert reason(replace(VIEW, verdict=verdict)) == "RECONCILIATION_STALE"


def test_a_cycle_older_than_the_last_decided_one_is_expired() -> None:
    newer = StrategyRow(strategy="sma", state="running", last_decided_cycle_time=NOW + timedelta(seconds=1))
    assert reason(replace(VIEW, strategies=(newer,))) == "CYCLE_EXPIRED"


def test_a_skipped_buy_is_one_strategys_at_one_instant() -> None:
    others = {("etf", NOW), ("sma", NOW - timedelta(minutes=1))}
    assert reason(replace(VIEW, skipped_buys=frozenset(others))) == "ALLOWED"


def test_the_lock_blocks_entries_and_says_why() -> None:
    (ruled,) = enforce(Limits(), VIEW, [wanted()], "START")
    assert (ruled.reason, ruled.verdicts[-1].message) == ("ENTRIES_LOCKED", "START")


def test_an_order_has_a_size_and_it_is_bounded() -> None:
    assert reason(dollars=15_001) == "NOTIONAL_EXCEEDED"
    bare = wanted()
    bare.ClearField("quantity")
    assert enforce(Limits(), VIEW, [bare])[0].reason == "NOTIONAL_MISSING"


def test_the_best_scores_get_what_is_scarce_and_the_order_of_the_answer_stays() -> None:
    """Order protocol point 2: by score, then id."""
    wishes = [wanted("A", score=2), wanted("B", score=4), wanted("C", score=4), wanted("D", score=3)]
    ruled = enforce(Limits(max_new_per_cycle=2), VIEW, wishes)
    assert [each.reason for each in ruled] == ["CYCLE_FULL", "ALLOWED", "ALLOWED", "CYCLE_FULL"]
    assert wishes[0].allowed


def test_what_one_entry_reserves_the_next_cannot_spend() -> None:
    wishes = [wanted(symbol, dollars=15_000) for symbol in "ABCDEF"]
    reasons = [each.reason for each in enforce(Limits(), VIEW, wishes)]
    assert reasons == ["ALLOWED"] * 5 + ["BUYING_POWER_SHORT"]


def test_exits_pass_every_cap_and_halt() -> None:
    """Risk-reducing orders face no caps: a kill switch must not refuse an exit."""
    view = replace(
        VIEW, positions=(held(),), halts=(halt(),), verdict=None, entries_last_minute=99, now=NOW + timedelta(hours=1)
    )
    assert reason(view, locked="START", exit_long=True) == "ALLOWED"


def test_an_exit_needs_something_of_its_own_that_nobody_is_selling() -> None:
    """Invariant 8."""
    assert reason(exit_long=True) == "NOTHING_HELD"
    assert reason(replace(VIEW, positions=(held(strategy="etf"),)), exit_long=True) == "SYMBOL_OWNED"
    selling = replace(VIEW, positions=(held(),), open_intents=(working(purpose=Purpose.EXIT),))
    assert reason(selling, exit_long=True) == "EXIT_UNDERWAY"
    protected = replace(VIEW, positions=(held(),), open_intents=(working(purpose=Purpose.STOP),))
    assert reason(protected, exit_long=True) == "ALLOWED"


def test_decisions_that_were_blocked_before_stay_as_they_are() -> None:
    blocked = wanted()
    blocked.allowed, blocked.reason = False, "SCORE_LOW"
    assert enforce(Limits(), CASES["KILL_SWITCH_ENGAGED"], [blocked]) == [blocked]


def test_dust_of_coins_is_added_to_by_its_own_strategy_and_sold_by_nobody() -> None:
    """Below the smallest order: it can neither be sold nor protected, so it must not block its symbol for ever."""
    dust = replace(held("BTC/USD", cost=1), book="crypto", quantity=Decimal("0.00009"))
    view = replace(VIEW, positions=(dust,))
    assert [each.allowed for each in enforce(Limits(), view, [wanted("BTC/USD")])] == [True]
    (leaving,) = enforce(Limits(), view, [wanted("BTC/USD", exit_long=True)])
    assert (leaving.allowed, leaving.reason) == (False, "NOTHING_HELD")
    others = replace(view, positions=(replace(dust, strategy="rotation"),))
    (entering,) = enforce(Limits(), others, [wanted("BTC/USD")])
    assert (entering.allowed, entering.reason) == (False, "SYMBOL_OWNED")
    fraction = replace(dust, symbol="IBM", book="equity", quantity=Decimal("0.00009"))
    (held_share,) = enforce(Limits(), replace(VIEW, positions=(fraction,)), [wanted("IBM")])
    assert held_share.reason == "POSITION_HELD", "a fraction of a share can be sold"
