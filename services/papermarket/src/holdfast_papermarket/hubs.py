"""Who listens to the two streams, what each connection was sent, and how much of it.

A connection is a bounded queue that the socket's writer empties. Counts are of the present connection: in lock-step
they must equal what the client says it has received.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
ItemInOut = TypeVar("ItemInOut")
MAX_WAITING_FRAMES = 10_000


class Sending(Generic[Item]):
    """What goes out now, and what happens to the connections then."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.closes = False
        self.mute_until: datetime | None = None


class Way(Protocol[ItemInOut]):
    """What lies between the venue and its connections: nothing, or faults."""

    def on_the_way(self, items: list[ItemInOut]) -> Sending[ItemInOut]:
        """What becomes of items that are published."""

    def due(self, now: datetime) -> list[ItemInOut]:
        """What was held back before and goes out now."""


class Connection(Generic[Item]):
    """One listening socket. `None` in the queue tells the writer to close."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[list[Item] | None] = asyncio.Queue(MAX_WAITING_FRAMES)
        self.sent = 0
        """Items handed over on this connection."""
        self.symbols: frozenset[str] = frozenset()
        self.listening = False
        """False until it has said what it wants to hear."""
        self.overrun = False
        self.mute_until: datetime | None = None
        """Until then nothing is said on it, although it stays open."""

    @property
    def mute(self) -> bool:
        return self.mute_until is not None

    def send(self, items: list[Item]) -> None:
        """Hands over one frame. A client that is too slow for the queue is cut off."""
        if self.overrun or self.mute:
            return
        if self.queue.qsize() >= MAX_WAITING_FRAMES - 1:
            self.overrun = True
            self.queue.put_nowait(None)
            return
        self.sent += len(items)
        self.queue.put_nowait(items)


class Hub(Generic[Item]):
    """The connections of one stream. `changed` is called whenever a count or a connection changes."""

    def __init__(self, changed: Callable[[], None], *, limit: int) -> None:
        self._changed = changed
        self._limit = limit
        self._connections: list[Connection[Item]] = []
        self.way: Way[Item] | None = None

    @property
    def full(self) -> bool:
        """True where no further connection is allowed."""
        return len(self._connections) >= self._limit

    @property
    def connections(self) -> tuple[Connection[Item], ...]:
        """Those that have joined, oldest first."""
        return tuple(self._connections)

    @property
    def sent(self) -> int | None:
        """Items sent on the newest connection; None where nobody listens."""
        listening = [connection.sent for connection in self._connections if connection.listening]
        return listening[-1] if listening else None

    def join(self, connection: Connection[Item]) -> None:
        self._connections.append(connection)
        self._changed()

    def leave(self, connection: Connection[Item]) -> None:
        """Forgets a connection, also one that never joined."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._changed()

    def publish(self, items: Iterable[Item], wanted: Callable[[Connection[Item], Item], bool]) -> None:
        """One frame to each connection, with the items it wants; none where it wants none."""
        listed = list(items)
        sending: Sending[Item] = Sending()
        sending.items = listed
        if self.way is not None:
            # Nothing goes wrong with what nobody would have heard.
            sending = self.way.on_the_way(
                [each for each in listed if any(wanted(to, each) for to in self._connections)]
            )
        self._deliver(sending.items, wanted)
        if sending.closes:
            self.cut()
        for connection in self._connections if sending.mute_until is not None else ():
            connection.mute_until = sending.mute_until
        if listed and self._connections:
            self._changed()

    def turn(self, now: datetime, wanted: Callable[[Connection[Item], Item], bool]) -> None:
        """Market time has come to `now`: who was mute speaks again, and what was held back goes out."""
        for connection in self._connections:
            if connection.mute_until is not None and now >= connection.mute_until:
                connection.mute_until = None
        if self.way is not None and (late := self.way.due(now)):
            self._deliver(late, wanted)
            self._changed()

    def cut(self) -> None:
        """Closes every connection; what is still in their queues goes out before."""
        for connection in self._connections:
            if not connection.overrun:
                connection.queue.put_nowait(None)
        if self._connections:
            self._connections.clear()
            self._changed()

    def _deliver(self, items: list[Item], wanted: Callable[[Connection[Item], Item], bool]) -> None:
        for connection in self._connections:
            if chosen := [item for item in items if wanted(connection, item)]:
                connection.send(chosen)
