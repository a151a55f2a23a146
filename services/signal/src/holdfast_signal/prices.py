"""What is known of each symbol's price, and Prices.Watch: first everything, then what changes.

A watcher that is slow gets the newest state, not every step to it, so that nothing queues up without bound.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_runtime import flows
from holdfast_runtime.errors import Code, Refused
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.ports.venue import Bar, Quote, TradingStatus
from holdfast_runtime.wire import to_decimal, to_timestamp

MAX_WATCHERS = 64
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, eq=False)
class _Watcher:
    symbols: frozenset[str]
    changed: set[str] = field(default_factory=set)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Prices:
    """The price board and its watchers (implements PricesCalls)."""

    def __init__(
        self, symbols: Iterable[str], *, clock: MarketClock, activity: Activity, first_sequence: int = 0
    ) -> None:
        """`first_sequence`: no watcher of an earlier process may have got as far, or it would pass for up to date."""
        self._clock = clock
        self._activity = activity
        self._sequence = first_sequence
        self._prices = {symbol: pb.Price(symbol=symbol) for symbol in sorted(symbols)}
        self._seen: dict[str, datetime] = {}
        self._quoted: dict[str, datetime] = {}
        self._barred: dict[str, datetime] = {}
        self._watchers: dict[_Watcher, None] = {}
        """In the order in which they came: who is told first does not depend on where things lie in memory."""
        self._gathering = False
        self._told = first_sequence
        self._changed(())

    def seen_at(self, symbol: str) -> datetime:
        """Time of the newest quote or bar of a symbol; long ago where there was none."""
        return self._seen.get(symbol, NEVER)

    def reference(self, symbols: Iterable[str]) -> dict[str, Decimal]:
        """The last close of each symbol, else the middle of its quote; a symbol that has neither is left out."""
        found = {}
        for price in (self._prices[symbol] for symbol in symbols):
            if price.HasField("last"):
                found[price.symbol] = Decimal(price.last.value)
            elif price.HasField("bid"):
                found[price.symbol] = (Decimal(price.bid.value) + Decimal(price.ask.value)) / 2
        return found

    def take(self, item: Bar | Quote | TradingStatus) -> None:
        """Takes over what is newer than what is known, and tells the watchers."""
        price = self._prices[item.symbol]
        if isinstance(item, TradingStatus):
            price.halted = item.halted
        elif isinstance(item, Quote):
            if item.at < self._quoted.get(item.symbol, NEVER):
                return
            self._quoted[item.symbol] = item.at
            self._see(item.symbol, item.at)
            price.ClearField("quote_time")
            price.MergeFrom(
                pb.Price(bid=to_decimal(item.bid), ask=to_decimal(item.ask), quote_time=to_timestamp(item.at))
            )
        else:
            if item.end < self._barred.get(item.symbol, NEVER):
                return
            self._barred[item.symbol] = item.end
            self._see(item.symbol, item.end)
            price.ClearField("bar_time")
            price.MergeFrom(
                pb.Price(
                    last=to_decimal(item.close),
                    low=to_decimal(item.low),
                    high=to_decimal(item.high),
                    bar_time=to_timestamp(item.end),
                    bar_interval_secs=round((item.end - item.start).total_seconds()),
                )
            )
        self._changed((item.symbol,))

    def set_connected(self, connected: bool, symbols: Iterable[str] | None = None) -> None:
        """Says of `symbols`, of all where None, whether their feed is there."""
        meant = self._prices.keys() if symbols is None else self._prices.keys() & set(symbols)
        differing = [symbol for symbol in sorted(meant) if self._prices[symbol].feed_connected != connected]
        for symbol in differing:
            self._prices[symbol].feed_connected = connected
        if differing:
            self._changed(differing)

    def gather(self, more: bool) -> None:
        """With `more`, what changes is told together with what comes next: a frame of many items is one answer."""
        self._gathering = more
        self._tell()

    async def watch(self, request: pb.WatchRequest) -> AsyncIterator[pb.WatchResponse]:
        """See PricesService.Watch. Every answer brings the newest sequence, also where no watched symbol changed."""
        unknown = sorted(set(request.symbols) - self._prices.keys())
        if unknown:
            raise Refused(Code.NOT_FOUND, "SYMBOL_UNKNOWN", f"no price is kept for {', '.join(unknown)}")
        if len(self._watchers) >= MAX_WATCHERS:
            raise Refused(Code.RESOURCE_EXHAUSTED, "WATCHERS_FULL", f"at most {MAX_WATCHERS} watchers")
        watcher = _Watcher(frozenset(request.symbols or self._prices))
        self._watchers[watcher] = None
        try:
            yield self._response(watcher.symbols, snapshot=True)
            while True:
                await watcher.woken.wait()
                watcher.woken.clear()
                changed, watcher.changed = watcher.changed, set()
                yield self._response(changed, snapshot=False)
        finally:
            del self._watchers[watcher]

    def _response(self, symbols: Iterable[str], *, snapshot: bool) -> pb.WatchResponse:
        return pb.WatchResponse(
            sequence=self._sequence,
            market_time=to_timestamp(self._clock.now()),
            prices=[self._prices[symbol] for symbol in sorted(symbols)],
            snapshot=snapshot,
        )

    def _see(self, symbol: str, at: datetime) -> None:
        self._seen[symbol] = max(at, self.seen_at(symbol))

    def _changed(self, symbols: Iterable[str]) -> None:
        self._sequence += 1
        for watcher in self._watchers:
            watcher.changed.update(watcher.symbols.intersection(symbols))
        self._tell()

    def _tell(self) -> None:
        if self._gathering or self._told == self._sequence:
            return
        self._told = self._sequence
        self._activity.sent(flows.PRICES, self._sequence)
        for watcher in self._watchers:
            watcher.woken.set()
