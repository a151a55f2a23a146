"""Orders that belong together: OTO, OCO and bracket (BR-2; alpaca.md trap 9; order protocol, protection)."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from holdfast_exchange.commands import Cancel, Replace
from holdfast_exchange.holds import Step
from holdfast_exchange.orders import Order, OrderClass, OrderType, Refusal, Replacement, Status
from holdfast_exchange.venue_commands import Hold
from libs.exchange.tests.exchange_floor import CLOSE, SHORTS, Floor, bar

Floors = Callable[..., Floor]
CALM = [bar(n, "100", "101", "99", "100") for n in range(8)]
EXITS = {"take_profit_price": "110", "protect_stop_price": "90"}


def bracket(f: Floor, quantity: int = 10, **fields: object) -> tuple[Order, Order, Order]:
    """The entry, its take profit and its stop loss, right after the POST."""
    entry = f.order("buy", quantity, **({"order_class": "bracket"} | EXITS | fields))
    take_profit, stop_loss = (f.exchange.order(leg) for leg in entry.legs)
    return entry, take_profit, stop_loss


def statuses(f: Floor, *orders: Order) -> list[str]:
    return [f.now(order).status.value for order in orders]


def test_a_bracket_is_three_orders_of_which_the_legs_sleep(floor: Floors) -> None:
    f = floor(CALM)
    entry, take_profit, stop_loss = bracket(f, tif="gtc", protect_limit_price="89")
    assert statuses(f, entry, take_profit, stop_loss) == ["new", "held", "held"]
    assert (take_profit.type, take_profit.limit_price) == (OrderType.LIMIT, 110)
    assert (stop_loss.type, stop_loss.stop_price, stop_loss.limit_price) == (OrderType.STOP_LIMIT, 90, 89)
    assert {order.order_class for order in (entry, take_profit, stop_loss)} == {OrderClass.BRACKET}
    assert {order.time_in_force for order in (entry, take_profit, stop_loss)} == {entry.time_in_force}
    assert {leg.parent for leg in (take_profit, stop_loss)} == {entry.id}


def test_legs_wake_with_the_complete_fill_and_only_the_take_profit_is_on_the_market(floor: Floors) -> None:
    f = floor([bar(n, "100", "101", "99", "100", volume=6) for n in range(4)])
    entry, take_profit, stop_loss = bracket(f)
    f.minute(0)
    assert statuses(f, entry, take_profit, stop_loss) == ["partially_filled", "held", "held"]
    assert not f.now(stop_loss).armed
    f.minute(1)
    assert statuses(f, entry, take_profit, stop_loss) == ["filled", "new", "held"]
    assert f.now(stop_loss).armed, "held, and watched"
    with pytest.raises(Refusal, match="insufficient qty") as refusal:
        f.order("sell", 1)
    assert refusal.value.details["held_for_orders"] == "10", "the shares are held once"


def test_the_take_profit_ends_the_stop_loss(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "105", "111", "104", "110")])
    entry, take_profit, stop_loss = bracket(f)
    for minute in range(3):
        f.minute(minute)
    assert statuses(f, entry, take_profit, stop_loss) == ["filled", "filled", "canceled"]
    assert f.exchange.books.held("SPY") == 0
    assert f.events == ["new", "fill", "new", "fill", "canceled"]


def test_the_stop_loss_takes_the_place_of_the_take_profit(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "95", "96", "88", "89")])
    entry, take_profit, stop_loss = bracket(f)
    for minute in range(3):
        f.minute(minute)
    assert statuses(f, entry, take_profit, stop_loss) == ["filled", "canceled", "filled"]
    assert f.now(stop_loss).average_price == 90
    assert f.events == ["new", "fill", "new", "canceled", "new", "fill"]


def test_a_bar_that_reaches_both_exits_fills_one(floor: Floors) -> None:
    """The nearer to the bar's open: here the stop."""
    f = floor([*CALM[:2], bar(2, "95", "120", "80", "100")])
    entry, take_profit, stop_loss = bracket(f)
    for minute in range(3):
        f.minute(minute)
    assert statuses(f, take_profit, stop_loss) == ["canceled", "filled"]
    assert f.exchange.books.held("SPY") == 0
    assert f.now(entry).status is Status.FILLED


