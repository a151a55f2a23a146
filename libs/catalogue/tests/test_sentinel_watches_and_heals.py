"""The sentinel detects, heals in bounds, verifies by the same detector, and tells a person where nothing helps."""

import asyncio
import dataclasses

import pytest

from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.points import FailurePoint, Severity
from holdfast_catalogue.sentinel import Sentinel, Watch
from holdfast_catalogue.standing import REMIND_SECS, error, ok, warn
from holdfast_runtime.clock import WallMarketClock
from holdfast_simulation.manual_clock import ManualMonotonicClock

POINT = FailurePoint(
    id="thing.broken",
    title="A thing is broken",
    owner="signal",
    severity=Severity.CRITICAL,
    covers=("SH-1",),
    detector="looks at the thing",
    healer="mends it",
    manual_steps=("mend it by hand",),
    proofs=("x::y",),
)
BY_SENTINEL = dataclasses.replace(POINT, max_attempts=3)
NOBODY = dataclasses.replace(POINT, healer="", why_no_healer="only a person can")
ON_PURPOSE = dataclasses.replace(NOBODY, intentional=True)


class Listener:
    def __init__(self):
        self.changes: list[pb.FailurePoint] = []
        self.alerts: list[pb.FailurePoint] = []

    def changed(self, point):
        self.changes.append(point)

    def alert(self, point):
        self.alerts.append(point)


class Thing:
    """What is watched, and who watches it."""

    def __init__(self, point=POINT, *, mends_after=None):
        self.clock = ManualMonotonicClock()
        self.listener = Listener()
        self.finding = ok("fine", level=1)
        self.attempts = 0
        self.mends_after = mends_after
        heal = self.heal if point.max_attempts else None
        self.sentinel = self.sentinel_of(Watch(point=point, detect=lambda: self.finding, heal=heal))

    def sentinel_of(self, *watches, **bounds):
        return Sentinel("signal", watches, clock=self.clock, wall=WallMarketClock(), listener=self.listener, **bounds)

    async def heal(self):
        self.attempts += 1
        if self.mends_after is not None and self.attempts >= self.mends_after:
            self.finding = ok("mended")

    async def look(self, *, after_secs=2.0) -> pb.FailurePoint:
        self.clock.advance(after_secs)
        await self.sentinel.turn()
        (message,) = self.sentinel.messages()
        return message


async def test_before_the_first_look_the_status_is_not_known():
    (message,) = Thing().sentinel.messages()
    assert message.status == pb.STATUS_UNSPECIFIED
    assert not message.HasField("last_check")


async def test_a_status_has_evidence_quantities_since_and_last_check():
    """MO-1, DA-3, DA-4: what, since when, when looked at, and the numbers behind it."""
    thing = Thing()
    first = await thing.look()
    assert (first.status, first.evidence, dict(first.shown)) == (pb.STATUS_OK, "fine", {"level": "1"})
    second = await thing.look()
    assert second.since == first.since
    assert second.last_check.ToNanoseconds() > first.last_check.ToNanoseconds()
    thing.finding = error("gone", level=0)
    third = await thing.look()
    assert third.status == pb.STATUS_ERROR
    assert third.since == third.last_check
    assert [each.status for each in thing.listener.changes] == [pb.STATUS_OK, pb.STATUS_ERROR]


async def test_a_detector_that_raises_is_an_error_with_that_evidence_never_an_ok():
    thing = Thing()

    def broken():
        raise RuntimeError("no view")

    thing.sentinel = thing.sentinel_of(Watch(point=POINT, detect=broken))
    message = await thing.look()
    assert message.status == pb.STATUS_ERROR
    assert "RuntimeError: no view" in message.evidence


async def test_a_detector_that_gives_no_answer_is_an_error_and_holds_nobody_up():
    thing = Thing()

    async def silent():
        await asyncio.Event().wait()

    other = dataclasses.replace(POINT, id="other.thing")
    thing.sentinel = thing.sentinel_of(
        Watch(point=POINT, detect=silent), Watch(point=other, detect=ok), detect_bound_secs=0.01
    )
    await thing.sentinel.turn()
    mute, fine = thing.sentinel.messages()
    assert (mute.status, fine.status) == (pb.STATUS_ERROR, pb.STATUS_OK)
    assert "no answer" in mute.evidence


