"""The facts of a cycle's decisions: what is stored is told, once, in messages that the bus takes (DI-2)."""

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.adapters.sql.decision_writes import MAX_FACT_BYTES
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.ledger import EventRow
from holdfast_runtime.bus.streams import FACTS, stream_named
from tests.contract.ledger_samples import MINUTE, NOW, decision

SYMBOLS = ("IBM", "SPY", "BAC")


def rows(ledger: SqlLedger) -> list[EventRow]:
    return [row for row in ledger.unpublished(1_000) if row.kind == "decisions"]


def told(row: EventRow) -> list[gate.Decision]:
    return list(execution.Fact.FromString(row.fact).decisions.decisions)


def test_the_decisions_of_a_cycle_are_one_fact(ledger: SqlLedger, epoch: int) -> None:
    decided = [decision(symbol, allowed=False) for symbol in SYMBOLS]
    ledger.store_cycle(epoch, NOW, decided, {})
    (row,) = rows(ledger)
    assert told(row) == decided == ledger.decisions([each.signal_id for each in decided])
    assert row.aggregate == decided[0].cycle_id
    assert row.summary == "3 signals of sma: 3 blocked, COOLDOWN_ACTIVE"


def test_a_decision_that_was_stored_is_not_told_again(ledger: SqlLedger, epoch: int) -> None:
    first, second = decision("IBM", allowed=False), decision("SPY", allowed=False)
    ledger.store_cycle(epoch, NOW, [first], {})
    ledger.store_cycle(epoch, NOW, [first, second], {})
    assert [told(row) for row in rows(ledger)] == [[first], [second]]


def test_each_cycle_has_a_fact_of_its_own(ledger: SqlLedger, epoch: int) -> None:
    decided = [decision("IBM", allowed=False, at=at) for at in (NOW, NOW + MINUTE)]
    ledger.store_cycle(epoch, NOW, decided, {})
    assert [row.aggregate for row in rows(ledger)] == [each.cycle_id for each in decided]


def test_decisions_too_large_for_one_message_are_told_in_several(ledger: SqlLedger, epoch: int) -> None:
    """Nothing is lost: a fact that the bus could not take would stop all that come after it."""
    decided = [decision(symbol, allowed=False) for symbol in SYMBOLS]
    for each in decided:
        each.verdicts.append(gate.Verdict(gate="cooldown", message="x" * (MAX_FACT_BYTES // 2 - 1_000)))
    decided[0].verdicts[0].message = "x" * (MAX_FACT_BYTES + 1)
    ledger.store_cycle(epoch, NOW, decided, {})
    assert [told(row) for row in rows(ledger)] == [decided[:1], decided[1:]]
    assert all(len(row.fact) < stream_named(FACTS).max_message_bytes for row in rows(ledger))
