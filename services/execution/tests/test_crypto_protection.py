"""Coins: entries for the moment, fees taken from what is received, a stop-limit after the fill, dust (order protocol,
"Protection"; traps 15 and 17; invariants 6, 7 and 14)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_runtime.ports.venue import FeeActivity
from holdfast_simulation.memory_venue import Fault, MemoryBroker

BTC = "BTC/USD"
NIGHT = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
FLAT = ("100", "100.5", "99.5", "100")
TAKER = Decimal("0.0025")
"""Of the lowest tier."""
BOUGHT = Decimal("1.234567891")
RECEIVED = BOUGHT - Decimal("0.003086420")
"""Less 25 basis points, rounded up to the ninth decimal."""


async def at_work(make_desk: Any, *rows: tuple[str, str, str, str], volumes: tuple[str, ...] = ()) -> Any:
    """A desk of the crypto book after a flat first minute; then `rows`, a minute each."""
    bars = [
        Bar(
            BTC,
            NIGHT + MINUTE * n,
            NIGHT + MINUTE * (n + 1),
            *map(Decimal, row),
            Decimal(volumes[n]) if n < len(volumes) else Decimal(1_000),
        )
        for n, row in enumerate((FLAT, *rows, *[FLAT] * 10))
    ]
    desk = make_desk(bars=bars)
    desk.broker.tick(NIGHT + timedelta(minutes=1))
    await desk.start()
    return desk


async def held(desk: Any, quantity: Decimal = BOUGHT) -> None:
    await desk.enter(BTC, quantity=quantity)
    await desk.minute(1)


async def agreed(desk: Any) -> None:
    """Ledger and venue hold the same coins and the same cash, to the last digit."""
    books = desk.broker.exchange.books
    position = await desk.position(BTC)
    assert position.quantity == books.held(BTC)
    account = await desk.runner.read(lambda ledger: ledger.account())
    assert account.cash == books.cash


async def test_an_entry_of_coins_is_for_the_moment_and_its_stop_limit_follows_the_fill(make_desk: Any) -> None:
    """No OTO, no DAY, no plain stop: the venue takes none of them for coins."""
    desk = await at_work(make_desk)
    await desk.enter(BTC, quantity=BOUGHT)
    entry = desk.broker.posts[-1]
    assert (entry.type, entry.time_in_force, entry.protect_stop_price) == ("limit", "ioc", None)
    await desk.minute(1)
    stop = desk.broker.posts[-1]
    assert (stop.type, stop.time_in_force, stop.quantity) == ("stop_limit", "gtc", RECEIVED)
    assert (stop.stop_price, stop.limit_price) == (Decimal(95), Decimal("94.05"))
    position = await desk.position(BTC)
    assert (position.protection, position.stop_quantity) == ("active", RECEIVED)
    await agreed(desk)


async def test_fees_are_taken_from_what_is_received_and_the_ledger_agrees(make_desk: Any) -> None:
    """Coins of a purchase, dollars of a sale; P&L is net of both (invariant 6)."""
    desk = await at_work(make_desk)
    await held(desk)
    position = await desk.position(BTC)
    assert position.quantity == RECEIVED < BOUGHT
    assert position.average_price > 100, "what the fee took makes the rest dearer"
    await desk.submit(desk.decision(BTC, exit_=True))
    await desk.settled()
    sale = desk.broker.posts[-1]
    assert (sale.type, sale.time_in_force, sale.quantity) == ("market", "gtc", RECEIVED)
    await desk.minute(2)
    position = await desk.position(BTC)
    assert (position.quantity, position.protection) == (0, "none")
    await agreed(desk)
    state = await desk.runner.read(lambda ledger: ledger.ledger_state(datetime(2000, 1, 1, tzinfo=UTC)))
    assert [(each.kind, each.quantity < 0, each.cash < 0) for each in state.adjustments] == [
        ("CFEE", True, False),
        ("CFEE", False, True),
    ]
    assert state.account.realised_pnl == state.account.cash - state.account.starting_cash < 0
    assert desk.resting(BTC) == []


async def test_coins_are_protected_before_the_fee_that_was_taken_of_them_is_told(
    make_desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alpaca tells fees at the end of the day: until then the broker has fewer coins than the ledger knows."""
    desk = await at_work(make_desk)

    async def not_yet(broker: MemoryBroker, *, since: datetime | None) -> list[FeeActivity]:
        return []

    monkeypatch.setattr(MemoryBroker, "fees", not_yet)
    await desk.enter(BTC, quantity=BOUGHT)
    desk.broker.tick(NIGHT + MINUTE * 2)
    await desk.pass_secs(12)
    assert (await desk.position(BTC)).quantity == BOUGHT
    [stop] = desk.resting(BTC)
    assert stop.quantity == desk.broker.exchange.books.held(BTC) == RECEIVED
    monkeypatch.undo()
    await desk.engine.merger.merge("position differs")
    await desk.settled()
    position = await desk.position(BTC)
    assert (position.protection, position.stop_quantity) == ("active", RECEIVED)
    assert [order.id for order in desk.resting(BTC)] == [stop.id]
    await agreed(desk)


