"""The JSON report of a run: what was traded, what was decided, whether everything held."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.reconciliation.v1 import reconciliation_pb2
from holdfast.signal.v1 import signal_pb2
from holdfast_cli.invariants import CASH_STEP, CLAIM, check, number
from holdfast_cli.stack_calls import StackCalls
from holdfast_core.instruments import book_of
from holdfast_core.money import CENT, ZERO
from holdfast_runtime.telemetry.trace_file import Latency
from holdfast_runtime.wire import from_timestamp


def build(
    *,
    ledger: pb.GetLedgerResponse,
    verdict: pb.ReconciliationVerdict,
    prices: Mapping[str, Decimal],
    stages: Mapping[str, Latency],
    books: Mapping[str, Any] | None,
    recording: Mapping[str, Any],
) -> dict[str, Any]:
    """The report. Money and quantities are decimal strings."""
    unrealised = sum((_unrealised(p, prices) for p in ledger.positions), ZERO)
    held = sum((number(p.quantity) * _price(p, prices) for p in ledger.positions), ZERO)
    cash = number(ledger.account.cash)
    return {
        "orders": [_order(intent) for intent in ledger.intents],
        "fills": [_fill(fill) for fill in ledger.fills],
        "fees": [_adjustment(each) for each in ledger.adjustments if each.kind != CLAIM],
        "claims": [_adjustment(each) for each in ledger.adjustments if each.kind == CLAIM],
        "positions": [_position(p, prices) for p in ledger.positions if number(p.quantity)],
        "cash": money(cash),
        "equity": money(cash + held),
        "realised_pnl": money(number(ledger.account.realised_pnl)),
        "unrealised_pnl": money(unrealised),
        "books": _books(ledger, prices),
        "decisions": {
            "allowed": ledger.decisions_allowed,
            "blocked": ledger.decisions_blocked,
            "by_reason": dict(sorted(ledger.decisions_by_reason.items())),
        },
        "reconciliation": {
            "state": pb.ReconciliationState.Name(verdict.state).removeprefix("RECONCILIATION_STATE_").lower(),
            "discrepancies": [
                {
                    "kind": d.kind,
                    "symbol": d.symbol,
                    "subject": d.subject,
                    "ledger": d.ledger_value,
                    "broker": d.broker_value,
                    "action": d.action,
                }
                for d in verdict.discrepancies
            ],
        },
        "invariants": [asdict(finding) for finding in check(ledger, books)],
        "stages": {
            name: {"count": each.count, "p50_ms": round(each.p50_ms, 3), "p99_ms": round(each.p99_ms, 3)}
            for name, each in sorted(stages.items())
        },
        "recording": dict(recording),
    }


def _books(ledger: pb.GetLedgerResponse, prices: Mapping[str, Decimal]) -> dict[str, dict[str, Any]]:
    """What each book has traded. P&L in dollars, net of fees; `fees` at the price at which they were taken."""
    fees = [each for each in ledger.adjustments if each.kind != CLAIM]
    symbols = [intent.symbol for intent in ledger.intents] + [position.symbol for position in ledger.positions]
    return {
        book: {
            "orders": sum(1 for intent in ledger.intents if book_of(intent.symbol) == book),
            "fills": sum(1 for fill in ledger.fills if book_of(fill.symbol) == book),
            "fees": money(-sum((_fee_in_dollars(f) for f in fees if book_of(f.symbol) == book), ZERO)),
            "realised_pnl": money(_total(ledger, book, lambda p: number(p.realised_pnl))),
            "unrealised_pnl": money(_total(ledger, book, lambda p: _unrealised(p, prices))),
            "held": money(_total(ledger, book, lambda p: number(p.quantity) * _price(p, prices))),
        }
        for book in sorted({book_of(symbol) for symbol in symbols})
    }


def _total(ledger: pb.GetLedgerResponse, book: str, of: Callable[[pb.Position], Decimal]) -> Decimal:
    return sum((of(position) for position in ledger.positions if book_of(position.symbol) == book), ZERO)


def _fee_in_dollars(fee: pb.Adjustment) -> Decimal:
    return (number(fee.cash) + number(fee.quantity) * number(fee.price)).quantize(CASH_STEP)


def money(value: Decimal) -> str:
    """To the cent where that loses nothing, with all digits otherwise."""
    return format(value.quantize(CENT) if value == value.quantize(CENT) else value.normalize(), "f")


async def gather(calls: StackCalls, stages: Mapping[str, Latency]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Reads a running stack and builds its report; papermarket's own books beside it.

    Raises the calls' typed errors where a service is away.
    """
    verdict = (await calls.reconciliation.reconcile(reconciliation_pb2.ReconcileRequest(reason="report"))).verdict
    ledger = await calls.execution.get_ledger(pb.GetLedgerRequest(since=Timestamp(seconds=0)))
    prices: dict[str, Decimal] = {}
    async for answer in calls.prices.watch(signal_pb2.WatchRequest()):
        prices = {price.symbol: seen_price(price) for price in answer.prices}
        break
    books = await calls.venue("books") if calls.on_papermarket else None
    status = await calls.venue("status") if calls.on_papermarket else {}
    found = build(
        ledger=ledger,
        verdict=verdict,
        prices=prices,
        stages=stages,
        books=books,
        recording=status.get("recording", {}),
    )
    return found, books


