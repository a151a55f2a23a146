"""Keeps the newest price of each symbol, from the signal service's stream."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import structlog

from holdfast.common.v1 import common_pb2 as common
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_gate.changes import Changes, with_idle_turns
from holdfast_gate.domain.market import Price
from holdfast_runtime.errors import Malformed, Refused, Retry
from holdfast_runtime.flows import PRICES
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.calls import PricesCalls
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.wire import from_decimal, from_timestamp

RECONNECT_SECS = 0.1

log = structlog.get_logger()


class Prices:
    """One connection to the prices, built again whenever it breaks; while it is broken every price is disconnected."""

    def __init__(self, calls: PricesCalls, *, activity: Activity, clock: MonotonicClock, changes: Changes) -> None:
        self._calls = calls
        self._activity = activity
        self._clock = clock
        self._changes = changes
        self.by_symbol: dict[str, Price] = {}
        self.connected = False
        """True from the first answer of a connection to its end."""

    async def run(self, progress: Callable[[], None]) -> None:
        """Follows until cancelled."""
        away = False
        while True:
            try:
                await self._follow(self._calls.watch(signal.WatchRequest()), progress)
            except (Retry, Refused) as error:
                # Told once an outage: it is tried ten times a second.
                if self.connected or not away:
                    log.info("prices.reconnecting", reason=str(error))
                away = True
            finally:
                self._disconnect()
            progress()
            await self._clock.sleep(RECONNECT_SECS)

    async def _follow(self, stream: AsyncIterator[signal.WatchResponse], progress: Callable[[], None]) -> None:
        async with aclosing(with_idle_turns(stream)) as responses:
            async for response in responses:
                if response is not None:
                    with self._activity.busy():
                        self._take(response)
                progress()

    def _take(self, response: signal.WatchResponse) -> None:
        if response.snapshot:
            self.by_symbol.clear()
        for message in response.prices:
            try:
                self.by_symbol[message.symbol] = price_of(message)
            except Malformed as error:
                # The old price of the symbol goes too: an unreadable one must not leave a good-looking one behind.
                self.by_symbol.pop(message.symbol, None)
                metrics.QUARANTINED.labels(source="prices", reason="malformed").inc()
                log.warning("prices.malformed", symbol=message.symbol, error=str(error))
        self.connected = True
        self._activity.received(PRICES, response.sequence)
        self._changes.happened()

    def _disconnect(self) -> None:
        self.connected = False
        self.by_symbol = {symbol: replace(price, connected=False) for symbol, price in self.by_symbol.items()}
        self._changes.happened()


def price_of(message: signal.Price) -> Price:
    """A price as the gates read it. Raises Malformed naming the field."""
    return Price(
        symbol=message.symbol,
        bid=_optional(message.bid, "Price.bid"),
        ask=_optional(message.ask, "Price.ask"),
        quote_at=from_timestamp(message.quote_time) if message.HasField("quote_time") else None,
        last=_optional(message.last, "Price.last"),
        bar_at=from_timestamp(message.bar_time) if message.HasField("bar_time") else None,
        bar_interval=timedelta(seconds=message.bar_interval_secs),
        connected=message.feed_connected,
        halted=message.halted,
    )


def _optional(value: common.Decimal, field: str) -> Decimal | None:
    return from_decimal(value, field=field) if value.value else None
