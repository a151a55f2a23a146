"""ExecutionService as it is called: decisions in, answers after their commit, never after a POST."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta

import structlog

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.books import LOCKED_WITHOUT_LEASE, Books
from holdfast_execution.claims import Asked, Claims
from holdfast_execution.domain.limits import Breach, Limits, enforcer
from holdfast_execution.engine import Engine
from holdfast_execution.ledger import Ledger, LedgerError, StaleFence, UnknownRow
from holdfast_execution.merge import DISCREPANT, FOREIGN_ORDER
from holdfast_execution.messages import to_adjustment, to_ledger_response
from holdfast_execution.rows import CLAIM, AdjustmentRow, HaltRow
from holdfast_execution.strategies import StrategyDesk
from holdfast_execution.updates import RECONNECTING, STARTING
from holdfast_execution.wishes import wish_of
from holdfast_runtime import calls, revisions
from holdfast_runtime.errors import AskBroker, Code, Malformed, Refused, Retry
from holdfast_runtime.ledger_halts import CREDENTIALS
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Unauthorised
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics, traces
from holdfast_runtime.wire import from_timestamp, require, to_decimal

log = structlog.get_logger()

MAX_SIGNALS = 256
ENTRIES_LOCKED = "ENTRIES_LOCKED"
"""The gate's reason for entries while a lock stands."""
PASSING_LOCKS = frozenset({STARTING, RECONNECTING, LOCKED_WITHOUT_LEASE})
"""Locks that end by themselves: entries met by them are asked for again while they are valid."""
EXITS_WAIT_SECS = 5.0
"""A batch with an exit waits no longer for such a lock."""
LOCKED_RETRY_SECS = 0.2
RECONCILIATION = "reconciliation"
CLAIMABLE = frozenset({RECONCILIATION, FOREIGN_ORDER})
"""Kinds of halts that a claim settles."""
INSTANT = timedelta(microseconds=1)
HALT = "halt"
"""Action of a discrepancy that only a person can settle."""


