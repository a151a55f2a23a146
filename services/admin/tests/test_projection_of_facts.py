"""What is shown is folded from facts: any order and any repetition gives the same state (BS-3, DI-2)."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_admin.domain.projection import MAX_DECISIONS, Projection, is_open
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_timestamp

from .conftest import NOW, Facts

STATES = (pb.INTENT_STATE_PENDING, pb.INTENT_STATE_ACKED, pb.INTENT_STATE_FILLED)


def cycle_of(facts: Facts, number: int, reasons: list[str]) -> list[gate.Decision]:
    return [facts.decided(f"s{number}.{place}", reason=reason) for place, reason in enumerate(reasons)]


def history(seed: int) -> list[pb.Fact]:
    """A ledger's facts: every kind of aggregate, several versions of some."""
    random, facts = Random(seed), Facts()
    found = [facts.account()]
    intents: dict[str, int] = {}
    halted: set[str] = set()
    for number in range(random.randint(5, 40)):
        match random.randint(0, 6):
            case 0:
                found.append(facts.account(str(100_000 - number)))
            case 1:
                found.append(facts.position(random.choice(["SPY", "BAC"]), random.choice(["0", "5", "12"])))
            case 2:
                name = f"i{random.randint(0, 4)}"
                intents[name] = min(intents.get(name, -1) + 1, 2)
                found.append(facts.intent(name, STATES[intents[name]]))
            case 3:
                found.append(facts.fill(f"f{number}"))
            case 4:
                name = f"h{random.randint(0, 2)}"
                found.append(facts.halt(name, cleared=name in halted))
                halted ^= {name}
            case 5:
                reasons = random.choices(["ALLOWED", "COOLDOWN_ACTIVE"], k=random.randint(1, 3))
                found.append(facts.decisions(*cycle_of(facts, number, reasons)))
            case 6:
                found.append(facts.verdict())
    return found


def ledger_after(facts: list[pb.Fact]) -> pb.GetLedgerResponse:
    """What execution answers once it has recorded these facts."""
    state = Projection()
    for fact in facts:
        state.apply(fact)
    assert state.account is not None
    answer = pb.GetLedgerResponse(
        version=len(facts),
        account=state.account.body,
        positions=[kept.body for _, kept in state.positions.items()],
        intents=[kept.body for _, kept in state.intents.items()],
        fills=[kept.body for _, kept in state.fills.items()],
        halts=state.open_halts(),
        decisions_allowed=state.decisions_allowed,
        decisions_blocked=state.decisions_blocked,
        decisions_by_reason=state.decisions_by_reason,
        last_event_id=facts[-1].event_id,
    )
    if state.verdict is not None:
        answer.reconciliation.CopyFrom(state.verdict.body)
    return answer


def shown(state: Projection) -> dict[str, Any]:
    """Everything that the pages read."""
    return {
        "account": state.account and state.account.body,
        "verdict": state.verdict and state.verdict.body,
        "held": state.held(),
        "intents": {name: kept.body for name, kept in state.intents.items()},
        "fills": {name: kept.body for name, kept in state.fills.items()},
        "halts": state.open_halts(),
        "decisions": [kept.body.signal_id for kept in state.decisions.newest()],
        "counts": (state.decisions_allowed, state.decisions_blocked, state.decisions_by_reason),
        "last": state.last_event_id,
    }


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_facts_gives_the_same_state(seed: int, random: Random) -> None:
    facts = history(seed)
    straight, mixed = Projection(), Projection()
    for fact in facts:
        straight.apply(fact)
    arrivals = facts + random.choices(facts, k=10)
    random.shuffle(arrivals)
    for fact in arrivals:
        mixed.apply(fact)
    assert shown(mixed) == shown(straight)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_a_reading_of_the_ledger_at_any_moment_changes_nothing_in_the_end(seed: int, random: Random) -> None:
    facts = history(seed)
    straight, mixed = Projection(), Projection()
    for fact in facts:
        straight.apply(fact)
    arrivals = list(facts)
    random.shuffle(arrivals)
    read_after, as_of = random.randint(0, len(arrivals)), random.randint(1, len(facts))
    for place, fact in enumerate(arrivals):
        if place == read_after:
            mixed.apply_ledger(ledger_after(facts[:as_of]), NOW)
        mixed.apply(fact)
    assert shown(mixed) == shown(straight)


