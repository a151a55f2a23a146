"""Timed trades: planned before their instant, settled once (SQ-13, BS-3)."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.schedules import Firing, TradeKind
from holdfast_execution.adapters.sql import convert, queries, tables
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import SqlWrites
from holdfast_execution.domain.firings import FiringRow, FiringState, Settlement
from holdfast_execution.parts import Unforeseen
from holdfast_execution.rows import ClaimRefused, UnknownRow

_f = tables.firings.c


class FiringWrites(SqlWrites):
    """The timed-trades half of the port."""

    def plan_firings(self, epoch: int, now: datetime, firings: Sequence[Firing]) -> list[FiringRow]:
        with self._write(epoch) as transaction:
            for firing in firings:
                if self._rows(queries.FIRING, firing_id=firing.firing_id):
                    continue
                row = _row_of(firing)
                values = {"account": self._account, **convert.firing_columns(row)}
                transaction.connection.execute(sa.insert(tables.firings).values(values))
                self._tell_firing(transaction, now, row)
            return self.firings_due()

    def settle_firing(self, epoch: int, now: datetime, firing_id: str, settlement: Settlement) -> FiringRow:
        with self._write(epoch) as transaction:
            found = self._rows(queries.FIRING, firing_id=firing_id)
            if not found:
                raise UnknownRow(f"no firing {firing_id}")
            settled = transaction.connection.execute(
                sa.update(tables.firings)
                .where(_f.account == self._account, _f.firing_id == firing_id, _f.state == FiringState.DUE.value)
                .values(state=settlement.state.value, reason=settlement.reason)
            )
            if settled.rowcount != 1:
                raise ClaimRefused("FIRING_SETTLED", f"{firing_id} is {found[0]['state']} already")
            row = convert.firing_row(self._rows(queries.FIRING, firing_id=firing_id)[0])
            self._tell_firing(transaction, now, row)
            return row

    def _tell_firing(self, transaction: Transaction, now: datetime, row: FiringRow) -> None:
        if row.kind is TradeKind.BUY and row.state is FiringState.SKIPPED:
            # A few a day: the next view reads them.
            transaction.note(Unforeseen())
        told = f"timed {row.kind} of {row.strategy} at {row.due_at:%Y-%m-%d %H:%M} UTC is {row.state}"
        summary = told + (f": {row.reason}" if row.reason else "")
        transaction.append(now, "note", f"firing.{row.firing_id}", summary, execution.Fact())


def _row_of(firing: Firing) -> FiringRow:
    return FiringRow(
        firing_id=firing.firing_id,
        strategy=firing.strategy,
        kind=firing.kind,
        planned_at=firing.planned_at,
        due_at=firing.due_at,
        ends_at=firing.ends_at,
        state=FiringState.SKIPPED if firing.void else FiringState.DUE,
        reason=firing.void,
    )
