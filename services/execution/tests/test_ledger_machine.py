"""A model test of the ledger: whatever is written to it and in whatever order, its rules hold on real SQLite.

(Order protocol, points 2 to 5 and 10 to 12, invariants 4, 6, 12 and 13; TL-6, BR-5, CQ-2, PT-1, PT-5.) A failure prints
what was done, step by step. `HOLDFAST_MACHINE_RUNS=2000 pytest …` searches longer than the default.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from holdfast_execution.domain.intents import (
    AT_BROKER,
    PROVEN,
    TERMINAL,
    IllegalTransition,
    IntentState,
    Purpose,
    after_fill,
    is_late_fill,
    may_claim,
)
from holdfast_execution.ledger import (
    MAX_SENDS,
    ClaimRefused,
    FillApplied,
    NewFill,
    NewIntent,
    StaleFence,
)
from holdfast_runtime.ports.venue import BrokerOrder, OrderType, Side, TimeInForce
from services.execution.tests.ledger_model import ModelledLedger, Order, Wish

pytestmark = pytest.mark.timeout(900)
"""Time to make a failure small: cut off, it would tell of the clock."""

RUNS = int(os.environ.get("HOLDFAST_MACHINE_RUNS", "30"))
STEPS = 40
TIMED = frozenset({Purpose.ENTRY, Purpose.REDUCE})
"""What is sent in time, or not at all."""
PENDING, SENDING, UNKNOWN = IntentState.PENDING, IntentState.SENDING, IntentState.UNKNOWN
REPORTED = (*sorted(set(IntentState) - {PENDING, SENDING}), UNKNOWN, IntentState.CANCELLED)
"""What the engine reports by itself; the rest are claims and sends given back."""

which = st.integers(0, 50)
"""One of those there are."""


class LedgerMachine(ModelledLedger):
    """Everything that is written to the orders' part of a ledger, and what must be true after each of it."""

    # --- who writes

    @rule()
    def restart(self) -> None:
        """Only what is stored is known."""
        self.database.close()
        self.open()
        assert self.read() == self.seen
        self.take_lease()

    @precondition(lambda self: self.epoch > 1 and self.wishes)
    @rule(chosen=which, late=which, what=st.sampled_from(("claim", "state", "ack", "unknown", "fill", "halt", "leg")))
    def write_under_an_old_fence(self, chosen: int, late: int, what: str) -> None:
        """Invariant 12."""
        wish, ledger, now = self.some(chosen), self.ledger, self.now
        old, name = 1 + late % (self.epoch - 1), wish.name
        writes: dict[str, Callable[[], object]] = {
            "claim": lambda: ledger.claim_send(old, now, name),
            "state": lambda: ledger.record_order_state(old, now, name, IntentState.CANCELLED),
            "ack": lambda: ledger.record_ack(old, now, name, wish.present.broker_id),
            "unknown": lambda: ledger.record_unknown(old, now, name, "TOO_LATE"),
            "fill": lambda: ledger.apply_fill(old, now, self.fill_of(wish.present, 0, 1, Decimal(1), now)),
            "halt": lambda: ledger.add_halt(old, now, "credentials", "too late"),
            "leg": lambda: ledger.new_leg(old, now, name, "hf-too-late"),
        }
        self.refused(StaleFence, lambda _: writes[what]())

    @rule(secs=st.integers(1, 40))
    def time_passes(self, secs: int) -> None:
        self.now += timedelta(seconds=secs)

    # --- wishes

    @rule(
        symbol=st.sampled_from(("BAC", "IBM")),
        purpose=st.sampled_from((Purpose.ENTRY, Purpose.ENTRY, Purpose.STOP, Purpose.FLATTEN, Purpose.REDUCE)),
        quantity=st.integers(1, 12),
        valid_secs=st.sampled_from((5, 5, 60, 600)),
    )
    def wish(self, symbol: str, purpose: Purpose, quantity: int, valid_secs: int) -> None:
        """Stored once, however often it is asked for."""
        name = f"s{len(self.wishes)}/{purpose}"
        entry = purpose is Purpose.ENTRY
        new = NewIntent(
            intent_id=name,
            signal_id=name,
            strategy="sma",
            symbol=symbol,
            side=Side.BUY if entry else Side.SELL,
            purpose=purpose,
            quantity=Decimal(quantity),
            order_type=OrderType.LIMIT if entry else OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            client_order_id=f"hf-{name}-1",
            limit_price=Decimal(100) if entry else None,
            valid_until=self.now + timedelta(seconds=valid_secs) if purpose in TIMED else None,
        )
        self.wishes.append(
            Wish(name, new.side, purpose, quantity, new.valid_until, [Order(f"hf-{name}-1", quantity, 1)])
        )
        self.write(lambda epoch: self.ledger.add_intent(epoch, self.now, new))
        self.changes_nothing(lambda epoch: self.ledger.add_intent(epoch, self.now, new))

    @rule()
    def kill_switch(self) -> None:
        halt, ledger = self.halt, self.ledger
        if halt is None:
            self.write(lambda epoch: ledger.add_halt(epoch, self.now, "kill_switch", "by hand"))
            (self.halt,) = ledger.halts()
        else:
            self.write(lambda epoch: ledger.clear_halt(epoch, self.now, halt.halt_id, "person"))
            self.halt = None

    # --- sends

    @precondition(lambda self: self.wishes)
    @rule(chosen=which)
    def claim(self, chosen: int) -> None:
        wish = self.some(chosen)
        total = sum(order.attempts for order in wish.orders)
        entry = wish.purpose is Purpose.ENTRY
        # A part is sold in time or dropped by who sends it; one that was sent is sent again while it is not known.
        expired = entry and wish.valid_until is not None and self.now >= wish.valid_until
        used_up = wish.present.attempts >= MAX_SENDS or (entry and total >= MAX_SENDS)

        def send(epoch: int) -> None:
            self.ledger.claim_send(epoch, self.now, wish.name)

        if not may_claim(wish.state) or used_up or expired or (entry and self.halt is not None):
            self.refused(ClaimRefused, send)
            return
        wish.state = SENDING
        wish.present.attempts += 1
        self.write(send)

    @precondition(lambda self: self.wishes)
    @rule(chosen=which, again=st.booleans())
    def nothing_was_sent(self, chosen: int, again: bool) -> None:
        """The attempt is given back; an earlier one of the leg may live (point 5)."""
        wish = self.some(chosen)
        given_up = PENDING if again else IntentState.NOT_SENT

        def give_back(epoch: int) -> None:
            self.ledger.mark_not_sent(epoch, self.now, wish.name, "LEASE_MARGIN_SHORT", try_again=again)

        if wish.state is SENDING:
            wish.present.attempts -= 1
            wish.state = UNKNOWN if wish.present.attempts else given_up
        elif wish.state is PENDING:
            wish.state = given_up
        else:
            self.refused(IllegalTransition, give_back)
            return
        self.write(give_back)

    @precondition(lambda self: self.wishes)
    @rule(chosen=which)
    def acknowledged(self, chosen: int) -> None:
        wish = self.some(chosen)
        self.move(
            wish,
            (IntentState.PARTIALLY_FILLED if wish.filled else IntentState.ACKED)
            if wish.state in (PENDING, SENDING, UNKNOWN)
            else wish.state,
            lambda epoch: self.ledger.record_ack(epoch, self.now, wish.name, wish.present.broker_id),
        )

    @precondition(lambda self: self.wishes)
    @rule(chosen=which, state=st.sampled_from(REPORTED))
    def reported(self, chosen: int, state: IntentState) -> None:
        """Any move at all: the state machine decides, and terminal states stay (invariant 13)."""
        wish = self.some(chosen)

        def report(epoch: int) -> None:
            self.ledger.record_order_state(epoch, self.now, wish.name, state, reason="TOLD")

        if wish.state in TERMINAL:
            self.changes_nothing(report)
        else:
            self.move(wish, state, report)

    @precondition(lambda self: any(wish.state in PROVEN for wish in self.wishes))
    @rule(chosen=which)
    def next_leg(self, chosen: int) -> None:
        """Point 10."""
        wish = self.some(chosen, lambda each: each.state in PROVEN)
        left = wish.quantity - wish.filled
        client_id = f"hf-{wish.name}-{wish.present.leg + 1}"
        used_up = wish.purpose is Purpose.ENTRY and sum(order.attempts for order in wish.orders) >= MAX_SENDS

        def begin(epoch: int) -> None:
            self.ledger.new_leg(epoch, self.now, wish.name, client_id)

        if used_up or left <= 0:
            if used_up:
                self.refused(ClaimRefused, begin)
            return
        wish.state = PENDING
        wish.orders.append(Order(client_id, left, wish.present.leg + 1))
        self.write(begin)

    @precondition(lambda self: any(wish.state in AT_BROKER for wish in self.wishes))
    @rule(chosen=which, quantity=st.none() | st.integers(1, 12))
    def replaced(self, chosen: int, quantity: int | None) -> None:
        """A new order, of the same or another quantity, goes on as the same leg; the old one may still fill (point
        12)."""
        wish = self.some(chosen, lambda each: each.state in AT_BROKER)
        old = wish.present
        name = f"{old.client_id}-r{len(wish.orders)}"
        asked = quantity or old.quantity
        left = min(asked, old.quantity - old.seen) if asked <= old.quantity else asked
        new = Order(name, left, old.leg, attempts=1, replaces=old)
        if wish.state is not IntentState.CANCELLING:
            wish.state = IntentState.PARTIALLY_FILLED if wish.filled else IntentState.ACKED
        wish.quantity += new.quantity - (old.quantity - old.seen)
        wish.orders.append(new)
        told = None if quantity is None else Decimal(quantity)

        def replace(epoch: int) -> None:
            self.ledger.record_replacement(
                epoch, self.now, wish.name, new.client_id, new.broker_id, quantity=told, stop_price=Decimal(95)
            )

        self.write(replace)
        self.changes_nothing(replace)

    @precondition(lambda self: any(order.replaces for wish in self.wishes for order in wish.orders))
    @rule(chosen=which, replacement=which)
    def replacement_rejected(self, chosen: int, replacement: int) -> None:
        """The old order is the present one again, with what it has filled; told once more, or of another order than
        the present one, or too late, it changes nothing (point 12)."""
        wish = self.some(chosen, lambda each: any(order.replaces for order in each.orders))
        replacements = [order for order in wish.orders if order.replaces is not None]
        new = replacements[replacement % len(replacements)]
        old = new.replaces
        assert old is not None

        def reject(epoch: int) -> None:
            self.ledger.record_replacement_rejected(epoch, self.now, wish.name, new.broker_id, self.as_told(old))

        if new is wish.present and wish.state not in TERMINAL:
            if wish.state is not IntentState.CANCELLING:
                wish.state = IntentState.PARTIALLY_FILLED if wish.filled else IntentState.ACKED
            wish.quantity += (old.quantity - old.seen) - (new.quantity - new.seen)
            wish.orders.remove(old)
            wish.orders.append(old)
            self.write(reject)
        self.changes_nothing(reject)

    # --- fills

    @precondition(lambda self: any(self.tradable()))
    @rule(chosen=which, quantity=st.integers(1, 6), cents=st.integers(9_000, 11_000), tell=st.booleans())
    def trade(self, chosen: int, quantity: int, cents: int, tell: bool) -> None:
        """The broker fills a part of any order that was ever sent; it tells at once, later, or never."""
        orders = list(self.tradable())
        wish, order = orders[chosen % len(orders)]
        until = min(order.filled + quantity, order.quantity)
        order.trades.append((order.filled, until, Decimal(cents) / 100, self.now))
        if tell:
            self.deliver(wish, order, len(order.trades) - 1)

    @precondition(lambda self: any(self.traded()))
    @rule(chosen=which, part=which)
    def told(self, chosen: int, part: int) -> None:
        """Any part of any order, in any order, however often."""
        orders = list(self.traded())
        wish, order = orders[chosen % len(orders)]
        self.deliver(wish, order, part % len(order.trades))

    @precondition(lambda self: any(self.traded()))
    @rule(chosen=which)
    def told_the_total(self, chosen: int) -> None:
        """Without detail: what is missing, once (point 11)."""
        orders = list(self.traded())
        wish, order = orders[chosen % len(orders)]
        if self.ledger.intent_of_order(broker_order_id=order.broker_id) is None:
            return
        average = sum(((high - low) * price for low, high, price, _ in order.trades), Decimal(0)) / order.filled
        self.count(
            wish,
            order,
            set(range(order.filled)),
            lambda epoch: self.ledger.apply_filled_total(
                epoch, self.now, order.broker_id, Decimal(order.filled), average, order.trades[-1][3]
            ),
        )

    def deliver(self, wish: Wish, order: Order, part: int) -> None:
        low, high, price, at = order.trades[part]
        fill = self.fill_of(order, low, high, price, at)
        self.count(wish, order, set(range(low, high)), lambda epoch: self.ledger.apply_fill(epoch, self.now, fill))

    def count(self, wish: Wish, order: Order, shares: set[int], tell: Callable[[int], FillApplied]) -> None:
        if shares <= order.counted:
            self.changes_nothing(tell)
            return
        before, seen, earlier = wish.state, order.seen, order.leg != wish.present.leg
        order.counted |= shares
        if order.seen > seen and before not in TERMINAL and order is not wish.present:
            # It was replaced, or is of an earlier leg: what rests of the present order is beyond it.
            about = wish.present.quantity
            wish.present.take_off(order, order.seen - seen)
            if not earlier or wish.purpose is not Purpose.ENTRY:
                wish.quantity += order.seen - seen + wish.present.quantity - about
        whole = not earlier and order.seen >= order.quantity
        # Nothing is left for the replacement, so the broker goes back to the old order, which may rest yet.
        rests = not earlier and wish.present.quantity == 0
        complete = wish.counted >= wish.filled and (whole or (wish.filled >= wish.quantity and not rests))
        wish.state = before if earlier and not complete else after_fill(before, complete=complete)
        answers: list[FillApplied] = []
        self.write(lambda epoch: answers.append(tell(epoch)))
        assert answers[0].applied
        assert answers[0].late == (order.seen > seen and (is_late_fill(before) or earlier))
        assert answers[0].gap == (len(order.counted) < order.seen)

    @staticmethod
    def as_told(order: Order) -> BrokerOrder:
        """What the broker says of an order that works."""
        return BrokerOrder(
            order_id=order.broker_id,
            client_order_id=order.client_id,
            symbol="IBM",
            side=Side.SELL,
            quantity=Decimal(order.quantity),
            filled_quantity=Decimal(order.filled),
            filled_average_price=None,
            type="stop",
            time_in_force="day",
            status="new",
            limit_price=None,
            stop_price=Decimal(90),
            submitted_at=None,
            updated_at=None,
        )

    @staticmethod
    def fill_of(order: Order, low: int, high: int, price: Decimal, at: datetime) -> NewFill:
        return NewFill(
            broker_order_id=order.broker_id,
            quantity=Decimal(high - low),
            cumulative_quantity=Decimal(high),
            price=price,
            filled_at=at,
            client_order_id=order.client_id,
        )


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
