"""The JSON report: decimal strings, the same money as the fills, every part that issue 3 names (BR-6, DI-6)."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.signal.v1 import signal_pb2
from holdfast_cli.report import build, money, seen_price
from holdfast_runtime.telemetry.trace_file import Latency
from holdfast_runtime.wire import to_decimal
from tools.cli.tests.ledgers import START, STARTING_CASH, Trade, World, amount

PARTS = {
    "orders", "fills", "positions", "cash", "equity", "realised_pnl", "unrealised_pnl", "decisions", "reconciliation",
    "invariants", "stages", "recording", "fees", "claims", "books",
}  # fmt: skip


def reported(world: World, prices: dict[str, Decimal] | None = None, **changes: Any) -> dict[str, Any]:
    given_parts: dict[str, Any] = {
        "ledger": world.ledger,
        "verdict": pb.ReconciliationVerdict(state=pb.RECONCILIATION_STATE_CLEAN),
        "prices": prices or {},
        "stages": {},
        "books": world.books,
        "recording": {"symbols": ["SPY"]},
    }
    found = build(**(given_parts | changes))
    # What cannot be written as JSON is no report.
    again: dict[str, Any] = json.loads(json.dumps(found))
    return again


def test_equity_is_cash_and_what_is_held_at_its_price() -> None:
    world = World([Trade("SPY", 60, Decimal("165.12"))])
    report = reported(world, {"SPY": Decimal("166.00")})
    cash = STARTING_CASH - 60 * Decimal("165.12")
    assert set(report) == PARTS
    assert report["cash"] == money(cash) == "90092.80"
    assert report["equity"] == money(cash + 60 * Decimal(166))
    (position,) = report["positions"]
    assert (position["quantity"], position["price"], position["average_price"]) == ("60", "166.00", "100")
    assert position["unrealised_pnl"] == report["unrealised_pnl"] == money(60 * (Decimal(166) - 100))
    assert [each for each in report["invariants"] if not each["held"]] == []


def test_a_claim_is_told_apart_from_the_fees() -> None:
    world = World([Trade("SPY", 10, Decimal(100))])
    world.ledger.adjustments.append(
        pb.Adjustment(kind="CLAIM", symbol="SPY", strategy="sma", quantity=amount(7), price=amount(100), cash=amount(0))
    )
    report = reported(world)
    assert report["fees"] == []
    assert [(each["symbol"], each["strategy"], each["quantity"]) for each in report["claims"]] == [("SPY", "sma", "7")]
    assert Decimal(report["books"]["equity"]["fees"]) == 0


def test_a_symbol_without_a_price_counts_at_what_it_cost() -> None:
    report = reported(World([Trade("SPY", 10, Decimal(100))]))
    assert report["unrealised_pnl"] == "0.00"
    assert report["equity"] == money(STARTING_CASH)


def test_a_symbol_that_has_no_minutes_counts_at_its_bid() -> None:
    """Of hours and days the stream brings quotes alone."""
    bid = to_decimal(Decimal("9.5"))
    assert seen_price(signal_pb2.Price(symbol="SPY", bid=bid, ask=to_decimal(Decimal("9.6")))) == Decimal("9.5")
    assert seen_price(signal_pb2.Price(symbol="SPY", bid=bid, last=to_decimal(Decimal(10)))) == Decimal(10)
    assert seen_price(signal_pb2.Price(symbol="SPY")) == 0


def test_what_was_sold_is_no_position() -> None:
    report = reported(World([Trade("SPY", 10, Decimal(100)), Trade("SPY", -10, Decimal(101))]))
    assert report["positions"] == []
    assert report["cash"] == report["equity"] == money(STARTING_CASH + 10)
    assert [(each["side"], each["quantity"], each["price"]) for each in report["fills"]] == [
        ("buy", "10", "100"),
        ("sell", "10", "101"),
    ]


def test_words_are_those_of_the_field_and_absent_amounts_are_null() -> None:
    report = reported(World([Trade("SPY", 10, Decimal(100))]))
    entry, stop = report["orders"]
    assert (entry["purpose"], entry["state"], entry["side"], entry["filled_quantity"]) == (
        "entry",
        "filled",
        "buy",
        "10",
    )
    assert (stop["purpose"], stop["state"], stop["side"], stop["filled_quantity"]) == ("stop", "acked", "sell", "0")
    assert (entry["limit_price"], entry["filled_average_price"]) == (None, None)
    assert entry["created_at"] == START.isoformat()


def test_decisions_verdict_and_stages_are_told() -> None:
    world = World([])
    world.ledger.decisions_blocked = 3
    world.ledger.decisions_by_reason.update({"SCORE_LOW": 1, "COOLDOWN_ACTIVE": 2})
    verdict = pb.ReconciliationVerdict(
        state=pb.RECONCILIATION_STATE_CLEAN,
        discrepancies=[
            pb.Discrepancy(kind="position", symbol="SPY", ledger_value="1", broker_value="2", action="halt")
        ],
    )
    report = reported(world, verdict=verdict, stages={"gate.evaluate": Latency(2, 0.12345, 0.6789)})
    assert report["decisions"] == {"allowed": 0, "blocked": 3, "by_reason": {"COOLDOWN_ACTIVE": 2, "SCORE_LOW": 1}}
    assert report["reconciliation"]["state"] == "clean"
    assert report["reconciliation"]["discrepancies"][0] == {
        "kind": "position", "symbol": "SPY", "subject": "", "ledger": "1", "broker": "2", "action": "halt",
    }  # fmt: skip
    assert report["stages"] == {"gate.evaluate": {"count": 2, "p50_ms": 0.123, "p99_ms": 0.679}}


@given(st.decimals(-(10**9), 10**9, places=8))
def test_money_is_told_to_the_cent_and_never_rounded(value: Decimal) -> None:
    text = money(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert len(text.partition(".")[2]) >= 2 or value != value.quantize(Decimal("0.01"))


def test_an_invariant_that_does_not_hold_is_in_the_report() -> None:
    world = World([Trade("SPY", 10, Decimal(100))])
    world.ledger.account.cash.CopyFrom(amount(1))
    broken = [each["name"] for each in reported(world)["invariants"] if not each["held"]]
    assert broken == ["fills_equal_cash", "ledger_equals_venue_cash"]
