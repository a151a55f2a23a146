"""What every bus does alike: in memory, on the wheel's nats-server, and on the public NATS image.

BS-3 deterministic ids and one effect, PR-1 nothing lost silently, CQ-1 failures recorded, FP-6.2 the bus away.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry import context, trace

from holdfast_runtime.bus.dead_letters import list_dead_letters, read_dead_letter
from holdfast_runtime.bus.settlement import EXHAUSTED
from holdfast_runtime.errors import GiveUp, Malformed, Retry
from holdfast_runtime.ports.bus import Bus, Consumer, Letter, Message
from tests.contract.bus_backends import (
    ACK_WAIT_SECS,
    CYCLES,
    KINDS,
    PATIENCE_SECS,
    Backend,
    eventually,
    publish_in_spite,
    reading,
    server_of,
    working,
)

SCORING = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",))


@pytest.fixture(params=KINDS)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    with server_of(request.param, tmp_path) as running:
        yield running
        await running.close()


@pytest.fixture
async def bus(backend: Backend) -> Bus:
    return await backend.connect("test")


async def publish(bus: Bus, *names: str, subject: str = CYCLES) -> None:
    for name in names:
        await bus.publish(subject, name.encode(), message_id=name)


async def acknowledged(bus: Bus, position: int, consumer: Consumer = SCORING) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while await bus.acknowledged(consumer) != position:  # noqa: ASYNC110  # the condition is in the server
            await asyncio.sleep(0.01)


async def test_messages_come_in_order_and_are_acknowledged_after_the_handler(bus: Bus) -> None:
    await publish(bus, "one", "two", "three")
    async with working(bus, SCORING) as worker:
        await worker.finished(3)
        await publish(bus, "four")
        await worker.finished(4)
        await acknowledged(bus, 4)
    assert worker.ids() == ["one", "two", "three", "four"]
    assert [each.sequence for each in worker.done] == [1, 2, 3, 4]
    assert [each.payload for each in worker.done] == [b"one", b"two", b"three", b"four"]
    assert {each.deliveries for each in worker.done} == {1}
    assert await bus.last_position("CYCLES") == 4


async def test_the_same_id_again_is_stored_once_and_answers_the_first_position(bus: Bus) -> None:
    """BS-3: a repeated publish has one effect."""
    first = await bus.publish(CYCLES, b"x", message_id="cycle-1")
    await bus.publish(CYCLES, b"y", message_id="cycle-2")
    assert await bus.publish(CYCLES, b"x", message_id="cycle-1") == first == 1
    assert await bus.last_position("CYCLES") == 2


async def test_many_are_published_in_their_order_and_a_repeat_stores_nothing(bus: Bus) -> None:
    letters = [Letter(subject=CYCLES, payload=name.encode(), message_id=name) for name in ("a", "b", "c")]
    assert await bus.publish_all(letters) == [True, True, True]
    assert await bus.publish_all(letters[1:]) == [True, True]
    assert await bus.last_position("CYCLES") == 3
    stored = await bus.stored("CYCLES", CYCLES)  # type: ignore[attr-defined]  # StoredMessages beside Bus
    assert [each.payload for each in stored] == [b"a", b"b", b"c"]
    assert await bus.publish_all([]) == []


async def test_a_message_is_given_again_after_retry_and_those_behind_it_wait(bus: Bus) -> None:
    """BR-5: order within a strategy survives a redelivery."""
    failures = iter((Retry("gate is away", after_secs=0.05), Retry("gate is away", after_secs=0.0)))

    async def act(message: Message) -> None:
        if message.message_id == "one" and (failure := next(failures, None)):
            raise failure

    await publish(bus, "one", "two")
    async with working(bus, SCORING, act) as worker:
        await worker.finished(2)
    assert [(each.message_id, each.deliveries) for each in worker.given] == [
        ("one", 1),
        ("one", 2),
        ("one", 3),
        ("two", 1),
    ]


async def test_a_malformed_message_is_put_aside_with_its_reason_and_the_next_goes_on(bus: Bus) -> None:
    """BS-8, PR-1: quarantined, never dropped."""

    async def act(message: Message) -> None:
        if message.message_id == "bad":
            raise Malformed("cycle.market_time is missing\nline two")

    await bus.publish(CYCLES, b"\xff\x00not a cycle", message_id="bad", headers={"Source": "test"})
    await publish(bus, "good")
    async with working(bus, SCORING, act) as worker:
        await worker.finished(1)
        await acknowledged(bus, 2)
    assert worker.ids() == ["good"]
    assert len(worker.given) == 2
    (letter,) = await list_dead_letters(bus)
    assert letter.payload == b"\xff\x00not a cycle"
    assert (letter.stream, letter.subject, letter.sequence) == ("CYCLES", CYCLES, 1)
    assert (letter.message_id, letter.consumer, letter.deliveries) == ("bad", "scoring", 1)
    assert (letter.kind, letter.reason) == ("Malformed", "cycle.market_time is missing line two")
    assert letter.headers["Source"] == "test"
    assert await read_dead_letter(bus, letter.position) == letter
    assert await read_dead_letter(bus, letter.position + 1) is None


async def test_a_message_whose_retries_are_used_up_is_put_aside(bus: Bus) -> None:
    async def act(message: Message) -> None:
        if message.message_id == "one":
            raise Retry("gate is away", after_secs=0.0)

    consumer = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",), max_deliveries=3)
    await publish(bus, "one", "two")
    async with working(bus, consumer, act) as worker:
        await worker.finished(1)
    assert [each.deliveries for each in worker.given] == [1, 2, 3, 1]
    (letter,) = await list_dead_letters(bus)
    assert (letter.kind, letter.deliveries, letter.message_id) == (EXHAUSTED, 3, "one")
    assert "gate is away" in letter.reason


async def test_an_unexpected_failure_is_tried_again_and_then_put_aside(bus: Bus) -> None:
    """CQ-1: a defect in a handler loses no message and stops no stream."""

    async def act(message: Message) -> None:
        if message.message_id == "one":
            raise ZeroDivisionError("a defect")

    consumer = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",), max_deliveries=2)
    await publish(bus, "one", "two")
    async with working(bus, consumer, act) as worker:
        await worker.finished(1)
    assert [each.deliveries for each in worker.given] == [1, 2, 1]
    (letter,) = await list_dead_letters(bus)
    assert "ZeroDivisionError: a defect" in letter.reason


async def test_a_message_that_kills_its_worker_each_time_is_put_aside_untried(bus: Bus) -> None:
    """FP-6.3: a poison message does not keep a service from starting."""
    stuck = asyncio.Event()

    async def act(message: Message) -> None:
        if message.message_id == "poison":
            await stuck.wait()

    consumer = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",), max_deliveries=2)
    await publish(bus, "poison", "good")
    for _ in range(2):
        async with working(bus, consumer, act) as worker:
            await eventually(lambda: len(worker.given) == 1)
    async with working(bus, consumer, act) as worker:
        await worker.finished(1)
    assert [each.message_id for each in worker.given] == ["good"]
    (letter,) = await list_dead_letters(bus)
    assert (letter.kind, letter.message_id) == (EXHAUSTED, "poison")


async def test_a_handler_longer_than_the_acknowledgement_wait_is_not_overtaken(backend: Backend, bus: Bus) -> None:
    """order-protocol: one worker at a time, however long the chain takes."""
    loop = asyncio.get_running_loop()

    async def act(message: Message) -> None:
        until_secs = loop.time() + 2.5 * ACK_WAIT_SECS
        await eventually(lambda: loop.time() > until_secs)

    await publish(bus, "slow")
    async with working(bus, SCORING, act) as first, working(await backend.connect("other"), SCORING, act) as second:
        await eventually(lambda: len(first.done) + len(second.done) == 1)
        await acknowledged(bus, 1)
    assert len(first.given) + len(second.given) == 1


async def test_two_workers_of_one_consumer_never_work_at_the_same_time(backend: Backend, bus: Bus) -> None:
    at_work = most_at_work = 0
    order: list[str] = []

    async def act(message: Message) -> None:
        nonlocal at_work, most_at_work
        at_work += 1
        most_at_work = max(most_at_work, at_work)
        await bus.last_position("CYCLES")
        order.append(message.message_id)
        at_work -= 1

    names = [f"cycle-{number}" for number in range(30)]
    other = await backend.connect("other")
    async with working(bus, SCORING, act) as first, working(other, SCORING, act) as second:
        await publish(bus, *names)
        await eventually(lambda: len(first.done) + len(second.done) == len(names))
    assert order == names
    assert most_at_work == 1


async def test_what_a_reader_cannot_use_is_put_aside_once_and_stays_in_its_stream(bus: Bus) -> None:
    """PR-1: a projection has no durable place, and passes over nothing silently either."""
    await publish(bus, "torn", subject="facts.v1.fill")
    (message,) = await bus.stored("FACTS", "facts.v1.>")  # type: ignore[attr-defined]  # both buses can be asked
    for _ in range(2):
        await bus.put_aside(message, "admin", "no fact: truncated")
    (letter,) = await list_dead_letters(bus)
    assert (letter.stream, letter.subject, letter.consumer) == ("FACTS", "facts.v1.fill", "admin")
    assert (letter.kind, letter.reason) == ("Malformed", "no fact: truncated")
    assert (letter.message_id, letter.sequence, letter.payload) == ("torn", message.sequence, b"torn")
    assert await bus.last_position("FACTS") == message.sequence


async def test_the_message_of_a_dead_worker_goes_to_the_next(backend: Backend, bus: Bus) -> None:
    """PR-4: what a crashed service was doing is done by its successor."""
    never = asyncio.Event()

    async def hang(message: Message) -> None:
        await never.wait()

    await publish(bus, "one", "two")
    async with working(bus, SCORING, hang) as dying:
        await eventually(lambda: len(dying.given) == 1)
    async with working(await backend.connect("next"), SCORING) as successor:
        await successor.finished(2)
    assert [(each.message_id, each.deliveries) for each in successor.given] == [("one", 2), ("two", 1)]


async def test_a_consumer_gets_its_subjects_only(bus: Bus) -> None:
    consumer = Consumer(stream="MARKET", name="monitor", subjects=("market.v1.quote.*", "market.v1.bar.SPY"))
    for subject in ("market.v1.bar.IBM", "market.v1.quote.IBM", "market.v1.bar.SPY", "market.v1.trade.SPY"):
        await publish(bus, subject, subject=subject)
    async with working(bus, consumer) as worker:
        await worker.finished(2)
    assert worker.ids() == ["market.v1.quote.IBM", "market.v1.bar.SPY"]


async def test_the_handler_continues_the_trace_of_the_publisher(bus: Bus) -> None:
    """TL-2: one trace from signal to scoring."""
    sender = trace.SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(sender)))
    await publish(bus, "one")
    context.detach(token)
    seen: list[trace.SpanContext] = []

    async def act(message: Message) -> None:
        seen.append(trace.get_current_span().get_span_context())

    async with working(bus, SCORING, act) as worker:
        await worker.finished(1)
    assert [(each.trace_id, each.span_id) for each in seen] == [(0xABC, 0xDEF)]
    assert worker.done[0].headers["traceparent"].split("-")[1:3] == [f"{0xABC:032x}", f"{0xDEF:016x}"]


async def test_a_trace_context_of_the_senders_own_wins(bus: Bus) -> None:
    given = f"00-{1:032x}-{2:016x}-01"
    await bus.publish(CYCLES, b"", message_id="one", headers={"traceparent": given})
    (message,) = await bus.stored("CYCLES", "cycles.v1.>")  # type: ignore[attr-defined]  # StoredMessages beside Bus
    assert message.headers["traceparent"] == given
    assert message.payload == b""


async def test_a_reader_gets_what_is_there_after_its_position_and_then_what_comes(bus: Bus) -> None:
    await publish(bus, "one", "two", "three")
    await publish(bus, "other", subject="cycles.v1.rotation")
    async with reading(bus.read("CYCLES", CYCLES, after=1)) as reader:
        await eventually(lambda: len(reader.seen) == 2)
        await publish(bus, "four")
        await eventually(lambda: len(reader.seen) == 3)
    assert reader.ids() == ["two", "three", "four"]
    assert [each.sequence for each in reader.seen] == [2, 3, 5]


async def test_what_is_stored_can_be_listed_in_pages(bus: Bus) -> None:
    await publish(bus, "one", "two", "three")
    await publish(bus, "other", subject="cycles.v1.rotation")
    page = await bus.stored("CYCLES", CYCLES, after=1, limit=1)  # type: ignore[attr-defined]  # StoredMessages beside Bus
    assert [each.message_id for each in page] == ["two"]
    rest = await bus.stored("CYCLES", CYCLES, after=2)  # type: ignore[attr-defined]  # StoredMessages beside Bus
    assert [each.message_id for each in rest] == ["three"]
    assert await list_dead_letters(bus) == []


async def test_what_can_never_be_published_is_refused_at_once(bus: Bus) -> None:
    with pytest.raises(GiveUp, match="no declared stream"):
        await bus.publish("unknown.v1.x", b"", message_id="one")
    with pytest.raises(GiveUp, match="message id"):
        await bus.publish(CYCLES, b"", message_id="")
    with pytest.raises(GiveUp, match="belong to the server"):
        await bus.publish(CYCLES, b"", message_id="one", headers={"Nats-Msg-Id": "two"})
    with pytest.raises(GiveUp, match="takes"):
        await bus.publish(CYCLES, bytes(2_000_000), message_id="one")
    assert await bus.last_position("CYCLES") == 0


async def test_the_largest_message_can_be_put_aside_too(bus: Bus) -> None:
    async def act(message: Message) -> None:
        raise Malformed("x" * 10_000)

    payload = bytes(950 * 1024)
    await bus.publish(CYCLES, payload, message_id="large")
    async with working(bus, SCORING, act):
        await acknowledged(bus, 1)
    (letter,) = await list_dead_letters(bus)
    assert letter.payload == payload


async def test_a_consumer_that_never_ran_has_acknowledged_nothing(bus: Bus) -> None:
    assert await bus.acknowledged(SCORING) == 0
    assert await bus.last_position("FACTS") == 0


async def test_publishing_while_the_bus_is_away_says_retry(backend: Backend, bus: Bus) -> None:
    """FP-6.2: away is told within a bound, and over when the bus is back."""
    await backend.stop()
    with pytest.raises(Retry):
        await bus.publish(CYCLES, b"", message_id="one")
    assert await bus.publish_all([Letter(subject=CYCLES, payload=b"", message_id="one")]) == [False]
    await backend.start()
    await publish_in_spite(bus, "one")
    assert [each.message_id for each in await bus.stored("CYCLES", CYCLES)] == ["one"]  # type: ignore[attr-defined]  # StoredMessages beside Bus


async def test_a_killed_server_loses_nothing_acknowledged_and_everybody_goes_on(backend: Backend, bus: Bus) -> None:
    """FP-6.2: kill -9 and a restart with the same store."""
    before = [f"before-{number}" for number in range(50)]
    after = [f"after-{number}" for number in range(50)]
    async with working(bus, SCORING) as worker, reading(bus.read("CYCLES", CYCLES)) as reader:
        await publish(bus, *before)
        await backend.stop()
        await backend.start()
        for name in after:
            await publish_in_spite(bus, name)
        await eventually(lambda: set(worker.ids()) == {*before, *after})
        await eventually(lambda: len(reader.seen) == 100)
        await acknowledged(bus, 100)
    assert reader.ids() == before + after
    assert list(dict.fromkeys(worker.ids())) == before + after
    assert [each.message_id for each in await bus.stored("CYCLES", CYCLES)] == before + after  # type: ignore[attr-defined]  # StoredMessages beside Bus


async def test_work_finished_while_the_server_was_down_is_not_done_again(backend: Backend, bus: Bus) -> None:
    """BS-3: a lost acknowledgement is no second effect."""

    async def act(message: Message) -> None:
        if message.message_id == "one":
            await backend.stop()
            await backend.start()

    await publish(bus, "one", "two")
    async with working(bus, SCORING, act) as worker:
        await worker.finished(2)
        await acknowledged(bus, 2)
    assert worker.ids() == ["one", "two"]


async def test_a_lost_store_is_made_again_and_everybody_goes_on(backend: Backend, bus: Bus) -> None:
    """DI-2: losing the bus loses nothing but what its sources publish again."""
    async with working(bus, SCORING) as worker, reading(bus.read("CYCLES", CYCLES)) as reader:
        await publish(bus, "one", "two")
        await worker.finished(2)
        await eventually(lambda: len(reader.seen) == 2)
        await backend.lose_store()
        for name in ("two", "three"):
            await publish_in_spite(bus, name)
        await worker.finished(4)
        await eventually(lambda: len(reader.seen) == 4)
        await acknowledged(bus, 2)
    assert worker.ids() == ["one", "two", "two", "three"]
    assert [(each.message_id, each.sequence) for each in reader.seen][2:] == [("two", 1), ("three", 2)]
    assert await bus.last_position("CYCLES") == 2


async def test_a_reader_that_comes_back_to_a_lost_stream_begins_at_its_first(backend: Backend, bus: Bus) -> None:
    """DI-2: a projection's stored position outlives the stream it counted in."""
    await publish(bus, "one", "two", "three")
    await backend.lose_store()
    await publish_in_spite(bus, "three")
    async with reading(bus.read("CYCLES", CYCLES, after=3)) as reader:
        await eventually(lambda: len(reader.seen) == 1)
    assert [(each.message_id, each.sequence) for each in reader.seen] == [("three", 1)]
