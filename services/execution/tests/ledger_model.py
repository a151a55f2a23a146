"""What a ledger ought to be: every order at the broker, what the ledger was told of it, and what must follow."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from holdfast_execution.domain.intents import IllegalTransition, IntentState, Purpose, transition
from holdfast_execution.ledger import MAX_SENDS, HaltRow, LedgerError, LedgerState
from holdfast_runtime.ports.venue import Side

ACCOUNT, CASH = "paper", Decimal(100_000)
BEGIN = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
EVER = datetime(2000, 1, 1, tzinfo=UTC)


@cache
def migrated() -> bytes:
    """A new ledger's file, made once: each run begins with a copy."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "ledger.db"
        open_ledger(f"sqlite:///{place}", ACCOUNT)[0].close()
        return place.read_bytes()


@dataclass
class Order:
    """One order at the broker, as the broker knows it, and what the ledger was told of it."""

    client_id: str
    quantity: int
    leg: int
    attempts: int = 0
    replaces: "Order | None" = None
    trades: list[tuple[int, int, Decimal, datetime]] = field(default_factory=list)
    """From, to, price and time of each execution."""
    counted: set[int] = field(default_factory=set)
    """Shares that the ledger knows of."""

    @property
    def broker_id(self) -> str:
        return f"b-{self.client_id}"

    @property
    def filled(self) -> int:
        return self.trades[-1][1] if self.trades else 0

    @property
    def seen(self) -> int:
        """The largest total that the ledger was told."""
        return max(self.counted, default=-1) + 1

    def take_off(self, filled: "Order", gained: int) -> int:
        """`gained` more of `filled` is known. That is no part of what took its place, and no later one, down to this,
        was about more than was left of the one before, unless it was asked for as larger. Returns what this one was
        about; nothing changes where it does not come after `filled`."""
        was, older = self.quantity, self.replaces
        if older is not None and older.comes_after(filled) and was <= older.take_off(filled, gained):
            news = gained if older is filled else 0
            self.quantity = max(min(was - news, older.quantity - older.seen), self.seen)
        return was

    def comes_after(self, first: "Order") -> bool:
        return self is first or (self.replaces is not None and self.replaces.comes_after(first))


@dataclass
class Wish:
    """One intent, as it ought to be."""

    name: str
    side: Side
    purpose: Purpose
    quantity: int
    valid_until: datetime | None
    orders: list[Order]
    state: IntentState = IntentState.PENDING

    @property
    def present(self) -> Order:
        return self.orders[-1]

    @property
    def filled(self) -> int:
        return sum(order.seen for order in self.orders)

    @property
    def counted(self) -> int:
        """Less than what was filled while an earlier part is missing: the order stays open until it is counted."""
        return sum(len(order.counted) for order in self.orders)


