"""What every bucket does alike: in memory, on the wheel's nats-server, and on the public NATS image (DI-2, BS-5)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.buckets import Bucket, Entry, RevisionConflict
from holdfast_runtime.ports.bus import Bus
from tests.contract.bus_backends import KINDS, PATIENCE_SECS, Backend, eventually, server_of


@pytest.fixture(params=KINDS)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    with server_of(request.param, tmp_path) as running:
        yield running
        await running.close()


@pytest.fixture
async def bus(backend: Backend) -> Bus:
    return await backend.connect("test")


@pytest.fixture
async def bucket(backend: Backend, bus: Bus) -> Bucket:
    return backend.bucket(bus, "weights")


class Watch:
    """Follows a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.seen: list[Entry] = []
        self._task = asyncio.create_task(self._follow(bucket))

    async def _follow(self, bucket: Bucket) -> None:
        async for entry in bucket.watch():
            self.seen.append(entry)

    def values(self) -> dict[str, bytes]:
        return {each.key: each.value for each in self.seen}

    async def __aenter__(self) -> "Watch":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def create_in_spite(bucket: Bucket, key: str, value: bytes) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while True:
            try:
                await bucket.create(key, value)
                return
            except Retry:
                await asyncio.sleep(0.05)
            except RevisionConflict:
                # The write before had arrived, only its answer was lost.
                return


async def test_a_value_is_written_where_its_revision_still_stands(bucket: Bucket) -> None:
    """BS-5: decide on a compare-and-swap that succeeded."""
    assert await bucket.get("sma.SPY") is None
    first = await bucket.create("sma.SPY", b"1")
    assert await bucket.get("sma.SPY") == Entry(key="sma.SPY", value=b"1", revision=first)
    second = await bucket.update("sma.SPY", b"2", revision=first)
    assert second > first
    assert await bucket.get("sma.SPY") == Entry(key="sma.SPY", value=b"2", revision=second)


async def test_who_comes_second_is_told_so(bucket: Bucket) -> None:
    """BS-5: no write is lost under another."""
    first = await bucket.create("key", b"1")
    with pytest.raises(RevisionConflict):
        await bucket.create("key", b"other")
    await bucket.update("key", b"2", revision=first)
    with pytest.raises(RevisionConflict):
        await bucket.update("key", b"other", revision=first)
    with pytest.raises(RevisionConflict):
        await bucket.update("absent", b"other", revision=first)
    entry = await bucket.get("key")
    assert entry is not None
    assert entry.value == b"2"


async def test_keys_are_all_there_and_sorted(bucket: Bucket) -> None:
    assert await bucket.keys() == []
    for key in ("b", "a.c", "a.b"):
        await bucket.create(key, b"")
    assert await bucket.keys() == ["a.b", "a.c", "b"]


async def test_a_bucket_that_is_not_declared_is_refused(backend: Backend, bus: Bus) -> None:
    with pytest.raises(GiveUp, match="no bucket"):
        backend.bucket(bus, "unknown")


async def test_a_watch_begins_with_what_is_there_and_goes_on_with_what_changes(bucket: Bucket) -> None:
    first = await bucket.create("a", b"1")
    async with Watch(bucket) as watch:
        await eventually(lambda: watch.values() == {"a": b"1"})
        await bucket.update("a", b"2", revision=first)
        await bucket.create("b", b"3")
        await eventually(lambda: watch.values() == {"a": b"2", "b": b"3"})
    assert [each.revision for each in watch.seen] == [1, 2, 3]


async def test_a_watch_goes_on_over_a_killed_server(backend: Backend, bucket: Bucket) -> None:
    """FP-6.2: watchers of a restarted server may say nothing for long."""
    await bucket.create("a", b"1")
    async with Watch(bucket) as watch:
        await eventually(lambda: watch.values() == {"a": b"1"})
        await backend.stop()
        with pytest.raises(Retry):
            await bucket.create("b", b"2")
        await backend.start()
        await create_in_spite(bucket, "b", b"2")
        await eventually(lambda: watch.values() == {"a": b"1", "b": b"2"})


async def test_a_lost_bucket_is_rebuilt_and_watched_again(backend: Backend, bus: Bus) -> None:
    """DI-2: what a bucket held can be rebuilt by a named function."""
    rebuilt = 0

    async def rebuild() -> None:
        nonlocal rebuilt
        rebuilt += 1
        await create_in_spite(bucket, "a", b"rebuilt")

    bucket = backend.bucket(bus, "weights", rebuild)
    revision = await bucket.create("a", b"1")
    for turn in range(5):
        revision = await bucket.update("a", b"%d" % turn, revision=revision)
    async with Watch(bucket) as watch:
        await eventually(lambda: watch.values() == {"a": b"4"})
        await backend.lose_store()
        await eventually(lambda: watch.values() == {"a": b"rebuilt"})
    assert rebuilt == 1
    assert watch.seen[-1].revision < revision
