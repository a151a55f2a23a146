"""The failure sequences in which a person has a part: refused credentials, a stop, a state that cannot be read.

SQ-3, SQ-8, SQ-10, SQ-12, SQ-14, on real processes and papermarket.
"""

import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.drills.drilled_hour import (
    BAC_ENTRY,
    BEFORE,
    HUNG_SECS,
    SPY_ENTRY,
    Story,
    alerts_of,
    ask_admin,
    broker_calls,
    drilled,
    fault,
    orders,
    settings,
    spoil_state_of,
    story_of,
    wait_for_fault,
)
from tests.integration.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class Attended:
    """An hour with a person in it, and what the person saw."""

    story: Story
    connection: dict[str, Any]
    """While the credentials were refused."""
    calls: list[str]
    """Requests to the broker while the person looked at that."""
    reconnected: str
    """State of BAC's strategy after the person had reconnected, and started nothing."""
    states: dict[str, dict[str, Any]]
    """Every strategy in the end."""


@pytest.fixture(scope="module")
def attended(tmp_path_factory: pytest.TempPathFactory) -> Attended:
    """BAC's entry is answered 401; a person reconnects, and starts its strategy. SPY's entry hangs: its strategy is
    stopped. Then the stored state of BAC's strategy is spoilt, and execution is killed."""
    plan = [
        fault("expired", "http_error", orders("BAC", "buy", at_most=1), status=401, when=BEFORE),
        fault("spy-hangs", "no_answer", orders("SPY", "buy", at_most=1), when=BEFORE, hold_secs=HUNG_SECS),
    ]
    # BAC's entry is buried so long after its POST could still arrive, where nobody has started its strategy until then.
    config = settings(venue={"timeout_secs": 30.0}, execution={"tombstone_after_secs": 20.0})
    with drilled(tmp_path_factory.mktemp("attended"), plan, config) as stack:
        wait_for_fault(stack, "expired")
        eventually(lambda: "credentials.refused" in alerts_of(stack), "a person is told")
        since = time.time_ns()
        eventually(lambda: ask_admin(stack, "strategies/bac")["state"] == "failed", "its strategy has failed")
        connection = eventually(lambda: (seen := ask_admin(stack, "broker-connection"))["expired"] and seen, "expired")
        until = time.time_ns()
        ask_admin(stack, "broker-connection", note="the keys are good")
        reconnected = ask_admin(stack, "strategies/bac")["state"]
        ask_admin(stack, "strategies/bac/start", note="the keys are good")
        wait_for_fault(stack, "spy-hangs")
        ask_admin(stack, "strategies/spy/stop", note="enough")
        spoil_state_of(stack, "bac")
        stack.wait_for_restart("execution", stack.kill("execution"))
        story = story_of(stack, "strategy.aborted")
        # Admin asks execution once a second: it may still tell of what was held before the last sale.
        states = eventually(lambda: all_sold(stack), "admin knows of the last sale")
        return Attended(story, connection, broker_calls(stack.folder, since, until), reconnected, states)


def all_sold(stack: Stack) -> dict[str, dict[str, Any]] | None:
    """Every strategy as admin tells of it, once none holds anything."""
    states = {each["strategy"]: each for each in ask_admin(stack, "strategies")}
    return None if any(each["trade_state"] == "bought" for each in states.values()) else states


def test_sq_3_a_refused_token_is_not_retried_and_fails_its_strategy(attended: Attended) -> None:
    story = attended.story
    assert story.course(BAC_ENTRY)[:3] == ["sending 1.1", "unknown 1.1", "sending 1.2"]
    unknown, again = story.moments(BAC_ENTRY, "unknown")[0], story.moments(BAC_ENTRY, "sending")[1]
    assert unknown.fact.intent.reason == "CREDENTIALS_REFUSED"
    abort, *_ = story.aborts("bac")
    (halt,) = [event for event in story.of("halt") if event.fact.halt.kind == "credentials" and not event.fact.cleared]
    started = [event for event in story.of("strategy", "bac") if event.fact.strategy.set_by not in ("", "execution")]
    assert max(abort.number, halt.number) < started[0].number < again.number, "only after a person started it"
    assert attended.calls == [], "nothing is asked of the broker until a person has reconnected"
    assert story.fired["expired"] == 1
    assert "credentials.refused" in story.alerts


def test_sq_14_the_user_sees_the_expired_connection_and_what_to_do(attended: Attended) -> None:
    assert attended.connection["text"] == "Broker connection expired"
    assert attended.connection["what_to_do"]
    assert attended.reconnected == "failed", "a reconnect starts nothing"
    assert attended.story.bought_and_sold("BAC")[0] == ("buy", 721)


def test_sq_10_a_stop_during_an_order_ends_its_retries_and_keeps_what_is_held(attended: Attended) -> None:
    story = attended.story
    assert story.course(SPY_ENTRY) == ["sending 1.1", "unknown 1.1", "tombstoned 1.1"]
    assert story.fired["spy-hangs"] == 1
    assert story.at_venue(SPY_ENTRY) == []
    story.assert_entered_once("spy")
    assert attended.states["spy"]["state"] == "stopped"


def test_sq_8_a_state_that_cannot_be_read_fails_its_strategy_alone(attended: Attended) -> None:
    """What it holds is sold all the same; it enters no more, and a person finds why."""
    story = attended.story
    (record,) = story.logged("strategy.state_unreadable")
    assert record["strategy"] == "bac"
    assert story.aborts("bac")[-1].fact.halt.reason.startswith("STATE_UNREADABLE")
    assert story.bought_and_sold("BAC") == [("buy", 721), ("sell", 721)]
    story.assert_entered_once("bac")
    assert len(story.bought_and_sold("IBM")) == 4, "the others go on"


def test_sq_12_every_strategy_ends_in_a_state_of_its_own(attended: Attended) -> None:
    ended = {name: (each["state"], each["trade_state"]) for name, each in attended.states.items()}
    assert ended == {
        "bac": ("failed", "sold"),
        "spy": ("stopped", "none"),
        "ibm": ("running", "sold"),
        "aig": ("running", "sold"),
    }
    assert attended.story.broken() == set()
