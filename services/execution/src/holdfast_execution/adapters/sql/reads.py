"""What the ledger answers: LedgerReads on SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_core.money import ZERO
from holdfast_execution import messages
from holdfast_execution.adapters.sql import convert, plain, queries
from holdfast_execution.adapters.sql.migrate import compatibility, judge
from holdfast_execution.adapters.sql.session import Session
from holdfast_execution.domain.firings import FiringRow
from holdfast_execution.domain.intents import OPEN, IntentState
from holdfast_execution.domain.strategies import StrategyState
from holdfast_execution.parts import ENTRY_MEMORY, Parts, reserved
from holdfast_execution.rows import (
    AccountRow,
    AdjustmentRow,
    EventRow,
    FillRow,
    HaltRow,
    IntentRow,
    LastEntryRow,
    LeaseRow,
    LedgerState,
    LedgerView,
    OrderRow,
    PositionRow,
    StrategyRow,
    UnknownRow,
)
from holdfast_runtime.ledger_halts import from_micros, to_micros
from holdfast_runtime.ports.venue import BrokerAsset


class SqlReads:
    """LedgerReads. Inside a write transaction of its session it reads that transaction's own state."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._account = session.account

    @property
    def session(self) -> Session:
        """What it reads through."""
        return self._session

    # --- account and lease

    def version(self) -> int:
        return int(self._header()["version"])

    def account(self) -> AccountRow:
        return self.parts().account

    def _account_row(self, reserved: Decimal) -> AccountRow:
        row = self._header()
        return AccountRow(
            account_id=self._account,
            opened=row["starting_cash"] is not None,
            starting_cash=convert.cash(row["starting_cash"] or 0),
            cash=convert.cash(row["cash"]),
            realised_pnl=convert.cash(row["realised"]),
            reserved=reserved,
            version=row["version"],
        )

    def lease(self) -> LeaseRow:
        return LeaseRow(**self._one(queries.LEASE))

    def compatible(self) -> str:
        transaction = self._session.open_transaction
        if transaction is not None:
            return judge(transaction.header.revision, transaction.header.oldest_compatible)
        with self._session.reading() as connection:
            return compatibility(connection)

    # --- intents, orders, fills, positions

    def intent(self, intent_id: str) -> IntentRow:
        rows = self._rows(queries.INTENT, intent_id=intent_id)
        if not rows:
            raise UnknownRow(f"no intent {intent_id}")
        return convert.intent_row(rows[0])

    def open_intents(self) -> list[IntentRow]:
        return [convert.intent_row(row) for row in self._rows(queries.INTENTS_IN, states=_OPEN)]

    def intent_of_order(self, *, broker_order_id: str = "", client_order_id: str = "") -> IntentRow | None:
        order = self._order(broker_order_id=broker_order_id, client_order_id=client_order_id)
        return None if order is None else self.intent(order["intent_id"])

    def orders(self, intent_id: str) -> list[OrderRow]:
        return [convert.order_row(row) for row in self._rows(queries.ORDERS, intent_id=intent_id)]

    def past_orders(self, since: datetime | None = None) -> Mapping[str, tuple[str, ...]]:
        past: dict[str, tuple[str, ...]] = {}
        for row in self._rows(queries.PAST_ORDERS, states=_OPEN, since=-1 if since is None else to_micros(since)):
            past[row["intent_id"]] = (*past.get(row["intent_id"], ()), row["broker_order_id"])
        return past

    def counted(self, broker_order_id: str) -> Decimal:
        rows = self._rows(queries.FILLS_OF_ORDER, broker_order_id=broker_order_id)
        return sum((convert.quantity(row["quantity"]) for row in rows), ZERO)

    def position(self, symbol: str) -> PositionRow | None:
        rows = self._rows(queries.POSITION, symbol=symbol)
        return convert.position_row(rows[0]) if rows else None

    def positions(self, *, open_only: bool = True) -> list[PositionRow]:
        rows = [convert.position_row(row) for row in self._rows(queries.POSITIONS)]
        return [row for row in rows if row.quantity] if open_only else rows

    def fills(self, since: datetime | None = None) -> list[FillRow]:
        """Those recorded after `since`, in the order in which they count."""
        rows = self._rows(queries.FILLS, since=-1 if since is None else to_micros(since))
        return [convert.fill_row(row) for row in rows]

    def adjustments(self, since: datetime | None = None) -> list[AdjustmentRow]:
        """Those recorded after `since`, in the order in which they count."""
        rows = self._rows(queries.ADJUSTMENTS, since=-1 if since is None else to_micros(since))
        return [convert.adjustment_row(row) for row in rows]

    def has_adjustment(self, adjustment_id: str) -> bool:
        return bool(self._rows(queries.ADJUSTMENT, adjustment_id=adjustment_id))

    # --- timed trades

    def firings_due(self) -> list[FiringRow]:
        return [convert.firing_row(row) for row in self._rows(queries.FIRINGS_DUE)]

    # --- decisions

    def decisions(self, signal_ids: Sequence[str]) -> list[gate.Decision]:
        found = self._decisions(signal_ids)
        return [found[name] for name in signal_ids if name in found]

    # --- halts, strategies, assets, verdict

    def halts(self) -> list[HaltRow]:
        return [convert.halt_row(row) for row in self._rows(queries.OPEN_HALTS)]

    def has_unnoticed_halts(self) -> bool:
        return bool(self._rows(queries.UNNOTICED_HALTS))

    def strategies(self) -> list[StrategyRow]:
        return [convert.strategy_row(row) for row in self._rows(queries.STRATEGIES)]

    def strategy(self, strategy: str) -> StrategyRow:
        unseen = StrategyRow(strategy=strategy, state=StrategyState.RUNNING, last_decided_cycle_time=None)
        return self.parts().strategies.get(strategy, unseen)

    def last_sale(self, strategy: str) -> IntentRow | None:
        rows = self._rows(queries.LAST_SALE, strategy=strategy)
        return self.intent(rows[0]["intent_id"]) if rows else None

    def assets(self) -> list[BrokerAsset]:
        """By symbol."""
        return [convert.asset_row(row) for row in self._rows(queries.ASSETS)]

    def verdict(self) -> execution.ReconciliationVerdict | None:
        """The newest one."""
        rows = self._rows(queries.VERDICT)
        return execution.ReconciliationVerdict.FromString(rows[0]["verdict"]) if rows else None

    def last_entries(self, now: datetime) -> list[LastEntryRow]:
        """Allowed entries of the last two days, by symbol: cooldowns and throttles derive from them."""
        return self.parts().last_entries(now)

    # --- whole views

    def snapshot(self, now: datetime, *, entries_locked_reason: str = "") -> execution.LedgerSnapshot:
        return messages.to_snapshot(self.parts(), now, entries_locked_reason=entries_locked_reason)

    def view(self, now: datetime, symbols: Sequence[str] | None = None) -> LedgerView:
        """The facts that limits are enforced on; `symbols` narrows the last entries."""
        with self._session.reading():
            parts = self.parts()
            return LedgerView(
                version=parts.version,
                now=now,
                account=parts.account,
                positions=tuple(row for row in parts.positions.values() if row.quantity),
                open_intents=tuple(parts.intents.values()),
                # Never the kept ones: admin sets halts without a version.
                halts=tuple(self.halts()),
                last_entries=tuple(parts.last_entries(now, symbols)),
                entries_last_minute=parts.entries_last_minute(now),
                strategies=tuple(parts.strategies.values()),
                verdict=parts.verdict,
                skipped_buys=parts.skipped_buys,
            )

    def ledger_state(self, since: datetime | None = None) -> LedgerState:
        with self._session.reading():
            account = self.account()
            intents = self._rows(queries.INTENTS_SINCE, states=_OPEN, since=-1 if since is None else to_micros(since))
            counts = self._rows(queries.DECISION_COUNTS)
            by_reason: dict[str, int] = {}
            for row in counts:
                by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + row["decisions"]
            return LedgerState(
                version=account.version,
                account=account,
                positions=tuple(self.positions(open_only=False)),
                intents=tuple(convert.intent_row(row) for row in intents),
                fills=tuple(self.fills(since)),
                adjustments=tuple(self.adjustments(since)),
                halts=tuple(self.halts()),
                decisions_allowed=sum(row["decisions"] for row in counts if row["allowed"]),
                decisions_blocked=sum(row["decisions"] for row in counts if not row["allowed"]),
                decisions_by_reason=by_reason,
                last_event_id=int(self._header()["last_event_id"]),
                verdict=self.verdict(),
            )

    def parts(self) -> Parts:
        """The newest parts: kept ones of this version, those that follow from them, else read now."""
        cache, transaction = self._session.cache, self._session.open_transaction
        if transaction is not None:
            _ = transaction.header
            return transaction.parts_after(cache.newest) or self._read_parts()
        with self._session.reading():
            row = self._header()
            kept = cache.newest
            if kept is not None and kept.key == (row["version"], row["last_event_id"]):
                return kept
            parts = self._read_parts()
            cache.offer(parts)
            return parts

    def _read_parts(self) -> Parts:
        row = self._header()
        open_rows = self._rows(queries.INTENTS_IN, states=_OPEN)
        intents = {each["intent_id"]: convert.intent_row(each) for each in open_rows}
        reservations = {each["intent_id"]: units for each in open_rows if (units := convert.reserved_units(each))}
        entries: dict[str, list[int]] = {}
        for each in self._rows(queries.ENTRIES, memory=ENTRY_MEMORY // timedelta(microseconds=1)):
            entries.setdefault(each["symbol"], []).append(int(each["market_time"]))
        return Parts(
            key=(int(row["version"]), int(row["last_event_id"])),
            account=self._account_row(reserved(reservations)),
            intents=intents,
            reservations=reservations,
            parents=self._parents(intents),
            positions={each.symbol: each for each in self.positions(open_only=False)},
            strategies={each.strategy: each for each in self.strategies()},
            halts=tuple(self.halts()),
            assets=tuple(self.assets()),
            verdict=self.verdict(),
            entries={symbol: tuple(times) for symbol, times in entries.items()},
            skipped_buys=frozenset(
                (each["strategy"], from_micros(each["planned_at"]))
                for each in self._rows(queries.SKIPPED_BUYS, memory=ENTRY_MEMORY // timedelta(microseconds=1))
            ),
        )

    def _parents(self, intents: Mapping[str, IntentRow]) -> dict[str, IntentState]:
        wanted = sorted({each.parent_intent_id for each in intents.values() if each.parent_intent_id})
        parents: dict[str, IntentState] = {}
        for name in wanted:
            try:
                parents[name] = intents[name].state if name in intents else self.intent(name).state
            except UnknownRow:
                parents[name] = IntentState.ABORTED
        return parents

    # --- outbox

    def unpublished(self, limit: int) -> list[EventRow]:
        return [
            EventRow(
                event_id=row["event_id"],
                kind=row["kind"],
                aggregate=row["aggregate"],
                market_time=from_micros(row["market_time"]),
                recorded_at=from_micros(row["recorded_at"]),
                traceparent=row["traceparent"],
                summary=row["summary"],
                fact=bytes(row["fact"]),
            )
            for row in self._rows(queries.UNPUBLISHED, limit=limit)
        ]

    # --- helpers

    def _decisions(self, signal_ids: Sequence[str]) -> dict[str, gate.Decision]:
        rows = self._rows(queries.DECISIONS, signal_ids=list(signal_ids))
        return {row["signal_id"]: gate.Decision.FromString(bytes(row["decision"])) for row in rows}

    def _order(self, *, broker_order_id: str = "", client_order_id: str = "") -> dict[str, Any] | None:
        rows = self._rows(queries.ORDER, broker_order_id=broker_order_id, client_order_id=client_order_id)
        # Both ids may be given, and the broker's is the surer one.
        rows.sort(key=lambda row: row["broker_order_id"] != broker_order_id)
        return rows[0] if rows else None

    def _header(self) -> dict[str, Any]:
        transaction = self._session.open_transaction
        if transaction is None:
            return self._one(queries.ACCOUNT)
        # Not written yet: the row is flushed once, before the commit.
        return asdict(transaction.header)

    def _one(self, query: sa.Executable) -> dict[str, Any]:
        rows = self._rows(query)
        if not rows:
            raise UnknownRow(f"the ledger has no account {self._account!r}")
        return rows[0]

    def _rows(self, query: sa.Executable, **parameters: object) -> list[dict[str, Any]]:
        with self._session.reading() as connection:
            return plain.rows(connection, query, {"of_account": self._account, **parameters})


_OPEN = sorted(state.value for state in OPEN)
