"""A strategy is stopped and started, and execution's pod is killed between SENDING and ACKED (SQ-5, SQ-10, SQ-12)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import WEEK, install_for_a_while, values_of
from tests.e2e.release import NAME, READY_SECS, Release, Row

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

STRATEGY = "sma"
UNANSWERED_SECS = 240.0
"""The venue hangs up so late, and execution waits for half of it: whatever a machine is busy with, somebody comes who
kills it while it waits."""
UNHURRIED = {"id": "unhurried", "kind": "latency", "ms": 100, "scope": {"endpoint": "trading"}}
"""Market time waits for each request, so that a person has time to look."""
TRADES_SECS = 600.0


@pytest.fixture(scope="module")
def attended(
    context: str,
    images: str,
    table: list[Row],
    undisturbed_week: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """A release in which a person has a part, while it replays a week in lock-step."""
    values = values_of(images, WEEK)
    values["config"]["venue"] = {"timeout_secs": UNANSWERED_SECS / 2}
    release = Release(Cluster(context, "holdfast-e2e-attended"), values, images, table, undisturbed_week)
    yield from install_for_a_while(release, tmp_path_factory.mktemp("e2e-attended"))


def unanswered(name: str, when: str) -> list[dict[str, Any]]:
    """The next entry is not answered. What is told of it elsewhere is lost, too: execution knows nothing of it."""
    no_answer = {"id": name, "kind": "no_answer", "when": when, "hold_secs": UNANSWERED_SECS}
    unheard = {"id": f"{name}-unheard", "kind": "frame_dropped", "scope": {"order_kind": "oto"}}
    return [no_answer | {"scope": {"endpoint": "orders.submit", "side": "buy", "at_most": 1}}, unheard]


def fired(release: Release, name: str) -> bool:
    """The venue's own word. A report would look for the order itself, and end what it asks for."""
    return any(each["fired"] for each in release.status()["faults"] if each["id"] == name)


def course(release: Release, intent: str) -> list[str]:
    """The states of an intent, and why it came to each, as the ledger's log has them."""
    told = release.ledger(
        f"SELECT summary FROM events WHERE kind = 'intent' AND aggregate = '{intent}' ORDER BY event_id"
    )
    return [each.partition(" is ")[2] for each in told]


def kill_while_it_sends(release: Release, name: str, when: str) -> None:
    """Kills the holder's pod while an entry is not answered, and comes back when another pod trades as undisturbed."""
    release.break_venue(*unanswered(name, when))
    eventually(lambda: fired(release, name), "the venue holds back the answer to an entry", TRADES_SECS)
    holder = release.holder()
    with release.disturbed(f"kill the holder's pod while it sends, {name}"):
        release.cluster.kubectl("delete", "pod", holder.pod, "--grace-period=0", "--force")
        release.break_venue()
        eventually(lambda: release.holder().epoch > holder.epoch, "another pod holds the account", READY_SECS)
    assert release.holder().pod != holder.pod


def test_what_arrived_while_its_sender_was_killed_is_not_sent_again(attended: Release) -> None:
    """SQ-5: the broker has the order, and nobody here was told. (Reconciliation may find it before the pod is gone.)"""
    kill_while_it_sends(attended, "arrived", "after_accept")
    assert {each["attempts"] for each in attended.report()["orders"]} <= {0, 1}


def test_what_never_arrived_while_its_sender_was_killed_is_sent_again_once(attended: Release) -> None:
    """SQ-5: whoever takes over knows that something was being sent, and asks before it is sent again."""
    kill_while_it_sends(attended, "never-arrived", "before_accept")
    (intent,) = attended.ledger(
        "SELECT aggregate FROM events WHERE summary LIKE '%unknown: LEASE_TAKEN_OVER' ORDER BY event_id DESC LIMIT 1"
    )
    states = [each.partition(":")[0] for each in course(attended, intent)]
    assert states == ["sending", "unknown", "sending", "acked", "filled"]
    (client_order_id,) = attended.ledger(f"SELECT client_order_id FROM intents WHERE intent_id = '{intent}'")
    orders = [each for each in attended.venue_orders() if each["client_order_id"] == client_order_id]
    assert [each["status"] for each in orders] == ["filled"]


def strategy(release: Release, *words: str) -> str:
    """What `holdfast strategy` says of sma, typed by the operator."""
    token = release.secret(f"{NAME}-admin-token", "ADMIN_TOKEN")
    command = ("holdfast", "strategy", *words, "--admin", f"http://{NAME}-admin:8080")
    return release.operate("env", f"ADMIN_TOKEN={token}", *command)


def shown(release: Release) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(strategy(release, "show", STRATEGY, "--json"))
    return found


def entries(report: dict[str, Any]) -> set[str]:
    """Intents of sma that buy, whatever became of them."""
    own = [each for each in report["orders"] if each["strategy"] == STRATEGY]
    return {each["intent_id"] for each in own if each["purpose"] == "entry"}


def stopped_with_its_stops(release: Release) -> bool:
    """Stops sma, and looks whether its stops cover what it holds then. Where it was just selling it all, it goes on."""
    eventually(lambda: shown(release)["positions"], "sma holds something", TRADES_SECS)
    assert "stopped" in strategy(release, "stop", STRATEGY, "--note", "prices look wrong")
    # Admin asks execution once a second.
    seen = eventually(lambda: told_as(release, "stopped"), "it is told as stopped", READY_SECS)
    assert seen is not None
    assert seen["reason"] == "prices look wrong"
    covered = [
        each["protection"] == "active" and each["stop_quantity"] == each["quantity"] for each in seen["positions"]
    ]
    if covered and all(covered):
        return True
    strategy(release, "start", STRATEGY, "--note", "it was selling")
    return False


def told_as(release: Release, state: str) -> dict[str, Any] | None:
    found = shown(release)
    return found if found["state"] == state else None


def test_a_stopped_strategy_keeps_its_stops_and_enters_nothing_until_it_is_started(attended: Release) -> None:
    """SQ-10, SQ-12: by the terminal, while the market moves."""
    # From here on it trades otherwise than undisturbed.
    attended.reference = None
    attended.break_venue(UNHURRIED)
    eventually(lambda: stopped_with_its_stops(attended), "sma is stopped, its stops cover what it holds", TRADES_SECS)
    before = entries(attended.report())
    attended.break_venue()

    def blocked() -> dict[str, Any] | None:
        found = attended.report()
        return found if found["decisions"]["by_reason"].get("STRATEGY_STOPPED") else None

    report = eventually(blocked, "the stop has blocked an entry", TRADES_SECS)
    assert report is not None
    assert entries(report) == before

    eventually(
        lambda: "running" in strategy(attended, "start", STRATEGY, "--note", "prices checked"), "it runs", READY_SECS
    )
    eventually(lambda: entries(attended.report()) - before, "it enters again", TRADES_SECS)
    attended.check()
