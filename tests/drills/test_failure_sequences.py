"""The failure sequences of the source document, one by one, on real processes and papermarket (SQ-1 … SQ-15).

Three hours are lived through, each with faults of its own; each test then looks at what that hour has told: the order
of events and what changed in the ledger, the log records, and how it ended.
"""

import time
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.drills.drilled_hour import (
    AFTER,
    BAC_ENTRY,
    BEFORE,
    HOUR,
    HUNG_SECS,
    SPY_ENTRY,
    Story,
    drilled,
    fault,
    instant,
    orders,
    records,
    settings,
    story_of,
    wait_for_fault,
)
from tests.integration.stack import assert_alike, backtest, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

BAC_STOP = "bac.BAC.20131008T134300Z.ENTER_LONG/stop"
BAC_FLATTEN = "bac.BAC.20131008T134300Z.ENTER_LONG/flatten"
BAC_AGAIN = "bac.BAC.20131008T141500Z.ENTER_LONG/entry"
SPY_AGAIN_STOP = "spy.SPY.20131008T141600Z.ENTER_LONG/stop"
IBM_ENTRY = "ibm.IBM.20131008T134700Z.ENTER_LONG/entry"
AIG_ENTRY = "aig.AIG.20131008T134900Z.ENTER_LONG/entry"
FOUR_TIMES = [f"{state} 1.{attempt}" for attempt in (1, 2, 3, 4) for state in ("sending", "unknown")]
NOT_OURS = {"every_order_has_an_intent", "every_live_order_has_a_live_intent"}
"""What a foreign order breaks: it is there, and has no intent."""
BLIND_FROM, SEEING_AGAIN = instant("13:43:30"), instant("13:49:30")
FALLS = instant("13:47:00")
STALE = {"event": "failure_point.changed", "point": "feed.stale", "status": "ERROR"}
TIMED = {
    "id": "aig", "kind": "timed", "symbols": ["AIG"], "allocation": 10_000, "stop_fraction": 0.02,
    "schedule": {"buy_at": ["09:45", "10:25"], "sell_at": ["10:20", "10:35"]},
}  # fmt: skip
"""Bought at 13:45 and 14:25 UTC, sold at 14:20 and 14:35."""
SERVICES = ("signal", "scoring", "gate", "execution", "reconciliation", "admin")


# --- the broker does not answer, cannot be reached, refuses


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """BAC: three timeouts; later funds that a foreign order has taken, and the rate limit when it sells. SPY: timeouts
    only. AIG: no connection. IBM: refused."""
    plan = [
        fault("three-timeouts", "no_answer", orders("BAC", "buy", at_most=3), when=BEFORE, hold_secs=HUNG_SECS),
        fault("timeouts", "no_answer", orders("SPY", "buy"), when=BEFORE, hold_secs=HUNG_SECS),
        fault("unreachable", "connection_reset", orders("AIG", "buy"), when=BEFORE),
        fault("refused", "http_error", orders("IBM", "buy"), status=422, when=BEFORE),
        fault("foreign", "foreign_order", {"symbol": "AIG", "since": instant("14:05:00")}, quantity="3800"),
        fault("limited", "http_error", orders("BAC", "sell", since=instant("14:10:00"), at_most=1), status=429),
    ]
    folder = tmp_path_factory.mktemp("refusals")
    # What is not known is buried sooner than after a minute: market time waits for it.
    with drilled(folder, plan, settings(execution={"tombstone_after_secs": 2.0})) as stack:
        return story_of(stack, "strategy.aborted")


