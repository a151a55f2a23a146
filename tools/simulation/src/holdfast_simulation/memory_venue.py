"""A broker in memory, behind ports.venue.Broker: the real matching engine, with faults by script.

Every fault is one that a venue has shown: an answer lost before or after the order was accepted, a late acceptance,
refused credentials, a rate limit, an answer for another order, updates that are dropped or come twice.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from holdfast_core import sessions
from holdfast_exchange.account import balances
from holdfast_exchange.admission import available_shares
from holdfast_exchange.books import Entry
from holdfast_exchange.commands import Advance, Cancel, Command, Replace, Submit
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.orders import NewOrder, Order, OrderType, Refusal, Replacement, Side, TimeInForce, Update
from holdfast_runtime.ports import venue
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_simulation.memory_clock import ManualMarketClock
from holdfast_simulation.venue_words import told_fee, told_fill, told_refusal

Item = venue.TradeUpdate | venue.StreamUp | venue.StreamDown | venue.Unreadable


class Fault(StrEnum):
    """What goes wrong with one call."""

    LOST_BEFORE = "lost_before"
    """A write: never arrived, no answer. A read: no answer."""
    LOST_AFTER = "lost_after"
    """Done at the venue, no answer (a timeout, a 504, an HTML page)."""
    LATE = "late"
    """No answer; accepted only when `arrive` is called."""
    UNAUTHORISED = "unauthorised"
    THROTTLED = "throttled"
    REFUSED = "refused"
    """A proven no, for a reason that nobody knows."""
    MISMATCHED = "mismatched"
    """Accepted, but the answer describes another quantity; a replacement is about that one."""
    ABSENT = "absent"
    """A look-up that finds nothing, although the order exists."""
    GATED = "gated"
    """The call stands until `open_gate` is called."""
    HELD_AFTER = "held_after"
    """A write: done at the venue, and its answer stands until `open_gate` is called."""
    NO_CONNECTION = "no_connection"
    """A write that never left; a read without an answer."""


@dataclass(slots=True)
class MemoryBroker:
    """One account. `script(call, fault, …)` makes the next calls of that name go wrong, in order."""

    exchange: Exchange
    market_clock: ManualMarketClock
    monotonic_clock: MonotonicClock
    live: bool = False
    calls: list[str] = field(default_factory=list)
    """Names of all calls that reached the broker, in order; `submit_order` with its client order id."""
    posts: list[venue.OrderRequest] = field(default_factory=list)
    """Every POST that left, answered or not."""
    closed_until: datetime | None = None
    """Set: the market has closed early, and opens then."""
    drop_updates: int = 0
    double_updates: bool = False
    _faults: dict[str, deque[Fault]] = field(default_factory=dict)
    _late: list[venue.OrderRequest] = field(default_factory=list)
    _stream: asyncio.Queue[Item] | None = None
    _position: int = 0
    _gate: asyncio.Event = field(default_factory=asyncio.Event)

    # --- what tests do to it

    def script(self, call: str, *faults: Fault) -> None:
        """The next calls of `call` meet these faults, one each."""
        self._faults.setdefault(call, deque()).extend(faults)

    def tick(self, at: datetime) -> None:
        """Market time moves to `at`: the recording up to there is seen, orders match, updates go out."""
        self.market_clock.set(at)
        self._tell(self.exchange.apply(Advance(self.exchange.tick + 1, at, data=True)).updates)

    def carry_out(self, command: Command) -> None:
        """Anything else happens at the venue: a corporate action, cash from outside …"""
        self._tell(self.exchange.apply(command).updates)

    def arrive(self) -> None:
        """What was late is accepted now."""
        for request in self._late:
            self._accept(request)
        self._late.clear()

    def open_gate(self) -> None:
        self._gate.set()

    def break_stream(self) -> None:
        """The stream is lost and connected again; what happened in between is not repeated."""
        self._push(venue.StreamDown(reason="broken by the test"))
        self._position = 0
        self._push(venue.StreamUp())

    def send_foreign(self, symbol: str, quantity: Decimal, limit_price: Decimal) -> None:
        """Somebody else trades in the account."""
        order = NewOrder(
            symbol=symbol,
            side=Side.BUY,
            quantity=quantity,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            limit_price=limit_price,
        )
        self._tell(self.exchange.apply(Submit(self.market_clock.now(), order)).updates)

    @property
    def position(self) -> int:
        """Updates sent on the present connection."""
        return self._position

    def vouch_for_credentials(self) -> None:
        """See ports.venue.Broker. What refuses is the script of a test, and it has no memory of credentials."""

    # --- writes

    async def submit_order(
        self, order: venue.OrderRequest, *, last_write_at_secs: float, reducing: bool = False
    ) -> venue.BrokerOrder:
        if self.monotonic_clock.now_secs() >= last_write_at_secs:
            raise venue.NotSent("the lease's margin had passed")
        self.calls.append(f"submit_order {order.client_order_id}{' reducing' if reducing else ''}")
        fault = await self._meet("submit_order")
        self.posts.append(order)
        if fault is Fault.LOST_BEFORE:
            raise venue.OutcomeUnknown("timeout")
        if fault is Fault.LATE:
            self._late.append(order)
            raise venue.OutcomeUnknown("timeout")
        made = self._accept(order)
        await self._answer(fault)
        answer = self._told(made, nested=True)
        return replace(answer, quantity=answer.quantity + 1) if fault is Fault.MISMATCHED else answer

    def _accept(self, order: venue.OrderRequest) -> Order:
        new = NewOrder(
            symbol=order.symbol,
            side=Side(order.side.value),
            quantity=order.quantity,
            type=OrderType(order.type.value),
            time_in_force=TimeInForce(order.time_in_force.value),
            client_order_id=order.client_order_id,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            protect_stop_price=order.protect_stop_price,
        )
        try:
            outcome = self.exchange.apply(Submit(self.market_clock.now(), new))
        except Refusal as refusal:
            raise told_refusal(refusal) from refusal
        self._tell(outcome.updates)
        if outcome.order is None:
            raise venue.OutcomeUnknown("the exchange made no order")
        return outcome.order

    async def cancel_order(self, order_id: str) -> None:
        self.calls.append("cancel_order")
        fault = await self._meet("cancel_order")
        if fault is Fault.LOST_BEFORE:
            raise venue.OutcomeUnknown("timeout")
        try:
            self._tell(self.exchange.apply(Cancel(self.market_clock.now(), order_id)).updates)
        except Refusal as refusal:
            raise told_refusal(refusal) from refusal
        await self._answer(fault)

    async def replace_order(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: venue.TimeInForce | None = None,
    ) -> venue.BrokerOrder:
        self.calls.append("replace_order")
        fault = await self._meet("replace_order")
        if fault is Fault.LOST_BEFORE:
            raise venue.OutcomeUnknown("timeout")
        if fault is Fault.MISMATCHED and quantity is not None:
            quantity -= 1
        change = Replacement(
            quantity=quantity,
            stop_price=stop_price,
            time_in_force=TimeInForce(time_in_force.value) if time_in_force else None,
            client_order_id=client_order_id,
        )
        try:
            outcome = self.exchange.apply(Replace(self.market_clock.now(), order_id, change))
        except Refusal as refusal:
            raise told_refusal(refusal) from refusal
        self._tell(outcome.updates)
        await self._answer(fault)
        if outcome.order is None:
            raise venue.OutcomeUnknown("the exchange made no order")
        return self._told(outcome.order, nested=True)

    # --- reads

    async def order_by_client_id(self, client_order_id: str) -> venue.BrokerOrder | None:
        if await self._read("order_by_client_id") is Fault.ABSENT:
            return None
        found = self.exchange.order_by_client_id(client_order_id)
        return None if found is None else self._told(found, nested=True)

    async def order(self, order_id: str) -> venue.BrokerOrder | None:
        if await self._read("order") is Fault.ABSENT:
            return None
        found = self.exchange.orders.get(order_id)
        return None if found is None else self._told(found, nested=True)

    async def orders(self, *, open_only: bool, since: datetime | None = None) -> list[venue.BrokerOrder]:
        await self._read("orders")
        return [
            self._told(order, nested=True)
            for order in self.exchange.orders.values()
            if order.parent is None
            and (order.is_open or not open_only or self._leg_is_open(order))
            and (since is None or order.created_at >= since)
        ]

    def _leg_is_open(self, order: Order) -> bool:
        return order.leg is not None and self.exchange.orders[order.leg].is_open

    async def positions(self) -> list[venue.BrokerPosition]:
        await self._read("positions")
        return [
            venue.BrokerPosition(
                symbol=each.symbol,
                quantity=each.quantity,
                average_price=each.average_price,
                available=available_shares(each, self.exchange.open_orders()),
            )
            for each in self.exchange.books.positions.values()
        ]

    async def account(self) -> venue.BrokerAccount:
        await self._read("account")
        return venue.BrokerAccount(
            account_id=self.exchange.account_id,
            cash=self.exchange.books.cash,
            equity=self.exchange.equity(),
            buying_power=self.exchange.buying_power(),
            trading_blocked=False,
            live=self.live,
            settled_cash=balances(self.exchange).non_marginable_buying_power,
        )

    async def asset(self, symbol: str) -> venue.BrokerAsset | None:
        await self._read("asset")
        if symbol not in self.exchange.market.symbols:
            return None
        return venue.BrokerAsset(
            symbol=symbol,
            tradable=(asset := self.exchange.asset(symbol)).tradable,
            fractionable=asset.is_crypto,
            shortable=False,
            marginable=False,
            status="active",
            min_order_size=asset.min_order_size,
            min_trade_increment=asset.min_trade_increment,
            price_increment=asset.price_increment,
        )

    async def clock(self) -> venue.BrokerClock:
        await self._read("clock")
        now, closed = self.market_clock.now(), self.closed_until
        return venue.BrokerClock(
            now=now,
            is_open=sessions.is_open(now) and (closed is None or now >= closed),
            next_open=closed or sessions.next_open(now),
            next_close=sessions.next_close(now),
        )

    async def fills(self, *, since: datetime | None) -> list[venue.FillActivity]:
        await self._read("fills")
        return [told_fill(fill) for fill in self.exchange.books.fills if since is None or fill.at >= since]

    async def fees(self, *, since: datetime | None) -> list[venue.FeeActivity]:
        await self._read("fees")
        return venue.netted(
            told_fee(entry, place)
            for place, entry in enumerate(self.exchange.books.activities)
            if isinstance(entry, Entry) and entry.kind in venue.ADJUSTMENTS and (since is None or entry.at >= since)
        )

    # --- the stream

    async def updates(self) -> AsyncIterator[Item]:
        """One stream; a second one takes over from the first."""
        if self._next("updates") is Fault.UNAUTHORISED:
            raise venue.Unauthorised("401", steps=())
        stream: asyncio.Queue[Item] = asyncio.Queue()
        self._stream, self._position = stream, 0
        stream.put_nowait(venue.StreamUp())
        while True:
            yield await stream.get()

    def _tell(self, updates: list[Update]) -> None:
        for update in updates:
            if self.drop_updates:
                self.drop_updates -= 1
                continue
            for _ in range(2 if self.double_updates else 1):
                self._position += 1
                self._push(
                    venue.TradeUpdate(
                        event=update.event,
                        order=self._told(update.order, nested=False),
                        execution_id=update.fill.id if update.fill else None,
                        price=update.fill.price if update.fill else None,
                        quantity=update.fill.quantity if update.fill else None,
                        at=update.at,
                        position=self._position,
                    )
                )

    def _push(self, item: Item) -> None:
        if self._stream is not None:
            self._stream.put_nowait(item)

    # --- helpers

    def _next(self, call: str) -> Fault | None:
        faults = self._faults.get(call)
        return faults.popleft() if faults else None

    async def _meet(self, call: str) -> Fault | None:
        fault = self._next(call)
        if fault is Fault.GATED:
            await self._gate.wait()
        if fault is Fault.UNAUTHORISED:
            raise venue.Unauthorised("401", steps=())
        if fault is Fault.THROTTLED:
            raise venue.Throttled("429", after_secs=3.0)
        if fault is Fault.REFUSED:
            raise venue.OrderRefused(venue.RefusalKind.OTHER, "request cannot be processed", http_status=422)
        if fault is Fault.NO_CONNECTION:
            raise venue.NotSent("no connection to the venue")
        return fault

    async def _answer(self, fault: Fault | None) -> None:
        """What becomes of the answer to a write that was done."""
        if fault is Fault.LOST_AFTER:
            raise venue.OutcomeUnknown("HTTP 504")
        if fault is Fault.HELD_AFTER:
            await self._gate.wait()

    async def _read(self, call: str) -> Fault | None:
        self.calls.append(call)
        try:
            fault = await self._meet(call)
        except venue.NotSent as error:
            raise venue.VenueUnavailable(str(error)) from error
        if fault in (Fault.LOST_BEFORE, Fault.LOST_AFTER):
            raise venue.VenueUnavailable("timeout")
        return fault

    def _told(self, order: Order, *, nested: bool) -> venue.BrokerOrder:
        leg = self.exchange.orders[order.leg] if nested and order.leg is not None else None
        return venue.BrokerOrder(
            order_id=order.id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=venue.Side(order.side.value),
            quantity=order.quantity,
            filled_quantity=order.filled_quantity,
            filled_average_price=order.average_price,
            type=order.type.value,
            time_in_force=order.time_in_force.value,
            status=order.status.value,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            submitted_at=order.created_at,
            updated_at=order.updated_at,
            legs=(self._told(leg, nested=False),) if leg is not None else (),
            replaces=order.replaces,
            replaced_by=order.replaced_by,
        )
