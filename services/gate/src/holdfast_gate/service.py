"""GateService: evaluates a batch against one version of the ledger, has it stored, answers what was stored."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from holdfast.execution.v1.execution_pb2 import SubmitRequest
from holdfast.gate.v1 import gate_pb2 as pb
from holdfast_core.sessions import OutsideCalendar, calendar_of
from holdfast_gate import messages, readiness
from holdfast_gate.changes import Changes
from holdfast_gate.domain.funds import Funds
from holdfast_gate.domain.ledger import LedgerView
from holdfast_gate.domain.rules import Rules
from holdfast_gate.domain.signals import Candidate, Context, CycleFacts, Direction
from holdfast_gate.evaluator import Evaluation, in_order
from holdfast_gate.gates.base import Outcome
from holdfast_gate.prices import Prices
from holdfast_gate.registry import GATES
from holdfast_gate.snapshot import Snapshots
from holdfast_runtime import calls as current_calls
from holdfast_runtime.errors import NOT_HOLDER, Malformed, Refused, Retry
from holdfast_runtime.flows import LEDGER
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.settings import Settings, VenueKind
from holdfast_runtime.telemetry import metrics, traces

ANSWER_MARGIN_SECS = 0.5
"""Left of a call's deadline for evaluating and storing."""
LONGEST_WAIT_SECS = 4.0
"""Of a call that came without a deadline."""
PASSING_WAIT_SECS = 0.5
"""How long a live decision waits for a merge to end, or a comparison to be renewed."""
RETRY_SECS = 0.2
NEARLY_LATE = 0.8
"""Of a cycle's time: who decides it later than this is slow, and the next one may be too late (IN-2)."""

log = structlog.get_logger()


