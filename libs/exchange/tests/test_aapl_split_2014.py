"""The seven for one split of AAPL on 2014-06-09, on recorded days: nothing is won, lost or sold by it (BS-2, BR-6)."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from holdfast_exchange import recording
from holdfast_exchange.books import Entry, EntryKind
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.commands import Advance, Command, Submit, decode, encode
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.orders import NewOrder, Order, OrderType, Side, Status, TimeInForce, Update
from holdfast_exchange.replay import Replay, plan

FOLDER = default_folder_of("equity").parent / "aapl_split_2014"
CLOSE_BEFORE = datetime(2014, 6, 6, 20, tzinfo=UTC)
LEAD = datetime(2014, 6, 9, 13, 29, tzinfo=UTC)
CLOSE_AFTER = datetime(2014, 6, 9, 20, tzinfo=UTC)


class Days:
    """An exchange that is walked through the recorded days."""

    def __init__(self, commands: list[Command] | None = None) -> None:
        recorded = recording.load(FOLDER)
        self.replay: Replay = plan(recorded)
        self.exchange = Exchange("split", Market(recorded, self.replay.begin), ExchangeConfig(slippage_bps=Decimal(0)))
        self.commands: list[Command] = []
        self.updates: list[Update] = []
        for command in commands or []:
            self.apply(command)

    def apply(self, command: Command) -> Order | None:
        outcome = self.exchange.apply(command)
        self.commands.append(command)
        self.updates += outcome.updates
        return outcome.order

    def walk(self, until: datetime) -> None:
        while self.exchange.now < until and (following := self.replay.after(self.exchange.now)) is not None:
            self.apply(Advance(self.exchange.tick + 1, following.at, following.data))

    def order(self, side: Side, quantity: int, kind: OrderType, **prices: str) -> Order:
        new = NewOrder(
            symbol="AAPL",
            side=side,
            quantity=Decimal(quantity),
            type=kind,
            time_in_force=TimeInForce.GTC,
            **{name: Decimal(price) for name, price in prices.items()},
        )
        made = self.apply(Submit(self.exchange.now, new))
        assert made is not None
        return made


@pytest.fixture
def days() -> Days:
    """Long of 10 shares at the open of 2014-06-05, at the close before the split."""
    walked = Days()
    walked.walk(datetime(2014, 6, 4, 20, tzinfo=UTC))
    walked.order(Side.BUY, 10, OrderType.MARKET)
    walked.walk(CLOSE_BEFORE)
    return walked


def test_position_and_stop_become_sevenfold_and_profit_does_not_move(days: Days) -> None:
    stop = days.order(Side.SELL, 10, OrderType.STOP, stop_price="600")
    exchange = days.exchange
    assert exchange.books.held("AAPL") == 10
    before = (exchange.equity(), exchange.books.cash, exchange.books.cost_total, exchange.books.realised_total)
    days.walk(LEAD)
    assert exchange.books.held("AAPL") == 70
    assert (exchange.equity(), exchange.books.cash, exchange.books.cost_total, exchange.books.realised_total) == before
    assert exchange.price_of("AAPL") == Decimal("92.224285714"), "645.57 in new shares, before the first trade"
    adjusted = exchange.order(stop.id)
    assert adjusted.quantity == 70
    assert adjusted.stop_price == Decimal("85.71")
    assert adjusted.status is Status.ACCEPTED
    assert [update.event for update in days.updates][-1] == "restated"
    days.walk(CLOSE_AFTER)
    assert exchange.order(stop.id).status is Status.NEW, "not triggered by the lower price"
    assert exchange.books.held("AAPL") == 70
    assert exchange.equity() == exchange.books.cash + 70 * Decimal("93.70")
    days.walk(datetime(2014, 6, 12, 20, tzinfo=UTC))
    assert exchange.order(stop.id).status is Status.NEW
    assert len(exchange.books.fills) == 1


def test_without_the_adjustment_the_stop_would_have_sold(days: Days) -> None:
    """The proof can fail: 600 dollars is far above every price after the split."""
    stop = days.order(Side.SELL, 10, OrderType.STOP, stop_price="600")
    days.exchange.account.actions.clear()
    days.walk(CLOSE_AFTER)
    assert days.exchange.order(stop.id).status is Status.FILLED


def test_purchases_and_sales_at_a_limit_follow_too(days: Days) -> None:
    exit_ = days.order(Side.SELL, 10, OrderType.LIMIT, limit_price="700")
    days.walk(LEAD)
    assert days.exchange.order(exit_.id).quantity == 70
    assert days.exchange.order(exit_.id).limit_price == 100
    flat = Days()
    flat.walk(CLOSE_BEFORE)
    entry = flat.order(Side.BUY, 10, OrderType.LIMIT, limit_price="600.05")
    reserved = flat.exchange.buying_power()
    flat.walk(LEAD)
    adjusted = flat.exchange.order(entry.id)
    assert adjusted.quantity == 70
    assert adjusted.limit_price == Decimal("85.72"), "85.7214…, a purchase is rounded down"
    assert flat.exchange.buying_power() >= reserved
    flat.walk(CLOSE_AFTER)
    assert flat.exchange.order(entry.id).filled_quantity == 0


def test_an_entry_that_waits_overnight_keeps_its_protection(days: Days) -> None:
    flat = Days()
    flat.walk(CLOSE_BEFORE)
    entry = flat.order(Side.BUY, 10, OrderType.LIMIT, limit_price="660", protect_stop_price="630")
    flat.walk(CLOSE_AFTER)
    filled = flat.exchange.order(entry.id)
    assert filled.status is Status.FILLED
    assert filled.filled_quantity == 70
    assert filled.average_price == Decimal("92.69")
    assert filled.leg is not None
    leg = flat.exchange.order(filled.leg)
    assert leg.status is Status.NEW
    assert leg.quantity == 70
    assert leg.stop_price == 90


def test_the_split_is_told_as_two_activities(days: Days) -> None:
    days.walk(LEAD)
    told = [each for each in days.exchange.books.activities if isinstance(each, Entry)]
    assert [each.kind for each in told] == [EntryKind.SPLIT, EntryKind.SPLIT]
    assert [each.shares for each in told] == [-10, 70]
    assert not any(each.cash for each in told)
    assert len({each.group for each in told}) == 1


def test_a_venue_killed_after_the_split_comes_back_with_it(days: Days) -> None:
    """TS-3."""
    days.order(Side.SELL, 10, OrderType.STOP, stop_price="600")
    days.walk(CLOSE_AFTER)
    again = Days([decode(encode(command)) for command in days.commands])
    assert again.exchange.state() == days.exchange.state()


def test_a_replay_that_begins_on_the_day_shows_the_close_before_in_new_shares() -> None:
    recorded = recording.load(FOLDER)
    replay = plan(recorded, start="2014-06-09")
    exchange = Exchange("late", Market(recorded, replay.begin), ExchangeConfig())
    assert exchange.market.price("AAPL") == Decimal("92.224285714")
