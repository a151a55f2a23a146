"""The bus and its buckets in memory, behind the same ports and with the same semantics as over NATS.

It outlives the services that use it, as a server does: cancelling `consume` is a crash of the worker, whose message is
given again; `dropped()` tells of one without a cancel. `away` stands for a server that does not answer, `lose()` for
one whose store is gone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast_runtime.bus.dead_letters import DeadLetter, dead_letter, unreadable
from holdfast_runtime.bus.envelope import incoming, outgoing
from holdfast_runtime.bus.settlement import ACK_WAIT_SECS, Again, Dead, Outcome, attempt
from holdfast_runtime.bus.streams import STREAMS, Stream, bucket_named, matches, stream_named, stream_of
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.buckets import Entry, RevisionConflict
from holdfast_runtime.ports.bus import Consumer, Letter, Message, MessageHandler
from holdfast_runtime.ports.clock import MonotonicClock

AWAY_RETRY_SECS = 0.5
FULL_RETRY_SECS = 5.0

Rebuild = Callable[[], Awaitable[None]]


class Signal:
    """Wakes everybody who waits for the next change."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def changed(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self) -> None:
        await self._event.wait()


@dataclass(slots=True)
class _Stored:
    """What one stream holds."""

    spec: Stream
    messages: dict[int, Message] = field(default_factory=dict)
    first: int = 1
    last: int = 0
    used_bytes: int = 0
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)
    by_age: deque[tuple[float, str]] = field(default_factory=deque)
    per_subject: dict[str, deque[int]] = field(default_factory=dict)

    def known(self, message_id: str, now_secs: float) -> int | None:
        """Position of a message with that id inside the dedupe window."""
        while self.by_age and now_secs - self.by_age[0][0] >= self.spec.dedupe_secs:
            self.ids.pop(self.by_age.popleft()[1], None)
        seen = self.ids.get(message_id)
        return seen[0] if seen else None

    def add(self, message: Message, size: int, now_secs: float) -> int:
        self.last += 1
        self.messages[self.last] = replace(message, sequence=self.last)
        self.used_bytes += size
        self.ids[message.message_id] = (self.last, now_secs)
        self.by_age.append((now_secs, message.message_id))
        self._trim(message.subject)
        return self.last

    def _trim(self, subject: str) -> None:
        if self.spec.newest_per_subject is None:
            return
        places = self.per_subject.setdefault(subject, deque())
        places.append(self.last)
        if len(places) > self.spec.newest_per_subject:
            self.used_bytes -= _size(self.messages.pop(places.popleft()))
            while self.first <= self.last and self.first not in self.messages:
                self.first += 1

    def next_after(self, position: int, subjects: tuple[str, ...]) -> Message | None:
        """The first message after `position` under one of the subjects."""
        for place in range(max(position + 1, self.first), self.last + 1):
            message = self.messages.get(place)
            if message is not None and any(matches(pattern, message.subject) for pattern in subjects):
                return message
        return None


@dataclass(slots=True)
class _Place:
    """A durable consumer: how far it has finished, and how often it was given what comes next."""

    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    finished: int = 0
    searched: int = 0
    """Nothing up to here is still to be delivered: what need not be searched again."""
    in_hand: int = 0
    deliveries: int = 0
    not_before_secs: float = 0.0
    """What is in hand is given again from this monotonic instant on."""