@dataclass(slots=True)
class GateService:
    """Implements GateCalls. One batch at a time: the next one sees what the last one changed."""

    settings: Settings
    market_clock: MarketClock
    monotonic_clock: MonotonicClock
    execution: ExecutionCalls
    snapshots: Snapshots
    prices: Prices
    changes: Changes
    activity: Activity
    rules: Rules = field(init=False)
    _lock_step: bool = field(init=False)
    _turn: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    _committed_version: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.rules = Rules.of(self.settings)
        self._lock_step = self.settings.venue.kind is VenueKind.PAPERMARKET and self.settings.replay.speed == 0

    @property
    def loaded(self) -> bool:
        """True once a ledger snapshot has come: from there on the service can answer."""
        return self.snapshots.view is not None

    async def list_gates(self, request: pb.ListGatesRequest) -> pb.ListGatesResponse:  # noqa: ARG002 - no parameters
        """The registry, in its order."""
        return messages.descriptions(GATES)

    async def evaluate(self, request: pb.EvaluateRequest) -> pb.EvaluateResponse:
        """Decides a batch and answers after its decisions were committed.

        Raises Malformed for a batch that can never be read, Retry while the ledger cannot be asked or stored to.
        """
        cycle = messages.cycle_of(request)
        candidates = messages.candidates_of(request)
        with (
            self.activity.busy(),
            traces.span(
                "gate.evaluate", cycle_id=cycle.cycle_id, strategy=cycle.strategy, signals=len(candidates)
            ) as span,
        ):
            deadline_secs = self._deadline_secs()
            try:
                async with asyncio.timeout(max(deadline_secs - self.monotonic_clock.now_secs(), 0.0)):
                    await self._turn.acquire()
            except TimeoutError:
                raise Retry("another batch is being decided", after_secs=RETRY_SECS) from None
            try:
                view = await self._present_facts(cycle, candidates, deadline_secs)
                response = await self._store(request, self._decide(request, cycle, candidates, view))
            finally:
                self._turn.release()
            span.set(
                ledger_version=view.version,
                allowed=sum(each.allowed for each in response.decisions),
                replayed=response.replayed,
            )
            return response

    def _deadline_secs(self) -> float:
        """Until when to wait, in monotonic seconds."""
        longest = self.monotonic_clock.now_secs() + LONGEST_WAIT_SECS
        call = current_calls.current()
        return longest if call is None else min(longest, call.deadline_secs - ANSWER_MARGIN_SECS)

    async def _present_facts(self, cycle: CycleFacts, candidates: list[Candidate], deadline_secs: float) -> LedgerView:
        """The ledger as it is after the last batch, once nothing passing stands in the way of entries."""
        symbols = sorted({each.symbol for each in candidates if each.direction is Direction.ENTER_LONG})

        def no_ledger() -> str:
            return readiness.ledger_gap(self.snapshots.view, self._committed_version)

        def passing() -> str:
            view = self.snapshots.view
            if view is None or not symbols or self.market_clock.now() >= cycle.valid_until:
                return ""
            return readiness.passing_block(view, self.market_clock.now(), self.rules) or readiness.feed_gap(
                self.prices.by_symbol, symbols, connected=self.prices.connected
            )

        if not await self._until_empty(no_ledger, deadline_secs):
            raise Retry(no_ledger(), after_secs=RETRY_SECS)
        patience = deadline_secs if self._lock_step else self._soon(PASSING_WAIT_SECS, deadline_secs)
        if not await self._until_empty(passing, patience) and self._lock_step:
            raise Retry(passing(), after_secs=RETRY_SECS)
        view = self.snapshots.view
        assert view is not None, "a ledger gap would have raised"
        return view

    def _soon(self, secs: float, deadline_secs: float) -> float:
        return min(self.monotonic_clock.now_secs() + secs, deadline_secs)

    async def _until_empty(self, gap: Callable[[], str], deadline_secs: float) -> bool:
        """True once `gap` names nothing any more."""
        if not gap():
            return True
        left_secs = deadline_secs - self.monotonic_clock.now_secs()
        return await self.changes.until(lambda: not gap(), timeout_secs=left_secs)

    def _decide(
        self, request: pb.EvaluateRequest, cycle: CycleFacts, candidates: list[Candidate], view: LedgerView
    ) -> SubmitRequest:
        now = self.market_clock.now()
        if NEARLY_LATE <= cycle.spent(now) < 1:
            metrics.CYCLES_NEARLY_LATE.labels(cycle.strategy).inc()
            log.warning("cycle.nearly_late", cycle_id=cycle.cycle_id, spent=f"{cycle.spent(now):.2f}")
        prices = self.prices.by_symbol
        evaluation = Evaluation(
            Context(
                rules=self.rules,
                cycle=cycle,
                now=now,
                session_open=_session_open(cycle.book, now),
                ledger=view,
                prices=prices,
                funds=Funds.of(view, prices),
                strategy=self.rules.strategies.get(cycle.strategy),
            ).planned(candidates)
        )
        scored = {each.signal.signal_id: each for each in request.signals}
        writer = messages.DecisionWriter(request, now)
        submitted = SubmitRequest(
            cycle_id=request.cycle_id,
            strategy=request.strategy,
            market_time=request.market_time,
            evaluated_at_version=view.version,
            answer_changes_only=True,
        )
        counts: Counter[tuple[str, Outcome]] = Counter()
        for candidate in in_order(candidates):
            source = scored[candidate.signal_id]
            with traces.span("gate.decide", parent=source.signal.traceparent) as span:
                decided = evaluation.decide(candidate)
                span.set(
                    signal_id=candidate.signal_id,
                    symbol=candidate.symbol,
                    allowed=decided.allowed,
                    reason=decided.reason,
                    score=candidate.score,
                )
                writer.write(source, decided, submitted.decisions.add())
            counts.update(
                (given.gate.name, given.verdict.outcome)
                for given in decided.verdicts
                # Only what changed something: the passes would be most of the cost of a decision.
                if given.verdict.outcome is not Outcome.PASS
            )
        for (name, outcome), count in counts.items():
            metrics.GATE_VERDICTS.labels(gate=name, verdict=outcome.value.lower()).inc(count)
        return submitted

    async def _store(self, request: pb.EvaluateRequest, submitted: SubmitRequest) -> pb.EvaluateResponse:
        try:
            stored = await self.execution.submit(submitted)
        except Refused as error:
            if error.reason == NOT_HOLDER:
                raise Retry(f"execution does not hold the account: {error}", after_secs=RETRY_SECS) from error
            raise
        otherwise = {each.signal_id: each for each in stored.decisions}
        decisions = [otherwise.pop(each.signal_id, each) for each in submitted.decisions]
        if otherwise:
            raise Malformed(f"execution answers of {len(otherwise)} decisions that it was not given")
        self._committed_version = max(self._committed_version, stored.ledger_version)
        self.activity.sent(LEDGER, stored.ledger_version)
        if request.answer_briefly:
            decisions = [messages.in_brief(each) for each in decisions]
        return pb.EvaluateResponse(decisions=decisions, ledger_version=stored.ledger_version, replayed=stored.replayed)


def _session_open(book: str, now: datetime) -> bool:
    try:
        return calendar_of(book).is_open(now)
    except OutsideCalendar as error:
        # Nothing is guessed: where the calendar does not reach, no session is known to be open.
        log.error("gate.outside_calendar", error=str(error))
        return False