def seen_price(price: signal_pb2.Price) -> Decimal:
    """What a share is worth: the last minute's close; without one (hours, days) the bid at which it can be sold."""
    return number(price.last) or number(price.bid)


def _price(position: pb.Position, prices: Mapping[str, Decimal]) -> Decimal:
    return prices.get(position.symbol) or number(position.average_price)


def _unrealised(position: pb.Position, prices: Mapping[str, Decimal]) -> Decimal:
    return number(position.quantity) * (_price(position, prices) - number(position.average_price))


def _instant(stamp: Timestamp) -> str:
    return from_timestamp(stamp).isoformat()


def _side(side: common.Side.ValueType) -> str:
    return common.Side.Name(side).removeprefix("SIDE_").lower()


def _order(intent: pb.Intent) -> dict[str, Any]:
    return {
        "intent_id": intent.intent_id,
        "signal_id": intent.signal_id,
        "strategy": intent.strategy,
        "book": book_of(intent.symbol),
        "symbol": intent.symbol,
        "side": _side(intent.side),
        "purpose": pb.Purpose.Name(intent.purpose).removeprefix("PURPOSE_").lower(),
        "state": pb.IntentState.Name(intent.state).removeprefix("INTENT_STATE_").lower(),
        "type": intent.order_type,
        "time_in_force": intent.time_in_force,
        "quantity": intent.quantity.value,
        "limit_price": intent.limit_price.value or None,
        "stop_price": intent.stop_price.value or None,
        "filled_quantity": intent.filled_quantity.value or "0",
        "filled_average_price": intent.filled_average_price.value or None,
        "attempts": intent.attempts,
        "reason": intent.reason,
        "client_order_id": intent.client_order_id,
        "broker_order_id": intent.broker_order_id,
        "created_at": _instant(intent.created_at),
    }


def _fill(fill: pb.Fill) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "strategy": fill.strategy,
        "side": _side(fill.side),
        "quantity": fill.quantity.value,
        "price": fill.price.value,
        "realised_pnl": fill.realised_pnl.value or "0",
        "filled_at": _instant(fill.filled_at),
        "intent_id": fill.intent_id,
        "broker_order_id": fill.broker_order_id,
    }


def _adjustment(made: pb.Adjustment) -> dict[str, Any]:
    return {
        "kind": made.kind,
        "symbol": made.symbol,
        "strategy": made.strategy,
        "quantity": made.quantity.value or "0",
        "cash": made.cash.value or "0",
        "price": made.price.value or None,
        "at": _instant(made.at),
        "description": made.description,
    }


def _position(position: pb.Position, prices: Mapping[str, Decimal]) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "strategy": position.strategy,
        "quantity": position.quantity.value,
        "average_price": position.average_price.value,
        "price": format(_price(position, prices), "f"),
        "unrealised_pnl": money(_unrealised(position, prices)),
        "stop_price": position.stop_price.value or None,
        "stop_quantity": position.stop_quantity.value or "0",
        "exit_owner": position.exit_owner,
    }