class MemoryBus:
    """ports.bus.Bus in memory. `clock` measures dedupe windows and delays."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._streams: dict[str, _Stored] = {}
        self._places: dict[tuple[str, str], _Place] = {}
        self._buckets: dict[str, MemoryBucket] = {}
        self._signal = Signal()
        self._incarnation = 0
        self._away = False
        self._create()

    def _create(self) -> None:
        self._streams = {each.name: _Stored(each) for each in STREAMS}
        self._places = {}
        self._incarnation += 1

    @property
    def away(self) -> bool:
        """While true, publishing raises Retry and nothing is delivered."""
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        self._signal.changed()
        for bucket in self._buckets.values():
            bucket.away = away

    def lose(self) -> None:
        """The store is gone: streams are empty again, durable places begin at the first message, buckets are empty."""
        self._create()
        self._signal.changed()
        for bucket in self._buckets.values():
            bucket.lose()

    def bucket(self, name: str, rebuild: Rebuild | None = None) -> "MemoryBucket":
        """The declared bucket of that name; the same one for everybody."""
        if name not in self._buckets:
            self._buckets[name] = MemoryBucket(name)
            self._buckets[name].away = self._away
        found = self._buckets[name]
        found.rebuild = rebuild or found.rebuild
        return found

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> int:
        """See ports.bus.Bus."""
        spec = stream_of(subject)
        carried = outgoing(message_id, headers)
        self._here()
        stored = self._streams[spec.name]
        now_secs = self._clock.now_secs()
        if (position := stored.known(message_id, now_secs)) is not None:
            return position
        _, own = incoming(carried)
        message = Message(subject=subject, payload=payload, message_id=message_id, sequence=0, headers=own)
        size = _size(message)
        if size > spec.max_message_bytes:
            raise GiveUp(f"{subject}: {size} bytes, stream {spec.name} takes {spec.max_message_bytes}")
        if stored.used_bytes + size > spec.max_bytes:
            raise Retry(f"stream {spec.name} is full", after_secs=FULL_RETRY_SECS)
        position = stored.add(message, size, now_secs)
        self._signal.changed()
        return position

    async def publish_all(self, letters: Sequence[Letter]) -> list[bool]:
        """See ports.bus.Bus."""
        return [await self._stored(letter) for letter in letters]

    async def _stored(self, letter: Letter) -> bool:
        try:
            await self.publish(letter.subject, letter.payload, message_id=letter.message_id, headers=letter.headers)
        except Retry:
            return False
        return True

    async def consume(self, consumer: Consumer, handler: MessageHandler) -> None:
        """See ports.bus.Bus."""
        stream_named(consumer.stream)
        while True:
            place = self._place(consumer)
            async with place.one_at_a_time:
                delay_secs = await self._deliver_next(consumer, place, handler)
                # The next message waits behind this one: order is kept over a redelivery.
                if delay_secs:
                    await self._clock.sleep(delay_secs)
            if delay_secs is None:
                await self._signal.wait()
            else:
                # Other work has its turn between two messages, as it has between two reads of a socket.
                await asyncio.sleep(0)

    def dropped(self, consumer: Consumer) -> None:
        """Whoever consumes is gone without a word: nobody acknowledges what it had in hand, which waits for that."""
        place = self._place(consumer)
        place.one_at_a_time = asyncio.Lock()
        if place.in_hand > place.finished:
            place.not_before_secs = self._clock.now_secs() + ACK_WAIT_SECS

    async def _deliver_next(self, consumer: Consumer, place: _Place, handler: MessageHandler) -> float | None:
        """Seconds until the next delivery; None where there is nothing to deliver now."""
        message = None
        if not self._away and place is self._place(consumer):
            stored = self._streams[consumer.stream]
            message = stored.next_after(max(place.finished, place.searched), consumer.subjects)
            place.searched = message.sequence - 1 if message else stored.last
        if message is None:
            return None
        if (wait_secs := place.not_before_secs - self._clock.now_secs()) > 0:
            return wait_secs
        if place.in_hand != message.sequence:
            place.in_hand, place.deliveries = message.sequence, 0
        place.deliveries += 1
        delivery = replace(message, deliveries=place.deliveries)
        outcome = await attempt(handler, delivery, consumer)
        if isinstance(outcome, Dead):
            outcome = await self._bury(delivery, consumer, outcome)
        if isinstance(outcome, Again):
            return outcome.after_secs
        place.finished = message.sequence
        self._signal.changed()
        return 0.0

    async def _bury(self, message: Message, consumer: Consumer, dead: Dead) -> Outcome:
        try:
            await self._publish_letter(dead_letter(message, consumer, dead))
        except Retry as error:
            return Again(error.after_secs, str(error))
        return dead

    async def _publish_letter(self, letter: DeadLetter) -> None:
        await self.publish(
            letter.own_subject, letter.payload, message_id=letter.own_message_id, headers=letter.own_headers()
        )

    async def read(self, stream: str, subject: str, *, after: int = 0) -> AsyncIterator[Message]:
        """See ports.bus.Bus."""
        stream_named(stream)
        incarnation = self._incarnation
        if after > self._streams[stream].last:
            after = 0
        while True:
            if incarnation != self._incarnation:
                incarnation, after = self._incarnation, 0
            stored = self._streams[stream]
            message = None if self._away else stored.next_after(after, (subject,))
            if message is not None:
                after = message.sequence
                yield message
                continue
            if not self._away:
                after = stored.last
            await self._signal.wait()

    async def put_aside(self, message: Message, reader: str, reason: str) -> None:
        """See ports.bus.Bus."""
        await self._publish_letter(unreadable(message, reader, reason))

    async def last_position(self, stream: str) -> int:
        """See ports.bus.Bus."""
        stream_named(stream)
        self._here()
        return self._streams[stream].last

    async def acknowledged(self, consumer: Consumer) -> int:
        """See ports.bus.Bus."""
        stream_named(consumer.stream)
        self._here()
        return self._place(consumer).finished

    async def stored(self, stream: str, subject: str, *, after: int = 0, limit: int = 100) -> list[Message]:
        """What `stream` holds now under `subject` after position `after`, oldest first, at most `limit`."""
        stream_named(stream)
        self._here()
        found: list[Message] = []
        while len(found) < limit and (message := self._streams[stream].next_after(after, (subject,))) is not None:
            found.append(message)
            after = message.sequence
        return found

    def _place(self, consumer: Consumer) -> _Place:
        return self._places.setdefault((consumer.stream, consumer.name), _Place())

    def _here(self) -> None:
        if self._away:
            raise Retry("the bus is away", after_secs=AWAY_RETRY_SECS)


class MemoryBucket:
    """ports.buckets.Bucket in memory. `rebuild` is called by a watcher that finds the bucket lost."""

    def __init__(self, name: str, rebuild: Rebuild | None = None) -> None:
        self._spec = bucket_named(name)
        self.rebuild = rebuild
        self.stale_reads = 0
        """So many reads still answer a key as it was before its newest write, as a replica may that lags behind."""
        self._entries: dict[str, Entry] = {}
        self._before: dict[str, Entry | None] = {}
        """By key: what its newest write has replaced."""
        self._revision = 0
        self._incarnation = 0
        self._signal = Signal()
        self._away = False

    @property
    def away(self) -> bool:
        """While true, reads and writes raise Retry and watchers see nothing."""
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        self._signal.changed()

    def lose(self) -> None:
        """The bucket is empty again, and its revisions begin anew."""
        self._entries, self._before, self._revision = {}, {}, 0
        self._incarnation += 1
        self._signal.changed()

    async def get(self, key: str) -> Entry | None:
        """See ports.buckets.Bucket."""
        self._here()
        if self.stale_reads:
            self.stale_reads -= 1
            return self._before.get(key)
        return self._entries.get(key)

    async def create(self, key: str, value: bytes) -> int:
        """See ports.buckets.Bucket."""
        return self._write(key, value, 0)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """See ports.buckets.Bucket."""
        if revision < 1:
            raise ValueError(f"{revision} is no revision: a key that must not exist is made by create")
        return self._write(key, value, revision)

    def _write(self, key: str, value: bytes, revision: int) -> int:
        self._here()
        present = self._entries.get(key)
        if revision != (present.revision if present else 0):
            raise RevisionConflict(f"{self._spec.name}/{key} is not at revision {revision}")
        if len(value) > self._spec.max_value_bytes:
            raise GiveUp(f"bucket {self._spec.name} refuses {key}: {len(value)} bytes")
        self._revision += 1
        self._before[key] = present
        self._entries[key] = Entry(key=key, value=value, revision=self._revision)
        self._signal.changed()
        return self._revision

    async def keys(self) -> list[str]:
        """See ports.buckets.Bucket."""
        self._here()
        return sorted(self._entries)

    async def watch(self) -> AsyncIterator[Entry]:
        """See ports.buckets.Bucket."""
        known: dict[str, int] = {}
        incarnation = self._incarnation
        while True:
            if incarnation != self._incarnation:
                incarnation = self._incarnation
                known.clear()
                if self.rebuild is not None:
                    await self.rebuild()
            changed = [] if self._away else self._changed_since(known)
            for entry in changed:
                known[entry.key] = entry.revision
                yield entry
            if not changed and incarnation == self._incarnation:
                await self._signal.wait()

    def _changed_since(self, known: Mapping[str, int]) -> list[Entry]:
        news = [each for each in self._entries.values() if each.revision > known.get(each.key, 0)]
        return sorted(news, key=lambda each: each.revision)

    def _here(self) -> None:
        if self._away:
            raise Retry(f"bucket {self._spec.name}: the bus is away", after_secs=AWAY_RETRY_SECS)


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) + 4 for name, value in message.headers.items())
    return len(message.subject) + len(message.payload) + headers
