"""What the adapter sends and how it reads Alpaca's answers (traps 4, 7, 8; order protocol, point 8)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import AskPerson, Malformed
from holdfast_runtime.ports.venue import BrokerPosition, Side, TimeInForce, VenueUnavailable
from holdfast_venue import parsing
from holdfast_venue.broker import submit_body

Told = Callable[..., dict[str, Any]]
START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def query_of(request: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


async def test_an_entry_leaves_as_oto_with_its_stop_and_numbers_as_strings(
    venue: Any, broker: Any, entry: Any, answers: Any, told: Told
):
    """Trap 7; protection."""
    venue.then(answers.json(200, told()))
    await broker.submit_order(entry, last_write_at_secs=SystemMonotonicClock().now_secs() + 60)
    request = venue.requests[0]
    assert (request.method, request.target) == ("POST", "/v2/orders")
    assert request.json == {
        "symbol": "SPY",
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "client_order_id": "hf-one",
        "limit_price": "168.42",
        "order_class": "oto",
        "stop_loss": {"stop_price": "160.10"},
    }


async def test_a_replacement_leaves_with_an_id_of_its_own(venue: Any, broker: Any, answers: Any, told: Told):
    replaced = told(id="new", client_order_id="hf-one-r1", replaces="old", time_in_force="gtc", status="pending_new")
    venue.then(answers.json(200, replaced))
    order = await broker.replace_order("old", client_order_id="hf-one-r1", time_in_force=TimeInForce.GTC)
    assert (venue.requests[0].method, venue.requests[0].target) == ("PATCH", "/v2/orders/old")
    assert venue.requests[0].json == {"client_order_id": "hf-one-r1", "time_in_force": "gtc"}
    assert (order.order_id, order.replaces) == ("new", "old")


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "Infinity"])
def test_an_absurd_quantity_is_never_sent(entry: Any, quantity: str):
    from dataclasses import replace

    with pytest.raises(ValueError, match="quantity"):
        submit_body(replace(entry, quantity=Decimal(quantity)))


def test_an_order_keeps_words_it_does_not_know_and_exact_numbers(told: Told):
    """Trap 4: pending_review is beyond the SDK's list."""
    leg = told(id="leg", client_order_id="venue-made", side="sell", type="stop", status="held", stop_price="160.1")
    order = parsing.order(
        told(
            status="pending_review", filled_qty="3", filled_avg_price="168.4166666666667", legs=[leg], novelty={"a": 1}
        )
    )
    assert order.status == "pending_review"
    assert order.filled_average_price == Decimal("168.416666667")
    assert order.limit_price == Decimal("168.42")
    assert order.submitted_at == datetime(2013, 10, 7, 13, 35, 0, 123456, tzinfo=UTC)
    assert order.legs[0].side is Side.SELL
    assert order.legs[0].stop_price == Decimal("160.1")


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": "NaN"},
        {"qty": "1e30"},
        {"qty": "-1"},
        {"qty": None},
        {"qty": True},
        {"filled_qty": "11"},
        {"limit_price": "Infinity"},
        {"side": "sideways"},
        {"id": ""},
        {"symbol": None},
        {"status": None},
        {"submitted_at": "2013-10-07T13:35:00"},
        {"submitted_at": "yesterday"},
        {"legs": "none"},
    ],
)
def test_an_absurd_order_is_refused_naming_the_field(told: Told, changes: dict[str, Any]):
    with pytest.raises(Malformed, match=next(iter(changes))):
        parsing.order(told(**changes))


async def test_an_unreadable_order_makes_the_list_unavailable_rather_than_short(
    venue: Any, broker: Any, answers: Any, told: Told
):
    """Nothing is guessed: a list without it would prove its absence."""
    venue.then(answers.json(200, [told(), told(id="b", qty="NaN")]))
    with pytest.raises(VenueUnavailable):
        await broker.orders(open_only=False)


