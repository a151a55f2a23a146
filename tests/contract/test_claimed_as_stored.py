"""An entry that is claimed by the commit that stores it: as if both had been done one after the other (point 3)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.domain.limits import Limits, enforcer
from holdfast_execution.ledger import ClaimRefused, StoredCycle
from holdfast_runtime.ledger_halts import engage_kill_switch
from tests.contract.ledger_samples import ACCOUNT, NOW, decision, entry, sale, verdict

LIMITS = enforcer(Limits(cooldown=timedelta(0)), entries_locked_reason="")


@pytest.fixture
def epoch(ledger: SqlLedger, epoch: int) -> int:
    """Entries may leave: a comparison has found ledger and broker alike."""
    ledger.record_verdict(epoch, NOW, verdict())
    return epoch


def store(ledger: SqlLedger, epoch: int, *decisions: gate.Decision) -> StoredCycle:
    wishes = {each.signal_id: entry(each) for each in decisions if each.allowed}
    return ledger.store_cycle(epoch, NOW, decisions, wishes, LIMITS, claim=True)


def test_it_is_as_if_it_had_been_claimed_after_it_was_stored(ledger: SqlLedger, epoch: int) -> None:
    at_once = store(ledger, epoch, decision("IBM")).claimed
    assert at_once is not None
    apart = decision("SPY")
    (stored,) = ledger.store_cycle(epoch, NOW, [apart], {apart.signal_id: entry(apart)}, LIMITS).intents
    claimed = ledger.claim_send(epoch, NOW, stored.intent_id)
    names = ("intent_id", "signal_id", "symbol", "client_order_id")
    assert replace(at_once, **{name: getattr(claimed, name) for name in names}) == claimed
    assert at_once == ledger.intent(at_once.intent_id)
    assert [leg.attempts for leg in ledger.orders(at_once.intent_id)] == [1]
    assert ledger.parts().account.reserved == ledger.account().reserved == 3_600
    told = [execution.Fact.FromString(row.fact).intent for row in ledger.unpublished(100)]
    assert execution.INTENT_STATE_SENDING in {each.state for each in told if each.symbol == "IBM"}


def test_only_the_first_of_a_batch_is_claimed(ledger: SqlLedger, epoch: int) -> None:
    """Point 2: by score, then id, as the batch is given; the others wait for their turn."""
    stored = store(ledger, epoch, decision("IBM", score=4.0), decision("SPY"), decision("BAC", allowed=False))
    assert stored.claimed is not None
    assert stored.claimed.symbol == "IBM"
    assert [(row.symbol, row.state) for row in stored.intents] == [
        ("IBM", IntentState.SENDING),
        ("SPY", IntentState.PENDING),
    ]


def test_the_kill_switch_is_looked_at_in_the_same_transaction(ledger: SqlLedger, epoch: int, ledger_url: str) -> None:
    engage_kill_switch(ledger_url, ACCOUNT, "by hand", "admin", NOW)
    stored = store(ledger, epoch, decision())
    assert (stored.claimed, stored.intents) == (None, ())
    assert [each.reason for each in stored.decisions] == ["KILL_SWITCH_ENGAGED"]


def test_what_was_decided_before_is_not_claimed_again(ledger: SqlLedger, epoch: int) -> None:
    first = store(ledger, epoch, decision()).claimed
    assert first is not None
    again = store(ledger, epoch, decision())
    assert again.replayed
    assert again.claimed is None
    with pytest.raises(ClaimRefused, match="sending"):
        ledger.claim_send(epoch, NOW, first.intent_id)


def test_a_batch_with_an_exit_claims_nothing(ledger: SqlLedger, epoch: int) -> None:
    """What reduces risk goes first."""
    store(ledger, epoch, decision("IBM"))
    leaving, entering = decision("IBM", exit_long=True), decision("SPY")
    wishes = {
        leaving.signal_id: replace(sale("IBM"), signal_id=leaving.signal_id),
        entering.signal_id: entry(entering),
    }
    stored = ledger.store_cycle(epoch, NOW, [leaving, entering], wishes, LIMITS, claim=True)
    assert stored.claimed is None
    assert {row.state for row in stored.intents} == {IntentState.PENDING}
