"""One send of one intent: claim, check again, POST, write down what came of it (order protocol, points 3 to 6).

A send is never repeated here: what is not known is UNKNOWN, and the resolver asks the broker.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from holdfast_execution.aborts import abort
from holdfast_execution.adoption import Adopter
from holdfast_execution.books import Books
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.outcomes import RETRY_REFUSED, SendOutcome, Step, read_answer
from holdfast_execution.domain.rates import EntryRates
from holdfast_execution.ledger import Ledger
from holdfast_execution.refusals import Refusals
from holdfast_execution.rows import ClaimRefused, IntentRow
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Broker, BrokerOrder, OrderRequest
from holdfast_runtime.telemetry import metrics, traces

log = structlog.get_logger()

metrics.at_zero(metrics.SENDS, ("submit",), Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of one send. `refused`: the coded reason not to send; `outcome` None where no POST left."""

    intent: IntentRow
    outcome: SendOutcome | None = None
    refused: str = ""


def request_of(intent: IntentRow) -> OrderRequest:
    """The order of the intent's present leg, as it leaves for the venue."""
    return OrderRequest(
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.leg_quantity,
        type=intent.order_type,
        time_in_force=intent.time_in_force,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        protect_stop_price=intent.protect_stop_price if intent.sent_with_stop else None,
    )