async def test_it_heals_and_verifies_by_its_own_detector():
    """SH-1: detector, procedure, verification."""
    thing = Thing(BY_SENTINEL, mends_after=1)
    thing.finding = error("gone")
    message = await thing.look()
    assert (message.status, message.heals, message.heal_attempts) == (pb.STATUS_OK, 1, 1)
    assert [each.status for each in thing.listener.changes] == [pb.STATUS_ERROR, pb.STATUS_OK]
    assert not thing.listener.alerts


async def test_coming_up_for_the_first_time_is_no_heal():
    thing = Thing()
    thing.finding = warn("not there yet")
    await thing.look()
    thing.finding = ok()
    assert (await thing.look()).heals == 0
    thing.finding = error("gone")
    await thing.look()
    thing.finding = ok()
    assert (await thing.look()).heals == 1


async def test_attempts_are_bounded_and_then_a_person_is_told_the_steps():
    """SH-2, MO-2, MO-3: escalation after the last attempt, once, and a reminder while it lasts."""
    thing = Thing(BY_SENTINEL)
    thing.finding = error("gone")
    for _ in range(100):
        message = await thing.look()
    assert thing.attempts == message.heal_attempts == 3
    assert [list(each.manual_steps) for each in thing.listener.alerts] == [["mend it by hand"]]
    await thing.look(after_secs=REMIND_SECS)
    assert len(thing.listener.alerts) == 2


async def test_each_attempt_waits_longer_than_the_one_before():
    thing = Thing(BY_SENTINEL)
    thing.finding = error("gone")
    at = []
    for second in range(30):
        before = thing.attempts
        await thing.look(after_secs=1.0)
        if thing.attempts > before:
            at.append(second)
    assert len(at) == 3
    assert at[2] - at[1] > at[1] - at[0]


async def test_a_healer_that_raises_has_used_up_its_attempt_and_breaks_nothing():
    thing = Thing(BY_SENTINEL)

    async def clumsy():
        thing.attempts += 1
        raise OSError("no tools")

    thing.finding = error("gone")
    thing.sentinel = thing.sentinel_of(Watch(point=BY_SENTINEL, detect=lambda: thing.finding, heal=clumsy))
    for _ in range(20):
        message = await thing.look()
    assert (message.status, thing.attempts) == (pb.STATUS_ERROR, 3)
    assert thing.listener.alerts


async def test_a_healer_inside_the_product_has_its_time_before_a_person_is_told():
    thing = Thing()
    thing.finding = error("gone")
    await thing.look()
    await thing.look(after_secs=POINT.heal_within_secs - 1)
    assert not thing.listener.alerts
    await thing.look()
    assert [each.status for each in thing.listener.alerts] == [pb.STATUS_ERROR]


async def test_where_nobody_heals_a_person_is_told_at_once_and_told_again_when_it_is_over():
    thing = Thing(NOBODY)
    thing.finding = error("gone")
    await thing.look()
    thing.finding = ok("back")
    message = await thing.look()
    assert [each.status for each in thing.listener.alerts] == [pb.STATUS_ERROR, pb.STATUS_OK]
    assert message.heals == 0


async def test_a_warning_is_shown_and_wakes_nobody():
    thing = Thing(BY_SENTINEL)
    thing.finding = warn("a little")
    for _ in range(50):
        message = await thing.look()
    assert (message.status, thing.attempts, thing.listener.alerts) == (pb.STATUS_WARN, 0, [])


async def test_a_block_on_purpose_is_shown_and_never_alarms():
    thing = Thing(ON_PURPOSE)
    thing.finding = error("engaged")
    for _ in range(50):
        message = await thing.look(after_secs=60)
    assert message.status == pb.STATUS_ERROR
    assert message.intentional
    assert not thing.listener.alerts


async def test_every_point_has_its_own_cadence():
    thing = Thing()
    looks = []
    thing.sentinel = thing.sentinel_of(Watch(point=POINT, detect=lambda: looks.append(1) or ok(), every_secs=10))
    for _ in range(10):
        await thing.look()
    assert len(looks) == 2


async def test_a_healer_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="bound"):
        Watch(point=POINT, detect=ok, heal=Thing().heal)
