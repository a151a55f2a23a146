"""Strategies: their states, each with its reason, its author and its fact."""

from datetime import datetime

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.adapters.sql import convert, tables
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import SqlWrites
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.strategies import STOPPED, StrategyState
from holdfast_execution.rows import LedgerError, StrategyRow

_STATES = frozenset(StrategyState)


class StrategyWrites(SqlWrites):
    """The strategies' part of the port."""

    def set_strategy_state(
        self, epoch: int, now: datetime, strategy: str, state: str, *, reason: str = "", set_by: str = "execution"
    ) -> StrategyRow:
        if state not in _STATES:
            raise LedgerError(f"a strategy is one of {', '.join(StrategyState)}, not {state!r}")
        with self._write(epoch) as transaction:
            known = {row.strategy: row for row in self.strategies()}.get(strategy)
            if known is not None and known.readable and known.state == state:
                return known
            row = StrategyRow(
                strategy=strategy,
                state=state,
                last_decided_cycle_time=None if known is None else known.last_decided_cycle_time,
                reason=reason,
                set_by=set_by,
                since=now,
            )
            self._store_strategy(transaction, row, known is None)
            self._tell_strategy(transaction, now, row)
            transaction.note(row)
            if not row.runs:
                self._drop_unsent(transaction, now, strategy)
            return row

    def _drop_unsent(self, transaction: Transaction, now: datetime, strategy: str) -> None:
        """Its entries that wait for their turn will never have it."""
        for intent in self.parts().intents.values():
            if (intent.strategy, intent.purpose, intent.state) == (strategy, Purpose.ENTRY, IntentState.PENDING):
                self._move(transaction, now, self._intent_columns(intent.intent_id), IntentState.NOT_SENT, STOPPED)

    def _store_strategy(self, transaction: Transaction, row: StrategyRow, new: bool) -> None:
        table = tables.strategies
        values = {
            "state": row.state,
            # Unread where the row could not be.
            "last_decided_cycle_time": convert.optional_micros(row.last_decided_cycle_time),
            "reason": row.reason,
            "set_by": row.set_by,
            "since": convert.optional_micros(row.since),
        }
        if new:
            keys = {"account": self._account, "strategy": row.strategy}
            transaction.connection.execute(sa.insert(table).values(keys | values))
            return
        transaction.connection.execute(
            sa.update(table)
            .where(table.c.account == self._account, table.c.strategy == row.strategy)
            .values(values)
        )  # fmt: skip

    def _tell_strategy(self, transaction: Transaction, now: datetime, row: StrategyRow) -> None:
        summary = f"strategy {row.strategy} is {row.state}, set by {row.set_by}" + (
            f": {row.reason}" if row.reason else ""
        )
        fact = execution.Fact(strategy=messages.to_strategy(row))
        transaction.append(now, "strategy", row.strategy, summary, fact)
