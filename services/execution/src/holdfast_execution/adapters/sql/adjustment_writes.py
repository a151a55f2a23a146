"""Fees and what else is no fill, counted once by the broker's id of it; and what a person claimed (invariant 6)."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.instruments import book_of, round_price
from holdfast_execution import messages
from holdfast_execution.adapters.sql import convert, queries, tables
from holdfast_execution.adapters.sql.fill_writes import FillWrites
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.domain.positions import Adjustment, Execution, fold
from holdfast_execution.rows import CLAIM, AdjustmentRow, IntentRow, PositionClaim, PositionRow
from holdfast_runtime.ledger_halts import to_micros
from holdfast_runtime.ports.venue import CASH_IN_LIEU, SPLIT, FeeActivity

_INSERT = sa.insert(tables.adjustments)


class AdjustmentWrites(FillWrites):
    """The adjustments half of the port."""

    def apply_fee(self, epoch: int, now: datetime, fee: FeeActivity) -> AdjustmentRow | None:
        if self.has_adjustment(fee.activity_id):
            return None
        quantity, cash = convert.quantity_units(fee.quantity), convert.cash_units(fee.cash)
        if fee.kind in (SPLIT, CASH_IN_LIEU) and not self._was_held(fee.symbol, to_micros(fee.at)):
            quantity = 0
        if not (quantity or cash):
            return None
        with self._write(epoch) as transaction:
            held = self.position(fee.symbol) if fee.symbol else None
            columns: dict[str, Any] = {
                "account": self._account,
                "adjustment_id": fee.activity_id,
                "kind": fee.kind,
                "symbol": fee.symbol,
                "strategy": held.strategy if held is not None else "",
                "book": held.book if held is not None else book_of(fee.symbol),
                "quantity": quantity,
                "cash": cash,
                "price": None if fee.price is None else convert.quantity_units(fee.price, what="price"),
                "adjusted_at": to_micros(fee.at),
                "recorded_at": to_micros(now),
                "description": fee.description,
            }
            row = self._book(transaction, now, columns)
            if fee.kind == SPLIT and held is not None:
                self._restate_stop(transaction, now, held)
            return row

    def _was_held(self, symbol: str, at: int) -> bool:
        """True where the book held some of the symbol at that instant. What somebody else held was split for them; that
        the account is paid for their fraction counts all the same."""
        fills = self._rows(queries.FILLS_OF_SYMBOL, symbol=symbol)
        before: list[Execution | Adjustment] = [*map(convert.execution_of, fills), *self._adjustments_of(symbol)]
        holding, _ = fold(each for each in before if each.at <= at)
        return holding.quantity != 0

    def claim_position(self, epoch: int, now: datetime, claim: PositionClaim) -> AdjustmentRow:
        with self._write(epoch) as transaction:
            columns: dict[str, Any] = {
                "account": self._account,
                "adjustment_id": f"claim.{claim.symbol}.{transaction.raise_version()}",
                "kind": CLAIM,
                "symbol": claim.symbol,
                "strategy": claim.strategy,
                "book": claim.book,
                "quantity": convert.quantity_units(claim.quantity),
                "cash": convert.cash_units(claim.cash),
                "price": convert.quantity_units(claim.price, what="price"),
                "adjusted_at": to_micros(now),
                "recorded_at": to_micros(now),
                "description": claim.description,
            }
            return self._book(transaction, now, columns)

    def _book(self, transaction: Transaction, now: datetime, columns: dict[str, Any]) -> AdjustmentRow:
        """Stores one adjustment, its fact, and what it makes of position, realised P&L and cash."""
        transaction.connection.execute(_INSERT, columns)
        row = convert.adjustment_row(columns)
        transaction.append(
            now,
            "adjustment",
            row.adjustment_id,
            f"{row.kind} {row.quantity} {row.symbol}, {row.cash} dollars",
            execution.Fact(adjustment=messages.to_adjustment(row)),
        )
        if row.symbol:
            # A fee may come before the fill that it belongs to.
            holding, _ = self._refold(transaction, row.symbol)
            self._store_holding(transaction, now, {"symbol": row.symbol, "traceparent": ""}, holding)
        else:
            transaction.change(realised=transaction.header.realised + columns["cash"])
        transaction.change(cash=transaction.header.cash + columns["cash"])
        self._tell_account(transaction, now)
        return row

    def record_restated(
        self,
        epoch: int,
        now: datetime,
        intent_id: str,
        quantity: Decimal,
        *,
        limit_price: Decimal | None,
        stop_price: Decimal | None,
    ) -> IntentRow:
        with self._write(epoch) as transaction:
            row = self._intent_columns(intent_id)
            units = convert.quantity_units(quantity)
            return self._move(
                transaction,
                now,
                row,
                IntentState(row["state"]),
                order={"quantity": units},
                quantity=row["quantity"] + units - row["order_quantity"],
                limit_price=convert.optional_units(limit_price),
                stop_price=convert.optional_units(stop_price),
            )

    def _restate_stop(self, transaction: Transaction, now: datetime, before: PositionRow) -> None:
        """The price at which the position is to be sold, in new shares: what protects it anew asks for it."""
        after = self._held(before.symbol)
        # A sale that the split has made larger may be counted before the split itself: less than nothing has no stop.
        if before.stop_price is None or before.quantity <= 0 or after.quantity <= 0:
            return
        price = round_price(before.stop_price * before.quantity / after.quantity, up=False)
        self._change_position(transaction, now, before.symbol, stop_price=convert.optional_units(price))