class ModelledLedger(RuleBasedStateMachine):
    """A real SQLite file, what it ought to hold, and the rules that hold after whatever is done to it."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        (Path(self.folder.name) / "ledger.db").write_bytes(migrated())
        self.now = BEGIN
        self.epoch = 0
        self.wishes: list[Wish] = []
        self.halt: HaltRow | None = None
        self.open()
        self.seen = self.read()
        self.log = self.events()
        self.take_lease()
        self.write(lambda epoch: self.ledger.open_account(epoch, self.now, CASH))

    def open(self) -> None:
        self.database, self.ledger = open_ledger(f"sqlite:///{self.folder.name}/ledger.db", ACCOUNT)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    @rule()
    def take_lease(self) -> None:
        """Another holder, who knows nothing of what was being sent (point 4)."""
        taken = self.ledger.acquire_lease(self.now, f"pod-{self.epoch + 1}", self.ledger.lease())
        assert taken is not None
        assert taken.epoch == self.epoch + 1
        self.epoch = taken.epoch
        for wish in self.wishes:
            if wish.state is IntentState.SENDING:
                wish.state = IntentState.UNKNOWN
        self.check_log()

    # --- what must be true

    @invariant()
    def the_ledger_is_as_it_ought_to_be(self) -> None:
        state = self.seen
        rows = {row.intent_id: row for row in state.intents}
        assert {name: row.state for name, row in rows.items()} == {wish.name: wish.state for wish in self.wishes}
        for wish in self.wishes:
            row = rows[wish.name]
            assert (row.filled_quantity, row.attempts) == (wish.filled, wish.present.attempts)
            assert row.purpose is wish.purpose
            assert (row.quantity, row.leg_quantity) == (wish.quantity, wish.present.quantity)
            if row.open and wish.purpose is not Purpose.ENTRY:
                assert row.remaining == max(wish.present.quantity - wish.present.seen, 0), "what its order sells yet"
            assert row.client_order_id == wish.present.client_id, "a claim never changes the order's name"
            assert all(order.attempts <= MAX_SENDS for order in self.ledger.orders(wish.name))

    @invariant()
    def positions_and_cash_are_the_sum_of_fills(self) -> None:
        """Invariant 6."""
        state = self.seen
        held: Counter[str] = Counter()
        cash = CASH
        for fill in state.fills:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            held[fill.symbol] += int(signed)
            cash -= (signed * fill.price).quantize(Decimal("1e-8"))
        assert {row.symbol: row.quantity for row in state.positions if row.quantity} == {
            symbol: quantity for symbol, quantity in held.items() if quantity
        }
        ordered = sum(len(order.counted) for wish in self.wishes for order in wish.orders)
        assert sum(fill.quantity for fill in state.fills) == ordered, "each share once"
        assert state.account.cash == cash
        realised = sum((row.realised_pnl for row in state.positions), Decimal(0))
        cost = sum((row.cost for row in state.positions), Decimal(0))
        assert state.account.realised_pnl == realised
        assert state.account.cash == CASH + realised - cost

    # --- writing

    def write(self, call: Callable[[int], object]) -> None:
        """A write that changes something."""
        call(self.epoch)
        self.check_log()

    def changes_nothing(self, call: Callable[[int], object]) -> None:
        call(self.epoch)
        assert self.read() == self.seen
        assert self.events() == self.log

    def refused(self, error: type[LedgerError], call: Callable[[int], object]) -> None:
        try:
            call(self.epoch)
        except error:
            assert self.read() == self.seen
            assert self.events() == self.log
            return
        raise AssertionError(f"not refused by {error.__name__}")

    def move(self, wish: Wish, state: IntentState, call: Callable[[int], object]) -> None:
        try:
            after = transition(wish.state, state)
        except IllegalTransition:
            self.refused(IllegalTransition, call)
            return
        wish.state = after
        call(self.epoch)
        self.check_log()

    def check_log(self) -> None:
        """The version grows by one with each write that changes something; what is in the log stays, and each change
        has one entry of its own, which tells what the row is now."""
        before, state, log = self.seen, self.read(), self.events()
        news = log[len(self.log) :]
        assert log[: len(self.log)] == self.log, "the log is only ever appended to"
        assert [fact.event_id for fact in log] == list(range(1, len(log) + 1))
        assert state.version == before.version + bool(news)
        known = {row.intent_id: row for row in before.intents}
        changed = {row.intent_id: row for row in state.intents if known.get(row.intent_id) != row}
        told = [fact for fact in news if fact.kind == "intent"]
        assert Counter(fact.aggregate for fact in told) == Counter(list(changed))
        assert all(fact.intent == messages.to_intent(changed[fact.aggregate]) for fact in told)
        counted = {row.fill_id for row in state.fills} - {row.fill_id for row in before.fills}
        assert Counter(fact.aggregate for fact in news if fact.kind == "fill") == Counter(list(counted))
        assert (state == before) == (not news) or {fact.kind for fact in news} == {"lease"}
        self.seen, self.log = state, log

    # --- reading

    def read(self) -> LedgerState:
        return self.ledger.ledger_state(EVER)

    def events(self) -> list[execution.Fact]:
        return [execution.Fact.FromString(row.fact) for row in self.ledger.unpublished(10_000)]

    def some(self, chosen: int, fits: Callable[[Wish], bool] = lambda _: True) -> Wish:
        fitting = [wish for wish in self.wishes if fits(wish)]
        return fitting[chosen % len(fitting)]

    def tradable(self) -> Iterator[tuple[Wish, Order]]:
        for wish in self.wishes:
            for order in wish.orders:
                if order.attempts and order.filled < order.quantity:
                    yield wish, order

    def traded(self) -> Iterator[tuple[Wish, Order]]:
        return ((wish, order) for wish in self.wishes for order in wish.orders if order.trades)
