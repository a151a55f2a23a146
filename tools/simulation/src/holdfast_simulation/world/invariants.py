"""What must hold, whatever happens: the invariants of the order protocol, checked while the world runs and when it is
quiet again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from holdfast_core import sessions
from holdfast_core.ids import CLIENT_ORDER_ID_PREFIX
from holdfast_exchange.admission import is_waiting
from holdfast_exchange.orders import Order, Side, Status
from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_execution.adapters.sql.session import Session
from holdfast_execution.books import LOOSE
from holdfast_execution.domain.intents import TERMINAL, Purpose
from holdfast_execution.rows import MAX_SENDS, IntentRow
from holdfast_runtime.ledger_halts import to_micros
from holdfast_simulation.world.clocks import HostClocks, WorldMarketClock
from holdfast_simulation.world.evidence import CANARY
from holdfast_simulation.world.venue import Post, VenueServer

ZERO = Decimal(0)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LAST_ENTRY_SECS = 2.5
"""After the kill switch, or the stop of its strategy: two seconds, and what a message is under way."""
ROUNDED = Decimal("0.0001")
"""Dollars that average prices of whole orders, which the broker rounds to 10⁻⁹, may be off in a life."""
UNDER_WAY = timedelta(seconds=1)
"""Of market time: from the last look at `valid_until` to the socket."""


@dataclass(slots=True)
class Invariants:
    """Looks at both sides; `violations` says what did not hold, each once."""

    database: Database
    account: str
    server: VenueServer
    market_clock: WorldMarketClock
    clocks: HostClocks
    foreign: set[str]
    """Symbols in which somebody else has traded."""
    forgotten: bool = False
    """True where the broker has told of some fills by their order's average price alone."""
    violations: list[str] = field(default_factory=list)
    killed_since_secs: float | None = None
    stopped_since_secs: dict[str, float] = field(default_factory=dict)
    """By strategy: since when a person knows that it is stopped."""
    bare_secs: dict[str, float] = field(default_factory=dict)
    """By symbol: since when, in virtual seconds, something is held without as much for sale."""
    _reads: SqlReads = field(init=False)

    def __post_init__(self) -> None:
        self._reads = SqlReads(Session(self.database, self.account))

    def violated(self, number: int, what: str) -> None:
        """Invariant `number` of the order protocol does not hold."""
        line = f"invariant {number}: {what}"
        if line not in self.violations:
            self.violations.append(line)

    # --- while the world runs

    def leaves(self, client_id: str) -> None:
        """A POST leaves for the broker: what has become of its intent while it was under way is no fault of its."""
        row = self._order(client_id)
        if row is not None and row[3] == client_id and row[1] in {each.value for each in TERMINAL}:
            self.violated(13, f"{client_id} leaves although its intent is {row[1]}")

    def posted(self, post: Post) -> None:
        """An order has reached the broker."""
        client_id = post.order.client_order_id
        row = self._order(client_id)
        if row is None:
            self.violated(3, f"{client_id} was sent and is in no ledger")
            return
        attempts, _, purpose, _, valid_until, strategy = row
        sent = sum(each.order.client_order_id == client_id for each in self.server.arrived)
        if sent > attempts:
            self.violated(3, f"{client_id} reached the broker {sent} times, the ledger knows of {attempts}")
        if sent > MAX_SENDS:
            self.violated(4, f"{client_id} reached the broker {sent} times")
        entry = purpose == Purpose.ENTRY
        since_secs = self.killed_since_secs
        if entry and since_secs is not None and post.sent_secs > since_secs + LAST_ENTRY_SECS:
            self.violated(10, f"entry {client_id} left {post.sent_secs - since_secs:.2f} s after the kill switch")
        stopped_secs = self.stopped_since_secs.get(strategy)
        if entry and stopped_secs is not None and post.sent_secs > stopped_secs + LAST_ENTRY_SECS:
            self.violated(
                10, f"entry {client_id} left {post.sent_secs - stopped_secs:.2f} s after {strategy} was stopped"
            )
        expired = valid_until is not None and to_micros(post.sent_at - UNDER_WAY) >= valid_until
        if entry and expired and not self.clocks.jumped_since(post.sent_secs):
            self.violated(10, f"entry {client_id} left after its cycle had expired")

    def _order(self, client_id: str) -> tuple[int, str, str, str, int | None, str] | None:
        query = (
            sa.select(
                tables.orders.c.attempts, tables.intents.c.state, tables.intents.c.purpose,
                tables.intents.c.client_order_id,
                tables.intents.c.valid_until, tables.intents.c.strategy,
            )
            .join(tables.intents, tables.intents.c.intent_id == tables.orders.c.intent_id)
            .where(tables.orders.c.client_order_id == client_id)
        )  # fmt: skip
        with self.database.read.connect() as connection:
            found = connection.execute(query).first()
        return None if found is None else (found[0], found[1], found[2], found[3], found[4], found[5])

    def look(self, now_secs: float) -> None:
        """At the broker, as it is now."""
        for asked in self.server.asked_after_401:
            if asked.startswith("execution"):
                self.violated(5, f"{asked} after a 401")
        exchange = self.server.exchange
        open_orders = [order for order in exchange.orders.values() if order.is_open]
        entries = Counter(order.symbol for order in open_orders if _is_entry(order))
        for symbol, count in entries.items():
            if count > 1:
                self.violated(2, f"{count} live entries of {symbol}")
        held = {symbol: each.quantity for symbol, each in exchange.books.positions.items() if each.quantity}
        for symbol, quantity in held.items():
            if quantity < 0:
                self.violated(8, f"{symbol} is short by {-quantity}")
        self._look_at_protection(held, open_orders, now_secs)

    def _look_at_protection(self, held: dict[str, Decimal], open_orders: list[Order], now_secs: float) -> None:
        in_session = sessions.is_open(self.market_clock.now())
        for symbol in set(self.bare_secs) | set(held):
            for_sale = sum((o.remaining for o in open_orders if o.symbol == symbol and _is_awake_sale(o)), ZERO)
            if in_session and for_sale < held.get(symbol, ZERO):
                self.bare_secs.setdefault(symbol, now_secs)
            else:
                self.bare_secs.pop(symbol, None)

    def told(self, edge: str, message: bytes) -> None:
        """A message between services."""
        if CANARY.encode() in message:
            self.violated(17, f"{edge} tells a secret")

    # --- when it is quiet

    def logged(self, lines: Sequence[str]) -> None:
        """Everything that the services have logged."""
        for line in lines:
            if CANARY in line:
                self.violated(17, f"a log line shows a secret: {line}")

    def at_rest(self) -> list[str]:
        """What is not (yet) as it must be when nothing goes wrong any more."""
        return list(self._unsettled())

    def _unsettled(self) -> Iterator[str]:
        state = self._reads.ledger_state(LONG_AGO)
        rows = {row.intent_id: row for row in state.intents}
        yield from self._open_wishes(rows)
        yield from self._orders_differ(rows)
        yield from self._books_differ(rows)
        yield from self._bare()
        yield from self._oversold()
        for halt in self._reads.halts():
            if CANARY in halt.reason:
                yield f"17: a halt tells a secret: {halt.kind}"
            if not (self.foreign and halt.kind == "reconciliation"):
                yield f"10: a halt stands: {halt.kind} {halt.symbol} {halt.strategy} {halt.reason}"
        for steered in self._reads.strategies():
            if steered.state != "running":
                yield f"10: {steered.strategy} is {steered.state}: {steered.reason}"

    def _open_wishes(self, rows: dict[str, IntentRow]) -> Iterator[str]:
        for row in rows.values():
            if row.state in LOOSE:
                yield f"18: {row.intent_id} is {row.state} ({row.reason})"

    def _orders_differ(self, rows: dict[str, IntentRow]) -> Iterator[str]:
        owner = {
            order.broker_order_id: name for name in rows for order in self._reads.orders(name) if order.broker_order_id
        }
        live: Counter[str] = Counter()
        for order in self.server.exchange.orders.values():
            name = owner.get(order.id)
            if name is None:
                if (order.filled_quantity or order.is_open) and order.symbol not in self.foreign:
                    yield f"14: {order.id} {order.symbol} {order.status} is in no ledger"
                continue
            if order.is_open and not is_waiting(order):
                live[name] += 1
                if rows[name].state in TERMINAL:
                    yield f"13: {name} is {rows[name].state} and its order {order.id} lives"
            if rows[name].broker_order_id == order.id and rows[name].open:
                yield from _present_differs(rows[name], order)
        yield from (f"1: {name} has {count} live orders" for name, count in live.items() if count > 1)

    def _books_differ(self, rows: dict[str, IntentRow]) -> Iterator[str]:
        exchange = self.server.exchange
        theirs = {s: each.quantity for s, each in exchange.books.positions.items() if each.quantity}
        ours = {row.symbol: row.quantity for row in self._reads.positions() if row.quantity}
        for symbol in sorted((theirs.keys() | ours.keys()) - self.foreign):
            if theirs.get(symbol) != ours.get(symbol):
                yield f"6: {symbol} is {ours.get(symbol, 0)} here and {theirs.get(symbol, 0)} at the broker"
        cash = self._reads.account().cash
        if not self.foreign and abs(cash - exchange.books.cash) > (ROUNDED if self.forgotten else ZERO):
            yield f"6: cash is {cash} here and {exchange.books.cash} at the broker"
        filled = {order.id: order.filled_quantity for order in exchange.orders.values()}
        for row in rows.values():
            for order in self._reads.orders(row.intent_id):
                if order.broker_order_id and order.filled_quantity != filled.get(order.broker_order_id, ZERO):
                    yield (
                        f"6: {order.client_order_id} has {order.filled_quantity} filled here, "
                        f"{filled.get(order.broker_order_id)} at the broker"
                    )

    def _oversold(self) -> Iterator[str]:
        exchange = self.server.exchange
        held = {symbol: each.quantity for symbol, each in exchange.books.positions.items()}
        for_sale: Counter[str] = Counter()
        for order in exchange.orders.values():
            if order.is_open and _is_awake_sale(order):
                for_sale[order.symbol] += int(order.remaining)
        for symbol, quantity in sorted(for_sale.items()):
            if quantity > held.get(symbol, ZERO) and symbol not in self.foreign:
                yield f"8: {quantity} of {symbol} are for sale, {held.get(symbol, ZERO)} are held"

    def _bare(self) -> Iterator[str]:
        for symbol in sorted(self.bare_secs.keys() - self.foreign):
            yield f"7: {symbol} is held without a stop since {self.bare_secs[symbol]:.1f} s"


def _present_differs(row: IntentRow, order: Order) -> Iterator[str]:
    """What an open intent's present order is at the broker, and here (invariant 14)."""
    if not order.is_open:
        yield f"14: {row.intent_id} is {row.state} and its order {order.id} is {order.status}"
    elif row.purpose is Purpose.STOP and row.remaining != order.remaining:
        yield f"14: {row.intent_id} sells {row.remaining} here, {order.remaining} at the broker"


def _is_entry(order: Order) -> bool:
    return order.side is Side.BUY and order.client_order_id.startswith(CLIENT_ORDER_ID_PREFIX)


def _is_awake_sale(order: Order) -> bool:
    """A replacement that is on its way sells what the order does that it replaces."""
    return order.side is Side.SELL and order.status is not Status.HELD and not is_waiting(order)
