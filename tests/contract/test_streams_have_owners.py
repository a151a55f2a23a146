"""Every stream has one service that makes it, after a loss too; the others name what they miss, and wait (IN-5)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from holdfast_cli.nats_server import NatsServer
from holdfast_runtime.bus.link import BusAway
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.bus.permissions import DUTIES
from holdfast_runtime.bus.streams import BUCKETS, STREAMS
from tests.contract.bus_backends import eventually, reading, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def bus_of(server: NatsServer, service: str) -> AsyncIterator[NatsBus]:
    """As the service's shell runs it."""
    async with running(NatsBus(url=server.url, name=service, service=service)) as bus:
        assert await bus.link.wait(30)
        yield bus


def test_every_owner_is_a_service_of_the_bus() -> None:
    assert {each.owner for each in (*STREAMS, *BUCKETS)} <= set(DUTIES)


async def test_what_is_missing_is_named_with_its_owner(server: NatsServer) -> None:
    async with bus_of(server, "gate") as gate:
        with pytest.raises(BusAway) as caught:
            await gate.apply(update=False)
        for each in ("stream CYCLES (signal's)", "stream FACTS (execution's)", "stream KV_weights (scoring's)"):
            assert each in str(caught.value)
        assert await gate.link.js.streams_info() == []


async def test_a_lost_stream_is_made_again_by_its_owner_while_all_are_connected(server: NatsServer) -> None:
    async with bus_of(server, "execution") as execution, bus_of(server, "admin") as admin:
        await execution.publish("facts.v1.fill", b"first", message_id="first")
        async with reading(admin.read("FACTS", "facts.v1.>")) as facts:
            await eventually(lambda: facts.ids() == ["first"])
            for name in ("FACTS", "ALERTS"):
                await execution.link.js.delete_stream(name)
            await execution.publish("facts.v1.fill", b"second", message_id="second")
            await eventually(lambda: facts.ids() == ["first", "second"])
        # Nobody publishes there now: its owner looks after it all the same.
        async with asyncio.timeout(30):
            while "ALERTS" not in {each.config.name for each in await admin.link.js.streams_info()}:  # noqa: ASYNC110 the server tells nobody
                await asyncio.sleep(0.1)
