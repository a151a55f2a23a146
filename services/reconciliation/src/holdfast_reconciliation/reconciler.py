"""One round of reconciliation, and when rounds happen: at start, on request, on reconnect and every so often."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from holdfast.execution.v1 import execution_pb2 as execution_pb
from holdfast.reconciliation.v1 import reconciliation_pb2 as pb
from holdfast_core.sessions import Calendar, calendar_of
from holdfast_reconciliation import verdict as verdicts
from holdfast_reconciliation.domain.comparison import Action, Difference, Kind, compare
from holdfast_reconciliation.domain.schedule import Cadence, next_round
from holdfast_reconciliation.domain.states import LedgerSide
from holdfast_reconciliation.reading import Reader
from holdfast_runtime.errors import NOT_HOLDER, Refused, Retry
from holdfast_runtime.flows import LEDGER
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.ports.venue import Broker, Throttled, Unauthorised, VenueUnavailable
from holdfast_runtime.settings import Book, Settings
from holdfast_runtime.telemetry import metrics, traces

FIRST_LOOKBACK = timedelta(days=7)
"""Of the first round after a start. What is older shows in positions and cash, which are compared whole."""
OVERLAP = timedelta(minutes=2)
"""Looked at again by the next round: lists of a broker are complete only after a moment."""
LISTED_EVERY = 10
"""Rounds after which the broker's list of fills is gone through though nothing differs."""
MOVING_TRIES = 6
SECOND_LOOKS = 2
REFRESHES = 2
LOOK_AGAIN_SECS = 0.05
IDLE_SECS = 2.0
FIRST_RETRY_SECS = 0.1
"""At the start execution is about to take the broker's word over: a lock-step waits for the first round."""
RETRY_SECS = 1.0
MAX_OUTAGE_SECS = 30.0
AWAY = ("", 0)
BEGINNING = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger()

metrics.at_zero(metrics.DISCREPANCIES, Kind, Action)


@dataclass(slots=True)
class _Tries:
    """What a round may still spend before it judges."""

    moving: int = MOVING_TRIES
    looks: int = SECOND_LOOKS
    refreshes: int = REFRESHES


