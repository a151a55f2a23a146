"""The life of orders in Alpaca's states and words (BR-1 … BR-8; alpaca.md traps 6, 9, 13, 14, 16)."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast_exchange.commands import Cancel, Replace
from holdfast_exchange.orders import Refusal, Replacement, Status, TimeInForce
from libs.exchange.tests.exchange_floor import CLOSE, OPEN, Floor, bar, quote

Floors = Callable[..., Floor]
CALM = [bar(n, "100", "101", "99", "100") for n in range(6)]


def test_a_market_order_fills_at_the_open_of_the_next_bar(floor: Floors) -> None:
    f = floor([bar(0, "100", "101", "99", "100"), bar(1, "100.50", "102", "100", "101")])
    f.minute(0)
    order = f.order("buy", 10)
    assert f.now(order).status is Status.NEW
    f.minute(1)
    assert f.now(order).status is Status.FILLED
    assert f.now(order).average_price == Decimal("100.50")
    assert f.events == ["new", "fill"]


def test_where_a_quote_is_recorded_a_purchase_pays_the_ask_and_a_sale_gets_the_bid(floor: Floors) -> None:
    f = floor(CALM, [quote(n, "99.90", "100.10") for n in range(6)])
    bought = f.order("buy", 10)
    f.minute(0)
    sold = f.order("sell", 10)
    f.minute(1)
    assert f.now(bought).average_price == Decimal("100.10")
    assert f.now(sold).average_price == Decimal("99.90")


def test_slippage_goes_against_the_order(floor: Floors) -> None:
    f = floor(CALM, slippage_bps=Decimal(10))
    bought = f.order("buy", 10)
    f.minute(0)
    sold = f.order("sell", 10)
    f.minute(1)
    assert f.now(bought).average_price == Decimal("100.1")
    assert f.now(sold).average_price == Decimal("99.9")


def test_an_order_never_fills_on_what_was_visible_when_it_was_accepted(floor: Floors) -> None:
    f = floor(CALM)
    f.minute(0)
    order = f.order("buy", 1)
    f.tick(f.exchange.now + timedelta(seconds=30))
    assert f.now(order).status is Status.NEW


def test_a_bar_that_had_begun_before_the_order_counts_with_its_close_alone(floor: Floors) -> None:
    f = floor([bar(0, "90", "110", "80", "105"), *CALM[1:]])
    f.tick(OPEN + timedelta(seconds=30))
    order = f.order("buy", 1)
    f.minute(0)
    assert f.now(order).average_price == Decimal(105)


def test_a_limit_order_waits_for_its_price_and_gets_the_open_where_that_is_better(floor: Floors) -> None:
    f = floor([bar(0, "100", "101", "99.50", "100"), bar(1, "100", "100", "98", "99"), bar(2, "97", "98", "96", "97")])
    at_limit = f.order("buy", 1, "limit", limit_price="99")
    gapped = f.order("buy", 1, "limit", limit_price="97.50")
    f.minute(0)
    assert f.now(at_limit).status is Status.NEW
    f.minute(1)
    f.minute(2)
    assert f.now(at_limit).average_price == Decimal(99)
    assert f.now(gapped).average_price == Decimal(97)


def test_a_stop_triggers_when_its_price_trades_and_pays_the_gap(floor: Floors) -> None:
    f = floor([*CALM[:2], bar(2, "100", "100", "97", "98"), bar(3, "90", "91", "89", "90")])
    f.order("buy", 20)
    f.minute(0)
    touched = f.order("sell", 10, "stop", stop_price="98")
    gapped = f.order("sell", 10, "stop", stop_price="95")
    f.minute(1)
    f.minute(2)
    f.minute(3)
    assert f.now(touched).average_price == Decimal(98)
    assert f.now(gapped).average_price == Decimal(90)


def test_never_more_than_the_volume_share_fills_and_the_rest_waits(floor: Floors) -> None:
    f = floor([bar(n, "100", "101", "99", "100", volume=10) for n in range(6)], volume_share=Decimal("0.5"))
    order = f.order("buy", 12)
    f.minute(0)
    assert f.now(order).status is Status.PARTIALLY_FILLED
    assert f.now(order).filled_quantity == 5
    f.minute(1)
    f.minute(2)
    assert f.now(order).status is Status.FILLED
    assert [fill.cumulative for fill in f.exchange.books.fills] == [5, 10, 12]
    assert f.events == ["new", "partial_fill", "partial_fill", "fill"]


def test_an_immediate_or_cancel_order_has_one_chance(floor: Floors) -> None:
    f = floor([bar(n, "100", "101", "99", "100", volume=4) for n in range(3)])
    order = f.order("buy", 10, tif="ioc")
    f.minute(0)
    assert f.now(order).status is Status.CANCELED
    assert f.now(order).filled_quantity == 4


def test_a_protective_leg_is_held_until_its_parent_is_completely_filled(floor: Floors) -> None:
    """Trap 9: a partial fill leaves the leg asleep."""
    f = floor([bar(n, "100", "101", "99", "100", volume=5) for n in range(4)])
    parent = f.order("buy", 10, "limit", limit_price="101", protect_stop_price="90")
    assert parent.leg is not None
    leg = f.exchange.order(parent.leg)
    assert (leg.status, leg.parent) == (Status.HELD, parent.id)
    f.minute(0)
    assert f.now(leg).status is Status.HELD
    f.minute(1)
    assert f.now(parent).status is Status.FILLED
    assert f.now(leg).status is Status.NEW
    assert f.events == ["new", "partial_fill", "fill", "new"]


def test_cancelling_the_parent_cancels_its_held_leg(floor: Floors) -> None:
    f = floor(CALM)
    parent = f.order("buy", 10, "limit", limit_price="95", protect_stop_price="90")
    f.apply(Cancel(f.exchange.now, parent.id))
    assert parent.leg is not None
    assert [f.now(parent).status, f.exchange.order(parent.leg).status] == [Status.CANCELED] * 2
    assert f.events[-2:] == ["canceled", "canceled"]


def test_a_day_order_expires_at_the_close_and_a_gtc_order_stays(floor: Floors) -> None:
    f = floor(CALM)
    day = f.order("buy", 1, "limit", limit_price="50")
    gtc = f.order("buy", 1, "limit", limit_price="50", tif="gtc")
    f.tick(CLOSE)
    assert f.now(day).status is Status.EXPIRED
    assert f.now(gtc).status is Status.NEW


def test_a_day_order_sent_while_the_market_is_closed_waits_for_the_open(floor: Floors) -> None:
    f = floor(CALM)
    f.tick(CLOSE)
    order = f.order("buy", 1)
    assert order.status is Status.ACCEPTED
    f.tick(OPEN + timedelta(days=1))
    assert f.now(order).status is Status.NEW
    assert f.now(order).expires_at == CLOSE + timedelta(days=1)


def test_a_replacement_is_a_new_order_that_keeps_the_chain(floor: Floors) -> None:
    """Trap 16."""
    f = floor(CALM)
    parent = f.order("buy", 10, "limit", limit_price="101", protect_stop_price="90")
    f.minute(0)
    assert parent.leg is not None
    change = Replacement(time_in_force=TimeInForce.GTC, client_order_id="hf-leg-r1")
    made = f.apply(Replace(f.exchange.now, parent.leg, change))
    assert made is not None
    old = f.exchange.order(parent.leg)
    assert (old.status, old.replaced_by, made.replaces) == (Status.REPLACED, made.id, old.id)
    assert (made.time_in_force, made.quantity, made.stop_price) == (TimeInForce.GTC, 10, Decimal(90))
    assert f.now(parent).leg == made.id
    f.tick(CLOSE)
    assert f.now(made).status is Status.NEW, "a GTC stop outlives the close"


def test_a_held_leg_and_a_queued_order_cannot_be_replaced(floor: Floors) -> None:
    f = floor(CALM)
    parent = f.order("buy", 10, "limit", limit_price="95", protect_stop_price="90")
    f.tick(CLOSE)
    queued = f.order("buy", 1, "limit", limit_price="95")
    for order_id in (parent.leg, queued.id):
        with pytest.raises(Refusal, match="state") as refusal:
            f.apply(Replace(f.exchange.now, str(order_id), Replacement(quantity=Decimal(1))))
        assert refusal.value.status == 422


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"symbol": "NOPE"}, 422, 42210000, 'asset "NOPE" not found'),
        ({"symbol": "BAD"}, 422, 42210000, "not tradable"),
        ({"client_order_id": "taken"}, 422, 40010001, "client_order_id must be unique"),
        ({"quantity": 10_000}, 403, 40310000, "insufficient buying power"),
        ({"quantity": 0}, 422, 42210000, "qty must be > 0"),
        ({"side": "sell"}, 403, 40310000, "not allowed to short"),
        ({"kind": "limit"}, 422, 42210000, "limit price"),
        ({"kind": "limit", "limit_price": "99.995"}, 422, 42210000, "sub-penny"),
        ({"kind": "stop", "stop_price": "95"}, 422, 42210000, "stop price must be greater"),
        ({"kind": "limit", "limit_price": "99", "protect_stop_price": "99"}, 422, 42210000, "stop_loss.stop_price"),
        ({"client_order_id": "x" * 129}, 422, 42210000, "client_order_id"),
    ],
)
def test_a_refused_order_leaves_no_trace(
    floor: Floors, fields: dict[str, object], status: int, code: int, message: str
) -> None:
    f = floor([*CALM, bar(0, "10", "10", "10", "10", symbol="BAD")], assets={"BAD": {"tradable": False}})
    f.minute(0)
    taken = f.order("buy", 1, "limit", limit_price="50", client_order_id="taken")
    f.apply(Cancel(f.exchange.now, taken.id))
    before = f.exchange.state()
    asked = {"side": "buy", "quantity": 1, "kind": "market"} | fields
    with pytest.raises(Refusal, match=message) as refusal:
        f.order(asked.pop("side"), asked.pop("quantity"), asked.pop("kind"), **asked)
    assert (refusal.value.status, refusal.value.code) == (status, code)
    assert f.exchange.state() == before


def test_a_client_order_id_stays_taken_after_its_order_is_gone(floor: Floors) -> None:
    """Trap 6."""
    f = floor(CALM)
    order = f.order("buy", 1, "limit", limit_price="50", client_order_id="once")
    f.apply(Cancel(f.exchange.now, order.id))
    with pytest.raises(Refusal, match="unique"):
        f.order("buy", 1, "limit", limit_price="50", client_order_id="once")


def test_shares_held_by_a_stop_cannot_be_sold_by_another_order(floor: Floors) -> None:
    """Trap 14."""
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    stop = f.order("sell", 8, "stop", stop_price="90")
    with pytest.raises(Refusal, match="insufficient qty") as refusal:
        f.order("sell", 5)
    assert refusal.value.status == 403
    assert refusal.value.details["held_for_orders"] == "8"
    assert refusal.value.details["available"] == "2"
    f.apply(Cancel(f.exchange.now, stop.id))
    f.order("sell", 10)


def test_an_order_against_an_own_resting_one_is_a_wash_trade(floor: Floors) -> None:
    """Trap 13."""
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    f.order("sell", 10, "stop", stop_price="90")
    with pytest.raises(Refusal, match="wash trade") as refusal:
        f.order("buy", 1)
    assert refusal.value.status == 403


def test_a_stop_through_the_price_is_refused(floor: Floors) -> None:
    """Trap 14."""
    f = floor(CALM)
    f.order("buy", 10)
    f.minute(0)
    with pytest.raises(Refusal, match="stop price must be less") as refusal:
        f.order("sell", 10, "stop", stop_price="100")
    assert refusal.value.status == 422


def test_a_finished_order_cannot_be_cancelled(floor: Floors) -> None:
    f = floor(CALM)
    order = f.order("buy", 1)
    f.minute(0)
    with pytest.raises(Refusal, match='already in "filled" state') as refusal:
        f.apply(Cancel(f.exchange.now, order.id))
    assert refusal.value.status == 422
    with pytest.raises(Refusal, match="order not found") as refusal:
        f.apply(Cancel(f.exchange.now, "unknown"))
    assert refusal.value.status == 404


def test_the_books_after_a_round_trip(floor: Floors) -> None:
    """BR-6: cash, position, average price and realised profit to the cent."""
    f = floor([*CALM[:2], bar(2, "110", "110", "110", "110"), bar(3, "120", "120", "120", "120")])
    f.order("buy", 10)
    f.minute(0)
    f.minute(1)
    f.order("buy", 10)
    f.minute(2)
    books = f.exchange.books
    assert books.positions["SPY"].average_price == Decimal(105)
    f.order("sell", 5)
    f.minute(3)
    assert books.cash == 100_000 - 1_000 - 1_100 + 600
    assert books.realised_total == 75
    assert books.held("SPY") == 15
    assert f.exchange.equity() == books.cash + 15 * 120


def test_the_same_commands_give_the_same_ids(floor: Floors) -> None:
    f = floor(CALM)
    f.order("buy", 10, "limit", limit_price="101", protect_stop_price="90")
    f.minute(0)
    assert f.again(f.commands).state() == f.exchange.state()
