"""What the model of the order protocol is made of, and what each piece of news does to an intent.

The moves of an intent and the reading of answers are not told again here: they are production's own
(`holdfast_execution.domain`), put together as the ledger, the sender and the adoption of news do.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from holdfast_execution.domain.intents import TERMINAL, IntentState, after_fill, transition
from holdfast_execution.domain.outcomes import SendOutcome, read_answer
from holdfast_execution.domain.statuses import is_over, moves, state_of
from holdfast_runtime.errors import HoldfastError
from holdfast_runtime.ports.venue import (
    BrokerOrder,
    NotSent,
    OrderRefused,
    OrderRequest,
    OrderType,
    OutcomeUnknown,
    RefusalKind,
    Side,
    Throttled,
    TimeInForce,
)


class Role(StrEnum):
    STANDBY = "standby"
    HOLDER = "holder"
    STALE = "stale"
    """It stood still within a job, and the other worker took the lease over."""


class Do(StrEnum):
    """What a worker does next; before each of them it yields."""

    NOTHING = "nothing"
    POST = "post"
    WRITE = "write down"
    ASK_EARLIER = "ask for an earlier order"
    LIST = "read the list of orders"
    CLAIM = "claim again"
    ABORT = "abort the strategy"
    CANCEL = "cancel"


class Note(StrEnum):
    """What a worker has to write down of an intent, beside the venue's own words."""

    UNKNOWN = "(unknown)"
    REJECT = "(refused)"
    REJECT_RETRY = "(refused again, and no earlier order is known)"
    GIVE_BACK = "(not sent)"
    TOMBSTONE = "(proven absent)"


class Job(NamedTuple):
    do: Do = Do.NOTHING
    intent: int = 0
    news: str = ""
    """WRITE: a note, or the venue's word for the order."""


IDLE = Job()


class Worker(NamedTuple):
    role: Role = Role.STANDBY
    job: Job = IDLE


class Intent(NamedTuple):
    """One intent: its row in the ledger, and what the venue and the network have of it."""

    state: IntentState = IntentState.PENDING
    attempts: int = 0
    valid: bool = True
    old: bool = False
    """So long after the last POST that a tombstone may be set."""
    orders: tuple[tuple[int, str], ...] = ()
    """At the venue: number of the client order id, and the venue's word."""
    late: tuple[int, ...] = ()
    """POSTs that are still on their way, by that number."""
    number: int = 1
    """Of the client order id that its sends have."""

    @property
    def word(self) -> str:
        """The venue's word for its present order; empty: it has none."""
        return dict(self.orders).get(self.number, "")

    @property
    def accepted(self) -> list[str]:
        """The venue's words for the orders that were ever live."""
        return [word for _, word in self.orders if word != "rejected"]

    @property
    def lives(self) -> bool:
        """True where an order of it may still fill."""
        return any(not is_over(order_of(word)) for _, word in self.orders)

    @property
    def at_rest(self) -> bool:
        """It is over, here and at the venue, and both say the same."""
        over = self.state in TERMINAL and not self.late and not self.lives
        return over and (self.state is IntentState.FILLED) == ("filled" in self.accepted)

    def at_venue(self, number: int, word: str) -> "Intent":
        return self._replace(orders=tuple(sorted({**dict(self.orders), number: word}.items())))

    def arrived(self, number: int, word: str = "new") -> "Intent":
        """A POST reaches the venue, which takes each client order id once."""
        return self if number in dict(self.orders) else self.at_venue(number, word)

    def moved(self, after: IntentState) -> "Intent":
        return self._replace(state=transition(self.state, after))

    def noted(self, news: str) -> "Intent":
        """What came of a send or a look-up is written down, as the ledger does it."""
        match news:
            case Note.UNKNOWN:
                return self.moved(IntentState.UNKNOWN) if self.state is IntentState.SENDING else self
            case Note.REJECT:
                return self.moved(IntentState.REJECTED)
            case Note.REJECT_RETRY:
                # As `sender.RETRY_REFUSED`: an earlier POST may still arrive, and no other is sent.
                return self.noted(Note.UNKNOWN)._replace(valid=False)
            case Note.TOMBSTONE:
                return self.moved(IntentState.TOMBSTONED)
            case Note.GIVE_BACK if self.state is not IntentState.SENDING:
                return self
            case Note.GIVE_BACK:
                left = self.attempts - 1
                return self.moved(IntentState.UNKNOWN if left else IntentState.PENDING)._replace(attempts=left)
            case _:
                return heard(self, news)


@cache
def heard(intent: Intent, word: str) -> Intent:
    """The venue's news is taken over, as `adoption.take_over` does."""
    order = order_of(word)
    state = intent.state
    if state in (IntentState.SENDING, IntentState.UNKNOWN):
        state = transition(state, IntentState.ACKED)
    if order.filled_quantity:
        state = after_fill(state, complete=True)
    after = state_of(order)
    if after is not None and moves(state, after):
        state = transition(state, after)
    return intent._replace(state=state)


