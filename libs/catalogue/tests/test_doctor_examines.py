"""IN-8: every process examines its own edges at start, before the open and on demand; everybody's word is gathered."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.doctor.v1 import doctor_pb2 as pb
from holdfast_catalogue.doctor.checks import Check, Result, Verdict, doubtful, examine, gravest, red, well
from holdfast_catalogue.doctor.clinic import ANSWER_WITHIN_SECS, REQUEST_TRIES, Clinic
from holdfast_catalogue.doctor.examiner import (
    AGAIN,
    ASKED,
    FIRST_AGAIN_SECS,
    LAST_AGAIN_SECS,
    OPEN,
    REQUEST,
    START,
    START_WITHIN_SECS,
    Examiner,
)
from holdfast_core.sessions import calendar_of
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.errors import AskPerson, Retry
from holdfast_runtime.ports.buckets import Entry
from holdfast_runtime.secrets import Secret
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_bus import MemoryBucket

OPENS = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)
STEPS = ("look",)


def check(look, name="edge", **changes) -> Check:
    return Check(**{"name": name, "look": look, "steps": STEPS, **changes})


async def found(look, **changes) -> pb.CheckResult:
    (only,) = await examine([check(look, **changes)])
    return only


# --- a check


async def test_a_check_that_is_well_says_nothing_to_do():
    assert await found(lambda: well("it answers")) == pb.CheckResult(
        check="edge", verdict=pb.VERDICT_OK, evidence="it answers"
    )


async def test_what_a_check_raises_is_red_with_its_words_and_what_to_do():
    def gone() -> Result:
        raise Retry("connection refused")

    def person() -> Result:
        raise AskPerson("no such key", steps=("put the key there",))

    told = await found(gone)
    assert (told.verdict, told.evidence, list(told.steps)) == (pb.VERDICT_RED, "connection refused", ["look"])
    assert list((await found(person)).steps) == ["put the key there"]


async def test_a_check_that_hangs_is_red_after_its_deadline_and_holds_no_other_up():
    async def hangs() -> Result:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    first, second = await examine([check(hangs, deadline_secs=0.01), check(lambda: well("fine"))])
    assert (first.verdict, first.evidence) == (pb.VERDICT_RED, "no answer within 0.01 s")
    assert second.verdict == pb.VERDICT_OK


async def test_no_secret_is_in_what_a_check_says():
    """SE-2."""
    secret = Secret("s3cret-of-the-ledger")
    told = await found(lambda: red(f"cannot log in with {secret.reveal()}"))
    assert "s3cret" not in told.evidence


def test_a_verdict_that_nobody_knows_is_red():
    assert gravest([pb.CheckResult(verdict=17)]) is Verdict.RED  # type: ignore[arg-type]  # an older reader's view


# --- when a process examines itself


@dataclass
class Market:
    at: datetime = OPENS - timedelta(hours=2)

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, instant: datetime) -> None:
        raise AssertionError("no timer may hold the lock-step")


@dataclass
class Process:
    """An examiner with one edge."""

    bucket: MemoryBucket = field(default_factory=lambda: MemoryBucket("doctor"))
    service: str = "gate"
    edge: Result = field(default_factory=lambda: well("it answers"))
    ready: bool = True

    def __post_init__(self):
        self.clock = ManualMonotonicClock()
        self.market = Market()
        self.examiner = Examiner(
            self.service, "host", [check(lambda: self.edge)],
            bucket=self.bucket, clock=self.clock, wall=WallMarketClock(), market=self.market,
            calendars=[calendar_of("equity")], ready=lambda: self.ready,
        )  # fmt: skip

    async def turn(self, secs: float = 1.0) -> str:
        """One turn later: why it was examined, empty where it was not."""
        before = self.examiner.newest
        self.clock.advance(secs)
        await self.examiner.turn()
        newest = self.examiner.newest
        return "" if newest is before or newest is None else newest.trigger

    async def told(self) -> pb.Examination:
        entry = await self.bucket.get(self.examiner.key)
        return pb.Examination.FromString(entry.value)


async def test_it_is_examined_at_start_once_it_is_ready_and_tells_the_result():
    process = Process(ready=False)
    assert await process.turn() == ""
    process.ready = True
    assert await process.turn() == START
    told = await process.told()
    assert (told.service, told.trigger, told.results[0].verdict) == ("gate", START, pb.VERDICT_OK)
    assert await process.turn() == ""


async def test_one_that_does_not_become_ready_is_examined_all_the_same():
    process = Process(ready=False)
    assert await process.turn(START_WITHIN_SECS + 1) == START


async def test_one_that_is_asked_before_it_is_ready_is_examined_at_once():
    """What keeps it from being ready may be the edge that is looked for."""
    process = Process(ready=False)
    await process.turn()
    await process.bucket.create(REQUEST, b"examine")
    assert await process.turn() == ASKED


async def test_it_is_examined_15_minutes_before_the_open_and_once_for_each_session():
    process = Process()
    assert await process.turn() == START
    process.market.at = OPENS - timedelta(minutes=16)
    assert await process.turn() == ""
    process.market.at = OPENS - timedelta(minutes=15)
    assert await process.turn() == OPEN
    process.market.at = OPENS + timedelta(hours=1)
    assert await process.turn() == ""


async def test_a_session_that_market_time_has_leapt_into_is_examined_once():
    """A replay at full speed passes the quarter of an hour before the open between two looks."""
    process = Process()
    await process.turn()
    process.market.at = OPENS + timedelta(hours=2)
    assert await process.turn() == OPEN
    assert await process.turn() == ""
    process.market.at = OPENS + timedelta(days=1)
    assert await process.turn(60) == OPEN


async def test_before_the_first_tick_there_is_no_market_time_and_no_session():
    process = Process()
    process.market.at = datetime(1970, 1, 1, tzinfo=UTC)
    assert await process.turn() == START
    assert await process.turn() == ""


@pytest.mark.parametrize("unwell", [red("connection refused"), doubtful("it answers, and says that it is not ready")])
async def test_what_is_not_well_is_examined_again_until_it_is(unwell: Result):
    process = Process(edge=unwell)
    assert await process.turn() == START
    assert await process.turn(FIRST_AGAIN_SECS / 2) == ""
    assert await process.turn(FIRST_AGAIN_SECS) == AGAIN
    assert await process.turn(FIRST_AGAIN_SECS) == ""
    process.edge = well("it answers")
    assert await process.turn(LAST_AGAIN_SECS) == AGAIN
    assert await process.turn(LAST_AGAIN_SECS) == ""


async def test_while_the_bus_is_away_it_is_examined_and_tells_later():
    process = Process()
    process.bucket.away = True
    assert await process.turn() == START
    process.bucket.away = False
    assert await process.turn() == ""
    assert (await process.told()).trigger == START


async def test_in_lock_step_what_the_venue_counts_is_looked_at_on_demand_only():
    """Faults of a replay count requests: one more would make another run of it."""
    process, looks = Process(), []

    def broker() -> Result:
        looks.append("broker")
        return process.edge

    process.examiner = Examiner(
        "execution", "host", [check(lambda: well("it answers"), "bus"), check(broker, "broker", counted=True)],
        bucket=process.bucket, clock=process.clock, wall=WallMarketClock(), market=process.market,
        calendars=[calendar_of("equity")], ready=lambda: True, must_repeat=True,
    )  # fmt: skip
    assert await process.turn() == START
    assert (looks, [each.check for each in process.examiner.newest.results]) == ([], ["bus"])
    process.edge = red("HTTP 401")
    await process.bucket.create(REQUEST, b"examine")
    assert await process.turn() == ASKED
    assert looks == ["broker"]
    process.edge = well("it answers")
    assert await process.turn(LAST_AGAIN_SECS) == AGAIN
    assert looks == ["broker"] * 2, "until it is well again"
    process.market.at = OPENS - timedelta(minutes=10)
    assert await process.turn(LAST_AGAIN_SECS) == OPEN
    assert looks == ["broker"] * 2
    assert [each.check for each in process.examiner.newest.results] == ["bus", "broker"], "the last word stands"


# --- everybody's word


class Stack:
    """Two services and admin, who asks."""

    def __init__(self, bucket: MemoryBucket | None = None):
        self.bucket = MemoryBucket("doctor") if bucket is None else bucket
        self.processes = {name: Process(self.bucket, name) for name in ("gate", "scoring", "admin")}
        self.admin = self.processes["admin"]
        self.clinic = Clinic(
            self.bucket, self.admin.examiner, speaking=self.speaking, clock=self.admin.clock,
            services=("scoring", "gate", "admin"),
        )  # fmt: skip
        self.gone: set[str] = set()

    def speaking(self) -> set[str]:
        return {each.examiner.key for name, each in self.processes.items() if name not in {"admin", *self.gone}}

    async def turn(self, *, but: str = "", secs: float = 1.0) -> None:
        for name, process in self.processes.items():
            if name != but:
                await process.turn(secs)
        for key in [] if self.bucket.away else await self.bucket.keys():
            self.clinic.take(await self.bucket.get(key))

    async def verdicts(self) -> dict[str, str]:
        answer = await self.clinic.list_examinations(pb.ListExaminationsRequest())
        return {each.service: gravest(each.results).name if each.results else "" for each in answer.examinations}


async def test_on_demand_every_process_examines_itself_anew():
    stack = Stack()
    await stack.turn()
    stack.processes["gate"].edge = red("execution: connection refused")
    asked = (await stack.clinic.examine(pb.ExamineRequest())).request
    assert asked > 0
    assert not stack.clinic.complete
    await stack.turn()
    assert stack.clinic.complete
    answer = await stack.clinic.list_examinations(pb.ListExaminationsRequest())
    assert [(each.service, each.trigger, each.request) for each in answer.examinations] == [
        ("scoring", ASKED, asked), ("gate", ASKED, asked), ("admin", ASKED, asked)
    ]  # fmt: skip
    assert await stack.verdicts() == {"scoring": "OK", "gate": "RED", "admin": "OK"}


async def test_who_asks_while_all_are_being_examined_gets_the_same_answers():
    stack = Stack()
    await stack.turn()
    assert await stack.clinic.ask() == await stack.clinic.ask()


class Contested(MemoryBucket):
    """Somebody else asks between the next `others` reads of the request and what is written upon them."""

    others = 0

    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        if key == REQUEST and self.others and entry is not None:
            self.others -= 1
            await self.update(key, entry.value, revision=entry.revision)
        return entry


async def asked_beside(others: int) -> tuple[int, int]:
    """The number of a request that is made while others are, and of the newest of theirs."""
    stack = Stack(Contested("doctor"))
    await stack.turn()
    first = await stack.bucket.create(REQUEST, b"examine")
    stack.bucket.others = others
    asked = await stack.clinic.ask()
    return asked.number, first + others


async def test_who_asks_beside_somebody_else_asks_anew():
    """BS-5: what the other one asked may have been answered before this was wished for."""
    number, theirs = await asked_beside(2)
    assert number == theirs + 1


async def test_who_cannot_ask_for_all_the_others_that_do_says_so():
    """BS-5: the tries are bounded."""
    number, _ = await asked_beside(REQUEST_TRIES)
    assert number == 0


async def test_a_service_that_does_not_answer_is_red():
    stack = Stack()
    await stack.turn()
    await stack.clinic.ask()
    await stack.turn(but="gate")
    assert not stack.clinic.complete
    await stack.turn(but="gate", secs=ANSWER_WITHIN_SECS + 1)
    assert stack.clinic.complete
    assert await stack.verdicts() == {"scoring": "OK", "gate": "RED", "admin": "OK"}


async def test_a_service_of_which_no_process_speaks_is_red():
    stack = Stack()
    await stack.turn()
    stack.gone.add("gate")
    assert (await stack.verdicts())["gate"] == "RED"


async def test_without_the_bus_admin_speaks_for_itself_and_the_others_do_not_answer():
    stack = Stack()
    await stack.turn()
    stack.bucket.away = True
    stack.admin.edge = red("bus: not connected")
    assert (await stack.clinic.examine(pb.ExamineRequest())).request == 0
    while not stack.clinic.complete:  # noqa: ASYNC110 - it waits for a task that ends by itself
        await asyncio.sleep(0)
    await stack.turn()
    assert await stack.verdicts() == {"scoring": "RED", "gate": "RED", "admin": "RED"}
    assert stack.clinic.complete
