"""Everything about faults that one venue has: its desk, its ticks, its prices as told, its orders that go wrong."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import Any

from holdfast_exchange.commands import Command
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults.commands import CapFill, EndRaces, FillNow, LoseRace, SubmitLater
from holdfast_exchange.faults.market import BothExitsFill, Maintenance
from holdfast_exchange.faults.requests import UnknownFields, UnknownStatus
from holdfast_exchange.faults.scope import Call, Stream
from holdfast_exchange.orders import NewOrder, Order, OrderType, Side, Status, Update
from holdfast_papermarket.data_feed import DataItem
from holdfast_papermarket.faults import bodies
from holdfast_papermarket.faults.desk import FaultDesk
from holdfast_papermarket.faults.frames import FrameFaults
from holdfast_papermarket.faults.requests import of_order
from holdfast_papermarket.faults.seen import SeenPrices
from holdfast_papermarket.faults.ticks import TickFaults
from holdfast_papermarket.hubs import Hub

SMALLEST = Decimal("0.000000001")
STOPS = frozenset({OrderType.STOP})


class VenueFaults:
    """Made with the venue, armed with a plan later."""

    def __init__(self, exchange: Exchange, command: Callable[[Command], object], now: Callable[[], datetime]) -> None:
        """`command` journals and carries out; `now` is market time."""
        self.desk = FaultDesk(exchange, command, now)
        self.seen = SeenPrices(exchange, now)
        self._exchange = exchange
        self._command = command
        self._now = now
        self._ticks = TickFaults(exchange, self.desk)
        self._hubs: list[Hub[Any]] = []

    def between(self, updates: Hub[Update], data: Iterable[Hub[Any]]) -> None:
        """Puts itself between the venue and its streams."""
        updates.way = FrameFaults(Stream.TRADE_UPDATES, self.desk, self._of_update, self._now)
        for hub in data:
            hub.way = FrameFaults(Stream.MARKET_DATA, self.desk, self._of_item, self._now)
        self._hubs = [updates, *data]

    def before_data(self, at: datetime) -> None:
        """What fires at `at`, before the recording of that instant is seen."""
        if not self.desk.plan.faults:
            return
        if any(isinstance(fault, Maintenance) for fault in self._ticks.before(at)) and self.desk.in_maintenance:
            for hub in self._hubs:
                hub.cut()

    def submit_later(self, order: NewOrder, secs: float) -> list[Command]:
        """`order` arrives `secs` of market time from now."""
        now = self._now()
        return [SubmitLater(now, now + timedelta(seconds=secs), order)]

    def may_fill(self, order_id: str) -> bool:
        """True where an order rests that could be filled at once: its market is open, and its symbol not halted."""
        order = self._exchange.orders.get(order_id)
        if order is None or not order.is_working or self._exchange.market.price(order.symbol) is None:
            return False
        hours, now = self._exchange.hours, self._now()
        asset = self._exchange.asset(order.symbol)
        if hours.is_halted(order.symbol, now) or not hours.is_open(asset, now, extended=order.extended_hours):
            return False
        return order.side is Side.BUY or self._exchange.books.held(order.symbol) > 0

    def lose_race(self, order_id: str, fraction: float) -> list[Command]:
        """The order is being cancelled, and a part of what is still open of it fills before it is."""
        order = self._exchange.orders[order_id]
        return [LoseRace(self._now(), order_id, _part(order.remaining, fraction))]

    def end_races(self) -> None:
        """After the cancel was answered."""
        if self._exchange.disturbances.races:
            self._command(EndRaces(self._now()))

    def fill_now(self, order_id: str) -> list[Command]:
        """Fills what is still open of an order, at the present price."""
        return [FillNow(self._now(), order_id, self._exchange.orders[order_id].remaining)]

    def cap_fill(self, order_id: str, fraction: float, secs: float) -> list[Command]:
        """Of an order no more than a part fills before `secs` of market time have passed."""
        order, now = self._exchange.orders[order_id], self._now()
        return [CapFill(now, order_id, _part(order.quantity, fraction), now + timedelta(seconds=secs))]

    def told(self, items: list[DataItem]) -> list[DataItem]:
        """Items of the data streams as they are told."""
        return items if self.seen.clear else [replace(item, row=self.seen.row(item.row)) for item in items]

    def after_updates(self, updates: list[Update]) -> None:
        """Updates of a command that was carried out: an exit that filled may wake the stop that was beside it."""
        for fault in self.desk.plan.faults:
            if not isinstance(fault, BothExitsFill):
                continue
            for update in updates:
                beside = self._stop_beside(update.order) if update.event == "fill" else None
                if beside is not None:
                    call = of_order(self._now(), None, update.order)
                    self.desk.fires(fault, call, partial(self.fill_now, beside.id))

    def spoil(self, frame: dict[str, Any], update: Update) -> None:
        """Puts into a frame of the trade-updates stream, in place, what nobody expects."""
        for fault in self.desk.plan.faults:
            if isinstance(fault, UnknownStatus) and self.desk.fires(fault, self._of_update(update)):
                bodies.restate(frame, fault.status)
                frame["data"]["event"] = fault.event or frame["data"]["event"]
            if isinstance(fault, UnknownFields) and self.desk.fires(fault, self._of_update(update)):
                bodies.add_strange_fields(frame["data"])

    def _stop_beside(self, exit_: Order) -> Order | None:
        """The stop of the same side that was cancelled to make room for an exit; None for a stop itself."""
        if exit_.type in STOPS:
            return None
        stops = [
            order
            for order in self._exchange.orders.values()
            if order.symbol == exit_.symbol
            and order.side is exit_.side
            and order.type in STOPS
            and order.status is Status.CANCELED
            and order.canceled_at is not None
            and order.canceled_at >= exit_.created_at - timedelta(minutes=5)
        ]
        return stops[-1] if stops else None

    def _of_update(self, update: Update) -> Call:
        return of_order(self._now(), None, update.order, update.event)

    def _of_item(self, item: DataItem) -> Call:
        return Call(at=self._now(), symbols=frozenset({item.symbol}))


def _part(quantity: Decimal, fraction: float) -> Decimal:
    """A part of a quantity: of whole shares whole ones, at least one."""
    if fraction >= 1:
        return quantity
    part = quantity * Decimal(str(fraction))
    if quantity == quantity.to_integral_value():
        return max(Decimal(1), part.to_integral_value(ROUND_DOWN))
    return part.quantize(SMALLEST, ROUND_DOWN)
