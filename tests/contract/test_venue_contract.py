"""The adapters against papermarket over real HTTP and WebSockets: what the services rely on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest

from holdfast_exchange.account_commands import Announce
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.recording import Recording, load
from holdfast_papermarket.embedded import Embedded, embedded
from holdfast_runtime.ports.venue import (
    Bar,
    FeedEvent,
    OrderRefused,
    OrderRequest,
    OrderType,
    Quote,
    RefusalKind,
    Side,
    StreamDown,
    StreamUp,
    Timeframe,
    TimeInForce,
    TradeUpdate,
    Unauthorised,
)
from holdfast_venue.broker import AlpacaBroker
from holdfast_venue.factory import open_broker, open_feed
from holdfast_venue.feed import AlpacaFeed
from tests.contract.venue_client import KeysAsSecrets, VenueTime, clock, settings_of

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
MORNING = OPEN + timedelta(minutes=10)
MUTE_AFTER_SECS = 3.0


@pytest.fixture(scope="module")
def recording() -> Recording:
    return load(default_folder_of("equity"), symbols=("SPY", "IBM"))


@pytest.fixture
async def market(recording: Recording, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded(recording, tmp_path) as running:
        running.step_to(MORNING)
        yield running


@pytest.fixture
async def broker(market: Embedded) -> AsyncIterator[AlpacaBroker]:
    secrets = KeysAsSecrets(market.keys.key, market.keys.secret)
    opened = open_broker(settings_of(market), secrets, monotonic_clock=clock, environ={})
    yield opened
    await opened.close()


@pytest.fixture
async def feed(market: Embedded) -> AsyncIterator[AlpacaFeed]:
    secrets = KeysAsSecrets(market.keys.key, market.keys.secret)
    opened = open_feed(settings_of(market), secrets, market_clock=VenueTime(market), monotonic_clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def entry(market: Embedded) -> OrderRequest:
    """Ten shares of SPY at a limit that the market meets, protected 5 % below."""
    price = market.venue.exchange.price_of("SPY")
    return OrderRequest(
        client_order_id="hf-entry",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(10),
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=(price * Decimal("1.02")).quantize(Decimal("0.01")),
        protect_stop_price=(price * Decimal("0.95")).quantize(Decimal("0.01")),
    )


async def send(broker: AlpacaBroker, order: OrderRequest) -> Any:
    return await broker.submit_order(order, last_write_at_secs=clock.now_secs() + 60)


async def refusal(call: Any) -> RefusalKind:
    with pytest.raises(OrderRefused) as refused:
        await call
    return refused.value.kind


async def take(stream: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(60):
        return [await anext(stream) for _ in range(count)]


def tick(market: Embedded, minutes: int = 1) -> None:
    market.step_to(market.venue.exchange.market.released + timedelta(minutes=minutes))


async def test_an_entry_fills_at_the_next_tick_and_its_stop_awakes(market: Embedded, broker: Any, entry: OrderRequest):
    told = await send(broker, entry)
    assert (told.quantity, told.filled_quantity, told.legs[0].side) == (Decimal(10), Decimal(0), Side.SELL)
    assert await broker.positions() == []
    tick(market)
    filled = await broker.order_by_client_id("hf-entry")
    assert filled is not None
    assert (filled.order_id, filled.status, filled.filled_quantity) == (told.order_id, "filled", Decimal(10))
    (position,) = await broker.positions()
    assert (position.symbol, position.quantity, position.average_price) == (
        "SPY",
        Decimal(10),
        filled.filled_average_price,
    )
    (fill,) = await broker.fills(since=None)
    assert (fill.order_id, fill.cumulative_quantity, fill.at) == (
        told.order_id,
        Decimal(10),
        MORNING + timedelta(minutes=1),
    )
    account = await broker.account()
    assert account.cash == Decimal(100_000) - Decimal(10) * fill.price
    assert account.live is False
    leg = await broker.order(told.legs[0].order_id)
    assert leg is not None
    assert (leg.status, leg.type, leg.stop_price) == ("new", "stop", entry.protect_stop_price)
    assert [order.order_id for order in await broker.orders(open_only=True)] == [leg.order_id]


async def test_updates_tell_what_happened_and_count_what_the_venue_counts(
    market: Embedded, broker: Any, entry: OrderRequest
):
    """Flow trade_updates."""
    stream = broker.updates()
    assert await take(stream, 1) == [StreamUp()]
    told = await send(broker, entry)
    tick(market)
    updates: list[TradeUpdate] = []
    while not updates or updates[-1].position < (market.venue.updates.sent or 0):
        updates += await take(stream, 1)
    assert [update.position for update in updates] == list(range(1, len(updates) + 1))
    (fill,) = [update for update in updates if update.event == "fill"]
    assert (fill.order.order_id, fill.order.status, fill.quantity) == (told.order_id, "filled", Decimal(10))
    assert fill.execution_id in (await broker.fills(since=None))[0].activity_id
    await stream.aclose()


async def test_a_client_order_id_is_taken_once_for_ever(market: Embedded, broker: Any, entry: OrderRequest):
    """Trap 6: it stays consumed after a cancel."""
    told = await send(broker, entry)
    assert await refusal(send(broker, entry)) is RefusalKind.DUPLICATE_CLIENT_ID
    await broker.cancel_order(told.order_id)
    assert await refusal(send(broker, entry)) is RefusalKind.DUPLICATE_CLIENT_ID
    found = await broker.order_by_client_id(entry.client_order_id)
    assert (found.order_id, found.status) == (told.order_id, "canceled")
    assert await refusal(broker.cancel_order(told.order_id)) is RefusalKind.NOT_CANCELABLE
    assert await broker.order_by_client_id("hf-never") is None
    assert await broker.order("00000000-0000-0000-0000-000000000000") is None


async def test_every_no_of_the_venue_is_told_apart(market: Embedded, broker: Any, entry: OrderRequest):
    """Order protocol, point 6."""
    await send(broker, entry)
    tick(market)
    price = market.venue.exchange.price_of("SPY")
    exit_order = OrderRequest(
        client_order_id="hf-exit",
        symbol="SPY",
        side=Side.SELL,
        quantity=Decimal(10),
        type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    stop = replace(exit_order, client_order_id="hf-stop", type=OrderType.STOP, time_in_force=TimeInForce.GTC)
    again = replace(entry, client_order_id="hf-again", protect_stop_price=None)
    assert await refusal(send(broker, exit_order)) is RefusalKind.SHARES_HELD
    assert await refusal(send(broker, again)) is RefusalKind.WASH_TRADE
    other = replace(again, symbol="IBM", quantity=Decimal(10_000), limit_price=Decimal(190))
    assert await refusal(send(broker, other)) is RefusalKind.BUYING_POWER
    unknown = replace(again, symbol="NOPE")
    assert await refusal(send(broker, unknown)) is RefusalKind.NOT_TRADABLE
    (leg,) = await broker.orders(open_only=True)
    await broker.cancel_order(leg.order_id)
    through = replace(stop, stop_price=(price + 5).quantize(Decimal("0.01")))
    assert await refusal(send(broker, through)) is RefusalKind.STOP_THROUGH_PRICE
    assert (await send(broker, exit_order)).side is Side.SELL
    tick(market)
    assert await broker.positions() == []


async def test_a_stop_becomes_good_till_cancelled_by_replacement(market: Embedded, broker: Any, entry: OrderRequest):
    """Order protocol, point 12: a new order, chained to the old one."""
    await send(broker, entry)
    tick(market)
    (leg,) = await broker.orders(open_only=True)
    made = await broker.replace_order(leg.order_id, client_order_id="hf-stop-r1", time_in_force=TimeInForce.GTC)
    assert (made.replaces, made.quantity, made.stop_price) == (leg.order_id, leg.quantity, leg.stop_price)
    tick(market)
    now = await broker.order(made.order_id)
    old = await broker.order(leg.order_id)
    assert (now.time_in_force, now.status) == ("gtc", "new")
    assert (old.status, old.replaced_by) == ("replaced", made.order_id)


async def test_the_complete_list_of_orders_is_read_past_the_limit_of_a_page(market: Embedded, broker: Any):
    resting = OrderRequest(
        client_order_id="",
        symbol="IBM",
        side=Side.BUY,
        quantity=Decimal(1),
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("1.00"),
    )
    sent = []
    for number in range(560):
        sent.append((await send(broker, replace(resting, client_order_id=f"hf-{number}"))).order_id)
        if number % 100 == 99:
            tick(market)
    listed = await broker.orders(open_only=True)
    assert [order.order_id for order in listed] == sent
    recent = await broker.orders(open_only=False, since=listed[300].submitted_at)
    assert [order.order_id for order in recent] == sent[300:]


async def test_data_streams_in_order_and_counts_what_the_venue_counts(market: Embedded, feed: Any):
    """Flow data; a bar is visible at its end."""
    stream = feed.stream(("SPY", "IBM"))
    assert await take(stream, 1) == [StreamUp()]
    tick(market, 3)
    events: list[FeedEvent] = []
    while not events or events[-1].position < (market.venue.data.sent or 0):
        events += await take(stream, 1)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    bars = [event.item for event in events if isinstance(event.item, Bar)]
    assert {bar.symbol for bar in bars} == {"SPY", "IBM"}
    assert bars[-1].end == MORNING + timedelta(minutes=3)
    told = {
        (bar.symbol, bar.start): bar.close for bar in market.venue.exchange.market.bars_ending(bars[-1].end).values()
    }
    for (symbol, start), close in told.items():
        assert [bar.close for bar in bars if (bar.symbol, bar.start) == (symbol, start)] == [close]
    await stream.aclose()


async def test_history_and_newest_quotes_show_nothing_of_the_future(market: Embedded, feed: Any):
    bars = await feed.bars(("SPY",), Timeframe.MINUTE, OPEN, OPEN + timedelta(days=1))
    assert [bar.start for bar in bars["SPY"]] == [OPEN + timedelta(minutes=n) for n in range(10)]
    daily = await feed.bars(("SPY",), Timeframe.DAY, OPEN - timedelta(days=400), OPEN + timedelta(days=30))
    assert daily["SPY"]
    assert daily["SPY"][-1].end < OPEN
    assert [bar.start for bar in daily["SPY"]] == sorted(bar.start for bar in daily["SPY"])
    quotes = await feed.latest_quotes(("SPY", "IBM"))
    assert all(isinstance(quote, Quote) and quote.at <= MORNING for quote in quotes.values())


async def test_a_quiet_venue_is_not_taken_for_a_mute_one(market: Embedded):
    """In lock-step the venue waits for the services: it is silent, and answers when it is asked."""
    secrets = KeysAsSecrets(market.keys.key, market.keys.secret)
    settings = settings_of(market, mute_after_secs=MUTE_AFTER_SECS)
    broker = open_broker(settings, secrets, monotonic_clock=clock, environ={})
    feed = open_feed(settings, secrets, market_clock=VenueTime(market), monotonic_clock=clock)
    seen: list[Any] = []
    both_up = asyncio.Event()

    async def collect(stream: AsyncIterator[Any]) -> None:
        async for item in stream:
            seen.append(item)
            if seen.count(StreamUp()) == 2:
                both_up.set()

    tasks = [asyncio.create_task(collect(stream)) for stream in (broker.updates(), feed.stream(("SPY",)))]
    await asyncio.wait_for(both_up.wait(), 60)
    # Three times the silence that would be taken for a mute stream; nothing ends in it.
    done, _ = await asyncio.wait(tasks, timeout=3 * MUTE_AFTER_SECS)
    assert not done
    assert seen.count(StreamUp()) == 2
    assert not [item for item in seen if isinstance(item, StreamDown)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await broker.close()
    await feed.close()


async def test_wrong_keys_are_refused_everywhere(market: Embedded):
    secrets = KeysAsSecrets("wrong-key", "wrong-secret")
    broker = open_broker(settings_of(market), secrets, monotonic_clock=clock, environ={})
    with pytest.raises(Unauthorised):
        await broker.account()
    secrets.key, secrets.secret = market.keys.key, market.keys.secret
    assert (await broker.account()).cash == Decimal(100_000)
    await broker.close()


async def test_assets_and_the_clock_are_told(market: Embedded, broker: Any):
    asset = await broker.asset("SPY")
    assert (asset.symbol, asset.tradable) == ("SPY", True)
    assert await broker.asset("NOPE") is None
    told = await broker.clock()
    assert (told.now, told.is_open) == (MORNING, True)
    assert told.next_close == datetime(2013, 10, 7, 20, tzinfo=UTC)


async def test_proceeds_of_the_day_are_cash_that_has_not_settled(market: Embedded, broker: Any, entry: OrderRequest):
    """BR-7: what coins may not be paid with before the next session."""
    await send(broker, replace(entry, type=OrderType.MARKET, limit_price=None, protect_stop_price=None))
    tick(market)
    account = await broker.account()
    assert account.settled_cash == account.cash
    sale = replace(entry, client_order_id="hf-exit", side=Side.SELL, type=OrderType.MARKET, limit_price=None)
    await send(broker, replace(sale, protect_stop_price=None))
    tick(market)
    [sold] = [fill for fill in await broker.fills(since=None) if fill.side is Side.SELL]
    account = await broker.account()
    assert account.settled_cash == account.cash - sold.quantity * sold.price


async def test_a_split_is_one_change_of_shares_and_its_order_keeps_its_id(
    market: Embedded, broker: Any, entry: OrderRequest
):
    """Order protocol, point 11: adjustments come from the account's activities."""
    told = await send(broker, entry)
    tick(market)
    stream = broker.updates()
    assert await take(stream, 1) == [StreamUp()]
    for kind, fields in (
        (ActionKind.FORWARD_SPLIT, {"new_rate": Decimal(7)}),
        (ActionKind.CASH_DIVIDEND, {"cash": Decimal("0.5"), "payable_date": market.venue.exchange.now.date()}),
    ):
        action = CorporateAction(kind=kind, symbol="SPY", ex_date=market.venue.exchange.now.date(), **fields)
        market.venue.carry_out(Announce(market.venue.exchange.now, action))
    split, dividend = await broker.fees(since=None)
    assert (split.kind, split.symbol, split.quantity, split.cash) == ("SPLIT", "SPY", Decimal(60), Decimal(0))
    assert (dividend.kind, dividend.quantity, dividend.cash) == ("DIV", Decimal(0), Decimal(35))
    restated, lowered = await take(stream, 2)
    leg = told.legs[0]
    assert (restated.event, restated.order.order_id, restated.order.quantity) == ("restated", leg.order_id, Decimal(70))
    assert restated.order.stop_price == (leg.stop_price / 7).quantize(Decimal("0.01"), ROUND_DOWN)
    assert lowered.order.stop_price == restated.order.stop_price - Decimal("0.5")