def test_in_a_fast_market_both_exits_fill_where_the_fault_plan_says_so(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "95", "120", "80", "100")])
    f.order("buy", 10)
    _, take_profit, stop_loss = bracket(f)
    f.apply(Hold(f.exchange.now, Step.GROUP, Decimal(30)))
    for minute in range(3):
        f.minute(minute)
    assert statuses(f, take_profit, stop_loss) == ["filled", "filled"]
    assert f.exchange.books.held("SPY") == 0, "twenty sold"


def test_a_partial_take_profit_leaves_a_stop_for_the_rest(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "110", "111", "109", "110", volume=4), bar(3, "89", "89", "88", "88")])
    _, take_profit, stop_loss = bracket(f)
    for minute in range(3):
        f.minute(minute)
    assert (f.now(take_profit).filled_quantity, f.now(stop_loss).quantity) == (4, 6)
    f.minute(3)
    assert statuses(f, take_profit, stop_loss) == ["canceled", "filled"]
    assert f.exchange.books.held("SPY") == 0


@pytest.mark.parametrize("which", [0, 1])
def test_cancelling_one_leg_cancels_its_group(floor: Floors, which: int) -> None:
    """Trap 9."""
    f = floor(CALM)
    _, *legs = bracket(f)
    f.minute(0)
    f.apply(Cancel(f.exchange.now, legs[which].id))
    assert statuses(f, *legs) == ["canceled", "canceled"]
    assert f.order("sell", 10).is_open, "nothing holds the shares any more"


def test_cancelling_an_entry_that_has_filled_in_part_leaves_the_part_naked(floor: Floors) -> None:
    """Trap 9: the reason for the protocol's two seconds."""
    f = floor([bar(n, "100", "101", "99", "100", volume=4) for n in range(4)])
    orders = bracket(f)
    f.minute(0)
    f.apply(Cancel(f.exchange.now, orders[0].id))
    assert statuses(f, *orders) == ["canceled"] * 3
    assert f.exchange.books.held("SPY") == 4


def test_day_legs_expire_and_gtc_legs_stay(floor: Floors) -> None:
    f = floor(CALM, starting_cash=Decimal(1_000_000))
    _, *day = bracket(f)
    f.minute(0)
    f.tick(CLOSE)
    assert statuses(f, *day) == ["expired", "expired"]
    f = floor(CALM)
    _, *lasting = bracket(f, tif="gtc")
    f.minute(0)
    f.tick(CLOSE)
    assert statuses(f, *lasting) == ["new", "held"]


def test_an_oco_protects_what_is_held_already(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "95", "96", "88", "89")])
    f.order("buy", 10)
    f.minute(0)
    take_profit = f.order("sell", 10, "limit", order_class="oco", tif="gtc", **EXITS)
    (stop_id,) = take_profit.legs
    stop_loss = f.exchange.order(stop_id)
    assert (take_profit.limit_price, take_profit.status) == (110, Status.NEW)
    assert (stop_loss.status, stop_loss.armed, stop_loss.parent) == (Status.HELD, True, take_profit.id)
    f.minute(1)
    f.minute(2)
    assert statuses(f, take_profit, stop_loss) == ["canceled", "filled"]


def test_an_oto_may_wake_a_take_profit(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "105", "111", "104", "110")])
    entry = f.order("buy", 10, order_class="oto", take_profit_price="110")
    (leg,) = entry.legs
    for minute in range(3):
        f.minute(minute)
    assert f.exchange.order(leg).status is Status.FILLED


