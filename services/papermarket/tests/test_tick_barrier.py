"""When a tick is settled: reports of the whole roster and balanced flows (DESIGN, Time)."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.papermarket.v1 import market_clock_pb2 as pb
from holdfast_papermarket.barrier import Barrier, Report
from holdfast_runtime.wire import to_timestamp

ROSTER = ("signal", "scoring", "gate", "execution", "reconciliation")
NOON = datetime(2013, 10, 7, 16, tzinfo=UTC)
VENUE = {"data": 4, "trade_updates": 1}

BALANCED: dict[str, dict[str, dict[str, int]]] = {
    "signal": {"sent": {"prices": 4, "cycles": 2}, "received": {"data": 4}},
    "scoring": {"sent": {"ledger": 7}, "received": {"cycles": 2}},
    "gate": {"sent": {"ledger": 7}, "received": {"prices": 4, "snapshot": 9}},
    "execution": {"sent": {"snapshot": 9}, "received": {"prices": 4, "ledger": 8, "trade_updates": 1}},
    "reconciliation": {"sent": {"ledger": 6}, "received": {}},
}


def settled(number: int = 3) -> tuple[Barrier, dict[str, Report]]:
    barrier = Barrier(ROSTER)
    barrier.begin(number)
    reports = {}
    for service in ROSTER:
        reports[service] = barrier.join()
        report(barrier, reports[service], service, number)
    return barrier, reports


def report(
    barrier: Barrier, at: Report, service: str, number: int, *, timer: datetime | None = None, **changes: dict[str, int]
) -> None:
    positions = {key: {**BALANCED[service][key], **changes.get(key, {})} for key in ("sent", "received")}
    barrier.take(at, pb.Done(service=service, number=number, next_timer=to_timestamp(timer), **positions))


def test_a_tick_is_settled_when_all_have_reported_and_all_flows_balance() -> None:
    barrier, _ = settled()
    assert list(barrier.waiting_for(VENUE)) == []


@pytest.mark.parametrize(
    ("service", "key", "flow", "position", "words"),
    [
        ("signal", "received", "data", 3, "data: papermarket sent 4, signal received 3"),
        ("signal", "received", "data", 5, "data: papermarket sent 4, signal received 5"),
        ("execution", "received", "trade_updates", 0, "trade_updates: papermarket sent 1, execution received 0"),
        ("execution", "received", "prices", 3, "prices: signal sent 4, execution received 3"),
        ("gate", "received", "prices", 9, "prices: signal sent 4, gate received 9"),
        ("scoring", "received", "cycles", 1, "cycles: signal sent 2, scoring received 1"),
        ("gate", "received", "snapshot", 8, "snapshot: execution sent 9, gate received 8"),
        ("gate", "sent", "ledger", 9, "ledger: gate sent 9, execution received 8"),
        ("scoring", "sent", "ledger", 9, "ledger: scoring sent 9, execution received 8"),
        ("reconciliation", "sent", "ledger", 9, "ledger: reconciliation sent 9, execution received 8"),
    ],
)
def test_one_unbalanced_flow_holds_the_tick_and_is_named(
    service: str, key: str, flow: str, position: int, words: str
) -> None:
    barrier, reports = settled()
    report(barrier, reports[service], service, 3, **{key: {flow: position}})
    assert list(barrier.waiting_for(VENUE)) == [words]
    report(barrier, reports[service], service, 3)
    assert list(barrier.waiting_for(VENUE)) == []


def test_a_receiver_may_be_ahead_where_only_positions_count() -> None:
    barrier, reports = settled()
    report(barrier, reports["scoring"], "scoring", 3, received={"cycles": 5})
    assert list(barrier.waiting_for(VENUE)) == []


def test_without_a_data_or_trading_connection_no_tick_goes_out() -> None:
    barrier, _ = settled()
    held = list(barrier.waiting_for({"data": None, "trade_updates": None}))
    assert held == [
        "data: signal is not connected to the venue",
        "trade_updates: execution is not connected to the venue",
    ]


def test_a_report_about_another_tick_does_not_count() -> None:
    barrier, reports = settled(number=3)
    barrier.begin(4)
    assert len(list(barrier.missing())) == len(ROSTER)
    report(barrier, reports["gate"], "gate", 3)
    assert "gate: tick 4 not settled" in barrier.missing()
    report(barrier, reports["gate"], "gate", 4)
    assert "gate: tick 4 not settled" not in barrier.missing()


def test_a_service_that_is_gone_is_waited_for() -> None:
    barrier, reports = settled()
    barrier.leave(reports["scoring"])
    assert list(barrier.waiting_for(VENUE)) == ["scoring: not connected"]
    back = barrier.join()
    report(barrier, back, "scoring", 2**63)
    assert list(barrier.waiting_for(VENUE)) == ["scoring: tick 3 not settled"]
    report(barrier, back, "scoring", 3)
    assert list(barrier.waiting_for(VENUE)) == []


def test_an_active_and_a_standby_must_both_have_settled_and_the_farther_one_counts() -> None:
    barrier, _ = settled()
    standby = barrier.join()
    report(barrier, standby, "execution", 2**63)
    assert list(barrier.waiting_for(VENUE)) == ["execution: tick 3 not settled"]
    barrier.take(standby, pb.Done(service="execution", number=3))
    assert list(barrier.waiting_for(VENUE)) == []


def test_who_is_not_on_the_roster_is_neither_waited_for_nor_heard() -> None:
    barrier, _ = settled()
    guest = barrier.join()
    barrier.take(guest, pb.Done(service="admin", number=3, next_timer=to_timestamp(NOON)))
    assert list(barrier.waiting_for(VENUE)) == []
    assert barrier.next_timer() is None


def test_the_earliest_timer_of_all_is_the_next() -> None:
    barrier, reports = settled()
    report(barrier, reports["gate"], "gate", 3, timer=NOON + timedelta(seconds=5))
    report(barrier, reports["reconciliation"], "reconciliation", 3, timer=NOON)
    assert barrier.next_timer() == NOON


def test_who_leaves_takes_its_own_report_along_and_nobody_elses() -> None:
    """SQ-5, PR-1: a holder that was killed is gone, though its standby's connection has said as little of the tick."""
    barrier, reports = settled()
    barrier.begin(4)
    successor = barrier.join()
    report(barrier, successor, "execution", 4)
    barrier.begin(5)
    barrier.leave(successor)
    for service in ROSTER:
        report(barrier, reports[service], service, 5)
    assert list(barrier.waiting_for(VENUE)) == []


def test_a_killed_holder_is_waited_for_no_longer() -> None:
    """SQ-5, PR-1: its successor's report settles the tick."""
    barrier, reports = settled()
    barrier.begin(4)
    successor = barrier.join()
    barrier.take(successor, pb.Done(service="execution", number=2**63))
    barrier.leave(reports["execution"])
    reports["execution"] = successor
    for service in ROSTER:
        report(barrier, reports[service], service, 4)
    assert list(barrier.waiting_for(VENUE)) == []
