"""The bus as production runs it: three servers, three copies of each stream (IN-9, FP-6.2)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from holdfast_cli.nats_server import NatsServer
from holdfast_cli.ports import free_ports
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.bus import Consumer
from tests.contract.bus_backends import CYCLES, PATIENCE_SECS, eventually, publish_in_spite, running, working

SCORING = Consumer(stream="CYCLES", name="scoring", subjects=("cycles.v1.>",))
NAMES = ("one", "two", "three")


class Member(NatsServer):
    """One of the three."""

    def __init__(self, folder: Path, name: str, routes: Mapping[str, str]) -> None:
        super().__init__(folder / name)
        self.name = name
        self._routes = routes

    def configuration(self) -> Mapping[str, object]:
        listen = self._routes[self.name].removeprefix("nats://")
        routes = [route for name, route in self._routes.items() if name != self.name]
        return {
            **super().configuration(),
            "server_name": self.name,
            "cluster": {"name": "holdfast", "listen": listen, "routes": routes},
        }


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, Member]]:
    routes = {name: f"nats://127.0.0.1:{port}" for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True)}
    members = {name: Member(tmp_path, name, routes) for name in NAMES}
    try:
        for member in members.values():
            member.start()
        yield members
    finally:
        for member in members.values():
            member.kill()


@pytest.fixture
async def bus(servers: dict[str, Member]) -> AsyncIterator[NatsBus]:
    """As the shell runs it, once the streams are there."""
    bus = NatsBus(url=",".join(member.url for member in servers.values()), replicas=len(NAMES))
    async with running(bus):
        await publish_in_spite(bus, "first")
        yield bus


async def leader(bus: NatsBus) -> str:
    """Name of the server that leads the stream of cycles."""
    info = await bus.link.js.stream_info("CYCLES")
    assert info.cluster is not None
    assert info.cluster.leader is not None
    return info.cluster.leader


async def troubles(bus: NatsBus) -> tuple[str, ...]:
    """What a look at the bus finds: a server that has lost the others is silent at first, and then says so."""
    try:
        return (await bus.survey(now=WallMarketClock().now)).troubles
    except Retry as error:
        return (str(error),)


async def test_two_of_three_go_on_without_the_one_that_led(bus: NatsBus, servers: dict[str, Member]) -> None:
    async with working(bus, SCORING) as worker:
        await worker.finished(1)
        await asyncio.to_thread(servers[await leader(bus)].kill)
        await publish_in_spite(bus, "second")
        await eventually(lambda: worker.ids() == ["first", "second"])


async def test_one_of_three_has_no_leader_and_says_so_until_another_is_back(
    bus: NatsBus, servers: dict[str, Member]
) -> None:
    """No message is taken that could be lost; what was taken before is there afterwards, once."""
    lost = [await leader(bus)]
    lost.append(next(name for name in NAMES if name not in lost))
    for name in lost:
        await asyncio.to_thread(servers[name].kill)
    with pytest.raises(Retry):
        await bus.publish(CYCLES, b"", message_id="second")
    async with asyncio.timeout(PATIENCE_SECS):
        while not any("has no leader" in each for each in await troubles(bus)):  # noqa: ASYNC110 - the server's word
            await asyncio.sleep(0.1)
    await asyncio.to_thread(servers[lost[0]].start)
    await publish_in_spite(bus, "second")
    async with working(bus, SCORING) as worker:
        await eventually(lambda: worker.ids() == ["first", "second"])
