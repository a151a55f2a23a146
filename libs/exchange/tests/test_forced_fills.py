"""Fills that a fault forces: at the present price, in present shares, and without a trace where they fail (BS-2)."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.account_commands import Announce
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.faults import handlers
from holdfast_exchange.faults.commands import FillNow, Liquidate
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar, quote

Floors = Callable[..., Floor]
MORNING = (OPEN + timedelta(days=1)).replace(hour=13, minute=29)
BARS = [bar(n, "100", "100", "100", "100") for n in range(4)]


def split_overnight(floor: Floors, minutes_quoted: int) -> Floor:
    """A hundred shares at 100 dollars, 2:1 overnight, before anything of the new day is seen."""
    f = floor(BARS, [quote(n, "100", "100") for n in range(minutes_quoted)])
    f.order("buy", 100)
    for minute in range(4):
        f.minute(minute)
    split = CorporateAction(
        kind=ActionKind("forward_split"),
        symbol="SPY",
        ex_date=date(2013, 10, 8),
        old_rate=Decimal(1),
        new_rate=Decimal(2),
    )
    f.apply(Announce(f.exchange.now, split))
    f.tick(CLOSE)
    f.tick(MORNING)
    assert f.exchange.books.held("SPY") == 200
    return f


def test_a_liquidation_before_the_first_quote_after_a_split_moves_no_equity(floor: Floors) -> None:
    f = split_overnight(floor, 4)
    equity = f.exchange.equity()
    f.apply(Liquidate(f.exchange.now, "SPY"))
    assert f.exchange.books.held("SPY") == 0
    assert f.exchange.books.fills[-1].price == 50
    assert f.exchange.equity() == equity == f.exchange.books.cash


def test_an_order_that_fills_at_once_after_a_split_moves_no_equity(floor: Floors) -> None:
    f = split_overnight(floor, 4)
    equity = f.exchange.equity()
    order = f.order("sell", 200)
    f.apply(FillNow(f.exchange.now, order.id, Decimal(200)))
    assert f.now(order).average_price == 50
    assert f.exchange.equity() == equity


def test_a_trade_that_is_newer_than_the_last_quote_is_the_present_price(floor: Floors) -> None:
    f = floor([*BARS[:2], bar(2, "100", "110", "100", "110")], [quote(0, "99", "101")])
    f.order("buy", 10)
    f.minute(0)
    order = f.order("sell", 10)
    f.apply(FillNow(f.exchange.now, order.id, Decimal(5)))
    f.exchange.market.release(OPEN + timedelta(minutes=3))
    f.apply(FillNow(f.exchange.now, order.id, Decimal(5)))
    assert [fill.price for fill in f.exchange.books.fills[-2:]] == [99, 110]


def test_a_forced_fill_that_fails_leaves_no_leave_to_oversell(floor: Floors, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any) -> None:
        raise ArithmeticError("no such fill")

    f = floor(BARS)
    f.minute(0)
    order = f.order("buy", 10)
    monkeypatch.setattr(handlers, "fill", fails)
    with pytest.raises(ArithmeticError):
        f.apply(FillNow(f.exchange.now, order.id, Decimal(10)))
    assert f.exchange.disturbances.oversells is False