class Reconciler:
    """Implements ReconciliationCalls. One round at a time."""

    def __init__(
        self,
        *,
        settings: Settings,
        execution: ExecutionCalls,
        broker: Broker,
        market_clock: MarketClock,
        monotonic_clock: MonotonicClock,
        activity: Activity,
    ) -> None:
        self._execution = execution
        self._reader = Reader(execution, broker, monotonic_clock, fees=Book.CRYPTO in settings.active_books)
        self._market_clock = market_clock
        self._clock = monotonic_clock
        self._activity = activity
        self._young = timedelta(seconds=settings.execution.protection_bound_secs)
        self._cadence = Cadence(
            interval=timedelta(seconds=settings.reconciliation.interval_secs),
            closed_interval=timedelta(seconds=settings.reconciliation.closed_interval_secs),
        )
        self._calendars = _calendars(settings)
        self._turn = asyncio.Lock()
        self._last: execution_pb.ReconciliationVerdict | None = None
        self._clean_at: datetime | None = None
        self._listed_at: datetime | None = None
        self._unlisted_rounds = 0
        self._seen_before: frozenset[tuple[str, str, str]] = frozenset()
        self._holder: tuple[str, int] | None = None
        self._refused = False
        """The broker refused the credentials in the newest round."""
        self._cleared = False
        """A person has said since then that they are good."""
        metrics.RECONCILIATION_AGE.set_function(self._clean_age_secs)
        self.waits_for = ""
        """Why the newest round could not be told to execution; empty once it was."""
        self.why_unavailable = ""
        """Why the broker could not be read the last time that was so."""

    @property
    def compared(self) -> bool:
        """True once a verdict was recorded."""
        return self._last is not None

    @property
    def verdict(self) -> execution_pb.ReconciliationVerdict | None:
        """The newest one; None before the first."""
        return self._last

    @property
    def clean_at(self) -> datetime | None:
        """Market time of the newest clean verdict; None where there was none."""
        return self._clean_at

    def _clean_age_secs(self) -> float:
        """No number before the first clean verdict: nothing is guessed."""
        return float("nan") if self._clean_at is None else (self._market_clock.now() - self._clean_at).total_seconds()

    @property
    def in_session(self) -> bool:
        """True while any book's market is open. Raises OutsideCalendar where no calendar reaches."""
        return any(calendar.is_open(self._market_clock.now()) for calendar in self._calendars)

    async def reconcile(self, request: pb.ReconcileRequest) -> pb.ReconcileResponse:
        """Compares now, after a round that is under way. Raises Retry where execution is away."""
        with self._activity.busy():
            return pb.ReconcileResponse(verdict=await self._round(request.reason or "request"))

    async def run(self, progress: Callable[[], None]) -> None:
        """Rounds for ever, from the start on."""
        await self._idle_until(BEGINNING, progress)
        with self._activity.busy():
            await self._has_new_holder()
        reason, outage_secs = "start", RETRY_SECS
        while True:
            with self._activity.busy():
                verdict = await self._persistently(reason, progress)
            progress()
            if verdict.state == verdicts.UNAVAILABLE:
                # On monotonic time: the broker's return must not have to wait for market time to move.
                await self._rest(outage_secs, progress)
                outage_secs = min(outage_secs * 2, MAX_OUTAGE_SECS)
                reason = "reconnect"
                continue
            outage_secs = RETRY_SECS
            due = next_round(self._market_clock.now(), self._cadence, self._calendars)
            reason = await self._idle_until(due, progress)

    async def _rest(self, secs: float, progress: Callable[[], None]) -> None:
        """Waits, and shows meanwhile that it is alive: a broker that is away is no reason to be started again.

        Ends early where a person clears refused credentials: entries wait for the comparison.
        """
        until_secs = self._clock.now_secs() + secs
        while not self._cleared and (left_secs := until_secs - self._clock.now_secs()) > 0:
            await self._clock.sleep(min(left_secs, IDLE_SECS))
            progress()
            if self._refused:
                await self._heed_clearing()

    async def _heed_clearing(self) -> None:
        try:
            self._cleared = await self._reader.heed_clearing(self._market_clock.now())
        except Retry as error:
            log.info("reconciliation.waiting", reason=str(error))

    async def _persistently(self, reason: str, progress: Callable[[], None]) -> execution_pb.ReconciliationVerdict:
        """A round, tried again while execution is away or does not hold the account."""
        limit_secs = FIRST_RETRY_SECS
        while True:
            try:
                found = await self._round(reason)
                self.waits_for = ""
                return found
            except Retry as error:
                log.info("reconciliation.waiting", reason=str(error))
                self.waits_for = str(error)
                after_secs = error.after_secs
            except Refused as error:
                if error.reason != NOT_HOLDER:
                    raise
                log.info("reconciliation.waiting", reason=str(error))
                after_secs = RETRY_SECS
            progress()
            await self._clock.sleep(min(after_secs, limit_secs))
            limit_secs = min(limit_secs * 2, RETRY_SECS)

    async def _idle_until(self, due: datetime, progress: Callable[[], None]) -> str:
        """Waits for an instant of market time, with idle turns; ends early where the account has a new holder."""
        timer = asyncio.ensure_future(self._market_clock.sleep_until(due))
        try:
            while not timer.done():
                await asyncio.wait({timer}, timeout=IDLE_SECS)
                progress()
                if not timer.done() and self.compared and await self._has_new_holder():
                    return "reconnect"
            timer.result()
            return "schedule"
        finally:
            timer.cancel()

    async def _has_new_holder(self) -> bool:
        """True where execution has taken the account over since it was asked last: it may have missed something."""
        try:
            answer = await self._execution.get_holder(execution_pb.GetHolderRequest())
        except (Retry, Refused):
            self._holder = AWAY
            return False
        before, self._holder = self._holder, (answer.holder, answer.epoch)
        return before is not None and before != self._holder

    async def _round(self, reason: str) -> execution_pb.ReconciliationVerdict:
        async with self._turn:
            with traces.span("reconciliation.round", reason=reason) as span:
                began = self._market_clock.now()
                self._refused = self._cleared = False
                try:
                    verdict = await self._judge(began)
                except (VenueUnavailable, Throttled, Unauthorised) as error:
                    log.warning("reconciliation.unavailable", reason=str(error))
                    span.fail(str(error))
                    self.why_unavailable = str(error)
                    if isinstance(error, Unauthorised):
                        self._refused = True
                        await self._heed_clearing()
                    verdict = verdicts.message(verdicts.UNAVAILABLE, (), market_time=began, version=0)
                span.set(
                    state=execution_pb.ReconciliationState.Name(verdict.state),
                    discrepancies=len(verdict.discrepancies),
                    compared_at_version=verdict.compared_at_version,
                )
                recorded = await self._execution.record_verdict(execution_pb.RecordVerdictRequest(verdict=verdict))
                self._activity.sent(LEDGER, recorded.ledger_version)
            self._remember(verdict)
            return verdict

    async def _judge(self, began: datetime) -> execution_pb.ReconciliationVerdict:
        """Compares until the sides agree, or until neither a second look nor execution's own explains the rest.

        Raises Retry while execution has not seen the broker's account.
        """
        since = began - FIRST_LOOKBACK if self._listed_at is None else self._listed_at - OVERLAP
        if not self.compared:
            _require_opened(await self._reader.ledger(since))
        tries = _Tries()
        # A missing fill shows in cash, positions or orders. The list of fills is what explains it, and is gone through
        # now and then all the same: a purchase and its sale at one price leave no other mark.
        listed = self._listed_at is None or self._unlisted_rounds >= LISTED_EVERY
        version: int | None = None
        while True:
            broker = await self._reader.broker(since if listed else None)
            ledger = await self._reader.ledger(since)
            broker = await self._reader.with_look_ups(ledger, broker)
            found = compare(ledger, broker, now=self._market_clock.now(), young=self._young)
            if not verdicts.unsettled(found):
                self._confirm(ledger)
                self._note_clean(began, listed=listed)
                unsettled = verdicts.unsettled_cash(ledger, broker)
                return verdicts.message(
                    verdicts.CLEAN, found, market_time=began, version=ledger.version, unsettled=unsettled
                )
            listed = True
            if not await self._looks_again(tries, found, moved=version is not None and ledger.version != version):
                break
            version = ledger.version
        judged = verdicts.after_evidence(found, self._seen_before)
        self._seen_before = frozenset(each.key for each in found if not each.settled)
        return verdicts.message(verdicts.DISCREPANT, judged, market_time=began, version=ledger.version)

    def _confirm(self, ledger: LedgerSide) -> None:
        """A signal's trace ends here: both sides agree on what became of its order since the last clean round."""
        if self._clean_at is None:
            return
        for wish in ledger.wishes:
            if wish.traceparent and wish.updated_at > self._clean_at:
                with traces.span(
                    "reconciliation.confirm", parent=wish.traceparent, intent_id=wish.intent_id, state=wish.state
                ):
                    pass

    def _note_clean(self, began: datetime, *, listed: bool) -> None:
        self._seen_before = frozenset()
        self._clean_at = began
        self._unlisted_rounds += 1
        if listed:
            self._listed_at, self._unlisted_rounds = began, 0

    async def _looks_again(self, tries: _Tries, found: list[Difference], *, moved: bool) -> bool:
        """Prepares another comparison; False where there is nothing left to try."""
        if moved and tries.moving:
            tries.moving -= 1
            await self._clock.sleep(LOOK_AGAIN_SECS)
        elif tries.looks:
            # A fill that the broker has told and execution has not stored yet is no difference.
            tries.looks -= 1
            await self._clock.sleep(LOOK_AGAIN_SECS)
        elif tries.refreshes:
            tries.refreshes -= 1
            reasons = sorted({f"{each.kind} {each.symbol}".strip() for each in found if not each.settled})
            log.warning("reconciliation.refresh", reasons=reasons)
            try:
                refreshed = await self._execution.refresh(execution_pb.RefreshRequest(reason=", ".join(reasons)[:500]))
            except Refused as error:
                if error.reason == NOT_HOLDER:
                    raise
                # Execution has no way to the broker either: there is no more evidence to be had now.
                log.warning("reconciliation.refresh_refused", reason=str(error))
                return False
            self._activity.sent(LEDGER, refreshed.ledger_version)
        else:
            return False
        return True

    def _remember(self, verdict: execution_pb.ReconciliationVerdict) -> None:
        self._last = verdict
        state = execution_pb.ReconciliationState.Name(verdict.state).removeprefix("RECONCILIATION_STATE_").lower()
        metrics.RECONCILIATIONS.labels(verdict=state).inc()
        for each in verdict.discrepancies:
            metrics.DISCREPANCIES.labels(kind=each.kind, action=each.action).inc()
        if verdict.discrepancies:
            log.warning(
                "reconciliation.discrepancies",
                state=state,
                found=[f"{each.kind} {each.symbol} {each.action}" for each in verdict.discrepancies],
            )


def _require_opened(ledger: LedgerSide) -> None:
    """Before it, the ledger's cash means nothing: a comparison would find a difference that is none (FP-4.5)."""
    if not ledger.opened:
        raise Retry("execution has not seen the broker's account yet")


def _calendars(settings: Settings) -> list[Calendar]:
    """Of every book that a strategy trades; the equity book's where there is none."""
    books = settings.active_books
    return [calendar_of(book) for book in sorted(books)]
