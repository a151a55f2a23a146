"""Each kind of order and each time in force, as Alpaca describes them (BR-2, BR-3; alpaca.md traps 9 and 15)."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast_exchange.commands import Cancel
from holdfast_exchange.orders import Order, OrderType, Refusal, Status
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar, quote

Floors = Callable[..., Floor]
CALM = [bar(n, "100", "101", "99", "100") for n in range(8)]
MORNING = OPEN - timedelta(hours=2)
LAST = 389
"""The minute before the close."""


def holding(floor: Floors, *bars: object, quantity: int = 20, **config: object) -> Floor:
    """A floor with a position, after its first minute; `bars` follow."""
    f = floor([CALM[0], *bars], **config)
    f.order("buy", quantity)
    f.minute(0)
    return f


def price(f: Floor, order: Order) -> Decimal | None:
    return f.now(order).average_price


def test_a_stop_limit_waits_as_a_limit_order_after_its_stop(floor: Floors) -> None:
    f = holding(
        floor, bar(1, "98", "98.50", "96", "97"), bar(2, "94", "94.50", "93", "94"), bar(3, "94", "96", "94", "95")
    )
    within = f.order("sell", 5, "stop_limit", stop_price="97", limit_price="96")
    gapped = f.order("sell", 5, "stop_limit", stop_price="95.50", limit_price="95")
    f.minute(1)
    assert price(f, within) == Decimal(97), "the stop itself, which its limit allows"
    f.minute(2)
    assert (f.now(gapped).triggered, f.now(gapped).status) == (True, Status.NEW), "below its limit: it waits"
    f.minute(3)
    assert price(f, gapped) == Decimal(95)


def test_a_buy_stop_is_a_stop_limit_with_the_venues_collar(floor: Floors) -> None:
    """Trap 15: 2.5 % above the stop from 50 dollars on, 4 % below."""
    f = floor([*CALM[:2], bar(2, "110", "112", "108", "111"), bar(3, "104", "105", "103", "104")])
    f.minute(0)
    order = f.order("buy", 5, "stop", stop_price="102")
    assert (order.type, order.limit_price) == (OrderType.STOP_LIMIT, Decimal("104.55"))
    f.minute(1)
    f.minute(2)
    assert f.now(order).status is Status.NEW, "the gap is beyond its limit"
    f.minute(3)
    assert price(f, order) == Decimal(104)


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(floor: Floors) -> None:
    rising = [
        bar(1, "100", "104", "100", "104"),
        bar(2, "104", "110", "104", "110"),
        bar(3, "109", "109", "107.50", "108"),
    ]
    f = holding(floor, *rising, bar(4, "107", "107.25", "106", "107"))
    by_dollars = f.order("sell", 10, "trailing_stop", trail_price="3")
    by_percent = f.order("sell", 10, "trailing_stop", trail_percent="10", tif="gtc")
    assert (by_dollars.high_water_mark, by_dollars.stop_price, by_percent.stop_price) == (100, 97, 90)
    f.minute(1)
    assert (f.now(by_dollars).high_water_mark, f.now(by_dollars).stop_price) == (104, 101)
    f.minute(2)
    f.minute(3)
    assert (f.now(by_dollars).high_water_mark, f.now(by_dollars).stop_price) == (110, 107), "a fall moves nothing"
    f.minute(4)
    assert price(f, by_dollars) == Decimal(107), "triggered at the open, which is the stop"
    assert (f.now(by_percent).status, f.now(by_percent).stop_price) == (Status.NEW, 99)


def test_a_bar_that_closes_beyond_the_stop_that_it_has_raised_triggers_it(floor: Floors) -> None:
    f = holding(floor, bar(1, "100", "110", "100", "101"))
    order = f.order("sell", 10, "trailing_stop", trail_price="5")
    f.minute(1)
    assert price(f, order) == Decimal(105), "up to 110 first, then through 105"


def test_fill_or_kill_takes_all_or_nothing(floor: Floors) -> None:
    f = floor([bar(n, "100", "101", "99", "100", volume=10) for n in range(3)])
    large = f.order("buy", 11, "limit", limit_price="101", tif="fok")
    small = f.order("buy", 10, "limit", limit_price="101", tif="fok")
    f.minute(0)
    assert (f.now(large).status, f.now(large).filled_quantity) == (Status.CANCELED, 0)
    assert f.now(small).status is Status.FILLED


def test_immediate_or_cancel_keeps_what_it_got(floor: Floors) -> None:
    f = floor([bar(n, "100", "101", "99", "100", volume=10) for n in range(3)])
    order = f.order("buy", 11, tif="ioc")
    f.minute(0)
    assert (f.now(order).status, f.now(order).filled_quantity) == (Status.CANCELED, 10)


def test_opening_orders_fill_at_the_opening_trade_or_not_at_all(floor: Floors) -> None:
    f = Floor(
        [bar(0, "102", "105", "101", "103"), bar(1, "98", "99", "97", "98")], [quote(0, "101", "104")], begins=MORNING
    )
    market, limit = f.order("buy", 1, tif="opg"), f.order("buy", 1, "limit", limit_price="101.99", tif="opg")
    assert market.status is Status.ACCEPTED
    f.tick(OPEN)
    f.minute(0)
    assert price(f, market) == Decimal(102), "the auction's trade, neither ask nor slippage"
    assert f.now(limit).status is Status.CANCELED, "nobody sold at its limit in the auction"


def test_closing_orders_fill_at_the_closing_trade_or_not_at_all(floor: Floors) -> None:
    f = floor([CALM[0], bar(LAST, "100", "103", "99", "102")], slippage_bps=Decimal(10))
    market = f.order("buy", 1, tif="cls")
    limit = f.order("buy", 1, "limit", limit_price="101", tif="cls")
    f.minute(0)
    assert f.now(market).status is Status.NEW
    f.tick(CLOSE)
    assert price(f, market) == Decimal(102)
    assert f.now(limit).status is Status.CANCELED


@pytest.mark.parametrize(
    ("tif", "minutes", "taken"),
    [
        ("opg", -3, True),
        ("opg", -2, False),
        ("cls", 379, True),
        ("cls", 380, False),
        ("opg", 569, False),
        ("opg", 570, True),
    ],
)
def test_auction_orders_are_taken_until_shortly_before_and_after_seven_in_the_evening(
    floor: Floors, tif: str, minutes: int, taken: bool
) -> None:
    """Until 09:28 and 15:50, and from 19:00 on for the next session."""
    f = Floor(CALM, [], begins=MORNING)
    f.tick(OPEN + timedelta(minutes=minutes))
    if taken:
        assert f.order("buy", 1, tif=tif).is_open
        return
    with pytest.raises(Refusal, match=f"{tif} orders must be placed"):
        f.order("buy", 1, tif=tif)


def test_orders_in_dollars_buy_parts_of_shares(floor: Floors) -> None:
    """Trap 15."""
    f = floor([bar(n, "30", "31", "29", "30") for n in range(2)])
    f.minute(0)
    order = f.order("buy", 0, notional="100")
    f.minute(1)
    done = f.now(order)
    assert (done.status, done.notional) == (Status.FILLED, 100)
    assert done.filled_quantity == done.quantity == Decimal("3.333333333")
    assert 0 <= 100 - done.filled_value < Decimal("0.00000003")
    sold = f.order("sell", "3.333333333")
    assert f.now(sold).status is Status.NEW


def test_an_order_in_dollars_fills_over_several_bars_to_its_last_cent(floor: Floors) -> None:
    f = floor([*[bar(n, "30", "31", "29", "30", volume=2) for n in range(2)], bar(2, "40", "41", "39", "40")])
    f.minute(0)
    order = f.order("buy", 0, notional="100")
    f.minute(1)
    assert (f.now(order).status, f.now(order).filled_value) == (Status.PARTIALLY_FILLED, 60)
    f.minute(2)
    assert (f.now(order).status, f.now(order).filled_quantity) == (Status.FILLED, 3)
    assert [fill.leaves for fill in f.exchange.books.fills] == [Decimal("1.333333333"), 0]


def test_an_order_of_whole_shares_takes_no_parts(floor: Floors) -> None:
    f = floor([bar(0, "100", "101", "99", "100", volume=10), *CALM[1:]])
    parts, whole = f.order("buy", "1.5"), f.order("buy", 10)
    f.minute(0)
    assert (f.now(parts).filled_quantity, f.now(whole).filled_quantity) == (Decimal("1.5"), 8)


def test_price_goes_before_time(floor: Floors) -> None:
    """Of own orders at the same bar the better price is first, then the older."""
    f = floor([bar(0, "100", "101", "98", "99", volume=10), *CALM[1:]])
    old = f.order("buy", 6, "limit", limit_price="99")
    better = f.order("buy", 6, "limit", limit_price="99.50")
    young = f.order("buy", 6, "limit", limit_price="99.50")
    f.minute(0)
    assert [f.now(order).filled_quantity for order in (old, better, young)] == [0, 6, 4]


def test_without_volume_nothing_triggers_and_nothing_fills(floor: Floors) -> None:
    f = holding(floor, bar(1, "90", "90", "90", "90", volume=0))
    order = f.order("sell", 5, "stop", stop_price="95")
    f.minute(1)
    assert (f.now(order).triggered, f.now(order).status) == (False, Status.NEW)


def early(minute: int, *prices: str) -> object:
    """A bar before the open (08:00 New York and later)."""
    return bar(minute - 90, *prices)


def test_extended_hours_are_for_orders_that_ask_for_them(floor: Floors) -> None:
    """Trap 15: DAY and GTC limits of whole shares only."""
    f = Floor([early(0, "100", "101", "99", "100"), early(1, "100", "101", "99", "100"), *CALM], [], begins=MORNING)
    f.tick(OPEN - timedelta(minutes=90))
    asked = f.order("buy", 5, "limit", limit_price="100.50", extended_hours=True)
    plain = f.order("buy", 5, "limit", limit_price="100.50")
    assert (asked.status, plain.status) == (Status.NEW, Status.ACCEPTED)
    f.tick(OPEN - timedelta(minutes=89))
    assert (f.now(asked).status, f.now(plain).status) == (Status.FILLED, Status.ACCEPTED)
    f.apply(Cancel(f.exchange.now, plain.id))
    stop = f.order("sell", 5, "stop", stop_price="99.50")
    f.tick(OPEN - timedelta(minutes=88))
    assert f.now(stop).status is Status.ACCEPTED, "stops sleep outside regular hours"
    f.tick(OPEN)
    f.minute(0)
    assert f.now(stop).status is Status.FILLED


def test_an_extended_day_order_lasts_until_the_evening(floor: Floors) -> None:
    f = floor(CALM)
    order = f.order("buy", 1, "limit", limit_price="50", extended_hours=True)
    f.tick(CLOSE)
    assert f.now(order).status is Status.NEW
    f.tick(CLOSE + timedelta(hours=4))
    assert f.now(order).status is Status.EXPIRED


def test_an_extended_order_sent_at_night_waits_for_the_pre_market(floor: Floors) -> None:
    f = Floor(CALM, [])
    f.tick(CLOSE + timedelta(hours=5))
    order = f.order("buy", 1, "limit", limit_price="50", extended_hours=True)
    assert order.status is Status.ACCEPTED
    f.tick(CLOSE + timedelta(hours=11, minutes=59))
    assert f.now(order).status is Status.ACCEPTED
    f.tick(CLOSE + timedelta(hours=12))
    assert f.now(order).status is Status.NEW, "04:00 in New York"