async def test_the_list_of_orders_is_paged_by_time_until_it_is_complete(
    venue: Any, broker: Any, answers: Any, told: Told
):
    """Order lists: 500 at most and no pagination; `after` excludes orders that share its instant."""
    book = [
        told(id=f"order-{number:04}", client_order_id=f"hf-{number}", submitted_at=at.isoformat())
        for number in range(1_203)
        for at in [START + timedelta(seconds=number // 7)]
    ]

    async def listing(request: Any, writer: Any) -> None:
        query = query_of(request)
        assert (query["status"], query["nested"], query["direction"]) == ("all", "true", "asc")
        after = datetime.fromisoformat(query["after"]) if "after" in query else datetime.min.replace(tzinfo=UTC)
        later = [order for order in book if datetime.fromisoformat(order["submitted_at"]) > after]
        await answers.json(200, later[: int(query["limit"])])(request, writer)

    venue.then(listing)
    orders = await broker.orders(open_only=False)
    assert [order.order_id for order in orders] == [order["id"] for order in book]
    since = START + timedelta(seconds=100)
    recent = await broker.orders(open_only=False, since=since)
    assert {order.order_id for order in recent} == {
        order["id"] for order in book if datetime.fromisoformat(order["submitted_at"]) >= since
    }


async def test_more_orders_of_one_instant_than_a_page_holds_are_said_to_be_unreadable(
    venue: Any, broker: Any, answers: Any, told: Told
):
    venue.then(answers.json(200, [told(id=f"order-{number}") for number in range(500)]))
    with pytest.raises(VenueUnavailable):
        await broker.orders(open_only=True)


async def test_fills_are_paged_to_the_end_with_their_cumulative_quantity(venue: Any, broker: Any, answers: Any):
    activities = [
        {
            "id": f"2013100709350000{number:03}::fill",
            "activity_type": "FILL",
            "transaction_time": (START + timedelta(seconds=number)).isoformat(),
            "type": "partial_fill",
            "price": "168.42",
            "qty": "1",
            "side": "buy",
            "symbol": "SPY",
            "leaves_qty": str(300 - number),
            "order_id": "order",
            "cum_qty": str(number + 1),
            "order_status": "partially_filled",
        }
        for number in range(250)
    ]

    async def listing(request: Any, writer: Any) -> None:
        query = query_of(request)
        assert query["activity_types"] == "FILL"
        ids = [activity["id"] for activity in activities]
        begin = ids.index(query["page_token"]) + 1 if "page_token" in query else 0
        await answers.json(200, activities[begin : begin + int(query["page_size"])])(request, writer)

    venue.then(listing)
    fills = await broker.fills(since=None)
    assert [fill.cumulative_quantity for fill in fills] == [Decimal(number + 1) for number in range(250)]
    assert fills[0].at == START
    assert fills[0].price == Decimal("168.42")


async def test_positions_are_signed(venue: Any, broker: Any, answers: Any):
    venue.then(
        answers.json(
            200,
            [
                {"symbol": "SPY", "qty": "10", "qty_available": "3", "avg_entry_price": "168.5", "side": "long"},
                {"symbol": "IBM", "qty": "-3", "avg_entry_price": "184.02", "side": "short"},
            ],
        )
    )
    assert await broker.positions() == [
        BrokerPosition(symbol="SPY", quantity=Decimal(10), average_price=Decimal("168.5"), available=Decimal(3)),
        BrokerPosition(symbol="IBM", quantity=Decimal(-3), average_price=Decimal("184.02")),
    ]


async def test_the_clock_is_aware_and_in_utc(venue: Any, broker: Any, answers: Any):
    """Trap 8."""
    venue.then(
        answers.json(
            200,
            {
                "timestamp": "2013-10-07T09:30:00.000000001-04:00",
                "is_open": True,
                "next_open": "2013-10-08T09:30:00-04:00",
                "next_close": "2013-10-07T16:00:00-04:00",
            },
        )
    )
    clock = await broker.clock()
    assert (clock.now, clock.next_close) == (START, datetime(2013, 10, 7, 20, tzinfo=UTC))


ACCOUNT = {"id": "a", "account_number": "PA3", "cash": "100000", "equity": "100000.5", "buying_power": "80000"}


async def test_the_account_is_read_in_exact_numbers(venue: Any, broker: Any, answers: Any):
    venue.then(answers.json(200, {**ACCOUNT, "trading_blocked": False}))
    account = await broker.account()
    assert (account.cash, account.equity, account.live) == (Decimal(100_000), Decimal("100000.5"), False)
    assert account.settled_cash is None


async def test_settled_cash_is_what_needs_no_margin(venue: Any, broker: Any, answers: Any):
    venue.then(answers.json(200, {**ACCOUNT, "non_marginable_buying_power": "91234.56"}))
    assert (await broker.account()).settled_cash == Decimal("91234.56")


@pytest.mark.parametrize(("number", "live"), [("PA3XYZ", False), ("901234567", True)])
async def test_an_account_that_turns_out_to_be_live_is_refused(
    venue: Any, settings_for: Any, secrets: Any, clock: Any, answers: Any, number: str, live: bool
):
    """Trading on real money needs account.live and --live, wherever the address leads."""
    from holdfast_venue.factory import open_broker

    venue.then(answers.json(200, {**ACCOUNT, "account_number": number}))
    broker = open_broker(settings_for(venue.port, kind="alpaca"), secrets, monotonic_clock=clock, environ={})
    if live:
        with pytest.raises(AskPerson, match="live"):
            await broker.account()
    else:
        assert (await broker.account()).live is False
    await broker.close()