class ExecutionService:
    """Implements ExecutionCalls over the engine of one account."""

    def __init__(self, engine: Engine, *, monotonic_clock: MonotonicClock, settings: Settings) -> None:
        self._engine = engine
        self._books: Books = engine.books
        self._clock = monotonic_clock
        self._account = settings.account.id
        gates, rules = settings.gate, settings.execution
        self._limits = Limits(
            max_positions=gates.max_positions,
            max_new_per_cycle=gates.max_new_per_cycle,
            cooldown=timedelta(seconds=gates.cooldown_secs),
            max_order_notional=gates.max_order_notional,
            max_symbol_notional=gates.max_symbol_notional,
            buying_power_fraction=gates.buying_power_fraction,
            max_gross_exposure=gates.max_gross_exposure,
            max_entries_per_symbol_day=gates.max_entries_per_symbol_day,
            entries_per_minute=gates.entries_per_minute,
            verdict_max_age=timedelta(seconds=rules.verdict_max_age_secs),
        )
        self._strategies = StrategyDesk(engine, settings)
        self._locked_since_secs: float | None = None
        strategies = {each.id for each in settings.strategies}
        self._claims = Claims(engine.books, engine.guard, engine.merger, strategies=strategies)

    # --- decisions

    async def submit(self, request: execution.SubmitRequest) -> execution.SubmitResponse:
        """Stores all decisions of a batch with their intents. A redelivery gets what was stored first.

        Raises Refused(NOT_HOLDER), Malformed, and Retry where a passing lock of entries would decide for them.
        """
        self._books.require_holder()
        _check(request)
        with (
            self._books.activity.busy(),
            traces.span("execution.submit", cycle_id=request.cycle_id, decisions=len(request.decisions)) as span,
        ):
            ranked = sorted(request.decisions, key=lambda each: (-each.score.value, each.signal_id))
            await self._wait_out_locks(ranked)
            mirror = await self._books.look()
            intents = {
                decision.signal_id: wish_of(decision, self._account, mirror) for decision in ranked if decision.allowed
            }
            check = enforcer(
                self._limits, entries_locked_reason=self._books.locked_reason, refused=_of_another_release()
            )
            try:
                stored = await self._engine.store(request.strategy, ranked, intents, check)
            except StaleFence:
                await self._books.tenure.lost()
                self._books.require_holder()
                raise
            except LedgerError as error:
                raise Refused(Code.INVALID_ARGUMENT, "BATCH_REFUSED", str(error)) from error
            span.set(replayed=stored.replayed, intents=len(stored.intents), ledger_version=stored.version)
            if not stored.replayed:
                _count(stored.decisions)
            if request.answer_changes_only:
                # What nothing of the ledger contradicts is stored as the very message that came.
                submitted = {id(decision) for decision in ranked}
                answered = [decision for decision in stored.decisions if id(decision) not in submitted]
            else:
                by_signal = {decision.signal_id: decision for decision in stored.decisions}
                answered = [by_signal[decision.signal_id] for decision in request.decisions]
            return execution.SubmitResponse(
                decisions=answered,
                ledger_version=stored.version,
                replayed=stored.replayed,
            )

    async def _wait_out_locks(self, decisions: Sequence[gate.Decision]) -> None:
        """While a passing lock stands, entries that are still valid are not decided by it: the caller asks again."""
        if self._books.locked_reason not in PASSING_LOCKS:
            self._locked_since_secs = None
            return
        now_secs = self._clock.now_secs()
        self._locked_since_secs = since_secs = self._locked_since_secs or now_secs
        touched = [each for each in decisions if _is_entry(each) and (each.allowed or each.reason == ENTRIES_LOCKED)]
        if not any(from_timestamp(each.valid_until) > self._books.now for each in touched):
            return
        exits = any(each.allowed and not _is_entry(each) for each in decisions)
        if exits and now_secs - since_secs >= EXITS_WAIT_SECS:
            return
        stored = await self._books.read(lambda ledger: ledger.decisions([decision.signal_id for decision in decisions]))
        if len(stored) < len(decisions):
            raise Retry(f"entries are locked: {self._books.locked_reason}", after_secs=LOCKED_RETRY_SECS)

    async def get_decisions(self, request: execution.GetDecisionsRequest) -> execution.GetDecisionsResponse:
        """Those of the named signals that were decided. Standbys answer too."""
        if len(request.signal_ids) > MAX_SIGNALS:
            raise Malformed(f"GetDecisionsRequest.signal_ids: {len(request.signal_ids)}, at most {MAX_SIGNALS}")
        asked = list(request.signal_ids)
        return execution.GetDecisionsResponse(decisions=await self._books.read(lambda ledger: ledger.decisions(asked)))

    # --- the ledger

    async def watch_snapshot(
        self,
        request: execution.WatchSnapshotRequest,  # noqa: ARG002 - the port names it
    ) -> AsyncIterator[execution.WatchSnapshotResponse]:
        """A snapshot at once, then the newest after each change."""
        async for response in self._engine.snapshots.watch():
            yield response

    async def get_ledger(self, request: execution.GetLedgerRequest) -> execution.GetLedgerResponse:
        """Everything open, and what ended since the given instant. Standbys answer too."""
        since: datetime | None = from_timestamp(request.since) if request.HasField("since") else None
        return to_ledger_response(
            *await self._books.read(lambda ledger: (ledger.ledger_state(since), ledger.past_orders(since)))
        )

    async def refresh(self, request: execution.RefreshRequest) -> execution.RefreshResponse:
        """Merges a fresh snapshot of the broker."""
        self._books.require_holder()
        try:
            version = await self._engine.merger.merge(request.reason or "refresh")
        except Unauthorised as error:
            raise Refused(Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED", str(error)) from error
        except AskBroker as error:
            raise Retry(str(error)) from error
        return execution.RefreshResponse(ledger_version=version)

    async def record_verdict(self, request: execution.RecordVerdictRequest) -> execution.RecordVerdictResponse:
        """Stores reconciliation's verdict, with a halt for each discrepancy that no evidence explains (FP-4.5).

        A clean one ends the lock that a differing merge has set, and the halts of what a person has claimed since
        (invariant 14); any other halt stays until a person clears it.
        """
        self._books.require_holder()
        if request.verdict.state == execution.RECONCILIATION_STATE_UNSPECIFIED:
            raise Malformed("RecordVerdictRequest.verdict.state is missing")
        version = await self._books.write(lambda ledger, epoch, now: _store(ledger, epoch, now, request.verdict))
        if request.verdict.state == execution.RECONCILIATION_STATE_CLEAN:
            self._books.unlock_entries(DISCREPANT)
        return execution.RecordVerdictResponse(ledger_version=version)

    async def clear_halt(self, request: execution.ClearHaltRequest) -> execution.ClearHaltResponse:
        """A person clears a halt; clearing `credentials` opens the broker's door again."""
        self._books.require_holder()
        require("ClearHaltRequest", [("halt_id", request.halt_id), ("cleared_by", request.cleared_by)])
        try:
            halt = await self._books.write(
                lambda ledger, epoch, now: ledger.clear_halt(
                    epoch, now, request.halt_id, request.cleared_by, request.note
                )
            )
        except UnknownRow as error:
            raise Refused(Code.NOT_FOUND, "HALT_UNKNOWN", str(error), {"halt_id": request.halt_id}) from error
        log.warning("halt.cleared", halt=halt.halt_id, kind=halt.kind, cleared_by=request.cleared_by)
        if halt.kind == CREDENTIALS:
            self._engine.credentials_cleared()
        return execution.ClearHaltResponse(ledger_version=await self._books.read(lambda ledger: ledger.version()))

    async def claim_position(self, request: execution.ClaimPositionRequest) -> execution.ClaimPositionResponse:
        """A person takes over what the broker holds and the ledger does not know (invariant 14).

        Raises Refused(NOT_HOLDER), Malformed, and as `Claims.claim`."""
        self._books.require_holder()
        require("ClaimPositionRequest", [("symbol", request.symbol), ("claimed_by", request.claimed_by)])
        claimed = await self._claims.claim(
            Asked(
                symbol=request.symbol,
                strategy=request.strategy,
                claimed_by=request.claimed_by,
                note=request.note,
                dry_run=request.dry_run,
            )
        )
        return execution.ClaimPositionResponse(
            adjustment=to_adjustment(claimed.adjustment),
            ledger_quantity=to_decimal(claimed.before),
            broker_quantity=to_decimal(claimed.theirs),
            ledger_version=self._books.version,
        )

    # --- strategies

    async def list_strategies(
        self,
        request: execution.ListStrategiesRequest,  # noqa: ARG002 - the port names it
    ) -> execution.ListStrategiesResponse:
        """Every known strategy. Standbys answer too."""
        return await self._strategies.list_all()

    async def stop_strategy(self, request: execution.StopStrategyRequest) -> execution.StopStrategyResponse:
        """A person stops a strategy: see StrategyDesk.stop."""
        return await self._strategies.stop(request)

    async def start_strategy(self, request: execution.StartStrategyRequest) -> execution.StartStrategyResponse:
        """A person starts a strategy: see StrategyDesk.start."""
        return await self._strategies.start(request)

    async def get_holder(
        self,
        request: execution.GetHolderRequest,  # noqa: ARG002 - the port names it
    ) -> execution.GetHolderResponse:
        """Who holds the account's lease."""
        tenure = self._books.tenure
        row = await self._books.read(lambda ledger: ledger.lease())
        return execution.GetHolderResponse(
            account_id=self._account,
            holder=row.holder,
            epoch=row.epoch,
            is_holder=tenure.is_holder,
            entries_locked_reason=self._books.locked_reason,
        )


def _store(ledger: Ledger, epoch: int, now: datetime, verdict: execution.ReconciliationVerdict) -> int:
    version = ledger.record_verdict(epoch, now, verdict)
    for found in verdict.discrepancies:
        if found.action == HALT:
            reason = f"{found.kind} {found.subject}: ledger {found.ledger_value}, broker {found.broker_value}"
            ledger.add_halt(epoch, now, RECONCILIATION, reason, symbol=found.symbol, set_by=RECONCILIATION)
            version = ledger.version()
    if verdict.state == execution.RECONCILIATION_STATE_CLEAN:
        for halt, claim in _settled(ledger, verdict):
            ledger.clear_halt(epoch, now, halt.halt_id, RECONCILIATION, f"claimed: {claim.adjustment_id}")
            version = ledger.version()
    return version


def _settled(ledger: Ledger, verdict: execution.ReconciliationVerdict) -> Iterator[tuple[HaltRow, AdjustmentRow]]:
    """Halts of what differed, with the claim that a person has made of it since. Cash halts the whole account."""
    open_ = {found.symbol for found in verdict.discrepancies}
    for halt in ledger.halts():
        if halt.kind not in CLAIMABLE or halt.symbol in open_ or halt.strategy:
            continue
        for each in ledger.adjustments(halt.since - INSTANT):
            explains = each.symbol == halt.symbol or (not halt.symbol and each.cash)
            if each.kind == CLAIM and each.at >= halt.since and explains:
                yield halt, each
                break


def _of_another_release() -> Breach | None:
    """Why the caller's decisions open nothing: its release and this one do not understand each other."""
    call = calls.current()
    if call is None or revisions.OWN.understands(call.revisions):
        return None
    numbers = {"caller": str(call.revisions), "execution": str(revisions.OWN)}
    log.error("revisions.incompatible", service=call.caller, **numbers)
    metrics.REVISIONS_INCOMPATIBLE.labels(caller=call.caller).inc()
    return Breach(
        revisions.INCOMPATIBLE, f"{call.caller} is of a release that execution's does not understand", numbers
    )


def _is_entry(decision: gate.Decision) -> bool:
    return decision.direction == common.DIRECTION_ENTER_LONG


def _check(request: execution.SubmitRequest) -> None:
    """Refuses a batch that cannot be one. Raises Malformed."""
    require("SubmitRequest", [("cycle_id", request.cycle_id), ("strategy", request.strategy)])
    if len(request.decisions) > MAX_SIGNALS:
        raise Malformed(f"SubmitRequest.decisions: {len(request.decisions)}, at most {MAX_SIGNALS}")
    seen: set[str] = set()
    for decision in request.decisions:
        require(
            "Decision",
            [
                ("signal_id", decision.signal_id),
                ("symbol", decision.symbol),
                ("direction", decision.direction),
                ("reason", decision.reason),
            ],
        )
        if decision.strategy != request.strategy or decision.cycle_id != request.cycle_id:
            raise Malformed(f"{decision.signal_id} is not of cycle {request.cycle_id}")
        if decision.signal_id in seen:
            raise Malformed(f"{decision.signal_id} is decided twice")
        seen.add(decision.signal_id)


def _count(decisions: Sequence[gate.Decision]) -> None:
    counts = Counter(
        (
            "allowed" if decision.allowed else "blocked",
            # A signal stops at its first block: it is the last verdict there is.
            "" if decision.allowed or not decision.verdicts else decision.verdicts[-1].gate,
            decision.reason,
        )
        for decision in decisions
    )
    for (outcome, by, reason), count in counts.items():
        metrics.DECISIONS.labels(outcome=outcome, gate=by, reason=reason).inc(count)
