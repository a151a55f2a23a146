"""The order protocol as a graph: two workers, two intents, and whatever can happen between two of their steps.

A worker does one thing at a time, in steps between which it yields: claim, POST, write down what came of it; look up,
decide, write. Before each of them it may crash, fail, or stand still while the other takes the lease over; meanwhile
orders arrive, fill and end, and the holder may hear of it. Time is what it allows: an entry's validity ends at some
point, and an intent grows as old as a tombstone asks for only when no POST of it can arrive any more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast_execution.domain.intents import TERMINAL, IntentState, may_claim
from holdfast_execution.domain.outcomes import (
    LOOKUP_FAILURES_TO_ABORT,
    Lookup,
    LookupOutcome,
    SendOutcome,
    Step,
    Unresolved,
    read_absence,
    read_failure,
    read_lookup,
)
from holdfast_execution.domain.statuses import is_over
from holdfast_simulation.protocol.states import (
    IDLE,
    REQUEST,
    Do,
    Intent,
    Job,
    Note,
    Role,
    Worker,
    World,
    heard,
    order_of,
    outside,
    posted,
)

_TOMBSTONE_AFTER_SECS = 60.0
_DECIDED_HERE = frozenset({IntentState.NOT_SENT, IntentState.TOMBSTONED, IntentState.ABORTED})
"""Ends that no broker has confirmed: whatever may still live there would be an order that nobody wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The size of the model, and the safeguards that are not production's rules but its shell's and its ledger's."""

    intents: int = 2
    sends: int = 3
    fence: bool = True
    """The ledger refuses a write under an old epoch."""
    margin: bool = True
    """Who may have lost the lease writes to no socket any more."""
    same_id: bool = True
    """A retry is sent under the client order id of the first send."""
    looks_up: bool = True
    """What is not known is asked for; without it, it counts as absent."""
    lists: bool = True
    """A tombstone needs the list of all orders as well."""
    takes_over_sending: bool = True
    """A successor treats SENDING as UNKNOWN."""
    merges_overtaken: bool = True
    """Who has lost the lease and can neither write nor send is looked at as if it had noticed: fewer states."""

    def begin(self) -> World:
        return World((Intent(),) * self.intents)

    # --- what may happen next

    def successors(self, world: World) -> Iterator[tuple[str, World]]:
        """Every step from here, told in words. Raises IllegalTransition where production would."""
        for number, intent in enumerate(world.intents):
            for told, after in outside(intent):
                yield f"intent {number} {told}", world.with_intent(number, after)
        for who, worker in enumerate(world.workers):
            for told, following in self._steps(world, who, worker):
                yield f"worker {who} {told}", following

    def _steps(self, world: World, who: int, worker: Worker) -> Iterator[tuple[str, World]]:
        if worker.role is Role.STANDBY:
            yield "takes the lease", self._take_over(world, who)
            return
        yield "crashes", world.with_worker(who, Worker())
        if worker.role is Role.HOLDER:
            for number, intent in enumerate(world.intents):
                for _, word in intent.orders:
                    yield f"hears of {number}: {word}", world.with_intent(number, heard(intent, word))
        if worker.job is not IDLE:
            idle = worker._replace(job=IDLE) if worker.role is Role.HOLDER else Worker()
            yield f"fails to {worker.job.do}", world.with_worker(who, idle)
            yield from self._go_on(world, who, worker.job)
            return
        for number, intent in enumerate(world.intents):
            yield from self._begin(world, who, number, intent)

    def _take_over(self, world: World, who: int) -> World:
        workers = [self._overtaken(each) if each.role is Role.HOLDER else each for each in world.workers]
        workers[who] = Worker(Role.HOLDER)
        # From when the last POST is old, a successor counts anew.
        intents = [each._replace(old=False) for each in world.intents]
        if self.takes_over_sending:
            intents = [each.noted(Note.UNKNOWN) for each in intents]
        return world._replace(workers=tuple(workers), intents=tuple(intents))

    def _overtaken(self, holder: Worker) -> Worker:
        harmless = self.fence and self.margin and holder.job.do is not Do.CANCEL
        if holder.job is IDLE or (self.merges_overtaken and harmless):
            return Worker()
        return holder._replace(role=Role.STALE)

    def _begin(self, world: World, who: int, number: int, intent: Intent) -> Iterator[tuple[str, World]]:
        """What an idle holder finds to do for an intent."""
        match intent.state:
            case IntentState.PENDING if intent.valid:
                yield f"claims {number}", self._claim(world, who, number)
            case IntentState.PENDING:
                yield f"drops {number}", self._write(world, who, number, intent.moved(IntentState.NOT_SENT))
            case IntentState.SENDING if self.takes_over_sending:
                yield f"knows no more of {number}", self._write(world, who, number, intent.noted(Note.UNKNOWN))
            case IntentState.UNKNOWN | IntentState.ACKED | IntentState.CANCELLING:
                yield from self._look_up(world, who, number, intent)
        if intent.state is IntentState.ACKED and not intent.valid:
            after = intent.moved(IntentState.CANCELLING)
            yield f"decides to cancel {number}", self._write(world, who, number, after, Job(Do.CANCEL, number))
        if intent.state in TERMINAL and intent.lives:
            yield f"finds a zombie of {number}", world.doing(who, Job(Do.CANCEL, number))

    def _go_on(self, world: World, who: int, job: Job) -> Iterator[tuple[str, World]]:
        number, intent = job.intent, world.intents[job.intent]
        match job.do:
            case Do.POST:
                yield from self._post(world, who, number, intent)
            case Do.WRITE:
                following = self._write(world, who, number, intent.noted(job.news))
                written = following.intents[number] != intent
                if written and job.news == Note.REJECT and (intent.late or intent.accepted):
                    following = following._replace(broken="11: an order of an intent that counts as refused")
                yield f"writes {job.news} of {number}", following
            case Do.ASK_EARLIER:
                word = intent.word
                yield f"asks for {number}: {word}", world.doing(who, Job(Do.WRITE, number, word or Note.REJECT_RETRY))
                yield f"cannot ask for {number}", world.doing(who, Job(Do.WRITE, number, Note.UNKNOWN))
            case Do.LIST:
                listed = self.looks_up and self.lists and bool(intent.orders)
                outcome = self._absence(intent, absences=1, listed=listed)
                yield f"reads the list for {number}: {outcome.reason}", world.doing(who, _job(outcome, number))
            case Do.CLAIM:
                yield f"claims {number} again", self._claim(world, who, number)
            case Do.ABORT:
                stopped = tuple(each._replace(valid=False) for each in world.intents)
                yield "aborts the strategy", self._commit(world, who, world._replace(intents=stopped))
            case Do.CANCEL:
                for sent, word in intent.orders:
                    intent = intent.at_venue(sent, "canceled") if word == "new" else intent
                done = world.workers[who]._replace(job=IDLE) if world.workers[who].role is Role.HOLDER else Worker()
                yield f"asks the venue to cancel {number}", world.with_intent(number, intent).with_worker(who, done)
            case Do.NOTHING:
                return

    # --- the ledger

    def _commit(self, world: World, who: int, after: World, job: Job = IDLE) -> World:
        """One transaction, refused under an old epoch; then the worker goes on with `job`."""
        if world.workers[who].role is Role.HOLDER:
            return after.doing(who, job)
        if self.fence:
            return world.with_worker(who, Worker())
        return after.doing(who, job)._replace(broken="12: a write under an old epoch")

    def _write(self, world: World, who: int, number: int, after: Intent, job: Job = IDLE) -> World:
        return self._commit(world, who, world.with_intent(number, after), job)

    def _claim(self, world: World, who: int, number: int) -> World:
        intent = world.intents[number]
        if not may_claim(intent.state) or intent.attempts >= self.sends or not intent.valid:
            return world.doing(who, IDLE)
        attempt = intent.attempts + 1
        claimed = intent.moved(IntentState.SENDING)._replace(attempts=attempt, old=False)
        if not self.same_id:
            claimed = claimed._replace(number=attempt)
        return self._write(world, who, number, claimed, Job(Do.POST, number))

    # --- the broker

    def _post(self, world: World, who: int, number: int, intent: Intent) -> Iterator[tuple[str, World]]:
        if not intent.valid or (self.margin and world.workers[who].role is not Role.HOLDER):
            yield f"may not send {number} any more", world.doing(who, Job(Do.WRITE, number, Note.GIVE_BACK))
            return
        for told, after, outcome, written in posted(intent):
            job = _after_post(outcome, number, attempts=intent.attempts)
            following = world.with_intent(number, after).doing(who, job)
            if written and job.news == Note.GIVE_BACK:
                following = following._replace(broken="4: a send that is not counted")
            yield f"posts {number}: {told}", following

    def _look_up(self, world: World, who: int, number: int, intent: Intent) -> Iterator[tuple[str, World]]:
        word = intent.word if self.looks_up else ""
        if word:
            assert read_lookup(REQUEST, order_of(word)).lookup is Lookup.ADOPT
            again = intent.state is IntentState.CANCELLING and not is_over(order_of(word))
            job = Job(Do.CANCEL, number) if again else Job(Do.WRITE, number, word)
            yield f"finds {number}: {word}", world.doing(who, job)
        if intent.state is not IntentState.UNKNOWN:
            # What was acknowledged does not vanish: it is read again.
            return
        if word != "filled":
            # The venue's answer to a look-up by id may be older than the order.
            job = Job(Do.LIST, number) if intent.old else _job(self._absence(intent), number)
            yield f"does not find {number}", world.doing(who, job)
        failed = read_failure(self._unresolved(intent, failed=LOOKUP_FAILURES_TO_ABORT), first_wait_secs=1.0)
        yield f"cannot look {number} up, {LOOKUP_FAILURES_TO_ABORT} times", world.doing(who, _job(failed, number))

    def _absence(self, intent: Intent, *, absences: int = 0, listed: bool = True) -> LookupOutcome:
        state = self._unresolved(intent, absences=absences, listed=listed)
        age_secs = _TOMBSTONE_AFTER_SECS if intent.old else 0.0
        return read_absence(state, now_secs=age_secs, tombstone_after_secs=_TOMBSTONE_AFTER_SECS)

    def _unresolved(self, intent: Intent, *, absences: int = 0, listed: bool = True, failed: int = 0) -> Unresolved:
        return Unresolved(
            attempts=intent.attempts,
            max_retries=self.sends - 1,
            still_valid=intent.valid,
            last_post_deadline_secs=0.0,
            absences_by_id=absences,
            absent_from_list=not listed,
            failed_lookups=failed,
        )

    # --- what must be true

    def violated(self, world: World) -> str:
        """The first invariant of the order protocol that does not hold; empty where all do."""
        if world.broken:
            return world.broken
        for intent in world.intents:
            if len(intent.accepted) > 1:
                return "1: a second order of one intent"
            if intent.attempts > self.sends:
                return "4: more sends than one and its retries"
            if intent.state in _DECIDED_HERE and (intent.late or intent.accepted):
                return "11: an order of an intent that was given up"
        return ""


def _after_post(outcome: SendOutcome, number: int, *, attempts: int) -> Job:
    """What the sender does with the reading of an answer, as `sender.Sender` does."""
    match outcome.step:
        case Step.ADOPT if outcome.order is not None:
            return Job(Do.WRITE, number, outcome.order.status)
        case Step.REJECT:
            return Job(Do.ASK_EARLIER, number) if attempts > 1 else Job(Do.WRITE, number, Note.REJECT)
        case Step.GIVE_BACK:
            return Job(Do.WRITE, number, Note.GIVE_BACK)
        case _:
            return Job(Do.WRITE, number, Note.UNKNOWN)


def _job(outcome: LookupOutcome, number: int) -> Job:
    """What the resolver does with the reading of a look-up, as `resolver.Resolver` does."""
    match outcome.lookup:
        case Lookup.RESEND:
            return Job(Do.CLAIM, number)
        case Lookup.ABORT:
            return Job(Do.ABORT, number)
        case Lookup.TOMBSTONE:
            return Job(Do.WRITE, number, Note.TOMBSTONE)
        case _:
            return IDLE
