"""The bus between signal and scoring; and whether each cycle on it was decided, once, before it was let go (BS-3)."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator

from holdfast.gate.v1 import gate_pb2 as gate
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_runtime.bus.settlement import ACK_WAIT_SECS
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.bus import Consumer, Letter, Message, MessageHandler
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.world.faults import Kind, Weather
from holdfast_simulation.world.workload import FIRST_CALM

POLL_SECS = 0.1
PASSING_REASONS = frozenset(
    {"ENTRIES_LOCKED", "ENTRIES_HALTED", "FEED_DISCONNECTED", "KILL_SWITCH_ENGAGED", "RECONCILIATION_STALE"}
)
"""Blocks that must be over when nothing goes wrong any more."""
DECIDED_WITHIN_SECS = 5.0
"""Of virtual time, in the calm, with all that waits before it."""


class WorldBus(MemoryBus):
    """Acknowledgements may get lost. `on_finished` sees what is about to be acknowledged, `on_refused` what a handler
    will never take."""

    def __init__(self, clock: MonotonicClock, weather: Weather) -> None:
        super().__init__(clock)
        self._weather = weather
        self.on_finished: Callable[[Message], None] = lambda _: None
        self.on_refused: Callable[[Message, GiveUp], None] = lambda _message, _error: None

    async def consume(self, consumer: Consumer, handler: MessageHandler) -> None:
        """See ports.bus.Bus."""

        async def finishes(message: Message) -> None:
            try:
                await handler(message)
            except GiveUp as error:
                self.on_refused(message, error)
                raise
            self.on_finished(message)
            if self._weather.strikes(Kind.ACK_LOST, consumer.name):
                raise Retry("the acknowledgement is lost", after_secs=ACK_WAIT_SECS)

        await super().consume(consumer, finishes)


class Cycles:
    """Publishes cycles as signal's outbox does, and judges what becomes of them."""

    def __init__(
        self, bus: WorldBus, reads: SqlReads, weather: Weather, chance: random.Random, clock: MonotonicClock
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._reads = reads
        self._weather = weather
        self._chance = chance
        self._outbox: deque[Letter] = deque()
        self._again = 0
        self._published: dict[str, signal.Cycle] = {}
        """By id, as last published."""
        self._since_secs: dict[str, float] = {}
        """By id: when it was published first."""
        self.answered: dict[str, gate.Decision] = {}
        """By signal: the gate's first answer, in brief."""
        self.broken: list[str] = []
        """What did not hold."""
        bus.on_finished = self._finished
        bus.on_refused = self._refused

    def publish(self, cycle: signal.Cycle) -> None:
        """A cycle, or the same one with what is known now."""
        self._published[cycle.cycle_id] = cycle
        self._since_secs.setdefault(cycle.cycle_id, self._clock.now_secs())
        self._put(cycle, cycle.cycle_id)

    def _put(self, cycle: signal.Cycle, message_id: str) -> None:
        subject = f"cycles.v1.{cycle.strategy}"
        self._outbox.append(Letter(subject=subject, payload=cycle.SerializeToString(), message_id=message_id))

    async def run(self) -> None:
        """Brings everything to the bus in its order, for ever; some of it again, when the bus knows its id no more."""
        while True:
            if self._published and self._weather.strikes(Kind.CYCLE_AGAIN, "scoring"):
                self._again += 1
                cycle = self._chance.choice(tuple(self._published.values()))
                self._put(cycle, f"{cycle.cycle_id}.again.{self._again}")
            while self._outbox:
                letter = self._outbox[0]
                try:
                    await self._bus.publish(letter.subject, letter.payload, message_id=letter.message_id)
                except Retry:
                    break
                self._outbox.popleft()
            await asyncio.sleep(POLL_SECS)

    def told(self, edge: str, answer: bytes) -> None:
        """The gate has answered."""
        if edge != "scoring>gate":
            return
        for decision in gate.EvaluateResponse.FromString(answer).decisions:
            first = self.answered.setdefault(decision.signal_id, decision)
            if _differ(first, decision):
                self._break(f"15: {decision.signal_id} was answered in two ways")

    def _finished(self, message: Message) -> None:
        cycle = signal.Cycle.FromString(message.payload)
        if undecided := self._undecided(cycle):
            self._break(f"15: {cycle.cycle_id} is let go without a decision on {', '.join(undecided)}")
        if _of_the_calm(cycle):
            took_secs = self._clock.now_secs() - self._since_secs[cycle.cycle_id]
            if took_secs > DECIDED_WITHIN_SECS:
                self._break(f"18: {cycle.cycle_id} was decided after {took_secs:.1f} s in the calm")

    def _refused(self, message: Message, error: GiveUp) -> None:
        self._break(f"15: {message.message_id} is put aside: {error}")

    def _undecided(self, cycle: signal.Cycle) -> list[str]:
        wanted = sorted(each.signal_id for each in cycle.signals)
        decided = {each.signal_id for each in self._reads.decisions(wanted)}
        return [each for each in wanted if each not in decided]

    def _break(self, what: str) -> None:
        if what not in self.broken:
            self.broken.append(what)

    def at_rest(self, *, alone: bool) -> Iterator[str]:
        """What is not (yet) as it must be, when it is quiet. `alone`: nobody else has traded in the account."""
        yield from self.broken
        signals = {each.signal_id: cycle for cycle in self._published.values() for each in cycle.signals}
        decisions = {each.signal_id: each for each in self._reads.decisions(sorted(signals))}
        for signal_id, cycle in signals.items():
            decision = decisions.get(signal_id)
            if decision is None:
                yield f"15: {signal_id} was never decided"
                continue
            if _differ(decision, self.answered.get(signal_id, decision)):
                yield f"15: {signal_id} was answered otherwise than the ledger has it"
            if alone and _of_the_calm(cycle) and decision.reason in PASSING_REASONS:
                yield f"18: {signal_id} is blocked in the calm: {decision.reason}"


def _differ(one: gate.Decision, other: gate.Decision) -> bool:
    return (one.allowed, one.reason) != (other.allowed, other.reason)


def _of_the_calm(cycle: signal.Cycle) -> bool:
    number = cycle.cycle_id.rpartition(".")[2]
    return number >= str(FIRST_CALM) and len(number) == len(str(FIRST_CALM))