def test_sq_1_a_timeout_is_retried_three_times_and_the_strategy_goes_on(refusals: Story) -> None:
    assert refusals.course(BAC_ENTRY) == [*FOUR_TIMES[:-1], "acked 1.4", "filled 1.4"]
    assert [order["filled_qty"] for order in refusals.at_venue(BAC_ENTRY)] == ["721"]
    unknown = refusals.logged("order.outcome_unknown", intent=BAC_ENTRY)
    resent = refusals.logged("order.resent", intent=BAC_ENTRY)
    assert [record["attempt"] for record in resent] == [2, 3, 4]
    timeouts = [logged_at(late) - logged_at(early) for early, late in zip(resent[:2], unknown[1:], strict=True)]
    assert all(took >= timedelta(seconds=2) for took in timeouts), timeouts
    assert refusals.bought_and_sold("BAC")[:2] == [("buy", 721), ("sell", 721)]
    assert refusals.moments(BAC_AGAIN, "acked"), "the strategy did not go on"


@pytest.mark.parametrize(
    ("intent", "strategy", "symbol"),
    [
        pytest.param(SPY_ENTRY, "spy", "SPY", id="sq_1_timeouts"),
        pytest.param(AIG_ENTRY, "aig", "AIG", id="sq_4_network_unreachable"),
    ],
)
def test_sq_1_and_sq_4_the_fourth_failure_aborts(refusals: Story, intent: str, strategy: str, symbol: str) -> None:
    assert refusals.course(intent) == [*FOUR_TIMES, "tombstoned 1.4"]
    assert len(refusals.client_ids(intent)) == 1
    assert refusals.at_venue(intent) == []
    (abort,) = refusals.aborts(strategy)
    assert abort.fact.halt.reason == f"ATTEMPTS_EXHAUSTED: {intent}"
    last_try, end = refusals.moments(intent, "unknown")[-1], refusals.moments(intent, "tombstoned")[0]
    assert last_try.number < abort.number < end.number
    assert len(refusals.logged("order.outcome_unknown", intent=intent)) == 4
    assert len(refusals.logged("strategy.safety_abort", strategy=strategy)) == 1
    assert refusals.bought_and_sold(symbol) == []
    assert refusals.of("position", symbol) == [], "the position is unchanged"
    refusals.assert_entered_once(strategy)


def test_sq_2_a_rejection_is_retried_three_times_under_new_ids_and_then_aborts(refusals: Story) -> None:
    legs = [[f"sending {leg}.1", f"rejected {leg}.1", f"pending {leg + 1}.0"] for leg in (1, 2, 3, 4)]
    assert refusals.course(IBM_ENTRY) == [state for leg in legs for state in leg][:-1]
    sent = refusals.moments(IBM_ENTRY, "sending")
    assert [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(sent)] == [1, 2, 4]
    assert len(refusals.client_ids(IBM_ENTRY)) == 4
    assert refusals.at_venue(IBM_ENTRY) == []
    (abort,) = refusals.aborts("ibm")
    assert abort.number > refusals.moments(IBM_ENTRY, "rejected")[-1].number
    records = refusals.logged("order.rejected", intent=IBM_ENTRY, reason="BROKER_OTHER")
    assert [(each["leg"], each["next"]) for each in records] == [(1, "retry"), (2, "retry"), (3, "retry"), (4, "abort")]
    assert refusals.order(IBM_ENTRY)["reason"] == "BROKER_OTHER"
    assert refusals.of("position", "IBM") == []
    refusals.assert_entered_once("ibm")


def test_sq_2_a_rate_limit_waits_and_funds_shrink_the_order_once(refusals: Story) -> None:
    course = refusals.course(BAC_AGAIN)
    assert course == ["sending 1.1", "rejected 1.1", "pending 2.0", "sending 2.1", "acked 2.1", "filled 2.1"]
    (limited,) = refusals.logged("order.outcome_unknown", reason="VENUE_THROTTLED")
    sale = [state for state in refusals.course(limited["intent"]) if not state.startswith("pending")]
    assert sale == ["sending 1.1", "unknown 1.1", "sending 1.2", "acked 1.2", "filled 1.2"]
    (record,) = refusals.logged("order.rejected", intent=BAC_AGAIN)
    assert (record["reason"], record["next"]) == ("BROKER_BUYING_POWER", "shrink")
    (order,) = refusals.at_venue(BAC_AGAIN)
    assert 0 < Decimal(order["filled_qty"]) < Decimal(refusals.order(BAC_AGAIN)["quantity"])
    held = Decimal(order["filled_qty"])
    assert refusals.bought_and_sold("BAC")[2:] == [("buy", held), ("sell", held)]
    assert refusals.aborts("bac") == []


