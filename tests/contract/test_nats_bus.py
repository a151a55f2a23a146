"""What only a NATS server can show: declared streams on it, credentials, and streams that are full."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nats.errors import UnexpectedEOF
from nats.js.api import StorageType

from holdfast_cli.nats_server import NatsServer
from holdfast_runtime.bus.nats_bus import NatsBus, StreamFull
from holdfast_runtime.bus.provision import BusMismatch, bucket_config, differences, stream_config
from holdfast_runtime.bus.streams import BUCKETS, STREAMS, stream_named
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.bus import Consumer
from tests.contract.bus_backends import CYCLES, PATIENCE_SECS, eventually, publish_in_spite, running, working

SCORING = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",))
TOKEN = "let-me-in"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as running:
        yield running


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[NatsBus]:
    connected = NatsBus(url=server.url)
    await connected.connect()
    yield connected
    await connected.close()


async def test_apply_makes_the_server_look_like_the_table_and_may_be_repeated(bus: NatsBus) -> None:
    assert await bus.apply() == []
    for stream in STREAMS:
        info = await bus.link.js.stream_info(stream.name)
        assert differences(stream_config(stream, replicas=1), info.config) == {}
    for bucket in BUCKETS:
        info = await bus.link.js.stream_info(bucket.stream)
        assert differences(bucket_config(bucket, replicas=1), info.config) == {}


async def test_apply_makes_again_only_what_is_missing(bus: NatsBus) -> None:
    """DI-2"""
    await bus.publish(CYCLES, b"", message_id="kept")
    await bus.link.js.delete_stream("FACTS")
    assert await bus.apply() == ["FACTS"]
    assert await bus.last_position("CYCLES") == 1


async def test_publishing_to_a_deleted_stream_makes_it_again(bus: NatsBus) -> None:
    await bus.link.js.delete_stream("CYCLES")
    assert await bus.publish(CYCLES, b"", message_id="one") == 1


async def test_a_consumer_deleted_on_the_server_is_made_again(bus: NatsBus) -> None:
    async with working(bus, SCORING) as worker:
        await bus.publish(CYCLES, b"", message_id="one")
        await worker.finished(1)
        await bus.link.js.delete_consumer("CYCLES", "scoring")
        await bus.publish(CYCLES, b"", message_id="two")
        await eventually(lambda: "two" in worker.ids())


async def test_a_stream_that_differs_is_named_with_field_and_values(bus: NatsBus) -> None:
    """CF-1: the error says what is wrong and what was declared."""
    wanted = stream_config(stream_named("ALERTS"), replicas=1)
    await bus.link.js.update_stream(wanted, max_bytes=4_096)
    with pytest.raises(BusMismatch, match="stream ALERTS: max_bytes is 4096, declared 33554432"):
        await bus.apply(update=False)
    assert await bus.apply() == []
    await bus.apply(update=False)


async def test_one_wrong_stream_keeps_no_other_from_being_made(bus: NatsBus) -> None:
    await bus.link.js.update_stream(stream_config(stream_named("CYCLES"), replicas=1), max_bytes=4_096)
    await bus.link.js.delete_stream("FACTS")
    with pytest.raises(BusMismatch, match="stream CYCLES"):
        await bus.apply(update=False)
    assert await bus.publish("facts.v1.fill", b"", message_id="fact-1") == 1


async def test_a_change_that_the_server_refuses_is_told_with_what_to_do(bus: NatsBus) -> None:
    wanted = stream_config(stream_named("ALERTS"), replicas=1)
    await bus.link.js.delete_stream("ALERTS")
    await bus.link.js.add_stream(wanted, storage=StorageType.MEMORY)
    with pytest.raises(BusMismatch, match="stream ALERTS: the server refuses it") as raised:
        await bus.apply()
    assert any("delete stream ALERTS" in step for step in raised.value.steps)


async def test_a_server_without_room_is_told_with_the_stream(tmp_path: Path) -> None:
    with NatsServer(tmp_path, max_file_store=1024 * 1024) as small:
        bus = NatsBus(url=small.url)
        with pytest.raises(BusMismatch, match="stream CYCLES: the server has no room"):
            await bus.connect()
        await bus.close()


async def test_a_full_stream_refuses_and_keeps_what_it_has(bus: NatsBus) -> None:
    """PR-1: nothing unread is dropped to make room."""
    await bus.link.js.update_stream(stream_config(stream_named("ALERTS"), replicas=1), max_bytes=4_096)
    for name in ("one", "two", "three"):
        await bus.publish("alerts.v1.x", bytes(1_000), message_id=name)
    with pytest.raises(StreamFull, match="ALERTS"):
        await bus.publish("alerts.v1.x", bytes(1_000), message_id="four")
    assert [each.message_id for each in await bus.stored("ALERTS", "alerts.v1.>")] == ["one", "two", "three"]


async def test_a_bus_whose_server_is_not_there_yet_says_retry_and_works_when_it_comes(tmp_path: Path) -> None:
    """FP-6.2: start order does not matter."""
    server = NatsServer(tmp_path)
    async with running(NatsBus(url=server.url)) as bus, working(bus, SCORING) as worker:
        with pytest.raises(Retry):
            await bus.publish(CYCLES, b"", message_id="early")
        with pytest.raises(Retry):
            await bus.last_position("CYCLES")
        assert not bus.connected
        await asyncio.to_thread(server.start)
        try:
            await publish_in_spite(bus, "late")
            await worker.finished(1)
        finally:
            server.stop()
    assert worker.ids() == ["late"]


async def test_a_wrong_token_is_refused_and_stays_out_of_what_is_shown(tmp_path: Path) -> None:
    """SE-4"""
    with NatsServer(tmp_path, token=TOKEN) as server:
        wrong = NatsBus(url=server.url, token="guessed-token")
        with pytest.raises(Retry, match="no bus within") as raised:
            await wrong.connect(timeout_secs=1.0)
        await wrong.close()
        assert "guessed-token" not in f"{raised.value!r} {wrong!r} {vars(wrong)!r}"
        right = NatsBus(url=server.url, token=TOKEN)
        await right.connect()
        assert await right.publish(CYCLES, b"", message_id="one") == 1
        await right.close()


async def test_a_connection_that_the_client_gave_up_is_built_anew(tmp_path: Path) -> None:
    """PR-4: a token that is refused for a while (rotation) does not end the service."""
    server = NatsServer(tmp_path, token=TOKEN)
    rotated = NatsServer(tmp_path, port=server.port, token="another-token")
    await asyncio.to_thread(server.start)
    try:
        async with running(NatsBus(url=server.url, token=TOKEN)) as bus, working(bus, SCORING) as worker:
            await publish_in_spite(bus, "one")
            await worker.finished(1)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(rotated.start)
            with pytest.raises(Retry):
                await bus.publish(CYCLES, b"", message_id="refused")
            await asyncio.to_thread(rotated.kill)
            await asyncio.to_thread(server.start)
            await publish_in_spite(bus, "two")
            await eventually(lambda: worker.ids() == ["one", "two"])
    finally:
        server.stop()
        rotated.stop()


async def test_waiting_for_a_connection_whose_loss_is_not_told_yet_lets_it_come_back(bus: NatsBus) -> None:
    """Between the loss and the client's word of it nobody may wait without letting others work: it never came back."""
    await bus.link.client._process_op_err(UnexpectedEOF())
    assert not bus.link.connected
    assert await bus.link.wait(PATIENCE_SECS)
    assert await bus.publish(CYCLES, b"", message_id="one") == 1


