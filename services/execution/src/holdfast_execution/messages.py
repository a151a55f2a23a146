"""Rows of the ledger as messages: for snapshots, answers and facts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.parts import Parts, age
from holdfast_execution.rows import (
    AccountRow,
    AdjustmentRow,
    FillRow,
    HaltRow,
    IntentRow,
    LastEntryRow,
    LedgerState,
    PositionRow,
    StrategyRow,
)
from holdfast_runtime.ports.venue import BrokerAsset, Side
from holdfast_runtime.wire import to_decimal, to_timestamp

Row = TypeVar("Row")

STATES: Mapping[IntentState, execution.IntentState.ValueType] = {
    state: execution.IntentState.Value(f"INTENT_STATE_{state.name}") for state in IntentState
}
PURPOSES: Mapping[Purpose, execution.Purpose.ValueType] = {
    purpose: execution.Purpose.Value(f"PURPOSE_{purpose.name}") for purpose in Purpose
}
SIDES: Mapping[Side, common.Side.ValueType] = {Side.BUY: common.SIDE_BUY, Side.SELL: common.SIDE_SELL}
BOOKS: Mapping[str, common.Book.ValueType] = {"equity": common.BOOK_EQUITY, "crypto": common.BOOK_CRYPTO}
PROTECTIONS: Mapping[str, execution.Protection.ValueType] = {
    "none": execution.PROTECTION_NONE,
    "pending": execution.PROTECTION_PENDING,
    "active": execution.PROTECTION_ACTIVE,
}


def to_intent(row: IntentRow) -> execution.Intent:
    return execution.Intent(
        intent_id=row.intent_id,
        signal_id=row.signal_id,
        strategy=row.strategy,
        symbol=row.symbol,
        book=BOOKS.get(row.book, common.BOOK_UNSPECIFIED),
        side=SIDES[row.side],
        purpose=PURPOSES[row.purpose],
        state=STATES[row.state],
        leg=row.leg,
        attempts=row.attempts,
        client_order_id=row.client_order_id,
        broker_order_id=row.broker_order_id,
        order_type=row.order_type.value,
        time_in_force=row.time_in_force.value,
        quantity=to_decimal(row.quantity),
        limit_price=to_decimal(row.limit_price),
        stop_price=to_decimal(row.stop_price),
        filled_quantity=to_decimal(row.filled_quantity),
        filled_average_price=to_decimal(row.filled_average_price),
        reason=row.reason,
        valid_until=to_timestamp(row.valid_until),
        created_at=to_timestamp(row.created_at),
        updated_at=to_timestamp(row.updated_at),
        protect_stop_price=to_decimal(row.protect_stop_price),
        traceparent=row.traceparent,
    )


def to_fill(row: FillRow) -> execution.Fill:
    return execution.Fill(
        fill_id=row.fill_id,
        intent_id=row.intent_id,
        broker_order_id=row.broker_order_id,
        symbol=row.symbol,
        strategy=row.strategy,
        side=SIDES[row.side],
        quantity=to_decimal(row.quantity),
        price=to_decimal(row.price),
        cumulative_quantity=to_decimal(row.cumulative_quantity),
        filled_at=to_timestamp(row.filled_at),
        realised_pnl=to_decimal(row.realised_pnl),
    )


def to_adjustment(row: AdjustmentRow) -> execution.Adjustment:
    return execution.Adjustment(
        adjustment_id=row.adjustment_id,
        kind=row.kind,
        symbol=row.symbol,
        strategy=row.strategy,
        book=BOOKS.get(row.book, common.BOOK_UNSPECIFIED),
        quantity=to_decimal(row.quantity),
        cash=to_decimal(row.cash),
        price=to_decimal(row.price),
        at=to_timestamp(row.at),
        description=row.description,
    )


def to_position(row: PositionRow) -> execution.Position:
    return execution.Position(
        symbol=row.symbol,
        strategy=row.strategy,
        book=BOOKS.get(row.book, common.BOOK_UNSPECIFIED),
        quantity=to_decimal(row.quantity),
        average_price=to_decimal(row.average_price),
        realised_pnl=to_decimal(row.realised_pnl),
        protection=PROTECTIONS.get(row.protection, execution.PROTECTION_UNSPECIFIED),
        stop_price=to_decimal(row.stop_price),
        stop_quantity=to_decimal(row.stop_quantity),
        exit_owner=row.exit_owner,
        opened_at=to_timestamp(row.opened_at),
        updated_at=to_timestamp(row.updated_at),
    )


def to_halt(row: HaltRow) -> execution.Halt:
    return execution.Halt(
        halt_id=row.halt_id,
        kind=row.kind,
        symbol=row.symbol,
        strategy=row.strategy,
        reason=row.reason,
        set_by=row.set_by,
        since=to_timestamp(row.since),
    )


def to_account(row: AccountRow) -> execution.Account:
    return execution.Account(
        account_id=row.account_id,
        starting_cash=to_decimal(row.starting_cash) if row.opened else None,
        cash=to_decimal(row.cash),
        realised_pnl=to_decimal(row.realised_pnl),
        reserved=to_decimal(row.reserved),
    )


def to_last_entry(row: LastEntryRow) -> execution.LastEntry:
    return execution.LastEntry(
        symbol=row.symbol, market_time=to_timestamp(row.market_time), entries_today=row.entries_today
    )


def to_progress(row: StrategyRow) -> execution.StrategyProgress:
    return execution.StrategyProgress(
        strategy=row.strategy, last_decided_cycle_time=to_timestamp(row.last_decided_cycle_time), state=row.state
    )


def to_strategy(row: StrategyRow) -> execution.Strategy:
    """Its state alone."""
    return execution.Strategy(
        strategy=row.strategy,
        state=row.state,
        reason=row.reason,
        set_by=row.set_by,
        since=to_timestamp(row.since),
    )


def to_asset(asset: BrokerAsset) -> execution.AssetFacts:
    return execution.AssetFacts(
        symbol=asset.symbol,
        tradable=asset.tradable,
        fractionable=asset.fractionable,
        shortable=asset.shortable,
        marginable=asset.marginable,
        status=asset.status,
        min_order_size=to_decimal(asset.min_order_size),
        min_trade_increment=to_decimal(asset.min_trade_increment),
        price_increment=to_decimal(asset.price_increment),
    )


def to_snapshot(parts: Parts, now: datetime, *, entries_locked_reason: str = "") -> execution.LedgerSnapshot:
    """The facts that the gates decide on, whole: of one version, and only positions that are not flat."""
    return execution.LedgerSnapshot(
        positions=[to_position(row) for row in parts.positions.values() if row.quantity],
        open_intents=[to_intent(row) for row in parts.intents.values()],
        last_entries=[to_last_entry(row) for row in parts.last_entries(now)],
        assets=[to_asset(row) for row in parts.assets],
        strategies=[to_progress(row) for row in parts.strategies.values()],
        **_always_whole(parts, now, entries_locked_reason),
    )


def to_changes(
    before: Parts, parts: Parts, now: datetime, *, entries_locked_reason: str = ""
) -> execution.WatchSnapshotResponse:
    """What has changed since `before`, of the same day and with the same assets."""
    touched = parts.touched_since(before.version)
    if touched is None:
        symbols = set(before.positions.keys() | parts.positions.keys())
        names = set(before.intents.keys() | parts.intents.keys())
        strategies, entered = set(parts.strategies), set(parts.entries)
    else:
        symbols, names = set(touched.symbols), set(touched.intents)
        strategies, entered = set(touched.strategies), set(touched.entered)
    entered = {symbol for symbol in entered if before.entries.get(symbol) is not parts.entries[symbol]}
    held = {symbol: row for symbol in sorted(symbols) if (row := parts.positions.get(symbol)) and row.quantity}
    was_held = [symbol for symbol in sorted(symbols) if (row := before.positions.get(symbol)) and row.quantity]
    opened = {
        row.intent_id: row for row in sorted((parts.intents[each] for each in names & parts.intents.keys()), key=age)
    }
    ended = sorted((before.intents[each] for each in names if each in before.intents and each not in opened), key=age)
    progress = {each: parts.strategies[each] for each in sorted(strategies)}
    return execution.WatchSnapshotResponse(
        snapshot=execution.LedgerSnapshot(
            positions=[to_position(row) for row in _changed(before.positions, held)],
            open_intents=[to_intent(row) for row in _changed(before.intents, opened)],
            last_entries=[to_last_entry(row) for row in parts.last_entries(now, sorted(entered))],
            strategies=[to_progress(row) for row in _changed(before.strategies, progress)],
            **_always_whole(parts, now, entries_locked_reason),
        ),
        changes_only=True,
        ended_intents=[row.intent_id for row in ended],
        closed_symbols=[symbol for symbol in was_held if symbol not in held],
    )


def _always_whole(parts: Parts, now: datetime, entries_locked_reason: str) -> dict[str, Any]:
    return {
        "version": parts.version,
        "account": to_account(parts.account),
        "halts": [to_halt(row) for row in parts.halts],
        "reconciliation": parts.verdict,
        "entries_locked_reason": entries_locked_reason,
        "market_time": to_timestamp(now),
    }


def _changed(before: Mapping[str, Row], now: Mapping[str, Row]) -> list[Row]:
    """Rows that are new or other ones. A row that was only read again is equal, not the same."""
    return [row for name, row in now.items() if (known := before.get(name)) is not row and known != row]


def to_ledger_response(state: LedgerState, past_orders: Mapping[str, Sequence[str]]) -> execution.GetLedgerResponse:
    """`past_orders`: see LedgerReads.past_orders."""
    response = execution.GetLedgerResponse(
        version=state.version,
        account=to_account(state.account),
        positions=[to_position(row) for row in state.positions],
        intents=[to_intent(row) for row in state.intents],
        fills=[to_fill(row) for row in state.fills],
        adjustments=[to_adjustment(row) for row in state.adjustments],
        halts=[to_halt(row) for row in state.halts],
        decisions_allowed=state.decisions_allowed,
        decisions_blocked=state.decisions_blocked,
        decisions_by_reason=dict(state.decisions_by_reason),
        last_event_id=state.last_event_id,
        reconciliation=state.verdict,
    )
    for intent in response.intents:
        intent.past_order_ids.extend(past_orders.get(intent.intent_id, ()))
    return response
