"""Cancel and replace in Alpaca's states, at once or pending for a while (BR-2; alpaca.md traps 10 and 16)."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.account_commands import Configure
from holdfast_exchange.commands import Cancel, Replace
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.faults.commands import Halt
from holdfast_exchange.holds import Step
from holdfast_exchange.orders import Order, Refusal, Replacement, Status, TimeInForce
from holdfast_exchange.venue_commands import Hold, RejectReplacement
from libs.exchange.tests.exchange_floor import OPEN, Floor, bar

Floors = Callable[..., Floor]
CALM = [bar(n, "100", "101", "99", "100") for n in range(8)]
THIN = [bar(n, "100", "101", "99", "100", volume=4) for n in range(8)]


def replaced(f: Floor, order: Order, **change: Any) -> Order:
    made = f.apply(Replace(f.exchange.now, order.id, Replacement(**change)))
    assert made is not None
    return made


def hold(f: Floor, step: Step, secs: int = 90) -> None:
    f.apply(Hold(f.exchange.now, step, Decimal(secs)))


def test_what_has_filled_counts_towards_the_replacements_quantity(floor: Floors) -> None:
    f = floor(THIN)
    order = f.order("buy", 10, "limit", limit_price="101")
    f.minute(0)
    new = replaced(f, order, quantity=Decimal(12))
    assert (new.quantity, f.now(order).filled_quantity) == (8, 4), "twelve altogether"
    f.minute(1)
    with pytest.raises(Refusal, match="qty must be > filled_qty"):
        replaced(f, new, quantity=Decimal(4))


def test_a_replacement_loses_its_place_in_the_queue(floor: Floors) -> None:
    f = floor([bar(0, "100", "100", "98", "99", volume=5), *CALM[1:]])
    first = f.order("buy", 5, "limit", limit_price="99")
    second = f.order("buy", 5, "limit", limit_price="99")
    first = replaced(f, first, time_in_force=TimeInForce.GTC)
    f.minute(0)
    assert (f.now(first).filled_quantity, f.now(second).filled_quantity) == (0, 5)


def test_the_trail_of_a_trailing_stop_can_be_replaced_and_its_mark_stays(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "104", "110", "104", "110")])
    f.order("buy", 10)
    f.minute(0)
    order = f.order("sell", 10, "trailing_stop", trail_percent="10")
    f.minute(1)
    f.minute(2)
    new = replaced(f, order, trail=Decimal(20))
    assert (new.high_water_mark, new.stop_price, new.trail_percent) == (110, 88, 20)


@pytest.mark.parametrize(
    ("fields", "change", "message"),
    [
        ({"kind": "market"}, {"limit_price": Decimal(1)}, "market orders do not have a limit price"),
        ({"kind": "limit", "limit_price": "95"}, {"stop_price": Decimal(1)}, "limit orders do not have a stop price"),
        ({"kind": "limit", "limit_price": "95"}, {"trail": Decimal(1)}, "limit orders do not have a trail"),
        ({"kind": "limit", "limit_price": "95"}, {"quantity": Decimal("1.5")}, "qty must be integer"),
        ({"kind": "limit", "limit_price": "95"}, {"limit_price": Decimal("95.001")}, "sub-penny"),
        ({"kind": "limit", "limit_price": "95"}, {"quantity": Decimal(10_000)}, "insufficient buying power"),
        ({"kind": "limit", "limit_price": "95", "quantity": "1.5"}, {"quantity": Decimal(2)}, "fractional"),
        ({"kind": "limit", "limit_price": "95", "quantity": "1.5"}, {"time_in_force": TimeInForce.GTC}, "DAY"),
        ({"kind": "limit", "limit_price": "95", "quantity": 0, "notional": "100"}, {}, "notional orders cannot"),
        (
            {"order_class": "bracket", "take_profit_price": "110", "protect_stop_price": "90"},
            {"quantity": Decimal(2)},
            "qty of bracket orders cannot be replaced",
        ),
    ],
)
def test_what_cannot_be_replaced(
    floor: Floors, fields: dict[str, str], change: dict[str, object], message: str
) -> None:
    f = floor(CALM)
    f.minute(0)
    asked = {"quantity": 5, "kind": "market"} | fields
    order = f.order("buy", asked.pop("quantity"), str(asked.pop("kind")), **asked)
    before = f.exchange.state()
    with pytest.raises(Refusal, match=message):
        replaced(f, order, **change)
    assert f.exchange.state() == before


def unchanged(f: Floor, order: Order, message: str, **change: Any) -> None:
    before = f.exchange.state()
    with pytest.raises(Refusal, match=message):
        replaced(f, order, **change)
    assert f.exchange.state() == before


def test_a_replacement_cannot_meet_an_own_order_of_the_other_side(floor: Floors) -> None:
    """BR-5: what is refused as an order is refused as a replacement."""
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    f.order("sell", 10, "limit", limit_price="105")
    bid = f.order("buy", 5, "limit", limit_price="95")
    unchanged(f, bid, "potential wash trade", limit_price=Decimal(105))
    assert replaced(f, bid, limit_price=Decimal(96)).limit_price == 96


def test_the_orders_of_its_own_group_are_no_wash_trade_of_a_replacement(floor: Floors) -> None:
    f = floor([*CALM[:1], *(bar(n, "100", "101", "99", "100", volume=4) for n in range(1, 4))])
    f.minute(0)
    entry = f.order("buy", 10, "limit", limit_price="101", order_class="oto", protect_stop_price="90")
    f.minute(1)
    assert f.now(entry).status is Status.PARTIALLY_FILLED
    entry = replaced(f, entry, limit_price=Decimal(102))
    f.minute(2)
    f.minute(3)
    (stop,) = [f.exchange.order(leg) for leg in f.now(entry).legs]
    assert (f.now(entry).status, stop.status) == (Status.FILLED, Status.NEW)
    assert replaced(f, stop, time_in_force=TimeInForce.GTC).status is Status.NEW


def test_a_suspended_account_replaces_nothing(floor: Floors) -> None:
    f = floor(CALM)
    order = f.order("buy", 5, "limit", limit_price="95")
    f.apply(Configure(f.exchange.now, Configuration(suspend_trade=True)))
    unchanged(f, order, "rejected by user request", limit_price=Decimal(96))


@pytest.mark.parametrize(
    ("legs", "limit", "message"),
    [
        ({"order_class": "oto", "protect_stop_price": "90"}, "90", "stop_loss.stop_price must be <= base_price"),
        (
            {"order_class": "bracket", "protect_stop_price": "90", "take_profit_price": "97"},
            "98",
            "take_profit.limit_price must be >= base_price",
        ),
    ],
)
def test_a_replaced_entry_stays_between_its_legs(floor: Floors, legs: dict[str, str], limit: str, message: str) -> None:
    f = floor(CALM)
    f.minute(0)
    entry = f.order("buy", 5, "limit", limit_price="95", **legs)
    unchanged(f, entry, message, limit_price=Decimal(limit))
    assert replaced(f, entry, limit_price=Decimal(94)).limit_price == 94


def test_an_order_may_be_pending_before_it_is_new(floor: Floors) -> None:
    f = floor(CALM)
    hold(f, Step.NEW)
    order = f.order("buy", 5)
    assert order.status is Status.PENDING_NEW
    f.minute(0)
    assert f.now(order).status is Status.PENDING_NEW, "nothing fills before it is on the market"
    f.minute(1)
    assert f.now(order).status is Status.NEW
    f.minute(2)
    assert f.now(order).status is Status.FILLED
    assert f.events == ["pending_new", "new", "fill"]


def test_a_pending_cancel_comes_in_time(floor: Floors) -> None:
    f = floor(CALM)
    order = f.order("buy", 5, "limit", limit_price="95")
    hold(f, Step.CANCEL)
    f.apply(Cancel(f.exchange.now, order.id))
    assert f.now(order).status is Status.PENDING_CANCEL
    with pytest.raises(Refusal, match="pending_cancel") as refusal:
        f.apply(Cancel(f.exchange.now, order.id))
    assert refusal.value.status == 422
    f.minute(0)
    f.minute(1)
    assert f.now(order).status is Status.CANCELED
    assert f.events == ["new", "pending_cancel", "canceled"]


def test_a_pending_cancel_comes_too_late(floor: Floors) -> None:
    f = floor(CALM)
    order = f.order("buy", 5)
    hold(f, Step.CANCEL)
    f.apply(Cancel(f.exchange.now, order.id))
    f.minute(0)
    assert f.now(order).status is Status.FILLED
    assert f.events == ["new", "pending_cancel", "fill", "order_cancel_rejected"]


def test_a_pending_replacement_takes_over_when_it_comes(floor: Floors) -> None:
    f = floor(CALM)
    old = f.order("buy", 5, "limit", limit_price="95")
    hold(f, Step.REPLACE)
    new = replaced(f, old, limit_price=Decimal(96))
    assert (f.now(old).status, new.status, new.replaces) == (Status.PENDING_REPLACE, Status.PENDING_NEW, old.id)
    for refused in (Cancel(f.exchange.now, old.id), Replace(f.exchange.now, old.id, Replacement())):
        with pytest.raises(Refusal, match="pending_replace"):
            f.apply(refused)
    with pytest.raises(Refusal, match="pending_new"):
        replaced(f, new, limit_price=Decimal(97))
    f.minute(0)
    f.minute(1)
    assert (f.now(old).status, f.now(old).replaced_by, f.now(new).status) == (Status.REPLACED, new.id, Status.NEW)
    assert f.events == ["new", "pending_replace", "pending_new", "replaced", "new"]


def test_a_replacement_is_rejected_where_the_old_order_fills_first(floor: Floors) -> None:
    """Trap 10: a successful PATCH guarantees nothing."""
    f = floor(CALM)
    old = f.order("buy", 5)
    hold(f, Step.REPLACE)
    new = replaced(f, old, time_in_force=TimeInForce.GTC)
    f.minute(0)
    assert (f.now(old).status, f.now(new).status) == (Status.FILLED, Status.REJECTED)
    assert f.now(new).failed_at == f.exchange.now
    assert f.events[-3:] == ["fill", "order_replace_rejected", "rejected"]
    assert f.exchange.books.held("SPY") == 5


def test_a_pending_replacement_may_be_rejected_and_the_old_order_goes_on(floor: Floors) -> None:
    """Trap 10: a successful PATCH guarantees nothing."""
    f = floor(CALM)
    old = f.order("buy", 5, "limit", limit_price="95")
    hold(f, Step.REPLACE)
    new = replaced(f, old, limit_price=Decimal(96))
    f.apply(RejectReplacement(f.exchange.now, old.id))
    assert (f.now(old).status, f.now(old).replaced_by, f.now(new).status) == (Status.NEW, None, Status.REJECTED)
    assert f.events[-2:] == ["order_replace_rejected", "rejected"]
    f.apply(Cancel(f.exchange.now, old.id))
    f.minute(1)
    assert f.now(old).status is Status.CANCELED


def test_an_order_that_fills_in_part_stays_so_when_its_replacement_is_rejected(floor: Floors) -> None:
    f = floor(THIN)
    old = f.order("buy", 10)
    hold(f, Step.REPLACE)
    new = replaced(f, old, time_in_force=TimeInForce.GTC)
    f.minute(0)
    f.apply(RejectReplacement(f.exchange.now, old.id))
    assert (f.now(old).status, f.now(new).status) == (Status.PARTIALLY_FILLED, Status.REJECTED)
    f.apply(RejectReplacement(f.exchange.now, old.id))
    assert f.events[-2:] == ["order_replace_rejected", "rejected"], "nothing is on its way any more"


def test_what_the_old_order_fills_meanwhile_is_taken_from_its_replacement(floor: Floors) -> None:
    f = floor(THIN)
    old = f.order("buy", 10)
    hold(f, Step.REPLACE)
    new = replaced(f, old, time_in_force=TimeInForce.GTC)
    f.minute(0)
    f.minute(1)
    assert (f.now(old).status, f.now(old).filled_quantity, f.now(new).quantity) == (Status.REPLACED, 8, 2)
    f.minute(2)
    assert f.now(new).status is Status.FILLED
    assert f.exchange.books.held("SPY") == 10


def test_a_pending_replacement_needs_no_shares_twice(floor: Floors) -> None:
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    stop = f.order("sell", 10, "stop", stop_price="90")
    hold(f, Step.REPLACE)
    new = replaced(f, stop, stop_price=Decimal(91))
    assert new.status is Status.PENDING_NEW
    with pytest.raises(Refusal, match="insufficient qty") as refusal:
        f.order("sell", 1)
    assert refusal.value.details["held_for_orders"] == "10"


def test_nothing_fills_in_a_halt_and_orders_sent_in_it_wait(floor: Floors) -> None:
    """TL-5."""
    f = floor(CALM)
    resting = f.order("buy", 5, "limit", limit_price="101")
    f.apply(Halt(f.exchange.now, "SPY", OPEN + timedelta(minutes=2, seconds=30)))
    sent = f.order("buy", 5, "limit", limit_price="101")
    assert sent.status is Status.ACCEPTED
    f.minute(0)
    f.minute(1)
    assert (f.now(resting).status, f.now(sent).status) == (Status.NEW, Status.ACCEPTED)
    f.minute(2)
    assert (f.now(resting).average_price, f.now(sent).average_price) == (100, 100), "the bar's close came after it"


def test_a_venue_may_take_its_time_with_everything(floor: Floors) -> None:
    f = floor(CALM, pending_secs=Decimal(90))
    order = f.order("buy", 5, "limit", limit_price="95")
    assert order.status is Status.PENDING_NEW
    f.minute(0)
    f.minute(1)
    f.apply(Cancel(f.exchange.now, order.id))
    assert f.now(order).status is Status.PENDING_CANCEL
