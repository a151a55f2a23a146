"""One cycle at a time, in order: scored, decided by the gate, and only then acknowledged (BS-3).

A cycle that is past its validity goes to the gate all the same, which decides it as expired: nothing is dropped.
"""

from collections.abc import Callable

import structlog

from holdfast.execution.v1 import execution_pb2 as execution_pb
from holdfast.gate.v1 import gate_pb2 as gate_pb
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_runtime import flows
from holdfast_runtime.bus.streams import CYCLES
from holdfast_runtime.errors import Code, GiveUp, HoldfastError, Refused, Retry
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.bus import Bus, Consumer, Message
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics, traces
from holdfast_scoring.domain.cycles import read_cycle
from holdfast_scoring.scorer import Scorer

CONSUMER = Consumer(stream=CYCLES, name="scoring", subjects=("cycles.v1.>",), max_deliveries=20)
PATIENCE_SECS = 60.0
"""How long one delivery waits for a chain that is away, before it gives the message back."""
FIRST_DELAY_SECS = 0.1
MAX_DELAY_SECS = 2.0
BUS_RETRY_SECS = 0.5
EXPIRED = "CYCLE_EXPIRED"
"""The gate's reason for a cycle that came too late."""

FINAL = frozenset({Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.ALREADY_EXISTS})
"""Refusals that the same cycle would meet again; after any other one it is asked again."""

log = structlog.get_logger()

# Shown from the start: an objective without a number would pass for one that is met.
metrics.STAGE_SECONDS.labels(metrics.DECIDED)


class CycleConsumer:
    """The loop over the CYCLES stream."""

    def __init__(
        self,
        *,
        bus: Bus,
        gate: GateCalls,
        execution: ExecutionCalls,
        scorer: Scorer,
        clock: MonotonicClock,
        activity: Activity,
        progress: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._gate = gate
        self._execution = execution
        self._scorer = scorer
        self._clock = clock
        self._activity = activity
        self._progress = progress
        self.waiting_since_secs: float | None = None
        """Monotonic instant since which the present cycle waits for its decision; None where none does."""
        self.waiting_for = ""
        """Why it waits, in the words of the last answer."""

    async def run(self) -> None:
        """Consumes until cancelled, from where this consumer's durable place is."""
        while True:
            self._progress()
            try:
                finished = await self._bus.acknowledged(CONSUMER)
                break
            except Retry as error:
                log.info("cycles.waiting_for_bus", reason=str(error))
                await self._clock.sleep(BUS_RETRY_SECS)
        # What a process before this one has finished counts: nothing else would tell until the next cycle.
        self._activity.received(flows.CYCLES, finished)
        await self._bus.consume(CONSUMER, self.handle)

    async def handle(self, message: Message) -> None:
        """Takes one delivery to its end. Raises Malformed for what can never be decided, Retry for later."""
        with self._activity.busy():
            try:
                await self._decide(message)
            except Exception as error:
                over = isinstance(error, GiveUp) or message.deliveries >= CONSUMER.max_deliveries
                if over:
                    self.waiting_since_secs = None
                    # The bus puts it aside with its reason: the place in the stream is passed all the same.
                    self._activity.received(flows.CYCLES, message.sequence)
                raise
            self.waiting_since_secs = None
            self._activity.received(flows.CYCLES, message.sequence)

    async def _decide(self, message: Message) -> None:
        cycle = read_cycle(message.subject, message.payload)
        with traces.span(
            "scoring.cycle", cycle_id=cycle.cycle_id, strategy=cycle.strategy, deliveries=message.deliveries
        ) as span:
            request = gate_pb.EvaluateRequest(
                cycle_id=cycle.cycle_id,
                strategy=cycle.strategy,
                book=cycle.book,
                market_time=cycle.market_time,
                valid_until=cycle.valid_until,
                answer_briefly=True,
                signals=[
                    gate_pb.ScoredSignal(signal=signal, score=self._scorer.score(signal)) for signal in cycle.signals
                ],
            )
            if message.deliveries > 1 and await self._was_decided(cycle):
                span.set(replayed=True)
                log.info("cycle.decided_before", cycle_id=cycle.cycle_id, deliveries=message.deliveries)
                return
            answer = await self._evaluate(request)
            self._activity.sent(flows.LEDGER, answer.ledger_version)
            allowed = sum(decision.allowed for decision in answer.decisions)
            span.set(allowed=allowed, replayed=answer.replayed, ledger_version=answer.ledger_version)
            expired = bool(answer.decisions) and all(decision.reason == EXPIRED for decision in answer.decisions)
            metrics.CYCLES.labels(cycle.strategy, "expired" if expired else "decided").inc()
            if message.stored_ns:
                metrics.observe_stage_since(metrics.DECIDED, message.stored_ns, traceparent=span.traceparent)
            log.info(
                "cycle.decided",
                cycle_id=cycle.cycle_id,
                signals=len(cycle.signals),
                allowed=allowed,
                replayed=answer.replayed,
            )

    async def _was_decided(self, cycle: pb.Cycle) -> bool:
        """True where the ledger holds every decision. Where it cannot be asked the gate will be, and gets them back."""
        wanted = {signal.signal_id for signal in cycle.signals}
        try:
            answer = await self._execution.get_decisions(execution_pb.GetDecisionsRequest(signal_ids=sorted(wanted)))
        except (Retry, Refused) as error:
            log.info("cycle.decisions_unknown", cycle_id=cycle.cycle_id, reason=str(error))
            return False
        return wanted <= {decision.signal_id for decision in answer.decisions}

    async def _evaluate(self, request: gate_pb.EvaluateRequest) -> gate_pb.EvaluateResponse:
        """The gate's answer, asked for again while the chain is away. Raises Retry after a minute of it."""
        until_secs = self._clock.now_secs() + PATIENCE_SECS
        delay_secs = FIRST_DELAY_SECS
        reason: HoldfastError
        while True:
            self._progress()
            try:
                answer = await self._gate.evaluate(request)
            except Retry as error:
                reason, wait_secs = error, max(delay_secs, error.after_secs)
            except Refused as error:
                if error.code in FINAL:
                    raise
                reason, wait_secs = error, delay_secs
            else:
                _check_complete(request, answer)
                return answer
            self.waiting_for = str(reason)
            if self.waiting_since_secs is None:
                self.waiting_since_secs = self._clock.now_secs()
            log.info("cycle.waiting_for_gate", cycle_id=request.cycle_id, reason=str(reason))
            wait_secs = min(wait_secs, MAX_DELAY_SECS)
            if self._clock.now_secs() + wait_secs > until_secs:
                raise Retry(f"the gate gave no answer in {PATIENCE_SECS} s: {reason}") from reason
            await self._clock.sleep(wait_secs)
            delay_secs = min(delay_secs * 2, MAX_DELAY_SECS)


def _check_complete(request: gate_pb.EvaluateRequest, answer: gate_pb.EvaluateResponse) -> None:
    """A cycle is decided whole or not at all. Raises Retry where a signal has no decision."""
    undecided = {each.signal.signal_id for each in request.signals} - {each.signal_id for each in answer.decisions}
    if undecided:
        raise Retry(f"cycle {request.cycle_id}: no decision for {', '.join(sorted(undecided))}")
