"""What is not known is asked for: UNKNOWN sends and unconfirmed cancels, on monotonic backoff (points 6 to 9).

Found → adopted. Absent and still valid → the same client order id once more. Absent and no longer valid → only read,
until the absence is proven. Nothing readable → the strategy is aborted, and the reading goes on.
"""

from dataclasses import dataclass, replace
from functools import partial

import structlog

from holdfast_execution.aborts import abort
from holdfast_execution.adoption import Adopter
from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.intents import IntentState, Purpose, outranks_exit
from holdfast_execution.domain.outcomes import (
    ATTEMPTS_EXHAUSTED,
    MAX_BACKOFF_SECS,
    RETRY_REFUSED,
    Lookup,
    LookupOutcome,
    Unresolved,
    backoff_secs,
    read_absence,
    read_failure,
    read_lookup,
)
from holdfast_execution.domain.reductions import out_of_time
from holdfast_execution.domain.statuses import is_over
from holdfast_execution.domain.views import Owner
from holdfast_execution.guard import NO_GOOD_ANSWER
from holdfast_execution.rows import IntentRow
from holdfast_execution.sender import Sender, mark_unknown, request_of
from holdfast_runtime.errors import AskBroker
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import (
    Broker,
    BrokerOrder,
    Throttled,
    Unauthorised,
    VenueUnavailable,
)
from holdfast_runtime.settings import ExecutionSettings
from holdfast_runtime.telemetry import traces

log = structlog.get_logger()

STREAM_WAIT_SECS = 30.0
"""While the update stream is down entries are locked anyway: look-ups of entries wait for it, at most this long."""
CANCEL_AGAIN_AFTER = 3
"""Look-ups that still show an order live, from which on its cancel is asked for again each time."""


@dataclass(slots=True)
class Trail:
    """What was asked about one intent so far. Seconds are monotonic."""

    due_secs: float
    since_secs: float
    epoch: int
    """Of the tenure in which it is looked for."""
    entry: bool = False
    """An entry's outcome may wait a little; what reduces risk is asked for at once."""
    turns: int = 0
    failed: int = 0
    absences: int = 0
    absent_from_list: bool = False
    aborted: bool = False


