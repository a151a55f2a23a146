"""BR-8: while the venue is down only reducing orders are tried, and everything resumes by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from holdfast_runtime.ports.venue import NotSent, OutcomeUnknown, VenueUnavailable
from holdfast_runtime.telemetry import metrics
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_venue.breaker import FAILURES_TO_OPEN, MAX_WAIT_SECS, Breaker
from holdfast_venue.factory import open_broker
from holdfast_venue.limiter import Priority

ORDER_ID = "61e69015-8549-4bfd-b9c3-01e75843f47d"


class HandClock:
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.secs = 100.0

    def now_secs(self) -> float:
        return self.secs

    async def sleep(self, secs: float) -> None:
        self.secs += secs


def admits(breaker: Breaker, priority: Priority) -> bool:
    try:
        with breaker.admitted(priority):
            return True
    except NotSent:
        return False


def opened(clock: HandClock) -> Breaker:
    breaker = Breaker("broker", clock)
    for _ in range(FAILURES_TO_OPEN):
        assert admits(breaker, Priority.ENTRY)
        breaker.failed("no answer in time")
    return breaker


def shown() -> float | None:
    return metrics.REGISTRY.get_sample_value("holdfast_venue_circuit_open", {"system": "broker"})


def test_failures_in_a_row_leave_only_reducing_orders() -> None:
    breaker = opened(HandClock())
    assert breaker.is_open
    assert shown() == 1
    assert [admits(breaker, each) for each in (Priority.PROTECTION, Priority.ENTRY, Priority.POLL)] == [
        True,
        False,
        False,
    ]


def test_any_answer_of_the_venue_between_failures_keeps_it_closed() -> None:
    """A refusal is an answer; a 503 is none."""
    breaker = Breaker("broker", HandClock())
    for _ in range(3 * FAILURES_TO_OPEN):
        breaker.failed("no connection")
        breaker.answered(503)
        breaker.answered(422)
    assert not breaker.is_open


def test_one_poll_at_a_time_asks_whether_the_venue_is_back() -> None:
    clock = HandClock()
    breaker = opened(clock)
    clock.secs += 1.0
    with breaker.admitted(Priority.POLL):
        assert not admits(breaker, Priority.POLL)
        assert not admits(breaker, Priority.ENTRY)
        breaker.answered(200)
    assert admits(breaker, Priority.ENTRY)
    assert shown() == 0


def test_the_wait_doubles_while_the_venue_stays_away_and_is_bounded() -> None:
    clock = HandClock()
    breaker = opened(clock)
    waits = []
    for _ in range(6):
        waits.append(breaker.asks_after_secs)
        clock.secs += breaker.asks_after_secs
        with breaker.admitted(Priority.POLL):
            breaker.failed("no answer in time")
    assert waits == [1.0, 2.0, 4.0, 8.0, MAX_WAIT_SECS, MAX_WAIT_SECS]


def test_a_reducing_order_that_gets_through_closes_it() -> None:
    breaker = opened(HandClock())
    with breaker.admitted(Priority.PROTECTION):
        breaker.answered(422)
    assert admits(breaker, Priority.ENTRY)


async def test_over_the_wire_entries_stop_cancels_go_on_and_the_heartbeat_resumes(
    venue: Any, settings_for: Any, secrets: Any, entry: Any, answers: Any, told: Callable[..., dict[str, Any]]
) -> None:
    """No request of ours is needed for it to close again."""
    clock = ManualMonotonicClock()
    broker = open_broker(settings_for(venue.port), secrets, monotonic_clock=clock, environ={})
    down = answers.text(503, "<html>maintenance</html>")
    venue.then(*[down] * FAILURES_TO_OPEN, answers.json(503, {"message": "still down"}))
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(OutcomeUnknown):
            await broker.submit_order(entry, last_write_at_secs=clock.now_secs() + 60)
    sent = len(venue.requests)
    with pytest.raises(NotSent, match="reducing orders only"):
        await broker.submit_order(entry, last_write_at_secs=clock.now_secs() + 60)
    with pytest.raises(VenueUnavailable):
        await broker.account()
    assert len(venue.requests) == sent
    with pytest.raises(OutcomeUnknown):
        await broker.cancel_order(ORDER_ID)
    assert venue.requests[-1].method == "DELETE"
    venue.scripts[:] = [answers.json(200, told(client_order_id="hf-one"))]
    venue.arrived.clear()
    clock.advance(MAX_WAIT_SECS)
    async with asyncio.timeout(30):
        while not any(request.target == "/v2/clock" for request in venue.requests):
            await venue.arrived.wait()
            venue.arrived.clear()
        while True:
            with suppress(NotSent):
                order = await broker.submit_order(entry, last_write_at_secs=clock.now_secs() + 60)
                break
            await asyncio.sleep(0)
    assert order.order_id == ORDER_ID
    assert shown() == 0
    await broker.close()
