"""Random writes to a ledger, as the engine makes them."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_core.schedules import Firing, TradeKind
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.firings import BUY_MISSED, FiringState, Settlement
from holdfast_execution.domain.intents import OPEN, IllegalTransition, IntentState, Purpose
from holdfast_execution.rows import ClaimRefused, IntentRow, LedgerError, NewFill, NewIntent
from holdfast_runtime.ports.venue import BrokerAsset, OrderType, Side, TimeInForce
from holdfast_runtime.wire import to_decimal, to_timestamp

START = datetime(2013, 10, 7, 13, 35, tzinfo=UTC)
SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
REFUSALS = (LedgerError, ClaimRefused, IllegalTransition)


def buy(strategy: str, planned_at: datetime) -> Firing:
    """A buy by the clock with a grace of a minute."""
    return Firing(
        firing_id=f"{strategy}.{planned_at:%Y-%m-%d}.buy.{planned_at:%H%M%S}",
        strategy=strategy,
        kind=TradeKind.BUY,
        planned_at=planned_at,
        due_at=planned_at,
        ends_at=planned_at + timedelta(minutes=1),
    )


class Writers:
    """Random writes, as the engine makes them."""

    def __init__(self, ledger: SqlLedger, chance: random.Random) -> None:
        self.ledger = ledger
        self.chance = chance
        self.now = START
        taken = ledger.acquire_lease(START, "test", ledger.lease())
        assert taken is not None
        self.epoch = taken.epoch
        ledger.open_account(self.epoch, START, Decimal(100_000))
        self._count = 0

    @property
    def calls(self) -> list[Callable[[], object]]:
        return [
            self.cycle, self.cycle, self.claim, self.claim, self.ack, self.ack, self.fill, self.fill, self.stop,
            self.state, self.next_leg, self.replace, self.protect, self.own, self.verdict, self.halt, self.clear,
            self.strategy, self.note, self.asset, self.publish, self.skip,
        ]  # fmt: skip

    def one(self) -> None:
        """One write, at the same instant as the last one or later; a refusal leaves everything as it was."""
        self.now += timedelta(seconds=self.chance.choice((0, 0, 1, 60, 40_000)))
        with suppress(*REFUSALS):
            self.chance.choice(self.calls)()

    def several(self) -> None:
        """Several in one commit, of which some may be undone alone."""
        with self.ledger.session.transaction() as transaction:
            for _ in range(3):
                with suppress(*REFUSALS), transaction.savepoint():
                    self.chance.choice(self.calls)()
                    if self.chance.random() < 0.3:
                        raise LedgerError("undone")

    def intent(self, *states: IntentState) -> IntentRow:
        found = [row for row in self.ledger.open_intents() if row.state in (states or OPEN)]
        if not found:
            raise LedgerError("nothing to work on")
        return self.chance.choice(found)

    def cycle(self) -> None:
        decisions = [self.decision(symbol) for symbol in self.chance.sample(SYMBOLS, 2)]
        wishes = {each.signal_id: self.entry(each) for each in decisions if each.allowed}
        self.ledger.store_cycle(self.epoch, self.now, decisions, wishes)

    def skip(self) -> None:
        """A buy by the clock that is planned, and missed."""
        planned_at = self.now - timedelta(days=self.chance.choice((0, 1, 3)))
        firing = buy(self.chance.choice(("sma", "etf")), planned_at)
        self.ledger.plan_firings(self.epoch, self.now, [firing])
        missed = Settlement(FiringState.SKIPPED, BUY_MISSED)
        self.ledger.settle_firing(self.epoch, self.now, firing.firing_id, missed)

    def decision(self, symbol: str) -> gate.Decision:
        self._count += 1
        allowed = self.chance.random() < 0.6
        strategy = self.chance.choice(("sma", "etf"))
        return gate.Decision(
            signal_id=f"{strategy}.{symbol}.{self._count}",
            cycle_id=f"{strategy}.{self._count}",
            strategy=strategy,
            symbol=symbol,
            book=common.BOOK_EQUITY,
            direction=common.DIRECTION_ENTER_LONG,
            allowed=allowed,
            reason="ALLOWED" if allowed else "COOLDOWN_ACTIVE",
            market_time=to_timestamp(self.now - timedelta(seconds=self.chance.choice((0, 60)))),
            valid_until=to_timestamp(self.now + timedelta(minutes=1)),
            quantity=to_decimal(Decimal(10)),
            limit_price=to_decimal(Decimal(20)),
        )

    def entry(self, decision: gate.Decision) -> NewIntent:
        return NewIntent(
            intent_id=f"{decision.signal_id}/entry",
            signal_id=decision.signal_id,
            strategy=decision.strategy,
            symbol=decision.symbol,
            side=Side.BUY,
            purpose=Purpose.ENTRY,
            quantity=Decimal(10),
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            client_order_id=f"hf-{decision.signal_id}-1",
            limit_price=Decimal(20),
            reserve_price=self.chance.choice((None, Decimal(21))),
            valid_until=self.now + timedelta(days=1),
        )

    def stop(self) -> None:
        parent = self.intent()
        self.ledger.add_intent(
            self.epoch,
            self.now,
            NewIntent(
                intent_id=f"{parent.intent_id}/stop",
                signal_id=parent.signal_id,
                strategy=parent.strategy,
                symbol=parent.symbol,
                side=Side.SELL,
                purpose=Purpose.STOP,
                quantity=parent.quantity,
                order_type=OrderType.STOP,
                time_in_force=TimeInForce.DAY,
                client_order_id=f"{parent.client_order_id}-stop",
                stop_price=Decimal(15),
                parent_intent_id=parent.intent_id,
            ),
        )

    def claim(self) -> None:
        self.ledger.claim_send(self.epoch, self.now, self.intent(IntentState.PENDING, IntentState.UNKNOWN).intent_id)

    def ack(self) -> None:
        row = self.intent(IntentState.SENDING, IntentState.UNKNOWN)
        self.ledger.record_ack(self.epoch, self.now, row.intent_id, f"order-{row.client_order_id}", status="new")

    def fill(self) -> None:
        row = self.intent(IntentState.ACKED, IntentState.PARTIALLY_FILLED, IntentState.SENDING)
        total = row.filled_quantity + self.chance.choice((2, 3, 10))
        if total > row.leg_quantity:
            total = row.leg_quantity
        fill = NewFill(
            broker_order_id=f"order-{row.client_order_id}",
            client_order_id=row.client_order_id,
            quantity=total - row.filled_quantity,
            price=Decimal(20),
            cumulative_quantity=total,
            filled_at=self.now,
        )
        self.ledger.apply_fill(self.epoch, self.now, fill)

    def state(self) -> None:
        row = self.intent()
        state = self.chance.choice([each for each in IntentState if each is not IntentState.FILLED])
        self.ledger.record_order_state(self.epoch, self.now, row.intent_id, state, reason="TEST", status="new")

    def next_leg(self) -> None:
        rows = self.ledger.ledger_state().intents
        row = self.chance.choice(rows) if rows else self.intent()
        self.ledger.new_leg(
            self.epoch,
            self.now,
            row.intent_id,
            f"{row.client_order_id}n",
            limit_price=Decimal(self.chance.choice((18, 19))),
        )

    def replace(self) -> None:
        row = self.intent(IntentState.ACKED)
        self.ledger.record_replacement(
            self.epoch, self.now, row.intent_id, f"{row.client_order_id}r", f"order-{row.client_order_id}r"
        )

    def protect(self) -> None:
        self.ledger.set_protection(
            self.epoch, self.now, self.held(), "active", stop_price=Decimal(15), stop_quantity=Decimal(self._count)
        )

    def own(self) -> None:
        self.ledger.set_exit_owner(self.epoch, self.now, self.held(), self.chance.choice(("stop", "exit")))

    def held(self) -> str:
        held = self.ledger.positions(open_only=False)
        if not held:
            raise LedgerError("nothing was ever held")
        return self.chance.choice(held).symbol

    def verdict(self) -> None:
        state = execution.RECONCILIATION_STATE_CLEAN
        verdict = execution.ReconciliationVerdict(state=state, market_time=to_timestamp(self.now))
        self.ledger.record_verdict(self.epoch, self.now, verdict)

    def halt(self) -> None:
        self.ledger.add_halt(self.epoch, self.now, "test", "because", symbol=self.chance.choice(SYMBOLS))

    def clear(self) -> None:
        if halts := self.ledger.halts():
            self.ledger.clear_halt(self.epoch, self.now, halts[0].halt_id, "test")

    def strategy(self) -> None:
        self.ledger.set_strategy_state(self.epoch, self.now, "sma", self.chance.choice(("running", "stopped")))

    def note(self) -> None:
        self.ledger.note(self.epoch, self.now, "test", "a note")

    def asset(self) -> None:
        symbol = self.chance.choice(SYMBOLS)
        tradable = self.chance.random() < 0.5
        asset = BrokerAsset(
            symbol=symbol, tradable=tradable, fractionable=False, shortable=False, marginable=False, status="active"
        )
        self.ledger.record_assets(self.epoch, self.now, [asset])

    def publish(self) -> None:
        self.ledger.mark_published(self.epoch, [row.event_id for row in self.ledger.unpublished(5)])
