"""Decisions and intents: what was wished, what was allowed, what was sent, and what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.adapters.sql import convert, plain, queries, tables
from holdfast_execution.adapters.sql.decision_writes import DecisionWrites
from holdfast_execution.adapters.sql.intent_values import changed, intent_values, present_order
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.domain.intents import (
    TERMINAL,
    IllegalTransition,
    IntentState,
    Purpose,
    may_begin_next_leg,
    may_claim,
    outranks_exit,
    transition,
)
from holdfast_execution.domain.limits import halt_reason
from holdfast_execution.domain.outcomes import ATTEMPTS_EXHAUSTED
from holdfast_execution.domain.replacements import Link, cut
from holdfast_execution.domain.statuses import known_time_in_force
from holdfast_execution.domain.strategies import STOPPED
from holdfast_execution.parts import IntentChange
from holdfast_execution.rows import (
    MAX_SENDS,
    ClaimRefused,
    IntentRow,
    LedgerError,
    LimitsCheck,
    NewIntent,
    StoredCycle,
)
from holdfast_runtime.ledger_halts import from_micros, to_micros
from holdfast_runtime.ports.venue import BrokerOrder, OrderType, TimeInForce

_INSERT_INTENTS = sa.insert(tables.intents)
_INSERT_ORDERS = sa.insert(tables.orders)


class IntentWrites(DecisionWrites):
    """The intent half of the port."""

    def store_cycle(
        self,
        epoch: int,
        now: datetime,
        decisions: Sequence[gate.Decision],
        intents: Mapping[str, NewIntent],
        limits: LimitsCheck | None = None,
        *,
        claim: bool = False,
    ) -> StoredCycle:
        asked = [decision.signal_id for decision in decisions]
        if len(set(asked)) != len(asked) or not all(asked):
            raise LedgerError("a cycle decides each of its signals once, under its id")
        with self._write(epoch) as transaction:
            stored = self._decisions(asked)
            fresh = [decision for decision in decisions if decision.signal_id not in stored]
            if limits is not None and any(decision.allowed for decision in fresh):
                symbols = [decision.symbol for decision in fresh if decision.allowed]
                fresh = list(limits(self.view(now, symbols), fresh))
            created: list[IntentRow] = []
            claimed: IntentRow | None = None
            if fresh:
                self._insert_decisions(transaction, now, fresh)
                wishes = [intents[each.signal_id] for each in fresh if each.allowed and each.signal_id in intents]
                # What a claim asks for was asked just now, in this transaction: halts and validity are limits.
                entries = bool(wishes) and all(wish.purpose.raises_risk for wish in wishes)
                claims = claim and limits is not None and entries and not self.compatible()
                created = self._insert_intents(transaction, now, wishes, claim_first=claims)
                claimed = created[0] if claims else None
                stored |= {decision.signal_id: decision for decision in fresh}
            return StoredCycle(
                decisions=tuple(stored[signal_id] for signal_id in asked),
                intents=tuple(created),
                claimed=claimed,
                replayed=bool(asked) and not fresh,
                version=transaction.header.version,
            )

    def add_intent(self, epoch: int, now: datetime, intent: NewIntent) -> IntentRow:
        with self._write(epoch) as transaction:
            rows = self._rows(queries.INTENT, intent_id=intent.intent_id)
            if rows:
                return convert.intent_row(rows[0])
            return self._insert_intents(transaction, now, [intent])[0]

    def claim_send(self, epoch: int, now: datetime, intent_id: str) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            self._check_claim(now, row)
            return self._move(
                transaction,
                now,
                row,
                IntentState.SENDING,
                order={"attempts": row["order_attempts"] + 1},
                total_attempts=row["total_attempts"] + 1,
            )

    def mark_not_sent(
        self, epoch: int, now: datetime, intent_id: str, reason: str, *, try_again: bool = False
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            before = IntentState(row["state"])
            given_up = IntentState.PENDING if try_again else IntentState.NOT_SENT
            if before is IntentState.PENDING:
                return self._move(transaction, now, row, given_up, reason)
            if before is not IntentState.SENDING:
                raise IllegalTransition(before, given_up)
            left = row["order_attempts"] - 1
            # An earlier POST of this leg may live: only a look-up can tell.
            after = IntentState.UNKNOWN if left else given_up
            total = row["total_attempts"] - 1
            return self._move(transaction, now, row, after, reason, order={"attempts": left}, total_attempts=total)

    def record_ack(
        self, epoch: int, now: datetime, intent_id: str, broker_order_id: str, *, status: str = ""
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            known = row["order_broker_order_id"]
            if known not in (None, broker_order_id):
                raise LedgerError(f"{row['client_order_id']} is order {known} at the broker, not {broker_order_id}")
            before = IntentState(row["state"])
            after = before
            if before in (IntentState.PENDING, IntentState.SENDING, IntentState.UNKNOWN):
                filled = row["filled_quantity"] > 0
                after = transition(before, IntentState.PARTIALLY_FILLED if filled else IntentState.ACKED)
            order = {} if known is not None else {"broker_order_id": broker_order_id}
            if status:
                order["status"] = status
            return self._move(transaction, now, row, after, order=order)

    def record_unknown(self, epoch: int, now: datetime, intent_id: str, reason: str) -> IntentRow:
        return self.record_order_state(epoch, now, intent_id, IntentState.UNKNOWN, reason=reason)

    def record_refusal(self, epoch: int, now: datetime, intent_id: str, reason: str) -> IntentRow:
        return self.record_order_state(epoch, now, intent_id, IntentState.REJECTED, reason=reason)

    def record_order_state(
        self, epoch: int, now: datetime, intent_id: str, state: IntentState, *, reason: str = "", status: str = ""
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            if status:
                self._change_order(transaction, row["client_order_id"], status=status)
            before = IntentState(row["state"])
            if before in TERMINAL:
                return convert.intent_row(row)
            return self._move(transaction, now, row, transition(before, state), reason or None)

    def new_leg(
        self,
        epoch: int,
        now: datetime,
        intent_id: str,
        client_order_id: str,
        *,
        quantity: Decimal | None = None,
        order_type: OrderType | None = None,
        time_in_force: TimeInForce | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        protect_stop_price: Decimal | None = None,
        reason: str = "",
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            before = IntentState(row["state"])
            if not may_begin_next_leg(before):
                raise IllegalTransition(before, IntentState.PENDING)
            if row["purpose"] == Purpose.ENTRY.value and row["total_attempts"] >= MAX_SENDS:
                raise ClaimRefused(ATTEMPTS_EXHAUSTED, f"{intent_id} was sent {row['total_attempts']} times")
            left = row["quantity"] - row["filled_quantity"]
            units = left if quantity is None else convert.quantity_units(quantity)
            leg = row["leg"] + 1
            self._insert_order(transaction, row, client_order_id, leg=leg, quantity=units)
            raises_risk = row["purpose"] == Purpose.ENTRY.value
            columns = changed(
                # What protects or sells wants what there is now, not what there was when it was first wished for.
                quantity=None if raises_risk else row["filled_quantity"] + units,
                order_type=order_type and order_type.value,
                time_in_force=time_in_force and time_in_force.value,
                limit_price=convert.optional_units(limit_price),
                stop_price=convert.optional_units(stop_price),
                protect_stop_price=convert.optional_units(protect_stop_price),
            )
            return self._move(
                transaction, now, row, IntentState.PENDING, reason, leg=leg, client_order_id=client_order_id, **columns
            )

    def record_replacement(
        self,
        epoch: int,
        now: datetime,
        intent_id: str,
        client_order_id: str,
        broker_order_id: str,
        *,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            if self._order(broker_order_id=broker_order_id, client_order_id=client_order_id) is not None:
                return convert.intent_row(row)
            old = Link(row["order_quantity"], row["order_filled_quantity"])
            asked = old.quantity if quantity is None else convert.quantity_units(quantity)
            # The answer may be older than what the old order has filled since.
            units = cut([old, Link(asked, 0)])[-1]
            self._change_order(transaction, row["client_order_id"], status="replaced")
            self._insert_order(
                transaction, row, client_order_id, leg=row["leg"], quantity=units,
                replaces=row["client_order_id"], broker_order_id=broker_order_id, attempts=1,
            )  # fmt: skip
            before = IntentState(row["state"])
            columns = changed(
                # What the old order has filled counts, what rested of it does not.
                quantity=None if before in TERMINAL else row["quantity"] - (old.quantity - old.filled) + units,
                stop_price=convert.optional_units(stop_price),
                time_in_force=time_in_force and time_in_force.value,
            )
            return self._move(transaction, now, row, _working(row), client_order_id=client_order_id, **columns)

    def record_replacement_rejected(
        self, epoch: int, now: datetime, intent_id: str, rejected: str, replaced: BrokerOrder
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            before = IntentState(row["state"])
            old = self._order(broker_order_id=replaced.order_id)
            if before in TERMINAL or old is None or row["order_broker_order_id"] != rejected:
                return convert.intent_row(row)
            self._change_order(transaction, row["client_order_id"], status="rejected")
            self._change_order(transaction, old["client_order_id"], status=replaced.status)
            never_rested = row["order_quantity"] - row["order_filled_quantity"]
            return self._move(
                transaction,
                now,
                row,
                _working(row),
                client_order_id=old["client_order_id"],
                quantity=row["quantity"] - never_rested + old["quantity"] - old["filled_quantity"],
                stop_price=convert.optional_units(replaced.stop_price),
                time_in_force=known_time_in_force(replaced.time_in_force).value,
            )

    # --- helpers

    def _check_claim(self, now: datetime, row: dict[str, Any]) -> None:
        intent_id = row["intent_id"]
        if not may_claim(IntentState(row["state"])):
            raise ClaimRefused("NOT_CLAIMABLE", f"{intent_id} is {row['state']}")
        entry = Purpose(row["purpose"]).raises_risk
        if row["order_attempts"] >= MAX_SENDS or (entry and row["total_attempts"] >= MAX_SENDS):
            raise ClaimRefused(ATTEMPTS_EXHAUSTED, f"{intent_id} was sent {row['total_attempts']} times")
        if not entry:
            self._check_rank(row)
            return
        if row["valid_until"] is not None and to_micros(now) >= row["valid_until"]:
            raise ClaimRefused("CYCLE_EXPIRED", f"{intent_id} was valid until {from_micros(row['valid_until'])}")
        if incompatible := self.compatible():
            raise ClaimRefused("LEDGER_INCOMPATIBLE", incompatible)
        for halt in self.halts():
            if halt.covers(row["symbol"], row["strategy"]):
                raise ClaimRefused(halt_reason(halt), f"{halt.kind} since {halt.since}: {halt.reason}")
        strategy = self.strategy(row["strategy"])
        if not strategy.runs:
            raise ClaimRefused(STOPPED, f"{strategy.strategy} is {strategy.state}: {strategy.reason}")

    def _check_rank(self, row: Mapping[str, Any]) -> None:
        """Invariant 9: a scheduled sale gives way to what outranks it, also where that was learnt a moment ago."""
        if row["part"] or Purpose(row["purpose"]) is not Purpose.EXIT:
            return
        for other in self.open_intents():
            if other.symbol == row["symbol"] and outranks_exit(other.purpose, other.state):
                raise ClaimRefused("EXIT_OUTRANKED", f"{row['intent_id']}: {other.intent_id} is {other.state}")

    def _insert_intents(
        self, transaction: Transaction, now: datetime, wishes: Sequence[NewIntent], *, claim_first: bool = False
    ) -> list[IntentRow]:
        """`claim_first`: the first one is SENDING from the beginning, with its first attempt counted."""
        if not wishes:
            return []
        epoch = transaction.header.epoch
        rows = [intent_values(wish, self._account, epoch, to_micros(now)) for wish in wishes]
        attempts = [0] * len(wishes)
        if claim_first:
            rows[0] |= {"state": IntentState.SENDING.value, "total_attempts": 1}
            attempts[0] = 1
        plain.write(transaction.connection, _INSERT_INTENTS, rows)
        plain.write(
            transaction.connection,
            _INSERT_ORDERS,
            [
                {
                    "account": self._account,
                    "client_order_id": wish.client_order_id,
                    "intent_id": wish.intent_id,
                    "leg": 1,
                    "sequence": 1,
                    "attempts": tried,
                    "broker_order_id": wish.broker_order_id or None,
                    "quantity": convert.quantity_units(wish.quantity),
                    "filled_quantity": 0,
                    "replaces": "",
                    "status": "",
                }
                for wish, tried in zip(wishes, attempts, strict=True)
            ],
        )
        created = [
            convert.intent_row(row | present_order(wish, tried))
            for row, wish, tried in zip(rows, wishes, attempts, strict=True)
        ]
        for row, columns in zip(created, rows, strict=True):
            transaction.note(IntentChange(row, convert.reserved_units(columns)))
            self._tell_intent(transaction, now, row)
        return created

    def _insert_order(
        self,
        transaction: Transaction,
        row: Mapping[str, Any],
        client_order_id: str,
        *,
        leg: int,
        quantity: int,
        replaces: str = "",
        broker_order_id: str | None = None,
        attempts: int = 0,
    ) -> None:
        plain.write(
            transaction.connection,
            _INSERT_ORDERS,
            {
                "account": self._account,
                "client_order_id": client_order_id,
                "intent_id": row["intent_id"],
                "leg": leg,
                "sequence": len(self.orders(row["intent_id"])) + 1,
                "attempts": attempts,
                "broker_order_id": broker_order_id,
                "quantity": quantity,
                "filled_quantity": 0,
                "replaces": replaces,
                "status": "",
            },
        )


def _working(row: Mapping[str, Any]) -> IntentState:
    """State of an intent that goes on under another order of the same leg: no end, and no cancel, is undone by that."""
    before = IntentState(row["state"])
    if before in TERMINAL or before is IntentState.CANCELLING:
        return before
    return IntentState.PARTIALLY_FILLED if row["filled_quantity"] else IntentState.ACKED
