"""Random desks: entries, exits, bars, faults, crashes and the kill switch in any order; healed, everything is as it is
at the broker (invariants 1, 2, 4, 6, 7, 10, 11 and 14).

A failure names its seed. `HOLDFAST_SEEDS=417 pytest …` replays one, `HOLDFAST_SEEDS=0-999` searches for more.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog

from holdfast_exchange.orders import Order, Side, Status
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose
from holdfast_execution.rows import IntentRow
from holdfast_runtime.errors import Refused, Retry
from holdfast_simulation.memory_venue import Fault

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
SYMBOLS = ("BAC", "IBM", "SPY")
CENT = Decimal("0.01")
STEPS = 60
WRITES = (Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.THROTTLED, Fault.NO_CONNECTION)
FAULTS = {
    "submit_order": (*WRITES, Fault.LATE, Fault.MISMATCHED),
    "cancel_order": WRITES,
    "replace_order": WRITES,
    "order_by_client_id": (Fault.LOST_BEFORE, Fault.ABSENT, Fault.THROTTLED),
    "order": (Fault.LOST_BEFORE,),
    "orders": (Fault.LOST_BEFORE,),
    "fills": (Fault.LOST_BEFORE,),
    "positions": (Fault.LOST_BEFORE,),
}


def seeds() -> list[int]:
    first, _, last = os.environ.get("HOLDFAST_SEEDS", "0-7").partition("-")
    return list(range(int(first), int(last or first) + 1))


def instants() -> list[datetime]:
    """Starts of bars: the first minutes of a session, its last ones over the sweep and the close, and the next day."""
    last = OPEN + timedelta(hours=6, minutes=30) - 13 * MINUTE
    following = OPEN + timedelta(days=1)
    return [
        start + n * MINUTE for start, count in ((OPEN, 9), (last, 13), (following, 8)) for n in range(count)
    ]  # fmt: skip


def market(chance: random.Random) -> list[Bar]:
    """Prices that wander, and now and then fall through every stop; volumes that fill orders in parts."""
    bars = []
    last = {symbol: Decimal(100) for symbol in SYMBOLS}
    for start in instants():
        for symbol in SYMBOLS:
            opened = last[symbol] * (Decimal(93) if chance.random() < 0.06 else Decimal(chance.randint(995, 1005)) / 10)
            opened = (opened / 100).quantize(CENT)
            closed = (opened * Decimal(chance.randint(995, 1005)) / 1000).quantize(CENT)
            high, low = max(opened, closed) + CENT * 5, min(opened, closed) - CENT * 5
            volume = Decimal(chance.choice((3, 8, 100_000, 100_000)))
            bars.append(Bar(symbol, start, start + MINUTE, opened, high, low, closed, volume))
            last[symbol] = closed
    return sorted(bars, key=lambda bar: (bar.end, bar.symbol))


class Story:
    """One random run."""

    def __init__(self, desk: Any, bars: list[Bar], seed: int) -> None:
        self.desk = desk
        self.chance = random.Random(seed)
        self.seed = seed
        self.ahead = sorted({bar.end for bar in bars if bar.end > desk.clock.now()})
        self.closes = {(bar.end, bar.symbol): bar.close for bar in bars}
        self.told: list[str] = []
        self.killed_at: int | None = None
        self.number = 0

    def say(self, what: str) -> None:
        self.told.append(f"{self.desk.clock.now():%d %H:%M:%S} {what}")

    async def run(self) -> None:
        for _ in range(STEPS):
            [action] = self.chance.choices(*zip(*self.actions(), strict=True))
            await action()
            self.check_kill_switch()
            if self.chance.random() < 0.7:
                await self.turns(self.chance.randint(1, 120))
            else:
                await self.secs(self.chance.choice((0.5, 2.0, 7.0)))
            self.check_kill_switch()

    def actions(self) -> list[tuple[Callable[[], Any], int]]:
        return [
            (self.bar, 10),
            (self.enter, 9),
            (self.leave, 5),
            (self.fault, 4),
            (self.crash, 1),
            (self.crash_within, 3),
            (self.stream, 2),
            (self.lose_updates, 2),
            (self.arrive, 2),
            (self.kill_switch, 4 if self.killed_at is not None else 1),
            (self.wait, 3),
        ]

    # --- what may happen

    async def bar(self) -> None:
        if self.ahead:
            self.desk.broker.tick(self.ahead.pop(0))
            self.say("bar")

    async def enter(self) -> None:
        if self.chance.random() < 0.4:
            await self.fault("submit_order")
        symbol = self.chance.choice(SYMBOLS)
        price = self.closes.get((self.desk.clock.now(), symbol), Decimal(100))
        low = self.chance.random() < 0.2
        decision = self.decision(
            symbol,
            quantity=self.chance.randint(1, 20),
            limit_price=(price * Decimal("0.99" if low else "1.02")).quantize(CENT),
            stop_price=(price * Decimal("0.95")).quantize(CENT),
            valid_secs=self.chance.choice((1, 60, 180)),
        )
        await self.submit(decision, f"enter {symbol}")

    async def leave(self) -> None:
        if self.chance.random() < 0.4:
            await self.fault(self.chance.choice(("cancel_order", "positions", "submit_order", "order")))
        held = [symbol for symbol, each in self.desk.broker.exchange.books.positions.items() if each.quantity]
        symbol = self.chance.choice(held or SYMBOLS)
        await self.submit(self.decision(symbol, exit_=True), f"exit {symbol}")

    def decision(self, symbol: str, **changes: Any) -> Any:
        self.number += 1
        return self.desk.decision(symbol, signal_id=f"s{self.number}", cycle_id=f"c{self.number}", **changes)

    async def submit(self, decision: Any, what: str) -> None:
        try:
            await self.desk.verdict()
            answer = await self.desk.submit(decision)
            self.say(f"{what}: {answer.decisions[0].reason}")
        except (Retry, Refused) as error:
            self.say(f"{what}: {error}")

    async def fault(self, call: str = "") -> None:
        call = call or self.chance.choice(sorted(FAULTS))
        found = [self.chance.choice(FAULTS[call]) for _ in range(self.chance.randint(1, 3))]
        self.desk.broker.script(call, *found)
        self.say(f"{call} {[each.value for each in found]}")

    async def crash_within(self) -> None:
        """While a call stands: before it reached the venue, or after it was done there."""
        call = self.chance.choice(("submit_order", "submit_order", "cancel_order", "replace_order", "order", "orders"))
        writes = call.endswith("_order")
        self.desk.broker._faults.clear()
        self.desk.broker.script(call, self.chance.choice((Fault.GATED, Fault.HELD_AFTER)) if writes else Fault.GATED)
        self.say(f"{call} stands")
        await self.chance.choice((self.enter, self.leave, self.bar))()
        await self.turns(self.chance.randint(20, 200))
        await self.crash()

    async def crash(self) -> None:
        self.say("crash")
        await self.desk.kill()
        self.desk.broker._faults.clear()
        if self.chance.random() < 0.3:
            await self.bar()
        await self.desk.start(settles=False)

    async def stream(self) -> None:
        self.say("stream")
        self.desk.broker.break_stream()

    async def lose_updates(self) -> None:
        """Never silently: the connection breaks after what it has lost."""
        self.say("updates are lost")
        self.desk.broker.drop_updates = self.chance.randint(1, 4)
        self.desk.broker.double_updates = self.chance.random() < 0.5
        await self.bar()
        await self.turns(self.chance.randint(1, 60))
        self.desk.broker.drop_updates = 0
        self.desk.broker.break_stream()

    async def arrive(self) -> None:
        self.say("arrive")
        self.late()

    def late(self) -> None:
        """Late requests arrive; the venue may refuse them."""
        waiting, self.desk.broker._late = self.desk.broker._late, []
        for request in waiting:
            self.desk.broker._late = [request]
            try:
                self.desk.broker.arrive()
            except Exception as error:  # noqa: BLE001  # whatever the venue says to it, nobody hears it
                self.say(f"late: {error}")
            self.desk.broker._late = []

    async def kill_switch(self) -> None:
        if self.killed_at is not None:
            for halt in await self.desk.halts():
                if halt.kind == "kill_switch":
                    await self.clear(halt.halt_id)
            self.killed_at = None
            self.say("kill switch released")
            return
        self.say("kill switch")
        epoch, now = self.desk.lease.epoch, self.desk.clock.now() + timedelta(microseconds=self.number)
        self.number += 1
        await self.desk.runner.run(lambda ledger: ledger.add_halt(epoch, now, "kill_switch", "by hand"))
        await self.desk.engine._sender.settle()
        self.killed_at = len(self.entries_sent())

    async def clear(self, halt_id: str) -> None:
        epoch, now = self.desk.lease.epoch, self.desk.clock.now()
        await self.desk.runner.run(lambda ledger: ledger.clear_halt(epoch, now, halt_id, "person"))

    async def wait(self) -> None:
        await self.secs(self.chance.choice((1.0, 4.0, 15.0)))

    # --- time

    async def turns(self, count: int) -> None:
        for _ in range(count):
            self.loops_live()
            await asyncio.sleep(0)

    async def secs(self, secs: float) -> None:
        for _ in range(int(secs / 0.25)):
            self.desk.monotonic.advance(0.25)
            await self.turns(25)

    def loops_live(self) -> None:
        for task in self.desk._tasks:
            if task.done():
                task.result()

    # --- what must hold

    def entries_sent(self) -> list[Any]:
        return [post for post in self.desk.broker.posts if post.protect_stop_price is not None]

    def check_kill_switch(self) -> None:
        """Invariant 10."""
        assert self.killed_at in (None, len(self.entries_sent())), "an entry left under the kill switch"

    async def heal(self) -> None:
        """Nothing goes wrong any more, and there is time."""
        desk = self.desk
        desk.broker._faults.clear()
        desk.broker.drop_updates = 0
        self.late()
        desk.broker.break_stream()
        await self.secs(80.0)
        await self.bar()
        await self.turns(100)
        # A partial entry is cut after two seconds of market time.
        desk.clock.set(desk.clock.now() + timedelta(seconds=10))
        await self.secs(10.0)

    async def check(self) -> None:
        desk = self.desk
        exchange, rows = desk.broker.exchange, await desk.intents()
        orders = list(exchange.orders.values())
        known = await desk.runner.read(lambda ledger: {row.intent_id: ledger.orders(row.intent_id) for row in rows})
        owner = {leg.broker_order_id: name for name, legs in known.items() for leg in legs}
        assert [row.intent_id for row in rows if row.state in UNRESOLVED] == []
        for order in orders:
            never_woke = order.parent is not None and not order.is_open and not order.filled_quantity
            refused = not order.is_open and not order.filled_quantity
            assert order.id in owner or never_woke or refused, f"unknown order {order}"
        live = Counter(owner[order.id] for order in orders if order.is_open)
        assert [name for name, count in live.items() if count > 1] == []
        states = {row.intent_id: row.state for row in rows}
        assert [name for name in live if states[name] in TERMINAL] == [], "a live order of an intent that is over"
        assert len({order.client_order_id for order in orders}) == len(orders)
        assert max(Counter(post.client_order_id for post in desk.broker.posts).values(), default=0) <= 4
        entries = Counter(o.symbol for o in orders if o.is_open and o.side is Side.BUY)
        assert max(entries.values(), default=0) <= 1
        await self.check_books(rows, orders)
        halts = [halt for halt in await desk.halts() if halt.kind not in ("kill_switch", "safety_abort")]
        assert [(halt.kind, halt.symbol, halt.reason, halt.since) for halt in halts] == []
        assert desk.engine.books.locked_reason == ""

    async def check_books(self, rows: list[IntentRow], orders: list[Order]) -> None:
        desk = self.desk
        exchange = desk.broker.exchange
        state = await desk.runner.read(lambda ledger: ledger.ledger_state(datetime(2000, 1, 1, tzinfo=UTC)))
        theirs = {symbol: each.quantity for symbol, each in exchange.books.positions.items() if each.quantity}
        assert {row.symbol: row.quantity for row in state.positions if row.quantity} == theirs
        assert state.account.cash == exchange.books.cash
        filled = {row.intent_id: row.filled_quantity for row in rows}
        assert sum(filled.values()) == sum(order.filled_quantity for order in orders)
        for symbol, quantity in theirs.items():
            sales = [o for o in orders if o.symbol == symbol and o.is_open and o.side is Side.SELL]
            awake = sum((o.remaining for o in sales if o.status is not Status.HELD), Decimal(0))
            assert awake == quantity, f"{symbol}: {quantity} held, {awake} protected"
            entering = any(row.symbol == symbol and row.purpose is Purpose.ENTRY and row.open for row in rows)
            resting = [o for o in sales if o.stop_price is not None]
            if not any(o.stop_price is None for o in sales) and not entering:
                assert (await desk.position(symbol)).protection == "active"
                assert len(resting) == 1


UNRESOLVED = (IntentState.SENDING, IntentState.UNKNOWN, IntentState.CANCELLING, IntentState.PENDING)


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """Thousands of expected warnings say nothing here."""

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("quiet_logs")
@pytest.mark.parametrize("seed", seeds())
async def test_whatever_happens_the_ledger_ends_as_the_broker_is(make_desk: Callable[..., Any], seed: int) -> None:
    bars = market(random.Random(-seed - 1))
    desk = make_desk(bars=bars)
    gate = desk.settings.gate.model_copy(update={"cooldown_secs": 0, "max_entries_per_symbol_day": 10_000})
    desk.settings = desk.settings.model_copy(update={"gate": gate})
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    story = Story(desk, bars, seed)
    try:
        await story.run()
        await story.heal()
        await story.check()
    except BaseException as error:
        error.add_note(f"seed {seed}\n" + "\n".join(story.told) + "\n" + await desk.story())
        raise
