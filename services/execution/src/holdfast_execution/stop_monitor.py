"""The stop monitor: watches prices beside the broker's stops, and says where one has failed.

It reads signal's Prices.Watch and waits for no bus. A stale feed suspends its triggers; the broker's stops stay.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from holdfast.common.v1 import common_pb2 as common
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_execution.books import Books
from holdfast_execution.domain.protection import PriceView, Watch, traded_through, watch_stop
from holdfast_execution.domain.views import HoldingView
from holdfast_execution.rows import PositionRow
from holdfast_runtime import flows
from holdfast_runtime.errors import Malformed, Refused, Retry
from holdfast_runtime.ports.calls import PricesCalls
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.settings import FeedSettings
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.wire import from_decimal, from_timestamp

log = structlog.get_logger()

RECONNECT_SECS = 0.2
TURN_SECS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One symbol's price as last told."""

    bid: Decimal | None
    quote_at: datetime | None
    last: Decimal | None
    low: Decimal | None
    bar_at: datetime | None
    """End of the bar."""
    bar_interval: timedelta
    believed: bool
    """Connected and not halted."""


class StopMonitor:
    """Keeps prices, and since when a position's stop price has been traded through."""

    def __init__(
        self, books: Books, prices: PricesCalls, *, monotonic_clock: MonotonicClock, settings: FeedSettings
    ) -> None:
        self._books = books
        self._calls = prices
        self._clock = monotonic_clock
        self._quote_age = timedelta(seconds=settings.quote_stale_secs)
        self._bar_grace = timedelta(seconds=settings.bar_grace_secs)
        self._prices: dict[str, Seen] = {}
        self._breaches: dict[tuple[str, Decimal], datetime] = {}

    async def run(self, progress: Callable[[], None]) -> None:
        """Watches for ever; while signal is away no price is believed."""
        away = False
        while True:
            try:
                await self._watch(progress)
            except (Retry, Refused) as error:
                # Told once an outage: it is tried several times a second.
                if self._prices or not away:
                    log.info("prices.reconnecting", reason=str(error))
                away = True
            self._prices.clear()
            progress()
            await self._clock.sleep(RECONNECT_SECS)

    async def _watch(self, progress: Callable[[], None]) -> None:
        stream = aiter(self._calls.watch(signal.WatchRequest()))
        upcoming = asyncio.ensure_future(anext(stream, None))
        try:
            while True:
                # Waiting does not cancel the read: a stream may be silent for long.
                await asyncio.wait({upcoming}, timeout=TURN_SECS)
                progress()
                if not upcoming.done():
                    continue
                response = upcoming.result()
                if response is None:
                    return
                with self._books.activity.busy():
                    self.take(response)
                    self._books.activity.received(flows.PRICES, response.sequence)
                upcoming = asyncio.ensure_future(anext(stream, None))
        finally:
            upcoming.cancel()
            with suppress(asyncio.CancelledError, Retry, Refused):
                await upcoming

    def take(self, response: signal.WatchResponse) -> None:
        """New prices. A price that cannot be read is left out and counted: what is not known is not believed."""
        if response.snapshot:
            self._prices.clear()
        for price in response.prices:
            try:
                self._prices[price.symbol] = _read(price)
            except Malformed as error:
                self._prices.pop(price.symbol, None)
                metrics.QUARANTINED.labels(source="prices", reason="malformed").inc()
                log.warning("prices.malformed", symbol=price.symbol, error=str(error))
                continue
            self._check(price.symbol)

    def _check(self, symbol: str) -> None:
        """Wakes the protective lane at a new breach."""
        position = self._books.last_seen.positions.get(symbol)
        if position is None or position.quantity <= 0 or position.stop_price is None:
            return
        if (symbol, position.stop_price) in self._breaches:
            return
        price = self._view(symbol, position)
        if price.fresh and traded_through(position.stop_price, price):
            self._books.pulse()

    def judge(
        self, holding: HoldingView, position: PositionRow | None, *, now: datetime, bound: timedelta
    ) -> tuple[Watch, datetime | None]:
        """What to do about a holding, and until when the broker's stop has its time."""
        if position is None or holding.quantity <= 0 or holding.stop_price is None:
            self._forget(holding.symbol, keep=None)
            return Watch.REST, None
        key = (holding.symbol, holding.stop_price)
        self._forget(holding.symbol, keep=key)
        since = self._breaches.get(key)
        verdict = watch_stop(holding, self._view(holding.symbol, position), breached_at=since, now=now, bound=bound)
        if verdict is Watch.WAIT and since is None:
            since = self._breaches[key] = now
            log.warning("monitor.stop_traded", symbol=holding.symbol, stop_price=str(holding.stop_price))
        return verdict, None if since is None else since + bound

    def _forget(self, symbol: str, *, keep: tuple[str, Decimal] | None) -> None:
        for key in [each for each in self._breaches if each[0] == symbol and each != keep]:
            del self._breaches[key]

    def _view(self, symbol: str, position: PositionRow) -> PriceView:
        """What traded since the position was opened: an older low says nothing about its stop."""
        seen = self._prices.get(symbol)
        if seen is None:
            return PriceView(last=None, low=None, bid=None, fresh=False)
        now, opened_at = self._books.now, position.opened_at or self._books.now
        quote_counts = seen.quote_at is not None and seen.quote_at > opened_at
        bar_counts = seen.bar_at is not None and seen.bar_at - seen.bar_interval >= opened_at
        quote_fresh = seen.quote_at is not None and now - seen.quote_at <= self._quote_age
        bar_fresh = seen.bar_at is not None and now - seen.bar_at <= seen.bar_interval + self._bar_grace
        return PriceView(
            last=seen.last if bar_counts and bar_fresh else None,
            low=seen.low if bar_counts and bar_fresh else None,
            bid=seen.bid if quote_counts and quote_fresh else None,
            fresh=seen.believed and (quote_fresh or bar_fresh),
        )


def _read(price: signal.Price) -> Seen:
    return Seen(
        bid=_amount(price, "bid", price.bid),
        quote_at=from_timestamp(price.quote_time) if price.HasField("quote_time") else None,
        last=_amount(price, "last", price.last),
        low=_amount(price, "low", price.low),
        bar_at=from_timestamp(price.bar_time) if price.HasField("bar_time") else None,
        bar_interval=timedelta(seconds=price.bar_interval_secs),
        believed=price.feed_connected and not price.halted,
    )


def _amount(price: signal.Price, name: str, value: common.Decimal) -> Decimal | None:
    if not price.HasField(name):  # type: ignore[arg-type]  # the stub lists the names one by one
        return None
    return from_decimal(value, field=f"Price.{name}")