@cache
def tidy(intent: Intent, *, busy: bool) -> Intent:
    """Without what makes no difference any more, such as how it ended where no worker is `busy` with it."""
    if intent.at_rest and not busy:
        return _OVER
    old = intent.old and intent.state is IntentState.UNKNOWN
    late = tuple(each for each in intent.late if each not in dict(intent.orders))
    if intent.state in (IntentState.PENDING, IntentState.SENDING, IntentState.UNKNOWN):
        return intent._replace(old=old, late=late)
    valid = intent.valid and intent.state is IntentState.ACKED
    return intent._replace(old=old, late=late, attempts=0, valid=valid)


_OVER = Intent(state=IntentState.FILLED, valid=False, orders=((1, "filled"),))


class World(NamedTuple):
    intents: tuple[Intent, ...]
    workers: tuple[Worker, ...] = (Worker(), Worker())
    broken: str = ""
    """What happened on the way here that must never happen."""

    def with_intent(self, number: int, intent: Intent) -> "World":
        intents = list(self.intents)
        intents[number] = intent
        return self._replace(intents=tuple(intents))

    def with_worker(self, who: int, worker: Worker) -> "World":
        workers = list(self.workers)
        workers[who] = worker
        return self._replace(workers=tuple(workers))

    def doing(self, who: int, job: Job) -> "World":
        return self.with_worker(who, self.workers[who]._replace(job=job))

    def canonical(self) -> "World":
        """One state for all that differ by nothing but the names of workers and intents, and by what is over."""
        busy = [each.job.intent for each in self.workers if each.job is not IDLE]
        intents = [tidy(each, busy=number in busy) for number, each in enumerate(self.intents)]
        order = sorted(range(len(intents)), key=intents.__getitem__)
        workers = list(self.workers)
        if busy:
            workers = [
                each if each.job is IDLE else each._replace(job=each.job._replace(intent=order.index(each.job.intent)))
                for each in workers
            ]
        return World(tuple(intents[old] for old in order), tuple(sorted(workers)), self.broken)


REQUEST = OrderRequest(
    client_order_id="hf-1",
    symbol="IBM",
    side=Side.BUY,
    quantity=Decimal(1),
    type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    limit_price=Decimal(100),
)


@cache
def order_of(word: str, quantity: Decimal = REQUEST.quantity) -> BrokerOrder:
    """The requested order as the venue tells of it."""
    return BrokerOrder(
        order_id="b-1",
        client_order_id=REQUEST.client_order_id,
        symbol=REQUEST.symbol,
        side=REQUEST.side,
        quantity=quantity,
        filled_quantity=REQUEST.quantity if word == "filled" else Decimal(0),
        filled_average_price=None,
        type=REQUEST.type,
        time_in_force=REQUEST.time_in_force,
        status=word,
        limit_price=REQUEST.limit_price,
        stop_price=None,
        submitted_at=None,
        updated_at=None,
    )


@cache
def outside(intent: Intent) -> tuple[tuple[str, Intent], ...]:
    """What time, the network and the market may do by themselves."""
    return tuple(_outside(intent))


def _outside(intent: Intent) -> Iterator[tuple[str, Intent]]:
    if intent.valid and intent.state not in TERMINAL:
        yield "expires", intent._replace(valid=False)
    if intent.state is IntentState.UNKNOWN and not intent.old and not intent.late:
        yield "grows old", intent._replace(old=True)
    for number in intent.late:
        rest = intent._replace(late=tuple(each for each in intent.late if each != number))
        yield "arrives late", rest.arrived(number)
        yield "is refused late", rest
    for number, word in intent.orders:
        if word == "new":
            yield "fills", intent.at_venue(number, "filled")
            yield "is ended by the venue", intent.at_venue(number, "canceled")


class Posted(NamedTuple):
    """One way in which a POST can go."""

    told: str
    intent: Intent
    outcome: SendOutcome
    """Production's reading of what the sender gets to see."""
    written: bool = True


def posted(intent: Intent) -> Iterator[Posted]:
    """Every way in which a POST can go."""
    number, there = intent.number, intent.arrived(intent.number)
    late = intent._replace(late=tuple(sorted({*intent.late, number})))
    yield Posted("no connection", intent, _reading(NotSent("no connection")), written=False)
    yield Posted("lost", intent, _reading(OutcomeUnknown("no answer")))
    yield Posted("throttled", intent, _reading(Throttled("429")))
    yield Posted("on its way for long", late, _reading(OutcomeUnknown("no answer")))
    yield Posted("the answer is lost", there, _reading(OutcomeUnknown("no answer")))
    if intent.word:
        yield Posted("a duplicate", intent, _reading(_refused(RefusalKind.DUPLICATE_CLIENT_ID)))
        return
    yield Posted("accepted", there, _reading(order_of("new")))
    yield Posted("accepted, but the answer is another order's", there, _reading(order_of("new", Decimal(7))))
    yield Posted("refused", intent, _reading(_refused(RefusalKind.BUYING_POWER)))
    kept = intent.arrived(number, "rejected")
    yield Posted("refused, but its id is kept", kept, _reading(_refused(RefusalKind.OTHER)))


def _refused(kind: RefusalKind) -> OrderRefused:
    return OrderRefused(kind, kind.value, http_status=422)


def _reading(answer: BrokerOrder | HoldfastError) -> SendOutcome:
    return read_answer(REQUEST, answer)