@given(st.integers(0, 10_000))
def test_the_ledger_alone_gives_all_but_the_decisions_themselves(seed: int) -> None:
    """The stream of facts was lost: orders, fills, positions, halts, cash and counts come back from the ledger."""
    facts = history(seed)
    straight, rebuilt = Projection(), Projection()
    for fact in facts:
        straight.apply(fact)
    rebuilt.apply_ledger(ledger_after(facts), NOW)
    found, wanted = shown(rebuilt), shown(straight)
    del found["decisions"], wanted["decisions"]
    assert found == wanted


def test_old_decisions_give_way_and_the_counts_stay(facts: Facts) -> None:
    state = Projection()
    for number in range(MAX_DECISIONS * 2):
        state.apply(facts.decision(f"s{number}"))
    kept = [each.body.signal_id for each in state.decisions.newest()]
    assert kept == [f"s{number}" for number in reversed(range(MAX_DECISIONS, MAX_DECISIONS * 2))]
    assert state.decisions_allowed == MAX_DECISIONS * 2


def test_a_cycle_of_which_a_part_has_given_way_is_counted_once(facts: Facts) -> None:
    """The decisions of a cycle are told by one fact and are equally old: none makes the others late."""
    state = Projection()
    cycles = [facts.decisions(*cycle_of(facts, number, ["ALLOWED"] * 300)) for number in range(5)]
    for fact in (*cycles, *reversed(cycles)):
        state.apply(fact)
    newest = sorted((f"s{cycle}.{place}" for cycle in range(1, 5) for place in range(300)), key=by_cycle, reverse=True)
    assert [each.body.signal_id for each in state.decisions.newest()] == newest[:MAX_DECISIONS]
    assert state.decisions_allowed == 5 * 300


def by_cycle(signal_id: str) -> tuple[str, str]:
    return signal_id.partition(".")[0], signal_id


def test_the_decision_of_an_earlier_release_is_read(facts: Facts) -> None:
    """Its facts stay in the stream for a week: one decision each."""
    state = Projection()
    state.apply(facts.fact("decision", "s1", decision=facts.decided("s1", reason="COOLDOWN_ACTIVE")))
    assert [each.body.signal_id for each in state.decisions.newest()] == ["s1"]
    assert state.decisions_by_reason == {"COOLDOWN_ACTIVE": 1}


def test_an_open_order_is_kept_however_old_it_is(facts: Facts) -> None:
    state = Projection()
    state.apply(facts.intent("old-stop", pb.INTENT_STATE_ACKED))
    for number in range(5_000):
        state.apply(facts.intent(f"i{number}", pb.INTENT_STATE_FILLED))
    assert [kept.body.intent_id for kept in state.intents.newest() if is_open(kept.body)] == ["old-stop"]
    assert len(state.intents) < 3_000


def test_a_malformed_fact_is_refused_and_changes_nothing(facts: Facts) -> None:
    state = Projection()
    state.apply(facts.account("123.45"))
    before = shown(state)
    broken = facts.account("1")
    broken.account.cash.value = "a lot"
    with pytest.raises(Malformed, match=r"Account\.cash"):
        state.apply(broken)
    beyond = facts.fill("f1")
    beyond.fill.filled_at.seconds = 2**60
    with pytest.raises(Malformed, match=r"Fill\.filled_at"):
        state.apply(beyond)
    unknown = facts.intent("i1", pb.INTENT_STATE_ACKED)
    unknown.intent.ParseFromString(unknown.intent.SerializeToString() + bytes([0x40, 99]))
    with pytest.raises(Malformed, match=r"Intent\.state: 99"):
        state.apply(unknown)
    with pytest.raises(Malformed, match=r"Fact\.event_id"):
        state.apply(pb.Fact(kind="account"))
    assert shown(state) == before


def test_the_newest_fact_tells_as_of_when_the_pages_are(facts: Facts) -> None:
    state = Projection()
    newest = facts.account()
    state.apply(newest)
    assert state.last_fact_at == from_timestamp(newest.market_time)
