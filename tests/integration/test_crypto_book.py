"""Coins through all services, as processes: round the clock, fractional, with fees, alone and beside shares (BK-1)."""

from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import LOCKSTEP
from tests.integration.stack import assert_alike, backtest, running
from tests.integration.test_replayed_day import read_books

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

CRYPTO = ("--book", "crypto", "--to", "2018-04-04T04:45:00Z")
BOTH = ("--book", "equity,crypto", "--from", "2013-10-09T12:30:00Z", "--to", "2013-10-09T15:00:00Z")
KILLED_AT = (450, 700)
"""Ticks at which coins are held."""
CASH_STEP = Decimal("1e-8")
Night = tuple[dict[str, Any], Path]


@pytest.fixture(scope="module")
def undisturbed_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The report of the first hours of the crypto days, and the folder of the run."""
    with running(tmp_path_factory.mktemp("night"), *LOCKSTEP, *CRYPTO) as stack:
        return stack.report(), stack.folder.resolve()


def assert_sound(report: dict[str, Any]) -> None:
    assert report["invariants"]
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert report["reconciliation"] == {"state": "clean", "discrepancies": []}


def test_coins_trade_at_night_and_every_invariant_holds(undisturbed_night: Night) -> None:
    """TL-3, invariants: entries, exits and stops before dawn."""
    report, _ = undisturbed_night
    assert report["fills"], "a night without a fill proves nothing"
    assert_sound(report)
    assert set(report["books"]) == {"crypto"}
    assert {order["symbol"] for order in report["orders"]} <= {"BTC/USD", "ETH/USD", "LTC/USD"}
    assert any(Decimal(fill["quantity"]) % 1 for fill in report["fills"])


def test_the_backtest_gives_the_same_night(undisturbed_night: Night, tmp_path: Path) -> None:
    report, _ = undisturbed_night
    assert_alike(backtest(tmp_path, *CRYPTO), report)


def test_positions_and_cash_are_fills_less_fees_by_the_venues_own_books(undisturbed_night: Night) -> None:
    """BR-6, trap 17: computed here from the venue's books alone, to the last digit."""
    report, folder = undisturbed_night
    books = read_books(folder)
    cash, held = Decimal(books["starting_cash"]), defaultdict[str, Decimal](Decimal)
    for fill in books["fills"]:
        quantity = Decimal(fill["qty"]) * (1 if fill["side"] == "buy" else -1)
        held[fill["symbol"]] += quantity
        cash -= (quantity * Decimal(fill["price"])).quantize(CASH_STEP, rounding=ROUND_HALF_EVEN)
    fees = [each for each in books["other_activities"] if each["activity_type"] == "CFEE"]
    for fee in fees:
        held[fee["symbol"]] += Decimal(fee["qty"])
        cash += Decimal(fee["net_amount"])
    assert len(fees) == len(books["fills"]) == len(report["fees"])
    assert Decimal(report["cash"]) == cash
    assert {p["symbol"]: Decimal(p["quantity"]) for p in report["positions"]} == {s: q for s, q in held.items() if q}


def test_every_filled_entry_got_a_stop_limit_for_what_was_received(undisturbed_night: Night) -> None:
    """Trap 17: no OTO and no plain stop; less than was bought, since the fee took its part."""
    report, _ = undisturbed_night
    entries = [o for o in report["orders"] if o["purpose"] == "entry" and Decimal(o["filled_quantity"]) > 0]
    stops = {o["signal_id"]: o for o in report["orders"] if o["purpose"] == "stop"}
    assert entries
    for entry in entries:
        assert (entry["type"], entry["time_in_force"]) == ("limit", "ioc")
        stop = stops[entry["signal_id"]]
        assert (stop["type"], stop["time_in_force"]) == ("stop_limit", "gtc")
        assert 0 < Decimal(stop["quantity"]) < Decimal(entry["filled_quantity"])
        assert Decimal(stop["limit_price"]) < Decimal(stop["stop_price"]) < Decimal(entry["filled_average_price"])


def test_the_same_night_again_with_execution_killed_in_it_is_the_same(undisturbed_night: Night, tmp_path: Path) -> None:
    """DI-5, PR-1: kill -9 while coins are held; orders, fills, fees and P&L are the same to the last digit."""
    with running(tmp_path, *LOCKSTEP, *CRYPTO) as stack:
        for tick in KILLED_AT:
            stack.wait_for_tick(tick)
            stack.wait_for_restart("execution", stack.kill("execution"))
        report = stack.report()
    assert_sound(report)
    first, _ = undisturbed_night
    assert_alike(report, first)
    assert report["books"] == first["books"]


def test_both_books_trade_side_by_side_on_one_account(tmp_path: Path) -> None:
    """BK-1: the crypto days are moved beside the equity week, and the report says so."""
    with running(tmp_path, *LOCKSTEP, *BOTH) as stack:
        report = stack.report()
    assert_sound(report)
    assert set(report["books"]) == {"crypto", "equity"}
    assert all(report["books"][book]["orders"] for book in report["books"])
    (note,) = report["recording"]["notes"]
    assert "recorded 2018-04-04 … 2018-04-06, replayed as 2013-10-09 … 2013-10-11" in note
