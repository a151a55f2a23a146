"""Every state that the order protocol can reach, with a crash at every yield point (order protocol, points 4 to 9,
invariants 1, 4, 11, 12, 13 and 18; SQ-1, SQ-4, SQ-5, BR-5, CQ-2).

`HOLDFAST_MODEL=deep pytest …` gives each order the sends that production gives it, and follows a worker that has lost
its lease step by step.
"""

import os
import subprocess
import sys

import pytest

from holdfast_execution.domain.intents import TRANSITIONS, IntentState
from holdfast_execution.rows import MAX_SENDS
from holdfast_simulation.protocol import model
from holdfast_simulation.protocol.model import Protocol
from holdfast_simulation.protocol.search import NEVER_RESTS, search

DEEP = os.environ.get("HOLDFAST_MODEL") == "deep"


@pytest.mark.timeout(3600 if DEEP else 300)
def test_two_workers_and_two_intents_hold_in_every_state_they_can_reach() -> None:
    """Nothing is sent twice, nothing uncounted, nothing written under an old epoch, and from every state everything can
    still come to its end."""
    protocol = Protocol(sends=MAX_SENDS, merges_overtaken=False) if DEEP else Protocol(sends=3)

    found = search(protocol)

    print(f"{found.states} states, {found.steps} steps")  # how much was looked at is the result
    assert (found.violation, found.path) == ("", ())
    assert found.states > 50_000


def test_a_worker_that_has_lost_its_lease_does_no_harm_at_any_step() -> None:
    """What the search above leaves out, with one intent."""
    found = search(Protocol(intents=1, sends=MAX_SENDS, merges_overtaken=False))

    assert (found.violation, found.path) == ("", ())


@pytest.mark.parametrize(
    ("without", "violated"),
    [
        (Protocol(fence=False), "12: a write under an old epoch"),
        (Protocol(margin=False), "11: an order of an intent that was given up"),
        (Protocol(same_id=False), "1: a second order of one intent"),
        (Protocol(looks_up=False), "11: an order of an intent that was given up"),
        (Protocol(lists=False), "11: an order of an intent that was given up"),
        (Protocol(intents=1, takes_over_sending=False), NEVER_RESTS),
    ],
    ids=["fence", "lease margin", "one id for all retries", "look-up", "list of orders", "SENDING taken over"],
)
def test_without_a_safeguard_the_search_finds_what_it_is_for(without: Protocol, violated: str) -> None:
    found = search(without)

    assert found.violation == violated
    assert found.path


@pytest.mark.parametrize(
    ("mutant", "violated"),
    [
        ("a mismatched answer is adopted", "an order of an intent that counts as refused"),
        ("an unknown outcome counts as refused", "an order of an intent that counts as refused"),
        ("the attempt is given back although it left", "a send that is not counted"),
    ],
)
def test_the_model_reads_answers_by_productions_own_rules(mutant: str, violated: str) -> None:
    """A safeguard taken out of production's source is missing in the model."""
    told = subprocess.run(
        [sys.executable, "-m", "holdfast_simulation.protocol", mutant], stdout=subprocess.PIPE, text=True, check=False
    )

    assert told.returncode == 1
    assert violated in told.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IntentState.UNKNOWN, IntentState.SENDING),
        (IntentState.UNKNOWN, IntentState.TOMBSTONED),
        (IntentState.SENDING, IntentState.PENDING),
        (IntentState.PENDING, IntentState.NOT_SENT),
    ],
)
def test_the_model_moves_by_productions_own_state_machine(
    before: IntentState, after: IntentState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRANSITIONS, before, TRANSITIONS[before] - {after})

    assert search(Protocol(intents=1)).violation == f"13: an intent does not go from {before} to {after}"


def test_the_model_claims_by_productions_own_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "may_claim", lambda _: True)

    assert search(Protocol(intents=1)).violation.startswith("13: an intent does not go from acked to sending")
