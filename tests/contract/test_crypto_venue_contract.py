"""The adapters against papermarket's crypto side over real HTTP and WebSockets: what the book relies on (BK-1)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_exchange.combining import load_defaults
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from holdfast_runtime.ports.venue import (
    Bar,
    FeedEvent,
    OrderRefused,
    OrderRequest,
    OrderType,
    Quote,
    Side,
    StreamUp,
    Timeframe,
    TimeInForce,
)
from holdfast_runtime.settings import Book
from holdfast_venue.broker import AlpacaBroker
from holdfast_venue.factory import open_broker, open_feed
from holdfast_venue.feed import AlpacaFeed
from tests.contract.venue_client import KeysAsSecrets, VenueTime, clock, settings_of

MIDNIGHT = datetime(2018, 4, 4, tzinfo=UTC)
MORNING = MIDNIGHT + timedelta(minutes=10)
BTC = "BTC/USD"
QUANTITY = Decimal("0.123456789")


@pytest.fixture(scope="module")
def recording() -> Recording:
    return load_defaults(["crypto"], symbols=(BTC, "LTC/USD")).recording


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
    opened = open_feed(
        settings_of(market), secrets, market_clock=VenueTime(market), monotonic_clock=clock, book=Book.CRYPTO
    )
    yield opened
    await opened.close()


def order(side: Side, kind: OrderType, quantity: Decimal, **changes: object) -> OrderRequest:
    values: dict[str, object] = {
        "client_order_id": f"hf-{side}-{kind}-{quantity}",
        "symbol": BTC,
        "side": side,
        "quantity": quantity,
        "type": kind,
        "time_in_force": TimeInForce.GTC,
    }
    return OrderRequest(**{**values, **changes})  # type: ignore[arg-type]  # the test names what differs


async def sent(broker: AlpacaBroker, request: OrderRequest) -> str:
    return (await broker.submit_order(request, last_write_at_secs=clock.now_secs() + 60)).order_id


async def test_a_fill_of_coins_a_fee_of_coins_and_a_position_that_agrees(
    market: Embedded, broker: AlpacaBroker
) -> None:
    """Trap 17: what is held is what was bought less the fee, to the ninth decimal, under the pair's own name."""
    limit = (market.venue.exchange.price_of(BTC) * Decimal("1.02")).quantize(Decimal("0.01"))
    request = order(Side.BUY, OrderType.LIMIT, QUANTITY, limit_price=limit, time_in_force=TimeInForce.IOC)
    order_id = await sent(broker, request)
    market.clock.step()
    market.step_to(MORNING + timedelta(minutes=1))
    told = await broker.order(order_id)
    assert told is not None
    assert (told.status, told.filled_quantity, told.symbol) == ("filled", QUANTITY, BTC)
    (fill,) = await broker.fills(since=MIDNIGHT)
    (fee,) = await broker.fees(since=MIDNIGHT)
    (position,) = await broker.positions()
    assert (fill.quantity, fill.symbol, position.symbol, fee.symbol, fee.kind) == (QUANTITY, BTC, BTC, BTC, "CFEE")
    assert fee.quantity < 0
    assert fee.cash == 0
    assert position.quantity == QUANTITY + fee.quantity
    account = await broker.account()
    assert account.cash == Decimal(100_000) - (QUANTITY * fill.price).quantize(Decimal("1e-8"))

    stop = order(
        Side.SELL, OrderType.STOP_LIMIT, position.quantity, stop_price=Decimal(6000), limit_price=Decimal(5900)
    )
    stop_id = await sent(broker, stop)
    resting = await broker.order(stop_id)
    assert resting is not None
    assert (resting.type, resting.status, resting.time_in_force) == ("stop_limit", "new", "gtc")
    await broker.cancel_order(stop_id)
    await sent(broker, order(Side.SELL, OrderType.MARKET, position.quantity))
    market.clock.step()
    market.step_to(MORNING + timedelta(minutes=2))
    assert await broker.positions() == []
    bought, sold = await broker.fees(since=MIDNIGHT)
    assert bought == fee
    assert (sold.quantity, sold.cash < 0) == (0, True)
    proceeds = (position.quantity * (await broker.fills(since=MIDNIGHT))[1].price).quantize(Decimal("1e-8"))
    assert (await broker.account()).cash == account.cash + proceeds + sold.cash


@pytest.mark.parametrize(
    "refused",
    [
        order(Side.BUY, OrderType.LIMIT, QUANTITY, limit_price=Decimal(8000), time_in_force=TimeInForce.DAY),
        order(Side.BUY, OrderType.LIMIT, QUANTITY, limit_price=Decimal(8000), protect_stop_price=Decimal(7000)),
        order(Side.SELL, OrderType.MARKET, QUANTITY),
        order(Side.BUY, OrderType.MARKET, Decimal("0.00001")),
    ],
    ids=["day", "oto", "short", "dust"],
)
async def test_what_the_venue_takes_of_no_pair_is_refused(broker: AlpacaBroker, refused: OrderRequest) -> None:
    """BR-5: neither days nor legs, no short sales, no dust."""
    with pytest.raises(OrderRefused):
        await sent(broker, refused)


async def test_an_asset_tells_its_sizes_and_steps(broker: AlpacaBroker) -> None:
    """TL-7: the gate sizes by them."""
    asset = await broker.asset(BTC)
    assert asset is not None
    assert asset.tradable
    assert asset.fractionable
    assert asset.min_order_size is not None
    assert asset.min_trade_increment == Decimal("1e-9")


async def test_pairs_have_history_quotes_and_a_stream_of_their_own(market: Embedded, feed: AlpacaFeed) -> None:
    """TL-3: minutes of the night, days of UTC; every item of the stream counts."""
    symbols = (BTC, "LTC/USD")
    bars = await feed.bars(symbols, Timeframe.MINUTE, MIDNIGHT, MORNING)
    assert {symbol: len(found) for symbol, found in bars.items()} == {BTC: 10, "LTC/USD": 10}
    assert bars[BTC][0].open == Decimal("7424.91")
    days = await feed.bars((BTC,), Timeframe.DAY, MIDNIGHT - timedelta(days=3), MORNING)
    assert [bar.end for bar in days[BTC]] == [MIDNIGHT - timedelta(days=2), MIDNIGHT - timedelta(days=1), MIDNIGHT]
    quotes = await feed.latest_quotes(symbols)
    assert sorted(quotes) == sorted(symbols)
    seen: list[Bar | Quote] = []
    async with asyncio.timeout(60):
        async for event in feed.stream(symbols):
            if isinstance(event, StreamUp):
                market.clock.step()
                market.step_to(MORNING + timedelta(minutes=1))
            if isinstance(event, FeedEvent):
                assert isinstance(event.item, Bar | Quote)
                seen.append(event.item)
                if event.position == market.venue.data_sent:
                    break
    assert {item.symbol for item in seen} == set(symbols)
    assert {type(item) for item in seen} == {Bar, Quote}
