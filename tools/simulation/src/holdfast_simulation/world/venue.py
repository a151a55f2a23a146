"""The broker of the world: the real matching engine far away, and each node's way to it with all that happens on it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn, TypeVar

from holdfast_exchange.commands import Advance
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports import venue
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_simulation.memory_venue import Item, MemoryBroker
from holdfast_simulation.world.evidence import CANARY, Departure, Evidence
from holdfast_simulation.world.faults import Fault, Kind, Weather
from holdfast_simulation.world.loop import SeededLoop

T = TypeVar("T")

LATENCY_SECS = 0.02
MOST_LATE_SECS = 18.0
MOST_SLOW_SECS = 4.0
MUTE_AFTER_SECS = 15.0
RECONNECT_SECS = 0.5
_BROKEN = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A POST of an order as it reached the broker."""

    at_secs: float
    sent_secs: float
    sent_at: datetime
    """By the sender's clock."""
    node: str
    order: venue.OrderRequest


class VenueServer(MemoryBroker):
    """The broker's side. It keeps what it was asked, for the invariants."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.keys_revoked = False
        self.forgets_before: datetime | None = None
        """Set: older orders and fills are in no list any more."""
        self.listeners: list[Callable[[Item], None]] = []
        self.arrived: list[Post] = []
        self.evidence = Evidence()
        self.on_post: Callable[[Post], None] = lambda _: None
        self.heard_401: set[str] = set()
        """Nodes that have heard that their credentials are refused, until a person has changed them."""
        self.asked_after_401: list[str] = []
        """What they asked all the same."""

    def tick(self, at: datetime) -> None:
        """The recording up to `at` is seen, orders match, updates go out. Market time moves by itself."""
        self.carry_out(Advance(self.exchange.tick + 1, at, data=True))

    def _push(self, item: Item) -> None:
        for listener in tuple(self.listeners):
            listener(item)


class VenueLink:
    """One node's client of the broker (ports.venue.Broker)."""

    def __init__(
        self,
        loop: SeededLoop,
        server: VenueServer,
        weather: Weather,
        chance: random.Random,
        *,
        node: str,
        market_clock: MarketClock,
        monotonic_clock: MonotonicClock,
        timeout_secs: float,
    ) -> None:
        self._loop = loop
        self._server = server
        self._weather = weather
        self._chance = chance
        self._node = node
        self._market_clock = market_clock
        self._monotonic_clock = monotonic_clock
        self._timeout_secs = timeout_secs

    def vouch_for_credentials(self) -> None:
        """See ports.venue.Broker. Here a person clears the halt once the keys have changed."""

    # --- writes

    async def submit_order(
        self, order: venue.OrderRequest, *, last_write_at_secs: float, reducing: bool = False
    ) -> venue.BrokerOrder:
        """See ports.venue.Broker."""
        # The thread that sends begins a little later than it was asked to.
        await asyncio.sleep(self._chance.uniform(0.0, 0.003))
        if self._monotonic_clock.now_secs() >= last_write_at_secs:
            raise venue.NotSent("the lease's margin had passed")

        sent_secs, sent_at = self._loop.time(), self._market_clock.now()

        async def arrive() -> venue.BrokerOrder:
            post = Post(at_secs=self._loop.time(), sent_secs=sent_secs, sent_at=sent_at, node=self._node, order=order)
            self._server.arrived.append(post)
            self._server.on_post(post)
            return await self._server.submit_order(order, last_write_at_secs=float("inf"), reducing=reducing)

        def leave() -> None:
            departure = Departure(
                client_order_id=order.client_order_id,
                at=sent_at,
                left_secs=sent_secs,
                symbol=order.symbol,
                buy=order.side is venue.Side.BUY,
                quantity=order.quantity,
                limit_price=order.limit_price,
            )
            self._server.evidence.leaves(departure, sent_secs)

        mismatched = self._weather.strikes(Kind.MISMATCHED, "submit_order")
        try:
            answer = await self._write("submit_order", arrive, leave)
        except venue.OrderRefused:
            self._server.evidence.refused.add(order.client_order_id)
            raise
        return replace(answer, quantity=answer.quantity + 1) if mismatched else answer

    async def cancel_order(self, order_id: str) -> None:
        """See ports.venue.Broker."""
        await self._write("cancel_order", lambda: self._server.cancel_order(order_id))

    async def replace_order(
        self,
        order_id: str,
        *,
        client_order_id: str,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: venue.TimeInForce | None = None,
    ) -> venue.BrokerOrder:
        """See ports.venue.Broker."""
        return await self._write(
            "replace_order",
            lambda: self._server.replace_order(
                order_id,
                client_order_id=client_order_id,
                quantity=quantity,
                stop_price=stop_price,
                time_in_force=time_in_force,
            ),
        )

    # --- reads

    async def order_by_client_id(self, client_order_id: str) -> venue.BrokerOrder | None:
        """See ports.venue.Broker."""
        found = await self._read("order_by_client_id", lambda: self._server.order_by_client_id(client_order_id))
        if found is None or self._weather.strikes(Kind.NOT_FOUND, "order_by_client_id"):
            self._server.evidence.absent_secs[client_order_id] = self._loop.time()
            return None
        return found

    async def order(self, order_id: str) -> venue.BrokerOrder | None:
        """See ports.venue.Broker."""
        return await self._read("order", lambda: self._server.order(order_id))

    async def orders(self, *, open_only: bool, since: datetime | None = None) -> list[venue.BrokerOrder]:
        """See ports.venue.Broker."""
        found = await self._read("orders", lambda: self._server.orders(open_only=open_only, since=since))
        if not open_only:
            found = [order for order in found if self._remembers(order.submitted_at)]
            self._server.evidence.listed(found, self._loop.time())
        return found

    async def positions(self) -> list[venue.BrokerPosition]:
        """See ports.venue.Broker."""
        return await self._read("positions", self._server.positions)

    async def account(self) -> venue.BrokerAccount:
        """See ports.venue.Broker."""
        return await self._read("account", self._server.account)

    async def asset(self, symbol: str) -> venue.BrokerAsset | None:
        """See ports.venue.Broker."""
        return await self._read("asset", lambda: self._server.asset(symbol))

    async def clock(self) -> venue.BrokerClock:
        """See ports.venue.Broker."""
        return await self._read("clock", self._server.clock)

    async def fills(self, *, since: datetime | None) -> list[venue.FillActivity]:
        """See ports.venue.Broker."""
        found = await self._read("fills", lambda: self._server.fills(since=since))
        return [fill for fill in found if self._remembers(fill.at)]

    async def fees(self, *, since: datetime | None) -> list[venue.FeeActivity]:
        """See ports.venue.Broker."""
        return await self._read("fees", lambda: self._server.fees(since=since))

    # --- the stream

    async def updates(self) -> AsyncIterator[Item]:
        """See ports.venue.Broker."""
        while True:
            await asyncio.sleep(self._latency_secs())
            if self._server.keys_revoked:
                self._hear_401()
            arrived: asyncio.Queue[Any] = asyncio.Queue()
            listener = self._listener(arrived)
            self._server.listeners.append(listener)
            try:
                yield venue.StreamUp()
                position = 0
                while (item := await self._next(arrived)) is not None:
                    position += 1
                    yield replace(item, position=position)
            finally:
                self._server.listeners.remove(listener)
            yield venue.StreamDown(reason="the connection is gone, or mute")
            await asyncio.sleep(RECONNECT_SECS)

    def _listener(self, arrived: "asyncio.Queue[Any]") -> Callable[[Item], None]:
        """Frames come in order, after a while; but for what the weather does to them."""
        earliest_secs = 0.0

        def listen(item: Item) -> None:
            nonlocal earliest_secs
            if self._weather.strikes(Kind.UPDATES_BROKEN, "updates"):
                self._loop.later(self._latency_secs(), lambda: arrived.put_nowait(_BROKEN))
                return
            if self._weather.holds(Kind.UPDATES_MUTE, "updates") or self._weather.strikes(Kind.UPDATE_LOST, "updates"):
                return
            now_secs = self._loop.time()
            late = self._weather.strikes(Kind.UPDATE_DELAYED, "updates")
            if late is not None:
                # Overtaken by those that come after it.
                self._loop.later(self._weather.chance(late).uniform(0.0, 3.0), lambda: arrived.put_nowait(item))
                return
            earliest_secs = max(earliest_secs, now_secs + self._latency_secs())
            for _ in range(2 if self._weather.strikes(Kind.UPDATE_DOUBLED, "updates") else 1):
                self._loop.later(earliest_secs - now_secs, lambda: arrived.put_nowait(item))

        return listen

    async def _next(self, arrived: "asyncio.Queue[Any]") -> Any:
        """The next frame; None where the connection is gone or has not answered a ping either."""
        while True:
            try:
                async with asyncio.timeout(MUTE_AFTER_SECS):
                    item = await arrived.get()
            except TimeoutError:
                if self._weather.holds(Kind.UPDATES_MUTE, "updates"):
                    return None
                continue
            return None if item is _BROKEN else item

    def _remembers(self, at: datetime | None) -> bool:
        before = self._server.forgets_before
        return before is None or at is None or at >= before

    # --- the way there and back

    def _latency_secs(self) -> float:
        return LATENCY_SECS * self._chance.uniform(0.2, 3.0)

    async def _read(self, name: str, act: Callable[[], Awaitable[T]]) -> T:
        fault = self._struck(name, Kind.LOST_BEFORE, Kind.LOST_AFTER, Kind.NOT_CONNECTED)
        answer: asyncio.Future[T] = self._loop.create_future()
        if fault is None:
            self._send(name, act, answer)
        return await self._wait(answer, venue.VenueUnavailable(f"timeout: {CANARY}"))

    async def _write(self, name: str, act: Callable[[], Awaitable[T]], leave: Callable[[], None] = lambda: None) -> T:
        if self._struck(name, Kind.NOT_CONNECTED):
            raise venue.NotSent("no connection to the venue")
        leave()
        if name == "submit_order" and self._struck(name, Kind.REFUSED):
            await asyncio.sleep(self._latency_secs())
            raise venue.OrderRefused(venue.RefusalKind.OTHER, f"not today, {CANARY}", http_status=422, code="42210000")
        answer: asyncio.Future[T] = self._loop.create_future()
        if late := self._struck(name, Kind.ACCEPTED_LATE):
            self._send(name, act, self._loop.create_future(), self._weather.chance(late).uniform(2.0, MOST_LATE_SECS))
        elif not self._struck(name, Kind.LOST_BEFORE):
            unheard = self._struck(name, Kind.LOST_AFTER)
            self._send(name, act, self._loop.create_future() if unheard else answer)
        return await self._wait(answer, venue.OutcomeUnknown(f"timeout: {CANARY}"))

    def _struck(self, name: str, *kinds: Kind) -> Fault | None:
        for kind in kinds:
            if fault := self._weather.strikes(kind, name):
                return fault
        return None

    def _send(
        self, name: str, act: Callable[[], Awaitable[T]], answer: "asyncio.Future[T]", more_secs: float = 0.0
    ) -> None:
        """What has left arrives, whatever becomes of who sent it."""
        if self._node in self._server.heard_401:
            self._server.asked_after_401.append(f"{self._node} {name}")
        slow = self._struck(name, Kind.SLOW)
        if slow is not None:
            more_secs += self._weather.chance(slow).uniform(0.5, MOST_SLOW_SECS)
        throttled = self._struck(name, Kind.THROTTLED)

        async def arrive() -> None:
            try:
                if self._server.keys_revoked:
                    raise venue.Unauthorised(f"401: {CANARY}", steps=("change the keys",))
                if throttled is not None:
                    raise venue.Throttled(f"429: {CANARY}", after_secs=3.0)
                found = await act()
            except HoldfastError as error:
                self._loop.later(self._latency_secs(), partial(_tell, answer, None, error))
                return
            self._loop.later(self._latency_secs(), partial(_tell, answer, found))

        self._loop.later(self._latency_secs() + more_secs, lambda: self._loop.start(self._loop.outside, arrive()))

    async def _wait(self, answer: "asyncio.Future[T]", otherwise: Exception) -> T:
        try:
            async with asyncio.timeout(self._timeout_secs):
                return await answer
        except TimeoutError:
            raise otherwise from None
        except venue.Unauthorised:
            self._hear_401()

    def _hear_401(self) -> NoReturn:
        self._server.heard_401.add(self._node)
        raise venue.Unauthorised(f"401: {CANARY}", steps=("change the keys",))


def _tell(answer: "asyncio.Future[T]", found: Any = None, error: Exception | None = None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(found)
    else:
        answer.set_exception(error)
        answer.exception()
