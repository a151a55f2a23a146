"""What tests of replaced stops share: a stop for the day before the close, and a broker that takes its time."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast_exchange.holds import Step
from holdfast_exchange.orders import Status
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_exchange.venue_commands import Hold, RejectReplacement
from holdfast_execution.domain.intents import Purpose

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
SWEEP = OPEN + timedelta(hours=6, minutes=20)
"""Ten minutes before the close."""
FLAT, DIP = ("100", "100.5", "99.5", "100"), ("100", "100.5", "94", "100")
"""A minute at 100, and one that trades through the stop at 95 and comes back."""


def minutes(*dips: int) -> list[Bar]:
    """The first minutes of the day, the one before the sweep, and those of it: in each so many shares trade below the
    stop, or none at all."""
    rows = [(OPEN, FLAT, 100_000), (OPEN + MINUTE, FLAT, 100_000), (SWEEP - MINUTE, FLAT, 100_000)]
    rows += [(SWEEP + number * MINUTE, DIP if dip else FLAT, dip) for number, dip in enumerate(dips)]
    return [
        Bar(symbol, start, start + MINUTE, *[Decimal(each) for each in row], Decimal(volume))
        for start, row, volume in rows
        for symbol in ("BAC", "IBM", "SPY")
    ]


async def at_work(make_desk: Any, *dips: int) -> Any:
    """10 SPY with their stop for the day, a moment before the sweep; from now on a replacement takes 150 s."""
    desk = make_desk(bars=minutes(*dips))
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).protection == "active"
    desk.broker.tick(SWEEP - timedelta(seconds=1))
    await desk.settled()
    takes(desk, 150)
    return desk


def takes(desk: Any, secs: int) -> None:
    desk.broker.carry_out(Hold(desk.clock.now(), Step.REPLACE, Decimal(secs)))


async def extended(make_desk: Any, *dips: int) -> Any:
    """The sweep has asked for the replacement, which is on its way."""
    desk = await at_work(make_desk, *dips)
    await desk.at(SWEEP)
    assert statuses(desk) == [Status.PENDING_REPLACE, Status.PENDING_NEW]
    return desk


def stops(desk: Any) -> list[Any]:
    return [order for order in desk.orders() if order.stop_price is not None]


def statuses(desk: Any) -> list[Status]:
    return [order.status for order in stops(desk)]


async def sweeps(desk: Any, number: int) -> None:
    """The bar of that minute of the sweep is seen, and everything it leads to is done."""
    await desk.minute(380 + number)


def reject(desk: Any) -> None:
    """The replacement is rejected; a later one takes no time."""
    takes(desk, 0)
    desk.broker.carry_out(RejectReplacement(desk.clock.now(), stops(desk)[0].id))


async def protects(desk: Any, quantity: int) -> Any:
    """Held, for sale and protected alike here and there, by one order that is known; good till cancelled."""
    position, stop = await desk.position(), await desk.one(Purpose.STOP)
    assert (position.quantity, position.protection, position.stop_quantity) == (quantity, "active", quantity)
    assert stop.remaining == quantity
    assert desk.broker.exchange.books.held("SPY") == quantity
    (resting,) = desk.resting()
    assert (resting.id, resting.remaining) == (stop.broker_order_id, quantity)
    assert stop.time_in_force.value == resting.time_in_force.value == "gtc"
    assert await desk.halts() == []
    return stop


async def is_sold(desk: Any) -> None:
    assert (await desk.position()).quantity == desk.broker.exchange.books.held("SPY") == 0
    assert (desk.resting(), await desk.halts()) == ([], [])
