"""What an order may know when it meets its bar, and that ticks of the clock alone change nothing (TS-3, BR-3)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from holdfast_exchange.commands import Advance, Cancel, Replace
from holdfast_exchange.holds import Step
from holdfast_exchange.orders import Order, Replacement, Status
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_exchange.venue_commands import Hold
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar

Floors = Callable[..., Floor]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def coarse(start: datetime, end: datetime, open_: str, close: str) -> Bar:
    prices = [Decimal(price) for price in (open_, "120", "80", close)]
    return Bar("SPY", start, end, *prices, Decimal(1_000))


MONDAY, TUESDAY = coarse(OPEN, CLOSE, "100", "110"), coarse(OPEN + DAY, CLOSE + DAY, "105", "115")


@pytest.mark.parametrize(("sent", "price"), [(-MINUTE, 100), (timedelta(0), 110), (HOUR, 110)])
def test_a_day_s_open_is_for_who_came_before_it_was_seen(sent: timedelta, price: int) -> None:
    f = Floor([MONDAY, TUESDAY], [])
    if sent >= timedelta(0):
        f.tick(OPEN)
        assert f.exchange.market.price("SPY") == 100, "the first price is seen"
        f.tick(OPEN + sent)
    order = f.order("buy", 10)
    f.tick(CLOSE)
    assert f.now(order).average_price == price


def test_the_range_of_a_day_is_not_for_a_limit_sent_at_its_open() -> None:
    f = Floor([MONDAY, TUESDAY], [])
    f.tick(OPEN)
    order = f.order("buy", 10, "limit", limit_price="90", tif="gtc")
    f.tick(CLOSE)
    assert f.now(order).status is Status.NEW, "its close alone was 110"
    f.tick(OPEN + DAY)
    f.tick(CLOSE + DAY)
    assert f.now(order).average_price == 90, "the next day it rested"


def test_an_hour_s_open_is_for_who_came_before_it_was_seen() -> None:
    hours = [coarse(OPEN + HOUR * n, OPEN + HOUR * (n + 1), str(100 + n), str(110 + n)) for n in range(3)]
    f = Floor(hours, [])
    f.tick(OPEN)
    resting = f.order("buy", 10, "stop", stop_price="119")
    f.tick(OPEN + HOUR)
    sent = f.order("buy", 10)
    f.tick(OPEN + HOUR * 2)
    assert f.now(sent).average_price == 111
    assert f.now(resting).average_price == 119


def test_a_minute_s_open_is_for_who_came_at_its_beginning(floor: Floors) -> None:
    f = floor([bar(0, "100", "101", "99", "100")])
    order = f.order("buy", 10)
    f.minute(0)
    assert f.now(order).average_price == 100


def twice(f: Floor, at: datetime) -> None:
    """As a lock-step does: the clock first, then the data of the same instant."""
    f.apply(Advance(f.exchange.tick + 1, at, data=False))
    f.tick(at)


def once(f: Floor, at: datetime) -> None:
    f.tick(at)


def outcome(floor: Floors, ticked: Callable[[Floor, datetime], None], secs: int) -> list[Order]:
    """A new order, a replacement and a cancel, each of which takes `secs` and may fill on the way."""
    f = floor([bar(n, "100", "101", "99", "100", volume=4) for n in range(8)])
    for step in (Step.NEW, Step.CANCEL, Step.REPLACE):
        f.apply(Hold(f.exchange.now, step, Decimal(secs)))
    first = f.order("buy", 30)
    second = f.order("buy", 10, "limit", limit_price="99")
    for minute in range(1, 9):
        ticked(f, OPEN + MINUTE * minute)
        if minute == 3:
            f.apply(Replace(f.exchange.now, second.id, Replacement(limit_price=Decimal("101"))))
        if minute == 4:
            f.apply(Cancel(f.exchange.now, first.id))
    assert any(each.status is Status.CANCELED for each in f.exchange.orders.values())
    return list(f.exchange.orders.values())


@pytest.mark.parametrize("secs", [30, 60, 90])
def test_one_tick_an_instant_or_two_have_the_same_outcome(floor: Floors, secs: int) -> None:
    assert outcome(floor, twice, secs) == outcome(floor, once, secs)


def test_a_cancel_that_is_due_with_the_bar_comes_after_it(floor: Floors) -> None:
    for ticked in (once, twice):
        f = floor([bar(0, "100", "101", "99", "100")])
        order = f.order("buy", 10)
        f.apply(Hold(f.exchange.now, Step.CANCEL, Decimal(60)))
        f.apply(Cancel(f.exchange.now, order.id))
        ticked(f, OPEN + MINUTE)
        assert f.now(order).status is Status.FILLED