def test_sq_11_and_sq_15_every_attempt_is_stored_once_and_a_person_is_told(refusals: Story) -> None:
    """What the venue counted is what the log holds, beside the log records."""
    assert [event.number for event in refusals.events] == list(range(1, len(refusals.events) + 1))
    fired = refusals.fired
    assert (fired["three-timeouts"], fired["timeouts"], fired["unreachable"], fired["refused"]) == (3, 4, 4, 4)
    for intent, attempts in ((BAC_ENTRY, 4), (SPY_ENTRY, 4), (AIG_ENTRY, 4), (IBM_ENTRY, 4), (BAC_AGAIN, 2)):
        assert len(refusals.moments(intent, "sending")) == attempts
    assert refusals.broken() == NOT_OURS
    assert refusals.report["reconciliation"]["state"] == "clean"
    assert "strategy.aborted" in refusals.alerts


# --- a crash leaves the lock behind; the whole system starts again


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Story, float]:
    """Execution is killed while the venue holds the answer to BAC's entry back; later everything but the venue, while
    SPY's entry hangs that never arrives. AIG is bought and sold by the clock, before and after. The story, and when the
    first kill came."""
    plan = [
        fault("bac-hangs", "no_answer", orders("BAC", "buy", at_most=1), when=AFTER, hold_secs=HUNG_SECS),
        fault("spy-hangs", "no_answer", orders("SPY", "buy", at_most=1), when=BEFORE, hold_secs=HUNG_SECS),
    ]
    config = settings(venue={"timeout_secs": 30.0})
    config["strategies"][-1] = TIMED
    with drilled(tmp_path_factory.mktemp("crashes"), plan, config) as stack:
        wait_for_fault(stack, "bac-hangs")
        killed_at = time.time()
        stack.wait_for_restart("execution", stack.kill("execution"))
        wait_for_fault(stack, "spy-hangs")
        victims = {service: stack.kill(service) for service in SERVICES}
        for service, pid in victims.items():
            stack.wait_for_restart(service, pid)
        return story_of(stack), killed_at


def test_sq_5_a_lock_left_by_a_crash_is_taken_over_and_the_event_goes_on(crashes: tuple[Story, float]) -> None:
    story, killed_at = crashes
    assert [lease.summary.split(", after")[0][-7:] for lease in story.take_overs] == ["epoch 1", "epoch 2", "epoch 3"]
    first, second, _ = story.logged("lease.acquired")
    assert second["after"] == first["holder"]
    assert logged_at(second).timestamp() - killed_at >= 3.0, "the beat has to stand still for 3 s"
    assert [order["filled_qty"] for order in story.at_venue(BAC_ENTRY)] == ["721"]
    assert len(story.moments(BAC_ENTRY, "sending")) == 1
    assert story.halts() == [], "nobody was needed"


def test_sq_5_what_was_being_sent_is_unknown_to_the_successor_and_sent_once(crashes: tuple[Story, float]) -> None:
    story, _ = crashes
    assert story.course(SPY_ENTRY) == ["sending 1.1", "unknown 1.1", "sending 1.2", "acked 1.2", "filled 1.2"]
    (unknown,) = story.moments(SPY_ENTRY, "unknown")
    assert unknown.fact.intent.reason == "LEASE_TAKEN_OVER"
    assert unknown.number - 1 == story.take_overs[-1].number, "told in the take-over's own commit"
    assert len(story.at_venue(SPY_ENTRY)) == 1