class Resolver:
    """Asks the broker about every intent whose truth is not known here."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        adopter: Adopter,
        sender: Sender,
        *,
        monotonic_clock: MonotonicClock,
        settings: ExecutionSettings,
    ) -> None:
        self._books = books
        self._broker = broker
        self._adopter = adopter
        self._sender = sender
        self._clock = monotonic_clock
        self._settings = settings
        self._trails: dict[str, Trail] = {}
        self.stream_down_since_secs: float | None = None

    def unknown_since_secs(self, intent_id: str) -> float | None:
        """Monotonic instant since which an outcome is not known; None where the resolver has not seen it."""
        trail = self._trails.get(intent_id)
        return None if trail is None else trail.since_secs

    def nudge(self) -> None:
        """The broker can be reached again: ask at once."""
        for trail in self._trails.values():
            trail.due_secs = self._clock.now_secs()

    def work(self, mirror: Mirror) -> list[IntentRow]:
        """Intents to ask about, oldest first."""
        asked = mirror.intents if self._adopter.incomplete else mirror.loose
        work = [intent for intent in asked if self._is_open_question(intent)]
        known = {intent.intent_id for intent in work}
        for intent_id in [each for each in self._trails if each not in known]:
            del self._trails[intent_id]
            self._sender.forget(intent_id)
        now_secs = self._clock.now_secs()
        for intent in work:
            first_secs = 0.0 if intent.state is IntentState.CANCELLING else self._settings.lookup_backoff_secs
            entry = intent.purpose is Purpose.ENTRY and intent.state is not IntentState.CANCELLING
            trail = self._trails.get(intent.intent_id)
            if trail is None or self._is_of_another_tenure(trail):
                epoch = self._books.tenure.epoch
                trail = Trail(due_secs=now_secs + first_secs, since_secs=now_secs, epoch=epoch)
            trail.entry = entry
            self._trails[intent.intent_id] = trail
        return work

    @property
    def waits_for_detail(self) -> bool:
        """An order is known to have filled further than is counted: market time waits for it."""
        return any(intent_id in self._adopter.incomplete for intent_id in self._trails)

    def _is_open_question(self, intent: IntentRow) -> bool:
        if intent.state is IntentState.SENDING:
            return not self._sender.sending(intent.intent_id)
        if intent.state in (IntentState.UNKNOWN, IntentState.CANCELLING):
            return True
        return intent.intent_id in self._adopter.incomplete and bool(intent.broker_order_id)

    async def turn(self, mirror: Mirror) -> bool:
        """Asks about everything that is due; True where anything was asked."""
        asked = False
        for intent in self.work(mirror):
            if self.wait_secs(intent.intent_id) > 0:
                continue
            trail = self._trails[intent.intent_id]
            if self._is_of_another_tenure(trail):
                # So is the mirror that this turn began with: the next turn begins anew.
                return asked
            asked = True
            try:
                await self._resolve(intent, mirror, trail)
            except Unauthorised:
                return False
            except NO_GOOD_ANSWER as error:
                # What was found could not be taken over: this one is asked for again, the others go on.
                trail.due_secs = self._clock.now_secs() + self._backoff(trail)
                log.warning("order.lookup_incomplete", intent=intent.intent_id, error=str(error))
        return asked

    def _is_of_another_tenure(self, trail: Trail) -> bool:
        """The lease went and came back: another holder may have sent it, and what was known before is no evidence."""
        return trail.epoch != self._books.tenure.epoch

    def wait_secs(self, intent_id: str) -> float:
        """Seconds until the intent is asked about."""
        trail = self._trails[intent_id]
        now_secs = self._clock.now_secs()
        due_secs = max(trail.due_secs, self._sender.resets.get(intent_id, 0.0))
        if trail.entry and self.stream_down_since_secs is not None:
            due_secs = max(due_secs, self.stream_down_since_secs + STREAM_WAIT_SECS)
        return max(due_secs - now_secs, 0.0)

    def next_wait_secs(self) -> float:
        """Seconds until the next look-up; a day where none is due."""
        return min((self.wait_secs(intent_id) for intent_id in self._trails), default=86_400.0)

    async def _resolve(self, intent: IntentRow, mirror: Mirror, trail: Trail) -> None:
        trail.turns += 1
        with (
            self._books.activity.busy(),
            traces.span("execution.look_up", parent=intent.traceparent, intent_id=intent.intent_id) as span,
        ):
            if intent.state is IntentState.SENDING:
                intent = await self._books.write(
                    partial(mark_unknown, intent_id=intent.intent_id, reason="ANSWER_NOT_STORED")
                )
            try:
                order = await self._read(intent)
            except (VenueUnavailable, Throttled, AskBroker) as error:
                # A venue that is away as a whole says nothing about this order: it has its time to come back.
                trail.failed += not self._venue_is_away()
                outcome = read_failure(
                    self._state(intent, mirror, trail), first_wait_secs=self._settings.lookup_backoff_secs
                )
                if isinstance(error, Throttled):
                    outcome = replace(outcome, after_secs=max(outcome.after_secs, error.after_secs))
                span.set(outcome=outcome.reason)
                log.warning("order.lookup_failed", intent=intent.intent_id, turn=trail.turns, error=str(error))
                await self._follow(intent, trail, outcome)
                return
            trail.failed = 0
            span.set(outcome="found" if order else "absent")
            if order is None:
                await self._absent(intent, mirror, trail)
            else:
                await self._found(intent, order, trail)

    def _venue_is_away(self) -> bool:
        down_since_secs = self.stream_down_since_secs
        return down_since_secs is not None and self._clock.now_secs() < down_since_secs + STREAM_WAIT_SECS

    def _backoff(self, trail: Trail) -> float:
        return backoff_secs(max(trail.turns - 1, 0), first_secs=self._settings.lookup_backoff_secs)

    async def _read(self, intent: IntentRow) -> BrokerOrder | None:
        if intent.broker_order_id:
            order = await self._broker.order(intent.broker_order_id)
            if order is not None:
                return order
        return await self._broker.order_by_client_id(intent.client_order_id)

    def _state(self, intent: IntentRow, mirror: Mirror, trail: Trail) -> Unresolved:
        return Unresolved(
            attempts=intent.attempts,
            max_retries=self._settings.max_retries,
            still_valid=self._still_valid(intent, mirror),
            last_post_deadline_secs=max(self._sender.deadlines.get(intent.intent_id, 0.0), trail.since_secs),
            absences_by_id=trail.absences,
            absent_from_list=trail.absent_from_list,
            failed_lookups=trail.failed,
        )

    def _still_valid(self, intent: IntentRow, mirror: Mirror) -> bool:
        if intent.purpose is Purpose.ENTRY:
            if any(halt.covers(intent.symbol, intent.strategy) for halt in mirror.halts):
                return False
            if intent.strategy in mirror.not_running or intent.reason == RETRY_REFUSED:
                return False
            return intent.valid_until is None or self._books.now < intent.valid_until
        position = mirror.positions.get(intent.symbol)
        if position is None or position.quantity <= 0:
            return False
        if intent.purpose is Purpose.REDUCE and self._is_out_of_time(intent, mirror):
            return False
        if intent.purpose is Purpose.EXIT and any(
            outranks_exit(each.purpose, each.state) for each in mirror.of_symbol(intent.symbol)
        ):
            return False
        # Beside a sale of all, a stop would hold the shares that are about to be sold, and a part sell them twice.
        owned_by_stop = position.exit_owner in ("", Owner.STOP.value)
        return owned_by_stop or intent.purpose not in (Purpose.STOP, Purpose.REDUCE)

    def _is_out_of_time(self, part: IntentRow, mirror: Mirror) -> bool:
        runs = part.strategy not in mirror.not_running
        late = out_of_time(book=part.book, now=self._books.now, valid_until=part.valid_until, runs=runs)
        return bool(late)

    async def _found(self, intent: IntentRow, order: BrokerOrder, trail: Trail) -> None:
        # A replacement's own id and a leg's broker-made id prove as much as the client order id that was sent.
        known = order.order_id == intent.broker_order_id
        outcome = read_lookup(request_of(intent), order)
        if outcome.lookup is Lookup.ABORT and not known and not await self._adopter.is_split(intent, order):
            await self._abort(intent, trail, outcome)
            trail.due_secs = self._clock.now_secs() + MAX_BACKOFF_SECS
            return
        cancelling = intent.state is IntentState.CANCELLING
        # Where news of it does not end the question, it is asked again after a while.
        trail.due_secs = self._clock.now_secs() + self._backoff(trail)
        await self._adopter.apply(order)
        if cancelling and not is_over(order):
            if trail.turns >= CANCEL_AGAIN_AFTER and order.status != "pending_cancel":
                await self._cancel_again(order)
            return
        if cancelling and order.replaced_by:
            trail.due_secs = self._clock.now_secs()

    async def _cancel_again(self, order: BrokerOrder) -> None:
        try:
            await self._broker.cancel_order(order.order_id)
        except NO_GOOD_ANSWER as error:
            # The next look-up tells what became of it.
            log.info("order.cancel_again_failed", order=order.order_id, error=str(error))

    async def _absent(self, intent: IntentRow, mirror: Mirror, trail: Trail) -> None:
        if intent.state is not IntentState.UNKNOWN:
            # An order that was acknowledged does not vanish: reconciliation classifies it, we go on reading.
            trail.due_secs = self._clock.now_secs() + MAX_BACKOFF_SECS
            return
        state = self._state(intent, mirror, trail)
        now_secs = self._clock.now_secs()
        if now_secs - state.last_post_deadline_secs >= self._settings.tombstone_after_secs:
            trail.absences += 1
            trail.absent_from_list = await self._absent_from_list(intent)
            state = self._state(intent, mirror, trail)
        outcome = read_absence(state, now_secs=now_secs, tombstone_after_secs=self._settings.tombstone_after_secs)
        await self._follow(intent, trail, outcome)

    async def _absent_from_list(self, intent: IntentRow) -> bool:
        try:
            orders = await self._broker.orders(open_only=False, since=intent.created_at)
        except (VenueUnavailable, Throttled):
            return False
        return all(order.client_order_id != intent.client_order_id for order in orders)

    async def _follow(self, intent: IntentRow, trail: Trail, outcome: LookupOutcome) -> None:
        wait_secs = outcome.after_secs or backoff_secs(trail.turns, first_secs=self._settings.lookup_backoff_secs)
        trail.due_secs = self._clock.now_secs() + wait_secs
        if self._is_of_another_tenure(trail):
            return
        match outcome.lookup:
            case Lookup.RESEND:
                await self._resend(intent, trail)
            case Lookup.ABORT:
                await self._abort(intent, trail, outcome)
            case Lookup.TOMBSTONE:
                await self._tombstone(intent)
            case _:
                return

    async def _resend(self, intent: IntentRow, trail: Trail) -> None:
        if intent.purpose is Purpose.ENTRY and self._books.locked_reason:
            # A retry is an entry like any other (invariant 10): the next look-up tries again.
            return
        log.info("order.resent", intent=intent.intent_id, attempt=intent.attempts + 1)
        sent = await self._sender.send(intent)
        if sent.refused == ATTEMPTS_EXHAUSTED:
            await self._abort(intent, trail, LookupOutcome(lookup=Lookup.ABORT, reason=ATTEMPTS_EXHAUSTED))

    async def _abort(self, intent: IntentRow, trail: Trail, outcome: LookupOutcome) -> None:
        """No more entries of the strategy until a person looked; protection goes on, and so does the reading."""
        if trail.aborted:
            return
        trail.aborted = True
        log.error("strategy.safety_abort", strategy=intent.strategy, intent=intent.intent_id, reason=outcome.reason)
        await self._books.write(partial(abort, intent=intent, reason=outcome.reason))

    async def _tombstone(self, intent: IntentRow) -> None:
        log.warning("order.tombstoned", intent=intent.intent_id, client_order_id=intent.client_order_id)
        await self._books.write(
            lambda ledger, epoch, now: ledger.record_order_state(
                epoch, now, intent.intent_id, IntentState.TOMBSTONED, reason="ORDER_PROVEN_ABSENT"
            )
        )
