"""Strategies in the ledger: their states, with who, why and since when, on SQLite and PostgreSQL (SQ-10, SQ-12)."""

import pytest
import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.ledger import ClaimRefused, LedgerError
from tests.contract.ledger_samples import ACCOUNT, MINUTE, NOW, decision, entry, fill, sale, verdict


@pytest.fixture
def epoch(ledger: SqlLedger, epoch: int) -> int:
    """Entries may leave: a comparison has found ledger and broker alike."""
    ledger.record_verdict(epoch, NOW, verdict())
    return epoch


def facts(ledger: SqlLedger) -> list[execution.Fact]:
    return [execution.Fact.FromString(row.fact) for row in ledger.unpublished(10_000)]


def test_a_stop_is_kept_with_who_why_and_since_when_and_told_as_a_fact(ledger: SqlLedger, epoch: int) -> None:
    """SQ-10, SQ-15: audited, and live."""
    before = ledger.version()
    row = ledger.set_strategy_state(epoch, NOW, "sma", "stopped", reason="earnings", set_by="ann")
    assert (row.state, row.reason, row.set_by, row.since) == ("stopped", "earnings", "ann", NOW)
    assert ledger.strategies() == [row]
    assert ledger.parts().strategies == {"sma": row}
    assert ledger.version() == before + 1
    told = facts(ledger)[-1]
    assert (told.kind, told.aggregate) == ("strategy", "sma")
    assert (told.strategy.state, told.strategy.reason, told.strategy.set_by) == ("stopped", "earnings", "ann")
    assert told.strategy.since.ToDatetime(tzinfo=NOW.tzinfo) == NOW
    assert told.summary == "strategy sma is stopped, set by ann: earnings"


def test_the_same_state_again_is_answered_as_it_is(ledger: SqlLedger, epoch: int) -> None:
    first = ledger.set_strategy_state(epoch, NOW, "sma", "stopped", reason="earnings", set_by="ann")
    version, told = ledger.version(), len(facts(ledger))
    assert ledger.set_strategy_state(epoch, NOW + MINUTE, "sma", "stopped", reason="again", set_by="bob") == first
    assert (ledger.version(), len(facts(ledger))) == (version, told)


def test_a_state_survives_what_the_strategy_decides_later(ledger: SqlLedger, epoch: int) -> None:
    ledger.set_strategy_state(epoch, NOW, "sma", "stopped", reason="earnings", set_by="ann")
    blocked = decision(allowed=False, reason="STRATEGY_STOPPED")
    ledger.store_cycle(epoch, NOW, [blocked], {})
    for known in (ledger.parts().strategies["sma"], ledger.strategies()[0]):
        assert (known.state, known.reason, known.last_decided_cycle_time) == ("stopped", "earnings", NOW)


def test_a_word_that_is_no_state_is_refused(ledger: SqlLedger, epoch: int) -> None:
    with pytest.raises(LedgerError, match="running, stopped, failed"):
        ledger.set_strategy_state(epoch, NOW, "sma", "paused")


def test_rows_of_a_release_that_knows_no_reasons_are_read(opened: tuple[Database, SqlLedger], epoch: int) -> None:
    """A pod of the release before goes on protecting while it is replaced: it stores rows without the new columns."""
    database, ledger = opened
    with database.write.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO strategies (account, strategy, state) VALUES (:account, 'old', 'running')"),
            {"account": ACCOUNT},
        )
        oldest = connection.execute(sa.select(tables.meta.c.oldest_compatible)).scalar_one()
    (row,) = ledger.strategies()
    assert (row.strategy, row.state, row.reason, row.set_by, row.since) == ("old", "running", "", "", None)
    # It would send what was allowed before a stop: it opens nothing.
    assert oldest >= 3