async def test_a_partial_fill_of_coins_is_protected_at_once(make_desk: Any) -> None:
    """What the moment did not bring is over, and what it brought is protected in the same instant (invariant 7)."""
    desk = await at_work(make_desk, FLAT, volumes=("1000", "0.5"))
    await desk.enter(BTC, quantity=BOUGHT)
    await desk.minute(1)
    entry = await desk.one(Purpose.ENTRY, BTC)
    assert (entry.state, entry.filled_quantity) == (IntentState.CANCELLED, Decimal("0.5"))
    position = await desk.position(BTC)
    assert position.quantity == Decimal("0.5") * (1 - TAKER)
    assert (position.protection, position.stop_quantity) == ("active", position.quantity)
    await agreed(desk)


async def test_the_venues_stop_limit_sells_where_the_market_trades_through_it(make_desk: Any) -> None:
    desk = await at_work(make_desk, FLAT, FLAT, ("96", "96", "94.5", "94.6"), ("94.6", "94.8", "94.4", "94.5"))
    await held(desk)
    await desk.minute(2)
    await desk.minute(3)
    await desk.minute(4)
    stop = await desk.one(Purpose.STOP, BTC)
    assert (stop.state, stop.filled_quantity) == (IntentState.FILLED, RECEIVED)
    assert (await desk.position(BTC)).quantity == 0
    await agreed(desk)


async def test_a_price_below_the_stops_limit_is_sold_at_market_by_the_monitor(make_desk: Any) -> None:
    """The limit was jumped over: the broker's stop rests unfilled, and after its time the monitor sells."""
    desk = await at_work(make_desk, FLAT, FLAT, ("80", "80", "79", "79.5"), *[("79", "79.5", "78.5", "79")] * 4)
    await held(desk)
    await desk.minute(2)
    await desk.minute(3)
    assert (await desk.one(Purpose.STOP, BTC)).state is IntentState.ACKED
    desk.prices.tell(desk.price(BTC, "79.5", bar_interval_secs=60))
    await desk.settled()
    await desk.at(desk.clock.now() + timedelta(seconds=6))
    sale = desk.broker.posts[-1]
    assert (sale.type, sale.time_in_force, sale.quantity) == ("market", "gtc", RECEIVED)
    await desk.minute(4)
    assert (await desk.position(BTC)).quantity == 0
    assert (await desk.one(Purpose.FLATTEN, BTC)).state is IntentState.FILLED
    await agreed(desk)


async def test_fees_survive_a_kill_and_are_counted_once(make_desk: Any) -> None:
    """Killed between the venue's fill and everything after it: what the venue holds is what the ledger holds."""
    desk = await at_work(make_desk)
    await desk.enter(BTC, quantity=BOUGHT)
    await desk.kill()
    desk.broker.tick(NIGHT + MINUTE * 2)
    await desk.start()
    await agreed(desk)
    assert (await desk.position(BTC)).protection == "active"
    await desk.kill()
    await desk.start()
    await agreed(desk)
    state = await desk.runner.read(lambda ledger: ledger.ledger_state(datetime(2000, 1, 1, tzinfo=UTC)))
    assert len(state.adjustments) == 1


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.THROTTLED])
async def test_fees_that_cannot_be_read_at_first_are_read_later(make_desk: Any, fault: Fault) -> None:
    """The fill waits for its fee: nobody ever sees coins that the fee has taken."""
    desk = await at_work(make_desk)
    await desk.enter(BTC, quantity=BOUGHT)
    desk.broker.script("fees", fault, fault)
    await desk.minute(1)
    await desk.pass_secs(10)
    await agreed(desk)
    assert (await desk.position(BTC)).stop_quantity == RECEIVED


async def test_dust_needs_no_stop_and_is_never_sold(make_desk: Any) -> None:
    """Below the smallest order: the monitor lets it be, an exit of it is refused, an entry may add to it."""
    desk = await at_work(make_desk, FLAT, volumes=("1000", "0.00009"))
    await held(desk)
    position = await desk.position(BTC)
    assert 0 < position.quantity < Decimal("0.0001")
    assert [post.type for post in desk.broker.posts] == ["limit"]
    desk.prices.tell(desk.price(BTC, "1"))
    await desk.settled()
    await desk.at(desk.clock.now() + timedelta(seconds=6))
    answer = await desk.submit(desk.decision(BTC, exit_=True))
    assert [each.reason for each in answer.decisions] == ["NOTHING_HELD"]
    assert len(desk.broker.posts) == 1
    await agreed(desk)
