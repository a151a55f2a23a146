"""Halts, verdicts, assets, the account, the outbox and the lease."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution import messages
from holdfast_execution.adapters.sql import convert, plain, queries, tables
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import SqlWrites
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.parts import Unforeseen
from holdfast_execution.rows import AccountRow, HaltRow, LeaseRow, LedgerError, StaleFence, UnknownRow
from holdfast_runtime.ledger_halts import halt_id, to_micros
from holdfast_runtime.ports.venue import BrokerAsset
from holdfast_runtime.wire import from_timestamp

_DELETE_VERDICT = sa.delete(tables.verdicts).where(tables.verdicts.c.account == sa.bindparam("of_account"))
_INSERT_VERDICT = sa.insert(tables.verdicts)


class StateWrites(SqlWrites):
    """The part of the port that is neither intents nor fills."""

    # --- halts

    def add_halt(
        self,
        epoch: int,
        now: datetime,
        kind: str,
        reason: str,
        *,
        symbol: str = "",
        strategy: str = "",
        set_by: str = "execution",
    ) -> HaltRow:
        with self._write(epoch) as transaction:
            for row in self.halts():
                if (row.kind, row.symbol, row.strategy) == (kind, symbol, strategy):
                    return row
            halt = HaltRow(
                halt_id=halt_id(kind, symbol, strategy, now, lambda name: bool(self._rows(queries.HALT, halt_id=name))),
                kind=kind,
                symbol=symbol,
                strategy=strategy,
                reason=reason,
                set_by=set_by,
                since=now,
            )
            values = {**asdict(halt), "since": to_micros(now), "account": self._account, "noticed": True}
            transaction.connection.execute(sa.insert(tables.halts).values(values))
            self._tell_halt(transaction, now, halt)
            return halt

    def clear_halt(self, epoch: int, now: datetime, halt_id: str, cleared_by: str, note: str = "") -> HaltRow:
        with self._write(epoch) as transaction:
            rows = self._rows(queries.HALT, halt_id=halt_id)
            if not rows:
                raise UnknownRow(f"no halt {halt_id}")
            if rows[0]["cleared_at"] is not None:
                return convert.halt_row(rows[0])
            self._change_halts(
                transaction, [halt_id], cleared_at=to_micros(now), cleared_by=cleared_by, noticed=True
            )  # fmt: skip
            row = convert.halt_row(self._rows(queries.HALT, halt_id=halt_id)[0])
            self._tell_halt(transaction, now, row, note)
            return row

    def notice_halts(self, epoch: int, now: datetime) -> list[HaltRow]:
        with self._write(epoch) as transaction:
            found = [convert.halt_row(row) for row in self._rows(queries.UNNOTICED_HALTS)]
            if found:
                self._change_halts(transaction, [row.halt_id for row in found], noticed=True)
            for row in found:
                self._tell_halt(transaction, now, row)
            return found

    # --- verdicts, assets, account, notes

    def record_verdict(self, epoch: int, now: datetime, verdict: execution.ReconciliationVerdict) -> int:
        with self._write(epoch) as transaction:
            version = transaction.raise_version()
            state = execution.ReconciliationState.Name(verdict.state).removeprefix("RECONCILIATION_STATE_").lower()
            # Only the newest is asked for; the log keeps them all.
            plain.write(transaction.connection, _DELETE_VERDICT, {"of_account": self._account})
            plain.write(
                transaction.connection,
                _INSERT_VERDICT,
                {
                    "account": self._account,
                    "version": version,
                    "state": state,
                    "market_time": to_micros(from_timestamp(verdict.market_time)),
                    "compared_at_version": verdict.compared_at_version,
                    "verdict": verdict.SerializeToString(),
                },
            )
            count = len(verdict.discrepancies)
            summary = f"reconciliation is {state}" + (f", {count} discrepancies" if count else "")
            fact = execution.Fact(reconciliation=verdict)
            transaction.append(now, "reconciliation", self._account, summary, fact)
            transaction.note(verdict)
            return version

    def record_assets(self, epoch: int, now: datetime, assets: Sequence[BrokerAsset]) -> None:
        table = tables.assets
        with self._write(epoch) as transaction:
            known = {row.symbol: row for row in self.assets()}
            changed = [asset for asset in assets if known.get(asset.symbol) != asset]
            if not changed:
                return
            symbols = [asset.symbol for asset in changed]
            transaction.connection.execute(
                sa.delete(table).where(table.c.account == self._account, table.c.symbol.in_(symbols))
            )
            rows: list[Mapping[str, object]] = [
                {"account": self._account, **convert.asset_columns(asset)} for asset in changed
            ]
            transaction.connection.execute(sa.insert(table), rows)
            transaction.note(Unforeseen())
            told = ", ".join(f"{each.symbol} {'tradable' if each.tradable else 'not tradable'}" for each in changed)
            self._tell_note(transaction, now, "assets", f"asset facts changed: {told}")

    def open_account(self, epoch: int, now: datetime, starting_cash: Decimal) -> AccountRow:
        with self._write(epoch) as transaction:
            if transaction.header.starting_cash is None:
                units = convert.cash_units(starting_cash, what="starting cash")
                transaction.change(starting_cash=units, cash=transaction.header.cash + units)
                self._tell_account(transaction, now)
            return self.account()

    def note(self, epoch: int, now: datetime, aggregate: str, summary: str, *, traceparent: str = "") -> None:
        with self._write(epoch) as transaction:
            self._tell_note(transaction, now, aggregate, summary, traceparent)

    # --- outbox

    def mark_published(self, epoch: int, event_ids: Sequence[int]) -> None:
        if not event_ids:
            return
        with self._write(epoch) as transaction:
            parameters = {"of_account": self._account, "event_ids": list(event_ids)}
            plain.write(transaction.connection, queries.MARK_PUBLISHED, parameters)

    # --- lease

    def acquire_lease(self, now: datetime, holder: str, seen: LeaseRow) -> LeaseRow | None:
        if not holder:
            raise LedgerError("a holder of the lease has a name")
        table = tables.lease
        with self._session.transaction() as transaction:
            _ = transaction.header
            # The account is locked; a beat takes no lock on it, so the comparison is the database's own.
            taken = transaction.connection.execute(
                sa.update(table)
                .where(
                    table.c.account == self._account,
                    table.c.holder == seen.holder,
                    table.c.epoch == seen.epoch,
                    table.c.beat == seen.beat,
                )
                .values(holder=holder, epoch=seen.epoch + 1, beat=seen.beat + 1)
            )
            if taken.rowcount != 1:
                return None
            transaction.hold(holder, seen.epoch + 1)
            transaction.begin_write()
            fact = execution.Fact()
            summary = f"{holder} holds the lease, epoch {seen.epoch + 1}, after {seen.holder or 'nobody'}"
            transaction.append(now, "lease", self._account, summary, fact)
            for row in self._rows(queries.INTENTS_IN, states=[IntentState.SENDING.value]):
                # Its sender is gone: whether the POST left is not known (point 4).
                self._move(transaction, now, row, IntentState.UNKNOWN, "LEASE_TAKEN_OVER")
            return self.lease()

    def beat_lease(self, holder: str, epoch: int) -> LeaseRow:
        table = tables.lease
        with self._session.transaction() as transaction:
            held = transaction.connection.execute(
                sa.update(table)
                .where(table.c.account == self._account, table.c.holder == holder, table.c.epoch == epoch)
                .values(beat=table.c.beat + 1)
            )
            if held.rowcount != 1:
                raise StaleFence(f"{holder} lost the lease of epoch {epoch}")
            return self.lease()

    def release_lease(self, now: datetime, holder: str, epoch: int) -> None:
        table = tables.lease
        with self._session.transaction() as transaction:
            given = transaction.connection.execute(
                sa.update(table)
                .where(table.c.account == self._account, table.c.holder == holder, table.c.epoch == epoch)
                .values(holder="", beat=table.c.beat + 1)
            )
            if given.rowcount != 1:
                return
            transaction.begin_write()
            transaction.append(
                now, "lease", self._account, f"{holder} gave the lease up, epoch {epoch}", execution.Fact()
            )  # fmt: skip
            transaction.hold("", epoch)

    # --- helpers

    def _change_halts(self, transaction: Transaction, names: Sequence[str], **columns: object) -> None:
        table = tables.halts
        transaction.connection.execute(
            sa.update(table).where(table.c.account == self._account, table.c.halt_id.in_(names)).values(**columns)
        )

    def _tell_halt(self, transaction: Transaction, now: datetime, row: HaltRow, note: str = "") -> None:
        scope = " ".join(part for part in (row.symbol, row.strategy) if part) or "all entries"
        cleared = row.cleared_at is not None
        what = row.kind.replace("_", " ")
        summary = f"{what} halts {scope}: {row.reason}, set by {row.set_by}"
        if cleared:
            summary = f"{what} no longer halts {scope}: cleared by {row.cleared_by}" + (f", {note}" if note else "")
        fact = execution.Fact(halt=messages.to_halt(row), cleared=cleared)
        transaction.note(Unforeseen())
        transaction.append(now, "halt", row.halt_id, summary, fact)

    def _tell_note(
        self, transaction: Transaction, now: datetime, aggregate: str, summary: str, traceparent: str = ""
    ) -> None:
        transaction.append(now, "note", aggregate, summary, execution.Fact(), traceparent=traceparent)