def test_the_last_sale_of_a_strategy_is_found(ledger: SqlLedger, epoch: int) -> None:
    """SQ-12: sold and exited_by_sl are told apart by it."""
    assert ledger.last_sale("sma") is None
    for number, (symbol, purpose) in enumerate((("IBM", Purpose.STOP), ("BAC", Purpose.EXIT))):
        made = decision(symbol)
        (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
        ledger.claim_send(epoch, NOW, row.intent_id)
        ledger.record_ack(epoch, NOW, row.intent_id, f"buy-{number}")
        ledger.apply_fill(epoch, NOW, fill(f"buy-{number}", after_secs=number))
        sold = ledger.add_intent(epoch, NOW, sale(symbol, purpose=purpose))
        ledger.claim_send(epoch, NOW, sold.intent_id)
        ledger.record_ack(epoch, NOW, sold.intent_id, f"sell-{number}")
        ledger.apply_fill(epoch, NOW, fill(f"sell-{number}", after_secs=10 + number))
        last = ledger.last_sale("sma")
        assert last is not None
        assert last.purpose is purpose
    assert ledger.last_sale("etf") is None


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_an_entry_that_was_stored_is_not_claimed_once_its_strategy_runs_no_longer(
    ledger: SqlLedger, epoch: int, state: str
) -> None:
    """SQ-10, invariant 10: checked in the transaction that stores SENDING, as halts are; what protects is sent."""
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.record_unknown(epoch, NOW, row.intent_id, "OUTCOME_UNKNOWN")
    ledger.set_strategy_state(epoch, NOW, "sma", state, reason="earnings", set_by="ann")
    with pytest.raises(ClaimRefused, match=f"sma is {state}: earnings") as refused:
        ledger.claim_send(epoch, NOW, row.intent_id)
    assert refused.value.reason == "STRATEGY_STOPPED"
    assert ledger.intent(row.intent_id).state is IntentState.UNKNOWN
    stop = ledger.add_intent(epoch, NOW, sale(purpose=Purpose.STOP))
    assert ledger.claim_send(epoch, NOW, stop.intent_id).state is IntentState.SENDING
    ledger.set_strategy_state(epoch, NOW, "sma", "running", set_by="ann")
    assert ledger.claim_send(epoch, NOW, row.intent_id).state is IntentState.SENDING


def test_a_stop_ends_what_was_not_sent_yet_and_nothing_of_others(ledger: SqlLedger, epoch: int) -> None:
    """SQ-10: its entries that wait for their turn; its sales, and other strategies, go on."""
    mine, theirs = decision("IBM"), decision("BAC", strategy="etf")
    for made in (mine, theirs):
        ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)})
    sold = ledger.add_intent(epoch, NOW, sale("AIG"))
    ledger.set_strategy_state(epoch, NOW, "sma", "stopped", set_by="ann")
    assert ledger.intent(entry(mine).intent_id).state is IntentState.NOT_SENT
    assert ledger.intent(entry(mine).intent_id).reason == "STRATEGY_STOPPED"
    assert ledger.intent(entry(theirs).intent_id).state is IntentState.PENDING
    assert ledger.intent(sold.intent_id).state is IntentState.PENDING
    assert set(ledger.parts().intents) == {entry(theirs).intent_id, sold.intent_id}


def test_a_word_in_the_database_that_is_no_state_fails_that_strategy_alone(
    opened: tuple[Database, SqlLedger], epoch: int
) -> None:
    """SQ-8, DI-3."""
    database, ledger = opened
    for name in ("etf", "sma"):
        ledger.set_strategy_state(epoch, NOW, name, "stopped", reason="earnings", set_by="ann")
    table = tables.strategies
    with database.write.begin() as connection:
        connection.execute(sa.update(table).where(table.c.strategy == "sma").values(state="paused"))
    etf, sma = ledger.strategies()
    assert (etf.state, etf.readable) == ("stopped", True)
    assert (sma.state, sma.readable, sma.runs) == ("failed", False, False)
    assert "'paused' is not a valid StrategyState" in sma.reason
    # Whoever writes it anew puts it right.
    ledger.set_strategy_state(epoch, NOW, "sma", "failed", reason=sma.reason)
    assert ledger.strategies()[1].readable
