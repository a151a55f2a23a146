"""Parts that every group of writes shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.adapters.sql import convert, plain, queries, tables
from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.parts import IntentChange
from holdfast_execution.rows import IntentRow, LedgerError, UnknownRow
from holdfast_runtime.ledger_halts import to_micros

_i, _o = tables.intents.c, tables.orders.c
_UPDATE_INTENT = sa.update(tables.intents).where(
    _i.account == sa.bindparam("of_account"), _i.intent_id == sa.bindparam("of_intent")
)
_UPDATE_ORDER = sa.update(tables.orders).where(
    _o.account == sa.bindparam("of_account"), _o.client_order_id == sa.bindparam("of_order")
)


@cache
def setting(update: sa.Update, *columns: str) -> sa.Update:
    """`update` of these columns, built once: building it takes longer than running it."""
    return update.values({name: sa.bindparam(name) for name in columns})


class SqlWrites(SqlReads):
    """A fenced write transaction, and how intents are changed in it."""

    @contextmanager
    def _write(self, epoch: int) -> Iterator[Transaction]:
        """One write: fence checked, and undone as a whole where a constraint of the database refuses it."""
        try:
            with self._session.transaction() as transaction:
                transaction.check(epoch)
                transaction.begin_write()
                yield transaction
        except sa.exc.IntegrityError as error:
            raise LedgerError(f"the ledger's constraints refuse this write: {error.orig}") from error

    def _intent_columns(self, intent_id: str) -> dict[str, Any]:
        rows = self._rows(queries.INTENT, intent_id=intent_id)
        if not rows:
            raise UnknownRow(f"no intent {intent_id}")
        return rows[0]

    def _change_intent(
        self,
        transaction: Transaction,
        now: datetime,
        before: dict[str, Any],
        summary: str = "",
        *,
        order: dict[str, Any] | None = None,
        **columns: Any,
    ) -> IntentRow:
        """Updates columns of the intent and of its present order, appends the fact, returns the row as it is now."""
        if order:
            self._change_order(transaction, before["client_order_id"], **order)
        columns |= {"updated_at": to_micros(now), "epoch": transaction.header.epoch}
        plain.write(
            transaction.connection,
            setting(_UPDATE_INTENT, *columns),
            {"of_account": self._account, "of_intent": before["intent_id"], **columns},
        )
        after = before | columns | {f"order_{name}": value for name, value in (order or {}).items()}
        if after["client_order_id"] != before["client_order_id"]:
            # Another order is the present one.
            after = self._intent_columns(before["intent_id"])
        row = convert.intent_row(after)
        transaction.note(IntentChange(row, convert.reserved_units(after)))
        self._tell_intent(transaction, now, row, summary)
        return row

    def _change_order(self, transaction: Transaction, client_order_id: str, **columns: object) -> None:
        plain.write(
            transaction.connection,
            setting(_UPDATE_ORDER, *columns),
            {"of_account": self._account, "of_order": client_order_id, **columns},
        )

    def _move(
        self,
        transaction: Transaction,
        now: datetime,
        row: dict[str, Any],
        state: IntentState,
        reason: str | None = None,
        *,
        order: dict[str, Any] | None = None,
        **columns: Any,
    ) -> IntentRow:
        """The intent in its new state; nothing is written where nothing changes."""
        if reason is not None and reason != row["reason"]:
            columns["reason"] = reason
        if state.value == row["state"] and not columns and not order:
            return convert.intent_row(row)
        return self._change_intent(transaction, now, row, order=order, state=state.value, **columns)

    def _tell_intent(self, transaction: Transaction, now: datetime, row: IntentRow, summary: str = "") -> None:
        what = f"{row.purpose} {row.side} {row.quantity} {row.symbol}"
        told = summary or f"{what} is {row.state}" + (f": {row.reason}" if row.reason else "")
        transaction.append(
            now,
            "intent",
            row.intent_id,
            told,
            execution.Fact(intent=messages.to_intent(row)),
            traceparent=row.traceparent,
        )

    def _tell_account(self, transaction: Transaction, now: datetime) -> None:
        row = self.account()
        transaction.append(
            now,
            "account",
            self._account,
            f"cash {row.cash}, realised {row.realised_pnl}",
            execution.Fact(account=messages.to_account(row)),
        )