def test_sq_9_a_cold_start_ends_as_if_nothing_had_happened(crashes: tuple[Story, float], tmp_path: Path) -> None:
    """Strategies, positions, timers and pending events are there again: the same orders, fills and cash as without."""
    story, _ = crashes
    bought, taken_over = story.moments(BAC_ENTRY, "filled")[0], story.take_overs[-1]
    assert bought.number < taken_over.number, "something was held when everything ended"
    for service in SERVICES:
        assert len(story.logged("service.started", service)) >= 2, service
    undisturbed = backtest(tmp_path, *HOUR, "--config", str(story.folder.parents[2] / "config.yaml"))
    assert_alike(story.report, undisturbed)
    assert story.broken() == set()


def test_sq_13_timers_survive_a_restart_and_fire_once(crashes: tuple[Story, float]) -> None:
    """Two of the four times come after everything was killed."""
    story, _ = crashes
    trades = [(fill["side"], fill["filled_at"][11:16]) for fill in story.report["fills"] if fill["symbol"] == "AIG"]
    assert trades == [("buy", "13:46"), ("sell", "14:21"), ("buy", "14:26"), ("sell", "14:36")]
    first_buy, first_sale, *_ = [event for event in story.of("fill") if " AIG " in event.summary]
    assert first_buy.number < story.take_overs[-1].number < first_sale.number


def test_sq_11_crashes_double_nothing(crashes: tuple[Story, float]) -> None:
    story, _ = crashes
    names = Counter(order["client_order_id"] for order in story.books["orders"] if order["client_order_id"])
    assert [name for name, count in names.items() if count > 1] == []
    assert story.report["reconciliation"]["state"] == "clean"


# --- the feed is dropped, and stops come first


