"""Cycles of signals: whole or absent, with ids that a restart finds again, kept until they are decided.

A cycle leaves one millisecond of market time after the bars it was made of: in lock-step the prices of that instant
have then reached every service, so that no decision depends on which message was faster.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution_pb
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_core.ids import StrategyId, Symbol, cycle_id, signal_id
from holdfast_runtime import flows
from holdfast_runtime.bus.streams import CYCLES
from holdfast_runtime.errors import Refused, Retry
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.bus import Bus
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.telemetry import metrics, traces
from holdfast_runtime.wire import to_decimal, to_timestamp
from holdfast_signal.runners import Draft
from holdfast_signal.strategy import Desire, Wish
from holdfast_signal.timers import Timers

SETTLE = timedelta(milliseconds=1)
RETRY_SECS = 0.2
WATCH_SECS = 2.0
UNSURE_SECS = 0.2

BOOKS = {"equity": common.BOOK_EQUITY, "crypto": common.BOOK_CRYPTO}
DIRECTIONS = {
    Wish.ENTER_LONG: common.DIRECTION_ENTER_LONG,
    Wish.EXIT_LONG: common.DIRECTION_EXIT_LONG,
    Wish.REDUCE_LONG: common.DIRECTION_REDUCE_LONG,
}

log = structlog.get_logger()


def id_of(draft: Draft) -> str:
    """Id of the cycle that a draft becomes."""
    return cycle_id(StrategyId(draft.strategy.id), draft.market_time)


def cycle_of(draft: Draft, ingest_time: datetime) -> pb.Cycle:
    """The message of a draft, inside a span of the cycle: one span a signal, whose context goes with the signal."""
    return pb.Cycle(
        cycle_id=id_of(draft),
        strategy=draft.strategy.id,
        book=BOOKS[draft.strategy.book],
        market_time=to_timestamp(draft.market_time),
        ingest_time=to_timestamp(ingest_time),
        valid_until=to_timestamp(draft.valid_until),
        signals=[_signal_of(draft, desire) for desire in draft.desires],
    )


def _signal_of(draft: Draft, desire: Desire) -> pb.Signal:
    identity = signal_id(StrategyId(draft.strategy.id), Symbol(desire.symbol), draft.market_time, desire.wish)
    with traces.span("signal", signal_id=identity, symbol=desire.symbol, direction=desire.wish) as span:
        return pb.Signal(
            signal_id=identity,
            symbol=desire.symbol,
            direction=DIRECTIONS[desire.wish],
            strength=desire.strength,
            target_weight=to_decimal(desire.target_weight),
            reference_price=to_decimal(draft.prices[desire.symbol]),
            stop_fraction=to_decimal(draft.strategy.stop_fraction),
            features=desire.features,
            traceparent=span.traceparent,
        )


@dataclass(slots=True)
class _Kept:
    """A cycle that was published and is not known to be decided."""

    cycle: pb.Cycle
    valid_until: datetime
    traceparent: str
    sequence: int = 0


@dataclass(order=True, slots=True)
class _Due:
    """A draft that waits for its instant. Order: the order of publication."""

    market_time: datetime
    strategy: str
    release_at: datetime = field(compare=False)
    draft: Draft = field(compare=False)
    replayed: bool = field(compare=False)


class CycleDesk:
    """Publishes drafts as cycles, in order, each once, and again where the bus lost them."""

    def __init__(
        self,
        *,
        bus: Bus,
        execution: ExecutionCalls,
        clock: MarketClock,
        monotonic: MonotonicClock,
        activity: Activity,
        timers: Timers,
        progress: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._execution = execution
        self._clock = clock
        self._monotonic = monotonic
        self._activity = activity
        self._timers = timers
        self._progress = progress
        self._due: list[_Due] = []
        self._known: dict[str, datetime] = {}
        self._kept: dict[str, _Kept] = {}
        self._unsure: set[str] = set()
        self._highest = 0
        self._doubt = False
        self._publishing = asyncio.Lock()
        # After the stream was lost its positions begin anew and prove nothing: decisions are asked for instead.
        activity.settled_when(lambda: not self._unsure)

    def offer(self, drafts: Iterable[Draft], *, replayed: bool = False) -> None:
        """Takes drafts to be published. `replayed`: made from history, so they may have been decided already."""
        now = self._clock.now()
        self._known = {cycle: until for cycle, until in self._known.items() if until > now}
        for draft in drafts:
            identity = id_of(draft)
            if draft.valid_until <= now or identity in self._known:
                continue
            self._known[identity] = draft.valid_until
            release_at = max(draft.market_time, now) + SETTLE
            self._due.append(_Due(draft.market_time, draft.strategy.id, release_at, draft, replayed))
            self._timers.at("publish-cycles", release_at, self._publish_due)

    async def watch(self) -> None:
        """Publishes undecided cycles again when the bus has come back or has lost its store."""
        while True:
            self._progress()
            now = self._clock.now()
            self._kept = {cycle: kept for cycle, kept in self._kept.items() if kept.valid_until > now}
            self._forget(self._unsure - self._kept.keys())
            if self._unsure:
                await self._settle_unsure()
            elif self._kept:
                await self._look_for_loss()
            await self._monotonic.sleep(UNSURE_SECS if self._unsure else WATCH_SECS)

    async def _publish_due(self) -> None:
        # One at a time: while the bus is away, later cycles wait behind earlier ones.
        async with self._publishing:
            while due := sorted(each for each in self._due if each.release_at <= self._clock.now()):
                self._due.remove(due[0])
                await self._publish(due[0].draft, replayed=due[0].replayed)

    async def _publish(self, draft: Draft, *, replayed: bool) -> None:
        strategy = draft.strategy.id
        with traces.span("signal.cycle", cycle_id=id_of(draft), strategy=strategy, replayed=replayed) as span:
            cycle = cycle_of(draft, self._clock.now())
            if replayed and await self._is_decided(cycle):
                log.info("cycle.decided_before", cycle_id=cycle.cycle_id)
                return
            kept = _Kept(cycle, draft.valid_until, span.traceparent)
            if not await self._send(kept, fresh=not replayed):
                metrics.CYCLES.labels(strategy, "expired").inc()
                span.fail("no longer valid before the bus took it")
                log.error("cycle.never_published", cycle_id=cycle.cycle_id)
                return
            metrics.CYCLES.labels(strategy, "published").inc()
            for desire in draft.desires:
                metrics.SIGNALS.labels(strategy, desire.wish).inc()
            log.info("cycle.published", cycle_id=cycle.cycle_id, signals=len(cycle.signals), sequence=kept.sequence)

    async def _send(self, kept: _Kept, *, fresh: bool) -> bool:
        """Publishes until the bus has it; False where the cycle is no longer valid before that."""
        cycle = kept.cycle
        headers = {"traceparent": kept.traceparent} if kept.traceparent else None
        while self._clock.now() < kept.valid_until:
            try:
                kept.sequence = await self._bus.publish(
                    f"cycles.v1.{cycle.strategy}",
                    cycle.SerializeToString(deterministic=True),
                    message_id=cycle.cycle_id,
                    headers=headers,
                )
            except Retry as error:
                self._doubt = True
                log.warning("cycle.waiting_for_bus", cycle_id=cycle.cycle_id, reason=str(error))
                await self._monotonic.sleep(max(RETRY_SECS, error.after_secs))
                continue
            self._kept[cycle.cycle_id] = kept
            if fresh and kept.sequence <= self._highest:
                # A new message at an old position: the stream was lost and has begun anew.
                self._unsure.add(cycle.cycle_id)
                self._doubt = True
                self._highest = kept.sequence
            self._highest = max(kept.sequence, self._highest)
            self._activity.sent(flows.CYCLES, kept.sequence)
            return True
        return False

    async def _look_for_loss(self) -> None:
        try:
            position = await self._bus.last_position(CYCLES)
        except Retry:
            self._doubt = True
            return
        lost = position < max(kept.sequence for kept in self._kept.values())
        if not lost and not self._doubt:
            return
        with self._activity.busy():
            for identity, kept in sorted(self._kept.items(), key=lambda each: (each[1].sequence, each[0])):
                if await self._is_decided(kept.cycle):
                    del self._kept[identity]
                elif lost:
                    log.warning("cycle.published_again", cycle_id=identity, position=position, was=kept.sequence)
                    if await self._send(kept, fresh=False):
                        self._unsure.add(identity)
            if lost:
                self._highest = max((kept.sequence for kept in self._kept.values()), default=position)
            self._doubt = False

    async def _settle_unsure(self) -> None:
        for identity in sorted(self._unsure):
            if await self._is_decided(self._kept[identity].cycle):
                del self._kept[identity]
                self._forget({identity})

    def _forget(self, identities: set[str]) -> None:
        if identities:
            self._unsure -= identities
            self._activity.changed()

    async def _is_decided(self, cycle: pb.Cycle) -> bool:
        """True where the ledger holds a decision for each signal; False where it does not, or cannot be asked: the
        chain gives a cycle that comes twice its stored decisions back."""
        wanted = {each.signal_id for each in cycle.signals}
        try:
            answer = await self._execution.get_decisions(execution_pb.GetDecisionsRequest(signal_ids=sorted(wanted)))
        except (Retry, Refused) as error:
            log.info("cycle.decisions_unknown", cycle_id=cycle.cycle_id, reason=str(error))
            return False
        return wanted <= {each.signal_id for each in answer.decisions}
