"""Who listens to the two streams, what each connection was sent, and how much of it.

A connection is a bounded queue that the socket's writer empties. Counts are of the present connection: in lock-step
they must equal what the client says it has received.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
MAX_WAITING_FRAMES = 10_000


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

    def send(self, items: list[Item]) -> None:
        """Hands over one frame. A client that is too slow for the queue is cut off."""
        if self.overrun:
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
        for connection in self._connections:
            if chosen := [item for item in listed if wanted(connection, item)]:
                connection.send(chosen)
        if listed and self._connections:
            self._changed()
