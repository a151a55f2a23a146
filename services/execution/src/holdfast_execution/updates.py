"""The trade-updates stream: applied in order, and after every reconnect behind a merge (order protocol, point 11)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from holdfast_execution.adoption import detail_of
from holdfast_execution.books import Books
from holdfast_execution.merge import Merger
from holdfast_execution.protector import Protector
from holdfast_execution.resolver import Resolver
from holdfast_execution.waiting import Backoffs
from holdfast_runtime import flows
from holdfast_runtime.errors import AskBroker, Retry
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Broker, StreamDown, StreamUp, TradeUpdate, Unauthorised, Unreadable
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()

STARTING = "STARTING"
RECONNECTING = "RECONNECTING"
BUFFER = 10_000
"""Updates that may wait for a merge; beyond it the reader waits, and the venue's own buffer holds them."""
TURN_SECS = 2.0

Item = TradeUpdate | StreamUp | StreamDown | Unreadable


class Updates:
    """Reads the stream into a bounded buffer, and applies it behind the merge."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        merger: Merger,
        resolver: Resolver,
        protector: Protector,
        *,
        monotonic_clock: MonotonicClock,
    ) -> None:
        self._books = books
        self._broker = broker
        self._merger = merger
        self._resolver = resolver
        self._protector = protector
        self._clock = monotonic_clock
        self._backoffs = Backoffs(monotonic_clock, first_secs=0.1, limit_secs=2.0)
        self._buffer: asyncio.Queue[Item] = asyncio.Queue(BUFFER)
        self.up = False

    async def run(self, progress: Callable[[], None]) -> None:
        """Applies updates until cancelled. Raises Unauthorised where the broker refuses the credentials."""
        reader = asyncio.ensure_future(self._read())
        try:
            while True:
                upcoming = asyncio.ensure_future(self._buffer.get())
                try:
                    while not upcoming.done():
                        await asyncio.wait({upcoming, reader}, timeout=TURN_SECS, return_when=asyncio.FIRST_COMPLETED)
                        progress()
                        if reader.done() and not upcoming.done() and self._buffer.empty():
                            reader.result()
                            return
                finally:
                    upcoming.cancel()
                with self._books.activity.busy():
                    await self._take(upcoming.result(), progress)
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError, Retry, Unauthorised):
                await reader
            self._down("stopped")

    async def _read(self) -> None:
        async for item in self._broker.updates():
            await self._buffer.put(item)

    async def _take(self, item: Item, progress: Callable[[], None]) -> None:
        match item:
            case StreamUp():
                self._books.lock_entries(RECONNECTING)
                self._books.activity.received(flows.TRADE_UPDATES, 0)
                await self._until_done("reconnect", progress)
                self.up = True
                self._resolver.stream_down_since_secs = None
                self._resolver.nudge()
                self._protector.nudge()
                self._books.unlock_entries(STARTING)
                self._books.unlock_entries(RECONNECTING)
            case StreamDown():
                self._down(item.reason)
            case Unreadable():
                metrics.QUARANTINED.labels(source="trade_updates", reason="unreadable").inc()
                log.error("update.unreadable", reason=item.reason)
                # The frame said something about an order: what it was is asked for.
                await self._until_done("unreadable", progress)
                self._books.activity.received(flows.TRADE_UPDATES, item.position)
            case TradeUpdate():
                await self._apply(item, progress)
                self._books.activity.received(flows.TRADE_UPDATES, item.position)

    def _down(self, reason: str) -> None:
        if self._resolver.stream_down_since_secs is None:
            log.warning("updates.down", reason=reason)
            self._resolver.stream_down_since_secs = self._clock.now_secs()
        self.up = False
        self._books.lock_entries(RECONNECTING)

    async def _apply(self, update: TradeUpdate, progress: Callable[[], None]) -> None:
        try:
            await self._merger.take(update.order, detail_of(update))
        except (Retry, AskBroker) as error:
            log.warning("update.needs_merge", order=update.order.order_id, error=str(error))
            await self._until_done("update", progress)

    async def _until_done(self, reason: str, progress: Callable[[], None]) -> None:
        """Merges, however long the broker cannot be read: entries are locked meanwhile."""
        while True:
            try:
                await self._merger.merge(reason)
            except (Retry, AskBroker) as error:
                self._backoffs.failed(reason)
                log.warning("merge.failed", reason=reason, error=str(error))
                progress()
                await self._clock.sleep(self._backoffs.wait_secs(reason))
            else:
                self._backoffs.succeeded(reason)
                return
