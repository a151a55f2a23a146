"""The loops that keep what is shown up to date. Each waits out a source that is away, and says so."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from google.protobuf.message import DecodeError

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_admin.domain import convert
from holdfast_admin.domain.board import market_time
from holdfast_admin.domain.projection import NEVER, is_opened, number
from holdfast_admin.domain.sources import LastPrice, Sources
from holdfast_core.sessions import Calendar
from holdfast_runtime.bus.streams import FACTS, MARKET
from holdfast_runtime.errors import GiveUp, Malformed, Refused, Retry
from holdfast_runtime.ports.bus import Bus, Message
from holdfast_runtime.ports.calls import ExecutionCalls, PricesCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics, traces
from holdfast_runtime.wire import from_timestamp, require, to_timestamp

FACT_SUBJECTS = "facts.v1.>"
BAR_SUBJECTS = "market.v1.bar.>"
READER = "admin"
"""As which unreadable messages are put aside."""
IDLE_SECS = 2.0
RECONNECT_SECS = 0.2
HOLDER_EVERY_SECS = 1.0
LEDGER_EVERY_SECS = 60.0
"""Beside the facts, so that no loss of theirs stays unseen for longer."""
LEDGER_WITHOUT_BUS_SECS = 2.0
BUS_EVERY_SECS = 1.0
BUS_ANSWER_SECS = 2.0
HISTORY = timedelta(days=7)
"""Terminal orders and fills are asked for so far back: as long as the facts are kept."""
YIELD_EVERY = 200
"""Messages after which other work gets its turn while a stream is caught up."""

Item = TypeVar("Item")
log = structlog.get_logger()


async def in_turns(stream: AsyncIterator[Item], idle_secs: float = IDLE_SECS) -> AsyncGenerator[Item | None, None]:
    """The items of `stream` as they come, and None whenever it was silent for `idle_secs`."""
    following: asyncio.Future[Item] = asyncio.ensure_future(anext(stream))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=idle_secs)
            if not done:
                yield None
                continue
            try:
                item = following.result()
            except StopAsyncIteration:
                return
            yield item
            following = asyncio.ensure_future(anext(stream))
    finally:
        following.cancel()


class Readers:
    """Facts, bars, prices, and the ledger itself, into Sources."""

    def __init__(
        self,
        sources: Sources,
        *,
        settings: Settings,
        bus: Bus,
        execution: ExecutionCalls,
        prices: PricesCalls,
        market_clock: MarketClock,
        monotonic_clock: MonotonicClock,
        wall_clock: MarketClock,
        calendar: Calendar,
    ) -> None:
        self._sources = sources
        self._settings = settings
        self._bus = bus
        self._execution = execution
        self._prices = prices
        self._market_clock = market_clock
        self._clock = monotonic_clock
        self._wall = wall_clock
        self._calendar = calendar
        self._ledger_due_secs = 0.0
        self._fact_sequence = 0

    # --- the bus

    async def read_facts(self, progress: Callable[[], None]) -> None:
        """Applies every fact from the start of the stream on, for ever."""
        await self._read(FACTS, FACT_SUBJECTS, self._take_fact, progress)

    async def read_bars(self, progress: Callable[[], None]) -> None:
        """Every bar, for the equity curve."""
        await self._read(MARKET, BAR_SUBJECTS, self._take_bar, progress)

    async def _read(
        self, stream: str, subjects: str, take: Callable[[Message], None], progress: Callable[[], None]
    ) -> None:
        async with aclosing(in_turns(self._bus.read(stream, subjects))) as messages:
            count = 0
            async for message in messages:
                if message is not None:
                    try:
                        take(message)
                    except (Malformed, DecodeError) as error:
                        await self._put_aside(message, stream, str(error) or type(error).__name__)
                count += 1
                if message is None or count % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                progress()

    async def _put_aside(self, message: Message, stream: str, reason: str) -> None:
        """It stays in its stream; what it was about is set right by the next reading of the ledger."""
        metrics.QUARANTINED.labels(source=stream.lower(), reason="malformed").inc()
        log.warning("admin.malformed", subject=message.subject, id=message.message_id, error=reason)
        try:
            await self._bus.put_aside(message, READER, reason)
        except (Retry, GiveUp) as error:
            log.warning("admin.not_put_aside", id=message.message_id, error=str(error))

    def _take_fact(self, message: Message) -> None:
        if message.sequence <= self._fact_sequence:
            log.warning("admin.facts_lost", position=self._fact_sequence, again_from=message.sequence)
            self._ledger_due_secs = 0.0
        self._fact_sequence = message.sequence
        fact = pb.Fact.FromString(message.payload)
        if fact.HasField("fill"):
            traces.hop("admin.fill", parent=fact.traceparent, stored_ns=message.stored_ns, symbol=fact.fill.symbol)
        self._sources.projection.apply(fact)
        at, version = from_timestamp(fact.market_time), fact.aggregate_version
        if fact.HasField("account"):
            self._sources.curve.cash(version, at, number(fact.account.cash))
        elif fact.HasField("position"):
            self._step(fact.position, version, at)
        elif fact.HasField("halt"):
            self._sources.own_halts.pop(fact.halt.halt_id, None)

    def _step(self, held: pb.Position, version: int, at: datetime, *, read: bool = False) -> None:
        quantity, price = number(held.quantity), number(held.average_price)
        self._sources.curve.quantity(version, at, held.symbol, quantity, price, read=read)

    def _take_bar(self, message: Message) -> None:
        bar = signal.Bar.FromString(message.payload)
        require("Bar", [("symbol", bar.symbol), ("start", bar.HasField("start")), ("end", bar.HasField("end"))])
        if from_timestamp(bar.end) - from_timestamp(bar.start) <= timedelta(hours=1):
            self._sources.curve.bar(bar.symbol, from_timestamp(bar.end), number(bar.close, field="Bar.close"))

    async def watch_bus(self, progress: Callable[[], None]) -> None:
        """Asks the bus each second: one that is connected and silent is away as well."""
        while True:
            try:
                async with asyncio.timeout(BUS_ANSWER_SECS):
                    await self._bus.last_position(FACTS)
                self._sources.bus.answered(self._wall.now())
            except (Retry, TimeoutError) as error:
                self._sources.bus.failed(self._wall.now(), str(error))
            progress()
            await self._clock.sleep(BUS_EVERY_SECS)

    # --- prices

    async def watch_prices(self, progress: Callable[[], None]) -> None:
        """Follows signal's prices; while it is away they stay as they are, marked as not live."""
        while True:
            try:
                async with aclosing(in_turns(self._prices.watch(signal.WatchRequest()))) as answers:
                    async for answer in answers:
                        if answer is not None:
                            self._take_prices(answer)
                        progress()
                self._sources.signal.failed(self._wall.now(), "the stream of prices ended")
            except (Retry, Refused) as error:
                self._sources.signal.failed(self._wall.now(), str(error))
            progress()
            await self._clock.sleep(RECONNECT_SECS)

    def _take_prices(self, answer: signal.WatchResponse) -> None:
        known = self._sources.prices
        for price in answer.prices:
            try:
                known[price.symbol] = LastPrice(
                    last=convert.amount(price.last), at=convert.instant(price.bar_time), halted=price.halted
                )
            except Malformed as error:
                metrics.QUARANTINED.labels(source="prices", reason="malformed").inc()
                log.warning("admin.malformed", subject=f"price of {price.symbol}", error=str(error))
        if answer.prices:
            self._sources.feed_connected = any(price.feed_connected for price in answer.prices)
        self._sources.signal.answered(self._wall.now())

    # --- execution

    async def watch_execution(self, progress: Callable[[], None]) -> None:
        """Asks for holder and strategies each second; reads the ledger at the start, after a loss and now and then."""
        while True:
            began_secs = self._clock.now_secs()
            wall = self._wall.now()
            if not self._sources.bus.up:
                self._ledger_due_secs = min(self._ledger_due_secs, began_secs + LEDGER_WITHOUT_BUS_SECS)
            try:
                self._sources.holder = await self._execution.get_holder(pb.GetHolderRequest())
                if not self._sources.execution.up:
                    self._ledger_due_secs = 0.0
                self._sources.execution.answered(wall)
                await self.read_strategies()
                if self._clock.now_secs() >= self._ledger_due_secs:
                    await self.read_ledger()
            except (Retry, Refused) as error:
                self._sources.execution.failed(wall, str(error))
            self._judge_verdict()
            progress()
            await self._clock.sleep(HOLDER_EVERY_SECS)

    async def read_strategies(self) -> None:
        """Takes over every strategy as it stands. Raises Retry or Refused where execution does not answer."""
        answer = await self._execution.list_strategies(pb.ListStrategiesRequest())
        self._sources.strategies.take(answer.strategies, answer.ledger_version)

    async def read_ledger(self) -> None:
        """Takes over the ledger itself. Raises Retry or Refused where execution does not answer."""
        now = market_time(self._sources, self._market_clock.now(), self._calendar).now
        since = now - HISTORY if now is not None else NEVER
        seen_before = set(self._sources.own_halts)
        ledger = await self._execution.get_ledger(pb.GetLedgerRequest(since=to_timestamp(max(since, NEVER))))
        at = market_time(self._sources, self._market_clock.now(), self._calendar).now or NEVER
        projection = self._sources.projection
        projection.apply_ledger(ledger, at)
        if projection.ledger_as_of == ledger.last_event_id and at > NEVER and is_opened(ledger.account):
            self._sources.curve.cash(ledger.last_event_id, at, number(ledger.account.cash), read=True)
            for held in ledger.positions:
                self._step(held, ledger.last_event_id, at, read=True)
        # What was in the ledger before this answer is in the answer, or lifted.
        for halt_id in seen_before:
            self._sources.own_halts.pop(halt_id, None)
        every_secs = LEDGER_EVERY_SECS if self._sources.bus.up else LEDGER_WITHOUT_BUS_SECS
        self._ledger_due_secs = self._clock.now_secs() + every_secs

    def refresh_soon(self) -> None:
        """The ledger is read again at the next turn: a person has just changed something."""
        self._ledger_due_secs = 0.0

    def _judge_verdict(self) -> None:
        kept = self._sources.projection.verdict
        market = market_time(self._sources, self._market_clock.now(), self._calendar)
        stale = False
        if kept is not None and market.now is not None and kept.body.HasField("market_time"):
            age = market.now - from_timestamp(kept.body.market_time)
            stale = age > timedelta(seconds=self._settings.execution.verdict_max_age_secs)
        self._sources.verdict_stale_secs = self._sources.verdict_stale_secs + HOLDER_EVERY_SECS if stale else 0.0
