"""What a cycle has decided: one row a decision, and one fact for as many of them as fit into a message."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.adapters.sql import plain, tables
from holdfast_execution.adapters.sql.intent_values import direction_word
from holdfast_execution.adapters.sql.session import Transaction
from holdfast_execution.adapters.sql.writes import SqlWrites
from holdfast_execution.domain.strategies import StrategyState
from holdfast_execution.parts import EntryAllowed
from holdfast_execution.rows import StrategyRow
from holdfast_runtime.ledger_halts import from_micros, to_micros
from holdfast_runtime.wire import from_timestamp

MAX_FACT_BYTES = 256 * 1024
"""Of the decisions in one fact, well below what the bus takes; a decision that is larger has a fact of its own."""

_INSERT_DECISIONS = sa.insert(tables.decisions)
_s = tables.strategies.c
_RAISE_PROGRESS = (
    sa.update(tables.strategies)
    .where(_s.account == sa.bindparam("of_account"), _s.strategy == sa.bindparam("of_strategy"))
    .values(last_decided_cycle_time=sa.bindparam("last_decided_cycle_time"))
)

Encoded = tuple[gate.Decision, bytes]
"""A decision, and the bytes that are stored and told: it is encoded once."""


class DecisionWrites(SqlWrites):
    """The decisions' part of the port."""

    def _insert_decisions(self, transaction: Transaction, now: datetime, decisions: Sequence[gate.Decision]) -> None:
        rows: list[dict[str, object]] = []
        newest: dict[str, int] = {}
        encoded = [(decision, decision.SerializeToString()) for decision in decisions]
        for decision, payload in encoded:
            market_time = to_micros(from_timestamp(decision.market_time))
            newest[decision.strategy] = max(market_time, newest.get(decision.strategy, market_time))
            rows.append(
                {
                    "account": self._account,
                    "signal_id": decision.signal_id,
                    "cycle_id": decision.cycle_id,
                    "strategy": decision.strategy,
                    "symbol": decision.symbol,
                    "direction": direction_word(decision.direction),
                    "allowed": decision.allowed,
                    "reason": decision.reason,
                    "market_time": market_time,
                    "decision": payload,
                }
            )
            if decision.allowed and decision.direction == common.DIRECTION_ENTER_LONG:
                transaction.note(EntryAllowed(decision.symbol, market_time))
        plain.write(transaction.connection, _INSERT_DECISIONS, rows)
        for group in told_together(encoded):
            self._tell_decisions(transaction, now, group)
        self._raise_progress(transaction, newest)

    def _tell_decisions(self, transaction: Transaction, now: datetime, group: Sequence[Encoded]) -> None:
        first, _ = group[0]
        transaction.append(
            now,
            "decisions",
            first.cycle_id,
            _summary([decision for decision, _ in group]),
            execution.Fact(),
            # All signals of a cycle are of one trace.
            traceparent=first.traceparent,
            encoded=_field(_BODY, b"".join([_field(_EACH, payload) for _, payload in group])),
        )

    def _raise_progress(self, transaction: Transaction, newest: Mapping[str, int]) -> None:
        known = self.parts().strategies
        for strategy, market_time in newest.items():
            row = known.get(strategy)
            decided = from_micros(market_time)
            if row is None:
                raised = StrategyRow(strategy=strategy, state=StrategyState.RUNNING, last_decided_cycle_time=decided)
                transaction.connection.execute(
                    sa.insert(tables.strategies).values(
                        account=self._account,
                        strategy=strategy,
                        state=raised.state,
                        last_decided_cycle_time=market_time,
                    )
                )
                transaction.note(raised)
            elif row.last_decided_cycle_time is None or to_micros(row.last_decided_cycle_time) < market_time:
                plain.write(
                    transaction.connection,
                    _RAISE_PROGRESS,
                    {"of_account": self._account, "of_strategy": strategy, "last_decided_cycle_time": market_time},
                )
                transaction.note(replace(row, last_decided_cycle_time=decided))


def told_together(decisions: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """The decisions in groups for one fact each: in their order, of one cycle, at most MAX_FACT_BYTES."""
    group: list[Encoded] = []
    size = 0
    for decision, payload in decisions:
        if group and (decision.cycle_id != group[0][0].cycle_id or size + len(payload) > MAX_FACT_BYTES):
            yield group
            group, size = [], 0
        group.append((decision, payload))
        size += len(payload)
    if group:
        yield group


def _summary(decisions: Sequence[gate.Decision]) -> str:
    outcomes = Counter(
        f"allowed, {direction_word(each.direction)} {each.symbol}" if each.allowed else f"blocked, {each.reason}"
        for each in decisions
    )
    told = "; ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return f"{len(decisions)} signals of {decisions[0].strategy}: {told}"


_BODY = execution.Fact.DECISIONS_FIELD_NUMBER
_EACH = execution.Decisions.DECISIONS_FIELD_NUMBER
_LENGTH_DELIMITED = 2


def _field(number: int, payload: bytes) -> bytes:
    """A message in the bytes of the one around it: what is encoded already is not encoded again."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