@pytest.mark.parametrize("was_up", [True, False], ids=["lost", "never-there"])
async def test_closing_while_the_server_is_down_leaves_nothing_running(tmp_path: Path, was_up: bool) -> None:
    """PR-4: SIGTERM ends a service whose bus is away; the client alone would go on connecting."""
    server = NatsServer(tmp_path)
    if was_up:
        await asyncio.to_thread(server.start)
    before = asyncio.all_tasks()
    async with running(NatsBus(url=server.url)) as bus, working(bus, SCORING):
        if was_up:
            await eventually(lambda: bus.connected)
            await asyncio.to_thread(server.kill)
            await eventually(lambda: not bus.connected)
        else:
            with pytest.raises(Retry):
                await bus.publish(CYCLES, b"", message_id="one")
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_more_replicas_than_the_table_allows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bus\.replicas: 2"):
        NatsBus(url="nats://127.0.0.1:1", replicas=2)


async def test_a_survey_names_what_is_missing_or_differs_and_reads_the_servers_clock(bus: NatsBus) -> None:
    """IN-5, IN-8: it only looks."""
    now = WallMarketClock().now
    seen = await bus.survey(now=now)
    assert (seen.looked_at, seen.troubles) == (len(STREAMS) + len(BUCKETS), ())
    assert abs(seen.skew.total_seconds()) < 1.0, "one machine has one clock"
    await bus.link.js.delete_stream("ALERTS")
    await bus.link.js.update_stream(replace(stream_config(stream_named("FACTS"), replicas=1), max_bytes=4096))
    assert (await bus.survey(now=now)).troubles == ("FACTS differs in max_bytes", "ALERTS: stream not found")


async def test_a_survey_of_a_bus_that_is_away_is_told_as_such(server: NatsServer) -> None:
    bus = NatsBus(url=server.url)
    with pytest.raises(Retry, match="not connected"):
        await bus.survey(now=WallMarketClock().now)