class Sender:
    """Sends intents: entries, exits and stops, by the one way that claims, posts and records."""

    def __init__(
        self,
        books: Books,
        broker: Broker,
        adopter: Adopter,
        refusals: Refusals,
        rates: EntryRates,
        *,
        monotonic_clock: MonotonicClock,
        timeout_secs: float,
    ) -> None:
        """`rates` is told of each entry that leaves."""
        self._books = books
        self._rates = rates
        self._broker = broker
        self._adopter = adopter
        self._refusals = refusals
        self._monotonic_clock = monotonic_clock
        self._timeout_secs = timeout_secs
        self._in_flight: dict[asyncio.Task[Sent], str] = {}
        self.deadlines: dict[str, float] = {}
        """Monotonic deadline of the last POST of each intent whose outcome is not known, or not written down."""
        self.resets: dict[str, float] = {}
        """Monotonic instant before which the venue's rate limit wants to hear nothing of an intent."""

    async def send(self, intent: IntentRow) -> Sent:
        """Claims and sends the present leg once. A caller that goes away does not stop a send that has begun."""
        return await asyncio.shield(self.begin(intent))

    def begin(self, intent: IntentRow, *, claimed: bool = False) -> "asyncio.Task[Sent]":
        """Begins a send. `claimed`: the intent is SENDING already, by the commit that stored it."""
        task = asyncio.ensure_future(self._send(intent, claimed=claimed))
        self._in_flight[task] = intent.intent_id
        task.add_done_callback(self._landed)
        return task

    def _landed(self, task: asyncio.Task[Sent]) -> None:
        del self._in_flight[task]

    def sending(self, intent_id: str) -> bool:
        """True while a send of the intent is under way. SENDING without it: the answer could not be written down."""
        return intent_id in self._in_flight.values()

    @property
    def may_write(self) -> bool:
        """False where the lease's margin is short: a claim now would only be given back."""
        return self._monotonic_clock.now_secs() < self._books.tenure.last_write_at_secs

    def free_at(self, strategy: str, now: datetime) -> datetime:
        """The earliest instant at which an entry of `strategy` may leave; `now` where that is at once."""
        return self._rates.free_at(strategy, now)

    def forget(self, intent_id: str) -> None:
        """What was kept for its look-ups is dropped, unless it is being sent again."""
        if self.sending(intent_id):
            return
        self.deadlines.pop(intent_id, None)
        self.resets.pop(intent_id, None)

    async def settle(self) -> None:
        """Returns when no send is in flight."""
        while self._in_flight:
            await asyncio.wait(set(self._in_flight))
            await asyncio.sleep(0)

    async def _send(self, intent: IntentRow, *, claimed: bool) -> Sent:
        with (
            self._books.activity.busy(),
            traces.span(
                "execution.send",
                parent=intent.traceparent,
                intent_id=intent.intent_id,
                client_order_id=intent.client_order_id,
                purpose=intent.purpose.value,
                symbol=intent.symbol,
                attempt=intent.attempts + (not claimed),
            ) as span,
        ):
            if not claimed:
                try:
                    intent = await self._claim(intent)
                except ClaimRefused as refusal:
                    span.set(refused=refusal.reason)
                    return Sent(intent=intent, refused=refusal.reason)
            last_write_at_secs = self._books.tenure.last_write_at_secs
            reason = self._too_late(intent, last_write_at_secs)
            if reason:
                return await self._give_back(intent, reason)
            request = request_of(intent)
            began_secs = self._monotonic_clock.now_secs()
            # Whatever becomes of writing its outcome down.
            self.deadlines[intent.intent_id] = began_secs + self._timeout_secs
            answer = await self._post(request, last_write_at_secs, reducing=not intent.purpose.raises_risk)
            ended_secs = self._monotonic_clock.now_secs()
            outcome = read_answer(request, answer)
            if intent.purpose is Purpose.ENTRY and outcome.step is not Step.GIVE_BACK:
                # When it left at the latest, and whatever becomes of writing its outcome down.
                self._rates.sent(intent.strategy, self._books.now)
            span.set(outcome=outcome.step.value, reason=outcome.reason)
            metrics.SENDS.labels(request="submit", outcome=outcome.step.value).inc()
            metrics.SEND_SECONDS.labels(request="submit").observe(ended_secs - began_secs)
            if intent.attempts <= 1 and intent.purpose is not Purpose.STOP:
                waited = (self._books.now - intent.created_at).total_seconds()
                metrics.observe_stage(metrics.ANSWERED, waited, traceparent=span.traceparent)
            sent = await self._record(intent, outcome)
            if sent.intent.state not in (IntentState.SENDING, IntentState.UNKNOWN):
                self.deadlines.pop(intent.intent_id, None)
            return sent

    async def _claim(self, intent: IntentRow) -> IntentRow:
        return await self._books.write(lambda ledger, epoch, now: ledger.claim_send(epoch, now, intent.intent_id))

    def _too_late(self, claimed: IntentRow, last_write_at_secs: float) -> str:
        if self._monotonic_clock.now_secs() >= last_write_at_secs:
            return "LEASE_MARGIN_SHORT"
        if claimed.purpose is Purpose.ENTRY and claimed.valid_until is not None:
            return "CYCLE_EXPIRED" if self._books.now >= claimed.valid_until else ""
        return ""

    async def _post(
        self, request: OrderRequest, last_write_at_secs: float, *, reducing: bool
    ) -> BrokerOrder | HoldfastError:
        try:
            return await self._broker.submit_order(request, last_write_at_secs=last_write_at_secs, reducing=reducing)
        except HoldfastError as error:
            return error

    async def _give_back(self, claimed: IntentRow, reason: str) -> Sent:
        """Nothing left this machine: the attempt is given back; what is still valid may be tried again."""
        again = reason != "CYCLE_EXPIRED"

        def give_back(ledger: Ledger, epoch: int, now: datetime) -> IntentRow:
            row = ledger.intent(claimed.intent_id)
            if row.state is not IntentState.SENDING:
                # An earlier POST of the leg was heard of meanwhile.
                return row
            waits = again and (row.purpose is not Purpose.ENTRY or ledger.strategy(row.strategy).runs)
            return ledger.mark_not_sent(epoch, now, claimed.intent_id, reason, try_again=waits)

        return Sent(intent=await self._books.write(give_back), refused=reason)

    async def _record(self, claimed: IntentRow, outcome: SendOutcome) -> Sent:
        if outcome.step is Step.ADOPT and outcome.order is not None:
            with traces.span(
                "execution.ack",
                parent=claimed.traceparent,
                intent_id=claimed.intent_id,
                order_id=outcome.order.order_id,
                stop_order_id=next((leg.order_id for leg in outcome.order.legs), None),
            ):
                adopted = await self._adopter.apply(outcome.order)
            return Sent(intent=adopted.intent or claimed, outcome=outcome)
        if outcome.step is Step.GIVE_BACK:
            return await self._give_back(claimed, outcome.reason)
        if outcome.step is Step.REJECT and claimed.attempts > 1:
            # The refusal is this POST's alone: what it was refused for may be an earlier one's doing.
            earlier = await self._earlier(claimed)
            if isinstance(earlier, BrokerOrder):
                return await self._record(claimed, read_answer(request_of(claimed), earlier))
            if earlier is not None:
                outcome = SendOutcome(step=Step.LOOK_UP, reason=outcome.reason)
            elif claimed.purpose is Purpose.ENTRY:
                # It may still arrive: until that is disproved nothing else is bought in its place (point 8).
                log.warning(
                    "order.retry_refused", intent=claimed.intent_id, symbol=claimed.symbol, reason=outcome.reason
                )
                outcome = SendOutcome(step=Step.LOOK_UP, reason=RETRY_REFUSED)
        if outcome.step is Step.REJECT:
            row = await self._refusals.record(claimed, outcome)
            metrics.ORDERS.labels(purpose=row.purpose.value, state=row.state.value).inc()
            return Sent(intent=row, outcome=outcome)
        if outcome.after_secs:
            self.resets[claimed.intent_id] = self._monotonic_clock.now_secs() + outcome.after_secs
        if outcome.step is Step.CREDENTIALS_HALT:
            await self._books.write(partial(abort, intent=claimed, reason=outcome.reason))
        row = await self._books.write(partial(mark_unknown, intent_id=claimed.intent_id, reason=outcome.reason))
        metrics.UNKNOWN_OUTCOMES_SEEN.inc()
        log.warning("order.outcome_unknown", intent=row.intent_id, symbol=row.symbol, reason=outcome.reason)
        return Sent(intent=row, outcome=outcome)

    async def _earlier(self, claimed: IntentRow) -> BrokerOrder | HoldfastError | None:
        """What an earlier POST of the same client order id has made; an error where that cannot be read.

        One 404 is no evidence (invariant 11): the list of all orders is looked through as well.
        """
        try:
            found = await self._broker.order_by_client_id(claimed.client_order_id)
            if found is not None:
                return found
            listed = await self._broker.orders(open_only=False, since=claimed.created_at)
        except HoldfastError as error:
            return error
        return next((each for each in listed if each.client_order_id == claimed.client_order_id), None)


def mark_unknown(ledger: Ledger, epoch: int, now: datetime, *, intent_id: str, reason: str) -> IntentRow:
    """A send of which no more is known than that it was begun; nothing where more was heard meanwhile."""
    row = ledger.intent(intent_id)
    if row.state is not IntentState.SENDING:
        return row
    return ledger.record_unknown(epoch, now, intent_id, reason)


def is_working(intent: IntentRow) -> bool:
    """True where the order rests at the broker and may fill."""
    return intent.state in (IntentState.ACKED, IntentState.PARTIALLY_FILLED)
