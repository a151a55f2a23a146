"""Buckets over NATS (ports.buckets.Bucket). No watcher is trusted alone: beside it everything is re-read every 2 s."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime

import structlog
from nats.js.api import RawStreamMsg, StreamInfo
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from holdfast_runtime.bus.link import BUS_ERRORS, REQUEST_TIMEOUT_SECS, BusAway, heed_cancellation
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.bus.reading import Reading
from holdfast_runtime.bus.streams import BucketSpec, bucket_named
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.buckets import Entry, RevisionConflict
from holdfast_runtime.telemetry import metrics

REREAD_SECS = 2.0
MAX_WAITING = 256
"""Entries that wait for a slow watcher; more make the sources wait."""

EXPECTED_REVISION = "Nats-Expected-Last-Subject-Sequence"
OPERATION = "KV-Operation"
WRONG_REVISION = (10071, 10164)

Rebuild = Callable[[], Awaitable[None]]

log = structlog.get_logger()


class NatsBucket:
    """One declared bucket. `rebuild` is called where the bucket was found lost (DI-2): it writes everything again."""

    def __init__(self, bus: NatsBus, name: str, rebuild: Rebuild | None = None) -> None:
        self._bus = bus
        self._spec = bucket_named(name)
        self._rebuild = rebuild

    async def get(self, key: str) -> Entry | None:
        """See ports.buckets.Bucket. Raises Retry where the bus is away."""
        try:
            raw = await self._bus.link.js.get_msg(self._spec.stream, subject=self._spec.prefix + _checked(key))
        except NotFoundError:
            return None
        except BUS_ERRORS as error:
            raise self._away(error) from error
        return self._entry(raw)

    async def create(self, key: str, value: bytes) -> int:
        """See ports.buckets.Bucket. Raises Retry where the bus is away: read again before deciding."""
        return await self._write(key, value, 0)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """See ports.buckets.Bucket. Raises Retry where the bus is away: read again before deciding."""
        if revision < 1:
            raise ValueError(f"{revision} is no revision: a key that must not exist is made by create")
        return await self._write(key, value, revision)

    async def _write(self, key: str, value: bytes, revision: int) -> int:
        subject = self._spec.prefix + _checked(key)
        try:
            ack = await self._bus.link.js.publish(
                subject, value, timeout=REQUEST_TIMEOUT_SECS, headers={EXPECTED_REVISION: str(revision)}
            )
        except NoStreamResponseError as error:
            await self._bus.apply(update=False)
            raise self._away(error) from error
        except APIError as error:
            if error.err_code in WRONG_REVISION:
                raise RevisionConflict(f"{self._spec.name}/{key} is not at revision {revision}") from error
            if error.code == 400:
                raise GiveUp(f"bucket {self._spec.name} refuses {key}: {error.description}") from error
            raise self._away(error) from error
        except BUS_ERRORS as error:
            raise self._away(error) from error
        return ack.seq

    async def keys(self) -> list[str]:
        """See ports.buckets.Bucket. Raises Retry where the bus is away."""
        try:
            info = await self._bus.link.js.stream_info(self._spec.stream, subjects_filter=f"{self._spec.prefix}>")
        except NotFoundError:
            return []
        except BUS_ERRORS as error:
            raise self._away(error) from error
        return sorted(subject.removeprefix(self._spec.prefix) for subject in info.state.subjects or {})

    def watch(self) -> AsyncIterator[Entry]:
        """See ports.buckets.Bucket. After a loss the rebuilt entries come with revisions that begin low again."""
        return _Watch(self, self._bus, self._spec, self._rebuild).entries()

    def _entry(self, raw: RawStreamMsg) -> Entry | None:
        if OPERATION in (raw.headers or {}):
            return None
        key = (raw.subject or "").removeprefix(self._spec.prefix)
        return Entry(key=key, value=raw.data or b"", revision=raw.seq or 0)

    def _away(self, error: Exception) -> BusAway:
        return BusAway(f"bucket {self._spec.name}: {error}")


class _Watch:
    """One watch of a bucket: a watcher, and the reading beside it."""

    def __init__(self, bucket: NatsBucket, bus: NatsBus, spec: BucketSpec, rebuild: Rebuild | None) -> None:
        self._bucket = bucket
        self._bus = bus
        self._spec = spec
        self._rebuild = rebuild
        self._rebuild_due = False
        self._created: datetime | None = None
        self._highest = 0
        self._known: dict[str, int] = {}
        # None: the bucket was lost, and what is known of it with it.
        self._queue: asyncio.Queue[Entry | None] = asyncio.Queue(MAX_WAITING)

    async def entries(self) -> AsyncIterator[Entry]:
        """Entries with their revisions; raises what `rebuild` raises, except Retry, after which it is called again."""
        sources = [asyncio.create_task(self._follow()), asyncio.create_task(self._reread())]
        try:
            while True:
                entry = await self._next(sources)
                if entry is None:
                    self._known.clear()
                elif entry.revision > self._known.get(entry.key, 0):
                    self._known[entry.key] = entry.revision
                    yield entry
        finally:
            for source in sources:
                source.cancel()
            await asyncio.gather(*sources, return_exceptions=True)

    async def _next(self, sources: list[asyncio.Task[None]]) -> Entry | None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REREAD_SECS):
                    return await self._queue.get()
            for source in sources:
                if source.done():
                    source.result()

    async def _follow(self) -> None:
        """The watcher: a reader that begins with the newest value of each key, and again after every reconnect."""
        link, provision = self._bus.link, self._bus.provision
        reading = Reading(link, provision, self._spec.stream, f"{self._spec.prefix}>", latest=True)
        async for message in reading.messages():
            if OPERATION not in message.headers:
                key = message.subject.removeprefix(self._spec.prefix)
                await self._queue.put(Entry(key=key, value=message.payload, revision=message.sequence))

    async def _reread(self) -> None:
        """Beside the watcher: every 2 s looks whether the bucket was lost, and reads what the watcher has missed."""
        while True:
            with contextlib.suppress(Retry, *BUS_ERRORS):
                info = await self._standing()
                if self._lost(info):
                    log.warning("bus.bucket_lost", bucket=self._spec.name, rebuilt_from=self._spec.rebuilt_from)
                    metrics.BUS_STREAMS_LOST.labels(self._spec.stream).inc()
                    self._rebuild_due = True
                    await self._queue.put(None)
                    await self._read_all({})
                if self._rebuild_due:
                    if self._rebuild is not None:
                        await self._rebuild()
                    self._rebuild_due = False
                if info.state.last_seq > max(self._known.values(), default=0):
                    await self._read_all(self._known)
            heed_cancellation()
            await asyncio.sleep(REREAD_SECS)

    async def _standing(self) -> StreamInfo:
        try:
            return await self._bus.link.js.stream_info(self._spec.stream)
        except NotFoundError:
            await self._bus.apply(update=False)
            return await self._bus.link.js.stream_info(self._spec.stream)

    def _lost(self, info: StreamInfo) -> bool:
        """True where the bucket is not the one seen before: made anew, or its revision went backwards."""
        made_anew = self._created is not None and info.created != self._created
        backwards = info.state.last_seq < self._highest
        self._created, self._highest = info.created, info.state.last_seq
        return made_anew or backwards

    async def _read_all(self, known: Mapping[str, int]) -> None:
        for key in await self._bucket.keys():
            entry = await self._bucket.get(key)
            if entry is not None and entry.revision > known.get(key, 0):
                await self._queue.put(entry)


def _checked(key: str) -> str:
    if not key or not all(character.isalnum() or character in "-_/=." for character in key):
        raise GiveUp(f"key {key!r}: letters, digits and -_/=. only")
    return key
