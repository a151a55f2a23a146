"""Strategies: their states, each with its reason, its author and its fact."""

from datetime import datetime

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import SqlWrites
from holdfast_execution.domain.strategies import StrategyState
from holdfast_execution.rows import LedgerError, StrategyRow
from holdfast_runtime.ledger_halts import to_micros

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
            if known is not None and known.state == state:
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
            return row

    def _store_strategy(self, transaction: Transaction, row: StrategyRow, new: bool) -> None:
        table = tables.strategies
        values = {
            "state": row.state,
            "reason": row.reason,
            "set_by": row.set_by,
            "since": None if row.since is None else to_micros(row.since),
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
