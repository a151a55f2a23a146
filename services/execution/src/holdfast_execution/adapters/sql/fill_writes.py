"""Fills and what they make of positions and cash: each share counted once, whatever the order of arrival."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.adapters.sql import convert, plain, queries, tables
from holdfast_execution.adapters.sql.filled_intents import FilledIntents
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import setting
from holdfast_execution.domain.positions import (
    Adjustment,
    Execution,
    Holding,
    apply,
    cash_flow,
    divide,
    fold,
    notional,
    uncovered,
)
from holdfast_execution.parts import Unforeseen
from holdfast_execution.rows import ClaimRefused, FillApplied, LedgerError, NewFill, PositionRow, UnknownRow
from holdfast_runtime.ledger_halts import from_micros, to_micros

_UNITS = 10**10
"""Cash of one unit of quantity at one unit of price, inverted."""
CRYPTO = "crypto"
"""The book whose fills cost coins and dollars beside their price."""
_f, _p = tables.fills.c, tables.positions.c
_INSERT_FILLS = sa.insert(tables.fills)
_INSERT_POSITION = sa.insert(tables.positions)
_UPDATE_REALISED = (
    sa.update(tables.fills)
    .where(
        _f.account == sa.bindparam("of_account"),
        _f.broker_order_id == sa.bindparam("of_order"),
        _f.cumulative_quantity == sa.bindparam("of_cumulative"),
    )
    .values(realised=sa.bindparam("new_realised"))
)
_UPDATE_POSITION = sa.update(tables.positions).where(
    _p.account == sa.bindparam("of_account"), _p.symbol == sa.bindparam("of_symbol")
)


class FillWrites(FilledIntents):
    """The fills half of the port."""

    def apply_fill(self, epoch: int, now: datetime, fill: NewFill) -> FillApplied:
        cumulative = convert.quantity_units(fill.cumulative_quantity)
        start = cumulative - convert.quantity_units(fill.quantity)
        price = convert.quantity_units(fill.price, what="price")
        if not 0 <= start < cumulative or price <= 0:
            raise LedgerError(f"{fill} is no execution: its quantity, total or price cannot be")
        with self._write(epoch) as transaction:
            order = self._filled_order(transaction, fill)
            known = self._rows(queries.FILLS_OF_ORDER, broker_order_id=fill.broker_order_id)
            parts = [
                (low, high, price)
                for low, high in uncovered(
                    [(row["cumulative_quantity"] - row["quantity"], row["cumulative_quantity"]) for row in known],
                    start,
                    cumulative,
                )
            ]
            return self._count(transaction, now, order, fill.broker_order_id, parts, to_micros(fill.filled_at))

    def apply_filled_total(
        self,
        epoch: int,
        now: datetime,
        broker_order_id: str,
        filled_quantity: Decimal,
        average_price: Decimal,
        at: datetime,
    ) -> FillApplied:
        total = convert.quantity_units(filled_quantity)
        with self._write(epoch) as transaction:
            order = self._order(broker_order_id=broker_order_id)
            if order is None:
                raise UnknownRow(f"no intent has the order {broker_order_id}")
            known = self._rows(queries.FILLS_OF_ORDER, broker_order_id=broker_order_id)
            spans = [(row["cumulative_quantity"] - row["quantity"], row["cumulative_quantity"]) for row in known]
            gaps = uncovered(spans, 0, total)
            # A total older than what is known tells nothing new about the shares that are missing below it.
            if max((high for _, high in spans), default=0) > total:
                gaps = []
            missing = sum(high - low for low, high in gaps)
            paid = notional(total, convert.quantity_units(average_price.quantize(Decimal("1e-9")), what="price"))
            paid -= sum(notional(row["quantity"], row["price"]) for row in known)
            price = max(divide(paid * _UNITS, missing), 1) if missing else 0
            parts = [(low, high, price) for low, high in gaps]
            return self._count(transaction, now, order, broker_order_id, parts, to_micros(at))

    def set_exit_owner(
        self, epoch: int, now: datetime, symbol: str, owner: str, *, expected: str | None = None
    ) -> PositionRow:
        with self._write(epoch) as transaction:
            before = self._held(symbol)
            if expected is not None and before.exit_owner != expected:
                raise ClaimRefused("EXIT_OWNED", f"the exit of {symbol} belongs to {before.exit_owner or 'nobody'}")
            if before.exit_owner == owner:
                return before
            return self._change_position(transaction, now, symbol, exit_owner=owner)

    def set_protection(
        self,
        epoch: int,
        now: datetime,
        symbol: str,
        protection: str,
        *,
        stop_price: Decimal | None,
        stop_quantity: Decimal,
    ) -> PositionRow:
        if protection not in messages.PROTECTIONS:
            raise LedgerError(f"protection is none, pending or active, not {protection!r}")
        with self._write(epoch) as transaction:
            before = self._held(symbol)
            if (before.protection, before.stop_price, before.stop_quantity) == (protection, stop_price, stop_quantity):
                return before
            return self._change_position(
                transaction,
                now,
                symbol,
                protection=protection,
                stop_price=convert.optional_units(stop_price),
                stop_quantity=convert.quantity_units(stop_quantity),
            )

    # --- helpers

    def _filled_order(self, transaction: Transaction, fill: NewFill) -> dict[str, Any]:
        order = self._order(broker_order_id=fill.broker_order_id, client_order_id=fill.client_order_id)
        if order is None:
            raise UnknownRow(f"no intent has the order {fill.broker_order_id}")
        known = order["broker_order_id"]
        if known is None:
            self._change_order(transaction, order["client_order_id"], broker_order_id=fill.broker_order_id)
            transaction.note(Unforeseen())
        elif known != fill.broker_order_id:
            raise LedgerError(f"{order['client_order_id']} is order {known} at the broker, not {fill.broker_order_id}")
        return order

    def _count(
        self,
        transaction: Transaction,
        now: datetime,
        order: dict[str, Any],
        broker_order_id: str,
        parts: Sequence[tuple[int, int, int]],
        at: int,
    ) -> FillApplied:
        """Stores the parts (from, to, price) of one order that were not known, and all that follows from them."""
        intent = self._intent_columns(order["intent_id"])
        if not parts:
            held = self.position(intent["symbol"]) or _never_held(intent)
            return FillApplied(applied=False, late=False, fill=None, intent=convert.intent_row(intent), position=held)
        executions = [
            Execution(
                broker_order_id=broker_order_id,
                cumulative=high,
                quantity=high - low,
                price=price,
                buy=intent["side"] == "buy",
                at=at,
                strategy=intent["strategy"],
                book=intent["book"],
            )
            for low, high, price in parts
        ]
        newest = self._newest(intent["symbol"], adjusted=intent["book"] == CRYPTO)
        rows = [self._fill_values(each, order, intent, to_micros(now)) for each in executions]
        plain.write(transaction.connection, _INSERT_FILLS, rows)
        in_order = newest is None or at > newest
        holding, realised = (
            self._add(intent["symbol"], executions) if in_order else self._refold(transaction, intent["symbol"])
        )
        for row in rows:
            row["realised"] = realised[broker_order_id, row["cumulative_quantity"]]
        if in_order:
            self._store_realised(transaction, rows)
        fills = [convert.fill_row(row) for row in rows]
        for fill in fills:
            transaction.append(
                now,
                "fill",
                fill.fill_id,
                f"{fill.side} {fill.quantity} {fill.symbol} at {fill.price}",
                execution.Fact(fill=messages.to_fill(fill)),
                traceparent=intent["traceparent"],
            )
        late, after = self._count_on_intent(transaction, now, order, intent, executions)
        position = self._store_holding(transaction, now, intent, holding)
        transaction.change(cash=transaction.header.cash + sum(cash_flow(each) for each in executions))
        self._tell_account(transaction, now)
        covered = sum(row["quantity"] for row in self._rows(queries.FILLS_OF_ORDER, broker_order_id=broker_order_id))
        gap = covered < max(order["filled_quantity"], executions[-1].cumulative)
        return FillApplied(applied=True, late=late, fill=fills[-1], intent=after, position=position, gap=gap)

    def _fill_values(
        self, each: Execution, order: dict[str, Any], intent: dict[str, Any], now: int
    ) -> dict[str, Any]:  # fmt: skip
        return {
            "account": self._account,
            "broker_order_id": each.broker_order_id,
            "cumulative_quantity": each.cumulative,
            "client_order_id": order["client_order_id"],
            "intent_id": intent["intent_id"],
            "symbol": intent["symbol"],
            "strategy": each.strategy,
            "book": each.book,
            "side": intent["side"],
            "quantity": each.quantity,
            "price": each.price,
            "filled_at": each.at,
            "recorded_at": now,
            "realised": 0,
        }

    def _add(
        self, symbol: str, executions: Sequence[Execution]
    ) -> tuple[Holding, dict[tuple[str, int], int]]:  # fmt: skip
        """The usual case: these are the symbol's newest."""
        rows = self._rows(queries.POSITION, symbol=symbol)
        names = ("strategy", "book", "quantity", "cost", "realised", "opened_at")
        holding = Holding(**{name: rows[0][name] for name in names}) if rows else Holding()
        realised: dict[tuple[str, int], int] = {}
        for each in executions:
            holding, gained = apply(holding, each)
            realised[each.broker_order_id, each.cumulative] = gained
        return holding, realised

    def _refold(
        self, transaction: Transaction, symbol: str
    ) -> tuple[Holding, dict[tuple[str, int], int]]:  # fmt: skip
        """What came out of order: everything of the symbol is counted anew, in the one order."""
        rows = self._rows(queries.FILLS_OF_SYMBOL, symbol=symbol)
        holding, realised = fold([*map(convert.execution_of, rows), *self._adjustments_of(symbol)])
        changed = [
            {**row, "realised": realised[row["broker_order_id"], row["cumulative_quantity"]]}
            for row in rows
            if row["realised"] != realised[row["broker_order_id"], row["cumulative_quantity"]]
        ]
        self._store_realised(transaction, changed)
        return holding, realised

    def _newest(self, symbol: str, *, adjusted: bool) -> int | None:
        """Instant of the newest fill; of the newest adjustment too where the book has any."""
        tables_of = (queries.NEWEST_FILL, queries.NEWEST_ADJUSTMENT) if adjusted else (queries.NEWEST_FILL,)
        found = [self._rows(query, symbol=symbol)[0]["newest"] for query in tables_of]
        return max((each for each in found if each is not None), default=None)

    def _adjustments_of(self, symbol: str) -> list[Adjustment]:
        return [convert.adjustment_of(row) for row in self._rows(queries.ADJUSTMENTS_OF_SYMBOL, symbol=symbol)]

    def _store_realised(self, transaction: Transaction, rows: Sequence[dict[str, Any]]) -> None:
        values = [
            {
                "of_account": self._account,
                "of_order": row["broker_order_id"],
                "of_cumulative": row["cumulative_quantity"],
                "new_realised": row["realised"],
            }
            for row in rows
        ]
        if values:
            plain.write(transaction.connection, _UPDATE_REALISED, values)

    def _store_holding(
        self, transaction: Transaction, now: datetime, intent: dict[str, Any], holding: Holding
    ) -> PositionRow:
        symbol = intent["symbol"]
        rows = self._rows(queries.POSITION, symbol=symbol)
        columns: dict[str, Any] = {
            "strategy": holding.strategy,
            "book": holding.book,
            "quantity": holding.quantity,
            "cost": holding.cost,
            "realised": holding.realised,
            "opened_at": holding.opened_at,
        }
        gained = holding.realised - (rows[0]["realised"] if rows else 0)
        transaction.change(realised=transaction.header.realised + gained)
        unprotected = {"protection": "none", "stop_price": None, "stop_quantity": 0, "exit_owner": ""}
        if not holding.quantity:
            columns |= unprotected
        if not rows:
            whose = {"account": self._account, "symbol": symbol, "updated_at": to_micros(now)}
            plain.write(transaction.connection, _INSERT_POSITION, whose | unprotected | columns)
        return self._change_position(transaction, now, symbol, traceparent=intent["traceparent"], **columns)

    def _change_position(
        self, transaction: Transaction, now: datetime, symbol: str, *, traceparent: str = "", **columns: object
    ) -> PositionRow:
        columns["updated_at"] = to_micros(now)
        plain.write(
            transaction.connection,
            setting(_UPDATE_POSITION, *columns),
            {"of_account": self._account, "of_symbol": symbol, **columns},
        )
        row = self._held(symbol)
        transaction.note(row)
        stop = f", stop {row.stop_price} {row.protection}" if row.stop_price is not None else ""
        owner = f", exit owned by {row.exit_owner}" if row.exit_owner else ""
        transaction.append(
            now,
            "position",
            symbol,
            f"{row.quantity} {symbol} at {row.average_price}{stop}{owner}",
            execution.Fact(position=messages.to_position(row)),
            traceparent=traceparent,
        )
        return row

    def _held(self, symbol: str) -> PositionRow:
        row = self.position(symbol)
        if row is None:
            raise UnknownRow(f"the ledger never had a position in {symbol}")
        return row


def _never_held(intent: dict[str, Any]) -> PositionRow:
    """What a total of nothing leaves: no position."""
    zero = Decimal(0)
    return PositionRow(
        symbol=intent["symbol"],
        strategy=intent["strategy"],
        book=intent["book"],
        quantity=zero,
        average_price=zero,
        cost=zero,
        realised_pnl=zero,
        protection="none",
        stop_price=None,
        stop_quantity=zero,
        exit_owner="",
        opened_at=None,
        updated_at=from_micros(intent["updated_at"]),
    )
