"""One WebSocket that is kept alive: connected again whenever it breaks or goes mute, no frame lost in silence.

alpaca-py's own streams log and drop a frame whose handler fails, and cannot tell an open stream from a mute one
(traps 4 and 5); this loop speaks the same protocol on the same library.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import StreamDown, StreamUp, Unauthorised, Unreadable
from holdfast_venue.access import Access, Credentials

Item = TypeVar("Item")
ItemOut = TypeVar("ItemOut", covariant=True)

HANDSHAKE_SECS = 10.0
CLOSE_SECS = 1.0
FIRST_BACKOFF_SECS = 0.1
MAX_BACKOFF_SECS = 10.0
TAKEN_RETRY_SECS = 1.0
"""Whoever holds the account's one connection is on its way out: the next one stands ready."""
STEADY_AFTER_SECS = 10.0
"""A connection that lived so long ends the row of failures."""
CREDENTIALS_POLL_SECS = 5.0
MAX_FRAME_BYTES = 4 * 2**20
MAX_QUEUED_FRAMES = 1_024
RAW_KEPT = 2_000
"""Characters of an unreadable frame that are kept."""

log = structlog.get_logger()


class Broken(Exception):
    """This connection is of no more use; the reason goes into StreamDown."""


class ConnectionTaken(Broken):
    """Another process holds the one connection that the account may have."""


class RefusedCredentials(Broken):
    """The venue does not accept these."""


class Dialect(Protocol[ItemOut]):
    """What is said on one kind of stream. Made anew for each connection, so that counts begin at 1."""

    async def open(self, socket: ClientConnection, credentials: Credentials) -> None:
        """Authenticates and subscribes. Raises Broken, RefusedCredentials."""

    async def probe(self, socket: ClientConnection) -> None:
        """Asks something harmless that the server must answer, after a silence."""

    def read(self, frame: str | bytes) -> Iterable[ItemOut | Unreadable]:
        """The items of one frame, none for a control frame. Raises Broken where the server ends the stream."""


class DialectMaker(Protocol[ItemOut]):
    def __call__(self) -> Dialect[ItemOut]: ...


class Stream(Generic[Item]):
    """Where to connect, and how long to believe in silence."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        dialect: DialectMaker[Item],
        access: Access,
        clock: MonotonicClock,
        chance: random.Random,
        mute_after_secs: float,
        use_proxies: bool,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._name = name
        self._url = url
        self._dialect = dialect
        self._access = access
        self._clock = clock
        self._chance = chance
        self._mute_after_secs = mute_after_secs
        self._use_proxies = use_proxies
        self._headers = headers or {}

    async def follow(self) -> AsyncIterator[Item | StreamUp | StreamDown | Unreadable]:
        """Items for ever. One StreamDown an outage, another where it turns out that the connection is taken; one
        StreamUp when it is subscribed again."""
        failures = 0
        told_down = told_taken = taken = False
        while True:
            socket: ClientConnection | None = None
            up_at_secs: float | None = None
            try:
                dialect = self._dialect()
                socket = await self._open(dialect)
                up_at_secs = self._clock.now_secs()
                told_down = told_taken = False
                log.info("stream.up", stream=self._name)
                yield StreamUp()
                while True:
                    frame = await self._next_frame(socket, dialect)
                    for item in dialect.read(frame):
                        yield item
            except (Broken, OSError, TimeoutError, WebSocketException) as error:
                reason = str(error) or type(error).__name__
                taken = isinstance(error, ConnectionTaken)
            finally:
                if socket is not None:
                    await _close(socket)
            if up_at_secs is not None and self._clock.now_secs() - up_at_secs >= STEADY_AFTER_SECS:
                failures = 0
            failures += 1
            log.warning("stream.down", stream=self._name, reason=reason, failures=failures)
            if not told_down or (taken and not told_taken):
                told_down, told_taken = True, taken
                yield StreamDown(reason, taken=taken)
            while self._access.refused():
                await self._clock.sleep(CREDENTIALS_POLL_SECS)
            backoff_secs = self._backoff_secs(failures)
            await self._clock.sleep(min(backoff_secs, TAKEN_RETRY_SECS) if taken else backoff_secs)

    async def _open(self, dialect: Dialect[Item]) -> ClientConnection:
        try:
            credentials = self._access.credentials()
        except Unauthorised as error:
            raise Broken(str(error)) from error
        socket: ClientConnection | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_SECS):
                socket = await connect(
                    self._url,
                    additional_headers=self._headers,
                    compression=None,
                    proxy=True if self._use_proxies else None,
                    open_timeout=HANDSHAKE_SECS,
                    close_timeout=CLOSE_SECS,
                    ping_interval=self._mute_after_secs / 2,
                    ping_timeout=self._mute_after_secs / 2,
                    max_size=MAX_FRAME_BYTES,
                    max_queue=MAX_QUEUED_FRAMES,
                )
                await dialect.open(socket, credentials)
                return socket
        except BaseException as error:
            if socket is not None:
                await _close(socket)
            if isinstance(error, RefusedCredentials) or (
                isinstance(error, InvalidStatus) and error.response.status_code == 401
            ):
                self._access.refuse(credentials)
            if isinstance(error, TimeoutError):
                raise Broken("no handshake in time") from error
            if isinstance(error, InvalidHandshake | InvalidURI):
                raise Broken(f"no handshake: {error}") from error
            raise

    async def _next_frame(self, socket: ClientConnection, dialect: Dialect[Item]) -> str | bytes:
        """The next frame; after half of the time without one, the server is asked for a sign of life."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._mute_after_secs / 2):
                return await socket.recv()
        await dialect.probe(socket)
        try:
            async with asyncio.timeout(self._mute_after_secs / 2):
                return await socket.recv()
        except TimeoutError:
            raise Broken(f"mute: no frame for {self._mute_after_secs:g} s") from None

    def _backoff_secs(self, failures: int) -> float:
        full = min(MAX_BACKOFF_SECS, FIRST_BACKOFF_SECS * 2.0 ** min(failures - 1, 16))
        return full * (0.5 + 0.5 * self._chance.random())


async def _close(socket: ClientConnection) -> None:
    with suppress(OSError, TimeoutError, WebSocketException):
        async with asyncio.timeout(CLOSE_SECS * 2):
            await socket.close()


def shown(frame: str | bytes) -> str:
    """A frame as text for the quarantine, cut to a bound."""
    return (frame if isinstance(frame, str) else frame.decode("utf-8", "backslashreplace"))[:RAW_KEPT]