@pytest.fixture(scope="module")
def stops(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """BAC is bought in part, and no price is told from then on. Blind, the rest of the entry is cut, the stop's POST
    hangs until signal says that the feed is stale, and execution is killed. Then BAC is halted and falls below its
    stop, which cannot fill; prices are told again, and five sales are refused. IBM and SPY fall to their stops, SPY
    when its strategy is about to leave, by its averages and by the clock."""
    plan = [
        fault("blind", "frame_dropped", {"since": BLIND_FROM, "until": SEEING_AGAIN}, stream="market_data"),
        fault("in-part", "partial_fill", {"symbol": "BAC", "order_kind": "oto", "at_most": 1}, fraction=0.4, secs=3600),
        fault(
            "stop-hangs", "no_answer", orders("BAC", "sell", order_kind="stop", at_most=1),
            when=BEFORE, hold_secs=HUNG_SECS,
        ),
        fault("bac-halted", "halt", {"symbol": "BAC", "since": instant("13:46:45")}, secs=795),
        fault("bac-falls", "price_gap", {"symbol": "BAC", "since": FALLS}, factor="0.95", secs=3600),
        fault(
            "sale-refused", "http_error", orders("BAC", "sell", order_kind="market", at_most=5),
            status=422, when=BEFORE,
        ),
        fault("ibm-falls", "price_gap", {"symbol": "IBM", "since": instant("14:20:00")}, factor="0.95", secs=3600),
        fault("spy-falls", "price_gap", {"symbol": "SPY", "since": instant("14:31:00")}, factor="0.95", secs=3600),
    ]  # fmt: skip
    # A bar is stale before the entry is cut, 62 s after the last: what hangs then holds market time while one looks.
    config = settings(venue={"timeout_secs": 30.0}, feed={"bar_grace_secs": 1.0})
    config["strategies"][0]["schedule"] = {"sell_at": ["10:32"]}
    with drilled(tmp_path_factory.mktemp("stops"), plan, config) as stack:
        wait_for_fault(stack, "stop-hangs")
        eventually(lambda: records(stack.folder, "signal", **STALE), "signal says that the feed is stale")
        stack.wait_for_restart("execution", stack.kill("execution"))
        story = story_of(stack, "strategy.aborted")
        # Signal looks every few seconds: the rest of the hour may be over before it does.
        eventually(lambda: sees_again(story), "signal says that the feed is fresh again")
        return story


def test_sq_6_our_triggers_are_suspended_while_blind_and_the_resting_stop_stays(stops: Story) -> None:
    """The price falls below the stop while nobody is told: nothing is sold, and no entry leaves."""
    stale, *_ = stops.logged(service="signal", **STALE)
    assert "BAC" in stale["evidence"]
    assert sees_again(stops)
    falls, seeing = datetime.fromisoformat(FALLS), datetime.fromisoformat(SEEING_AGAIN)
    resting = stops.moments(BAC_STOP, "acked")[-1]
    assert resting.at < falls
    blind = [event for event in stops.events if resting.number < event.number and event.at < seeing]
    assert [event.summary for event in blind if event.kind in ("intent", "fill")] == []
    assert [event for event in blind if event.kind == "position"][-1].summary.endswith("active")
    assert stops.moments(BAC_FLATTEN, "pending")[0].at >= seeing


def test_sq_7_a_stop_outlives_a_crash_and_is_judged_again(stops: Story) -> None:
    """Killed while its stop was on the way: one stop rests, and what the price has done meanwhile is acted upon."""
    taken_over = stops.take_overs[1]
    assert taken_over.at < datetime.fromisoformat(FALLS)
    assert len([order for order in stops.at_venue(BAC_STOP) if order["type"] == "stop"]) == 1
    assert stops.moments(BAC_FLATTEN, "pending")[0].fact.intent.reason == "MONITOR_STOP_UNFILLED"
    assert stops.bought_and_sold("BAC")[:2] == [("buy", 288), ("sell", 288)]
    assert stops.order(BAC_FLATTEN)["state"] == "filled"


def test_sq_7_a_stop_sale_that_is_refused_is_retried_and_aborts_the_strategy(stops: Story) -> None:
    states = [state.split()[0] for state in stops.course(BAC_FLATTEN)]
    assert states == ["pending", "sending", "rejected"] * 5 + ["pending", "sending", "acked", "filled"]
    (abort,) = stops.aborts("bac")
    assert abort.fact.halt.reason == f"PROTECTIVE_SALE_REFUSED: {BAC_FLATTEN}"
    fourth, fifth = stops.moments(BAC_FLATTEN, "rejected")[3:]
    assert fourth.number < abort.number < fifth.number
    assert len(stops.client_ids(BAC_FLATTEN)) == 6
    assert "strategy.aborted" in stops.alerts
    stops.assert_entered_once("bac")


def test_sq_7_a_stop_overrides_a_scheduled_sale(stops: Story) -> None:
    """At 14:31 the stop has sold; the sale of the strategy at that instant, and that of 14:32, find nothing."""
    (sold,) = stops.moments(SPY_AGAIN_STOP, "filled")
    assert sold.at == datetime.fromisoformat(instant("14:31:00"))
    assert stops.bought_and_sold("SPY") == [("buy", 59), ("sell", 59)]
    exits = {event.about for event in stops.of("intent", "spy.") if event.about.endswith("/exit")}
    assert [each for each in exits if stops.moments(each, "sending")] == []


def test_sq_11_every_stop_has_triggered_once(stops: Story) -> None:
    for symbol in ("BAC", "IBM", "SPY"):
        fills = stops.bought_and_sold(symbol)
        assert sum(quantity if side == "buy" else -quantity for side, quantity in fills) == 0, symbol
    assert stops.broken() == set()
    assert stops.report["reconciliation"]["state"] == "clean"


# --- helpers


def sees_again(story: Story) -> bool:
    """Signal's feed was stale, and was fresh afterwards."""
    stale, *_ = story.logged(service="signal", **STALE)
    fresh = story.logged(service="signal", **(STALE | {"status": "OK"}))
    return any(each["timestamp"] > stale["timestamp"] for each in fresh)


def logged_at(record: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(record["timestamp"])
