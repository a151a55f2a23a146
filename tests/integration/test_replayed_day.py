"""A recorded day through all services, as processes, against papermarket's own books (DI-4, BR-6, TL-9, TH-2)."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import DAY, LOCKSTEP
from tests.integration.stack import assert_alike, backtest, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

Day = tuple[dict[str, Any], Path]


def read_books(folder: Path) -> dict[str, Any]:
    """papermarket's own books as it told them at the end of the run."""
    found: dict[str, Any] = json.loads((folder / "books.json").read_text())
    return found


def test_the_day_trades_and_every_invariant_holds(undisturbed_day: Day) -> None:
    report, _ = undisturbed_day
    assert report["fills"], "a day without a fill proves nothing"
    assert report["invariants"]
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert report["reconciliation"] == {"state": "clean", "discrepancies": []}


def test_the_report_equals_a_recomputation_from_the_venues_own_books(undisturbed_day: Day) -> None:
    """BR-6: fills equal positions, cash to the cent; computed here from the venue's journal, not by the product."""
    report, folder = undisturbed_day
    books = read_books(folder)
    cash = Decimal(books["starting_cash"])
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in books["fills"]:
        quantity = Decimal(fill["qty"]) * (1 if fill["side"] == "buy" else -1)
        held[fill["symbol"]] += quantity
        cash -= quantity * Decimal(fill["price"])
    assert Decimal(report["cash"]) == cash
    assert {p["symbol"]: Decimal(p["quantity"]) for p in report["positions"]} == {s: q for s, q in held.items() if q}
    value = sum(Decimal(p["quantity"]) * Decimal(p["price"]) for p in report["positions"])
    assert Decimal(report["equity"]) == cash + value
    pnl = Decimal(report["realised_pnl"]) + Decimal(report["unrealised_pnl"])
    assert pnl == cash + value - Decimal(books["starting_cash"])


def test_every_order_has_one_intent_and_every_decision_a_reason(undisturbed_day: Day) -> None:
    report, folder = undisturbed_day
    books = read_books(folder)
    intents = {order["broker_order_id"]: order["intent_id"] for order in report["orders"] if order["broker_order_id"]}
    last_of_chain = {order["id"] for order in books["orders"] if not order["replaced_by"]}
    assert last_of_chain == set(intents)
    assert len(set(intents.values())) == len(intents)
    decisions = report["decisions"]
    assert sum(decisions["by_reason"].values()) == decisions["allowed"] + decisions["blocked"]
    assert "" not in decisions["by_reason"]


def test_every_position_had_a_stop(undisturbed_day: Day) -> None:
    """TL-9: each filled entry was followed by a protective stop of at least its quantity."""
    report, _ = undisturbed_day
    entries = [o for o in report["orders"] if o["purpose"] == "entry" and Decimal(o["filled_quantity"]) > 0]
    stops = {o["signal_id"]: o for o in report["orders"] if o["purpose"] == "stop"}
    assert entries
    assert [e["intent_id"] for e in entries if e["signal_id"] not in stops] == []
    for entry in entries:
        assert Decimal(stops[entry["signal_id"]]["quantity"]) >= Decimal(entry["filled_quantity"]), entry["intent_id"]
        assert Decimal(stops[entry["signal_id"]]["stop_price"]) < Decimal(entry["filled_average_price"])


def test_lockstep_gives_the_same_orders_fills_and_pnl_twice(undisturbed_day: Day, tmp_path: Path) -> None:
    first, _ = undisturbed_day
    with running(tmp_path, *LOCKSTEP, *DAY) as stack:
        assert_alike(stack.report(), first)


def test_the_report_has_the_latency_of_each_stage(undisturbed_day: Day) -> None:
    report, _ = undisturbed_day
    for stage in ("signal.cycle", "scoring.cycle", "gate.evaluate", "execution.submit", "execution.send"):
        assert report["stages"][stage]["count"] > 0, stage
        assert report["stages"][stage]["p99_ms"] >= report["stages"][stage]["p50_ms"] > 0


def test_the_backtest_gives_the_same_orders_fills_and_pnl(undisturbed_day: Day, tmp_path: Path) -> None:
    """The services in one process and in virtual time decide, send and fill as the running system does."""
    report, _ = undisturbed_day
    assert_alike(backtest(tmp_path, *DAY), report)