def test_a_short_position_has_its_bracket_above(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "105", "112", "104", "111")], **SHORTS)
    f.minute(0)
    entry = f.order("sell", 10, order_class="bracket", take_profit_price="90", protect_stop_price="110")
    take_profit, stop_loss = (f.exchange.order(leg) for leg in entry.legs)
    assert (entry.intent.value, stop_loss.intent.value, stop_loss.type.value) == (
        "sell_to_open",
        "buy_to_close",
        "stop_limit",
    )
    f.minute(1)
    assert f.exchange.books.held("SPY") == -10
    f.minute(2)
    assert statuses(f, take_profit, stop_loss) == ["canceled", "filled"]
    assert f.exchange.books.held("SPY") == 0


def test_a_leg_can_be_replaced_and_stays_in_its_group(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "96", "97", "94", "94")])
    entry, take_profit, stop_loss = bracket(f)
    f.minute(0)
    raised = f.apply(Replace(f.exchange.now, stop_loss.id, Replacement(stop_price=Decimal(95))))
    assert raised is not None
    assert (raised.status, raised.armed) == (Status.HELD, True)
    assert f.now(entry).legs == (take_profit.id, raised.id)
    lowered = f.apply(Replace(f.exchange.now, take_profit.id, Replacement(limit_price=Decimal(108))))
    assert lowered is not None
    f.minute(1)
    f.minute(2)
    assert statuses(f, lowered, raised) == ["canceled", "filled"]
    assert f.now(raised).average_price == 95


def test_an_exit_cannot_be_moved_beyond_the_other_exit_of_its_group(floor: Floors) -> None:
    f = floor(CALM)
    _, take_profit, stop_loss = bracket(f, take_profit_price="101.50", protect_stop_price="98")
    f.minute(0)
    oco_floor = floor(CALM)
    oco_floor.order("buy", 10)
    oco_floor.minute(0)
    head = oco_floor.order("sell", 10, "limit", order_class="oco", **EXITS)
    for venue, order, change in (
        (f, take_profit, Replacement(limit_price=Decimal("97.90"))),
        (f, stop_loss, Replacement(stop_price=Decimal("101.50"))),
        (oco_floor, oco_floor.exchange.order(head.legs[0]), Replacement(stop_price=Decimal(110))),
    ):
        with pytest.raises(Refusal) as refusal:
            venue.apply(Replace(venue.exchange.now, order.id, change))
        assert refusal.value.status == 422
        assert venue.now(order).status is not Status.REPLACED
    with pytest.raises(Refusal, match="must be beyond stop_loss"):
        f.apply(Replace(f.exchange.now, take_profit.id, Replacement(limit_price=Decimal(98))))


def test_the_take_profit_of_an_oco_can_be_replaced_with_its_stop_behind_it(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "105", "106.50", "104", "106")])
    f.order("buy", 10)
    f.minute(0)
    old = f.order("sell", 10, "limit", order_class="oco", **EXITS)
    new = f.apply(Replace(f.exchange.now, old.id, Replacement(limit_price=Decimal(106))))
    assert new is not None
    stop_loss = f.exchange.order(new.legs[0])
    assert stop_loss.parent == new.id
    f.minute(1)
    f.minute(2)
    assert statuses(f, old, new, stop_loss) == ["replaced", "filled", "canceled"]


def test_an_entry_can_be_replaced_and_its_legs_follow(floor: Floors) -> None:
    f = floor(CALM)
    entry = f.order("buy", 10, "limit", limit_price="95", protect_stop_price="90")
    change = Replacement(quantity=Decimal(4), limit_price=Decimal(101))
    new = f.apply(Replace(f.exchange.now, entry.id, change))
    assert new is not None
    leg = f.exchange.order(new.legs[0])
    assert (leg.parent, leg.quantity, leg.status) == (new.id, 4, Status.HELD)
    f.minute(0)
    assert statuses(f, new, leg) == ["filled", "new"]
