"""The three buses that must behave alike: in memory, the wheel's nats-server, and the public NATS image."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from holdfast_cli.nats_server import NatsServer
from holdfast_cli.ports import free_ports
from holdfast_runtime.bus.buckets import NatsBucket
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.buckets import Bucket
from holdfast_runtime.ports.bus import Bus, Consumer, Message
from holdfast_simulation.memory_bus import MemoryBus

IMAGE = "nats:2.15.1"
REQUIRE_DOCKER = "HOLDFAST_REQUIRE_DOCKER"
KINDS = ("memory", "embedded", pytest.param("image", marks=pytest.mark.docker))

ACK_WAIT_SECS = 3.0
"""As in production: a delivery that a busy machine only delays is not given to another worker."""
PATIENCE_SECS = 30.0
CYCLES = "cycles.v1.sma"

Rebuild = Callable[[], Awaitable[None]]


async def eventually(condition: Callable[[], bool], *, within_secs: float = PATIENCE_SECS) -> None:
    """Returns when `condition` holds; fails the test where it does not in time."""
    async with asyncio.timeout(within_secs):
        while not condition():  # noqa: ASYNC110  # conditions of servers and other tasks: nobody sets an event
            await asyncio.sleep(0.01)


async def publish_in_spite(bus: Bus, name: str, subject: str = CYCLES) -> None:
    """As every publisher does it: again with the same id while the bus says Retry."""
    async with asyncio.timeout(PATIENCE_SECS):
        while True:
            try:
                await bus.publish(subject, name.encode(), message_id=name)
                return
            except Retry:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(bus: NatsBus) -> AsyncIterator[NatsBus]:
    """The bus as the shell runs it: connected in the background."""
    task = asyncio.create_task(bus.run())
    try:
        yield bus
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


class Backend(Protocol):
    """A server that outlives its clients, and what can happen to it."""

    async def connect(self, name: str) -> Bus: ...

    def bucket(self, bus: Bus, name: str, rebuild: Rebuild | None = None) -> Bucket: ...

    async def stop(self) -> None:
        """Dies at once (kill -9)."""

    async def start(self) -> None:
        """Comes back with the store it had."""

    async def lose_store(self) -> None:
        """Dies, loses everything it stored, and comes back."""

    async def close(self) -> None: ...


class MemoryBackend:
    """One bus in memory for all."""

    def __init__(self) -> None:
        self._bus = MemoryBus(SystemMonotonicClock())

    async def connect(self, name: str) -> MemoryBus:
        return self._bus

    def bucket(self, bus: Bus, name: str, rebuild: Rebuild | None = None) -> Bucket:
        return self._bus.bucket(name, rebuild)

    async def stop(self) -> None:
        self._bus.away = True

    async def start(self) -> None:
        self._bus.away = False

    async def lose_store(self) -> None:
        self._bus.lose()

    async def close(self) -> None:
        return None


class Server(Protocol):
    """A NATS server under the test's control."""

    url: str

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def lose_store(self) -> None: ...


class NatsBackend:
    """Buses over a real server, each run as the shell runs it."""

    def __init__(self, server: Server | NatsServer) -> None:
        self._server = server
        self._buses: list[NatsBus] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, name: str) -> NatsBus:
        bus = NatsBus(url=self._server.url, name=name, ack_wait_secs=ACK_WAIT_SECS)
        self._buses.append(bus)
        await bus.connect()
        self._tasks.append(asyncio.create_task(bus.run()))
        return bus

    def bucket(self, bus: Bus, name: str, rebuild: Rebuild | None = None) -> Bucket:
        assert isinstance(bus, NatsBus)
        return NatsBucket(bus, name, rebuild)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def lose_store(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.lose_store)
        await asyncio.to_thread(self._server.start)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for bus in self._buses:
            await bus.close()


class ContainerServer:
    """The public image. Its port stays the same; its store lives as long as its container."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self._container: Any = None
        self.url = f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        if self._container is None:
            from testcontainers.core.container import DockerContainer
            from testcontainers.core.wait_strategies import LogMessageWaitStrategy

            container = DockerContainer(IMAGE).with_command("-js -sd /tmp/store").with_bind_ports(4222, self._port)
            self._container = container.waiting_for(LogMessageWaitStrategy("Server is ready"))
            self._container.start()
        else:
            self._container.get_wrapped_container().start()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill(signal="KILL")
        self._container.get_wrapped_container().wait()

    def lose_store(self) -> None:
        if self._container is not None:
            self._container.stop(force=True, delete_volume=True)
            self._container = None


def docker_or_skip() -> None:
    """Skips where no Docker engine answers or the image cannot be had; fails there with HOLDFAST_REQUIRE_DOCKER=1."""
    # The reaper is one more image to fetch; what a test starts, its fixture stops.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    try:
        import docker

        client = docker.from_env()
        client.ping()
        try:
            client.images.get(IMAGE)
        except docker.errors.ImageNotFound:
            client.images.pull(IMAGE)
    except Exception as error:  # noqa: BLE001  # whatever the engine's client raises means that there is none
        reason = f"no Docker engine with {IMAGE}: {type(error).__name__}: {error}"
        if os.environ.get(REQUIRE_DOCKER) == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@contextlib.contextmanager
def server_of(kind: str, folder: Path) -> Iterator[Backend]:
    """The backend of that kind, its server running."""
    if kind == "memory":
        yield MemoryBackend()
    elif kind == "embedded":
        with NatsServer(folder) as server:
            yield NatsBackend(server)
    else:
        docker_or_skip()
        container = ContainerServer()
        try:
            container.start()
            yield NatsBackend(container)
        finally:
            container.lose_store()


class Worker:
    """A durable consumer at work: what it was given, and what it does with each message."""

    def __init__(self, bus: Bus, consumer: Consumer, act: Callable[[Message], Awaitable[None]] | None = None) -> None:
        self.given: list[Message] = []
        self.done: list[Message] = []
        self._act = act
        self._task = asyncio.ensure_future(bus.consume(consumer, self._handle))

    async def _handle(self, message: Message) -> None:
        self.given.append(message)
        if self._act is not None:
            await self._act(message)
        self.done.append(message)

    def ids(self) -> list[str]:
        """Message ids whose handler returned, in order."""
        return [each.message_id for each in self.done]

    async def finished(self, count: int) -> None:
        """Returns when so many handlers have returned."""
        await eventually(lambda: len(self.done) >= count)

    async def stop(self) -> None:
        """Dies, whatever it was doing."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def working(
    bus: Bus, consumer: Consumer, act: Callable[[Message], Awaitable[None]] | None = None
) -> AsyncIterator[Worker]:
    """A worker for the time of the block."""
    worker = Worker(bus, consumer, act)
    try:
        yield worker
    finally:
        await worker.stop()


class Reader:
    """Follows a stream without a durable place."""

    def __init__(self, messages: AsyncIterator[Message]) -> None:
        self.seen: list[Message] = []
        self._task = asyncio.create_task(self._follow(messages))

    async def _follow(self, messages: AsyncIterator[Message]) -> None:
        async for message in messages:
            self.seen.append(message)

    def ids(self) -> list[str]:
        return [each.message_id for each in self.seen]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@contextlib.asynccontextmanager
async def reading(messages: AsyncIterator[Message]) -> AsyncIterator[Reader]:
    """A reader for the time of the block."""
    reader = Reader(messages)
    try:
        yield reader
    finally:
        await reader.stop()
