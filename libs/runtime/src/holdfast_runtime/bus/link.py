"""The connection to the bus: kept for ever, built anew where the client gave up, watched by those who read from it."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from holdfast_runtime.bus.permissions import inbox_prefix
from holdfast_runtime.errors import Retry
from holdfast_runtime.telemetry import metrics

CONNECT_TIMEOUT_SECS = 2
RECONNECT_EVERY_SECS = 0.2
PING_EVERY_SECS = 5
MAX_OUTSTANDING_PINGS = 2
REQUEST_TIMEOUT_SECS = 1.0
CLOSE_TIMEOUT_SECS = 2.0
LOOK_EVERY_SECS = 1.0
RENEW_TIMEOUT_SECS = 5.0
LINGER_SECS = 2.0
"""Longer than anything waits for an answer on the connection that is given up."""

BUS_ERRORS = (NatsError, TimeoutError, OSError)
"""What the client raises while the bus is away, restarting or electing a leader."""

TlsContext = Callable[[], ssl.SSLContext]
"""Gives the context of a new connection, made of the certificate that is valid now."""

_DENIED = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]*)")
_NO_TOKEN = re.compile(r"[^A-Za-z0-9_-]")

log = structlog.get_logger()
metrics.at_zero(metrics.BUS_DENIED, ("publish", "subscription"))


class BusAway(Retry):
    """The bus cannot be reached, or has not answered in time."""


def heed_cancellation() -> None:
    """Raises CancelledError where this task was cancelled and the cancellation got lost.

    Python 3.11's `asyncio.wait_for`, which the client uses for every request, returns its result instead where both
    come together; a loop that never looked would then run for ever."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class NatsLink:
    """One connection. `epoch` grows with every connect, so that whoever holds something of an older one can tell."""

    def __init__(self, url: str, *, name: str, token: str | None, tls: TlsContext | None = None) -> None:
        """With `tls` the handshake comes before anything else: a server, or whoever stands in its place, that speaks in
        plain text is refused (SE-5)."""
        self._servers = [each.strip() for each in url.split(",") if each.strip()]
        self._name = name
        self._token = token
        self._tls = tls
        self._client: Client | None = None
        self._context: JetStreamContext | None = None
        self._up = False
        self._changed = asyncio.Event()
        self._listeners: set[Callable[[], None]] = set()
        self._last_error = ""
        self._closing = False
        self._old: set[asyncio.Task[None]] = set()
        self.epoch = 0
        self.denied = ""
        """What the server has denied last, in small letters (the client gives no others): never to happen (IN-4)."""

    @property
    def connected(self) -> bool:
        return self._up and self._client is not None and self._client.is_connected

    @property
    def client(self) -> Client:
        """The live connection. Raises BusAway where there is none."""
        if self._client is None or not self._client.is_connected:
            raise BusAway("not connected to the bus", after_secs=0.5)
        return self._client

    @property
    def js(self) -> JetStreamContext:
        """JetStream on the live connection. Raises BusAway where there is none."""
        if self._context is None or not self.connected:
            raise BusAway("not connected to the bus", after_secs=0.5)
        return self._context

    async def wait(self, secs: float) -> bool:
        """True as soon as the connection is up; False where it is not after `secs`."""
        heed_cancellation()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(secs):
                while not self.connected:
                    await self._next_change()
        return self.connected

    async def pause(self, secs: float) -> None:
        """Returns after `secs`, or earlier with the next change of the connection."""
        heed_cancellation()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(secs):
                await self._next_change()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` is called with every new connection, until `ignore`."""
        self._listeners.add(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        self._listeners.discard(listener)

    async def open(self, progress: Callable[[], None]) -> None:
        """Returns once connected; tries for ever. The client reconnects by itself, except after errors that it takes
        for final (a refused token while the secret is being rotated): then a new client is built here."""
        if self._client is not None and not self._client.is_closed:
            while not await self.wait(LOOK_EVERY_SECS):
                progress()
                if self._client.is_closed:
                    break
            else:
                return
        client = Client()
        connecting = asyncio.create_task(self._connect(client))
        try:
            while not connecting.done():
                await asyncio.wait((connecting,), timeout=LOOK_EVERY_SECS)
                progress()
                heed_cancellation()
            await connecting
        except BUS_ERRORS as error:
            raise BusAway(f"the bus cannot be reached: {error}", after_secs=LOOK_EVERY_SECS) from error
        except asyncio.CancelledError:
            connecting.cancel()
            await asyncio.wait((connecting,), timeout=CLOSE_TIMEOUT_SECS)
            await _end(client)
            raise
        self._client = client
        self._context = client.jetstream(timeout=REQUEST_TIMEOUT_SECS)
        await self._on_up()

    async def _connect(self, client: Client) -> None:
        async def on_down() -> None:
            if client is self._client:
                await self._on_down()

        async def on_up() -> None:
            if client is self._client:
                await self._on_up()

        await client.connect(
            self._servers,
            name=self._name,
            token=self._token,
            inbox_prefix=inbox_prefix(_NO_TOKEN.sub("-", self._name)),
            connect_timeout=CONNECT_TIMEOUT_SECS,
            reconnect_time_wait=RECONNECT_EVERY_SECS,  # type: ignore[arg-type]  # annotated int, used as seconds of sleep
            max_reconnect_attempts=-1,
            ping_interval=PING_EVERY_SECS,
            max_outstanding_pings=MAX_OUTSTANDING_PINGS,
            disconnected_cb=on_down,
            reconnected_cb=on_up,
            closed_cb=on_down,
            error_cb=self._on_error,
            tls=self._tls() if self._tls else None,
            tls_handshake_first=self._tls is not None,
        )

    async def renew(self) -> None:
        """Connects again, with the certificate that is valid now, and then lets the old connection go: what is on its
        way there is still confirmed. Raises BusAway where the new one is refused; the old one stays (SE-1)."""
        old = self._client
        if old is None or self._tls is None:
            return
        if not old.is_connected:
            # It is being connected again by itself: with the new certificate from now on.
            old.options["tls"] = self._tls()
            return
        client = Client()
        try:
            async with asyncio.timeout(RENEW_TIMEOUT_SECS):
                await self._connect(client)
        except BUS_ERRORS as error:
            await _end(client)
            raise BusAway(f"the bus refuses the new certificate: {error or type(error).__name__}") from error
        if self._closing:
            await _end(client)
            return
        self._client, self._context = client, client.jetstream(timeout=REQUEST_TIMEOUT_SECS)
        await self._on_up()
        going = asyncio.create_task(_end_later(old))
        self._old.add(going)
        going.add_done_callback(self._old.discard)

    async def close(self) -> None:
        """Ends the connection, with what was written to it flushed."""
        self._closing = True
        client, self._client = self._client, None
        self._up = False
        metrics.BUS_CONNECTED.set(0)
        if client is not None:
            await _end(client)
        for going in self._old:
            going.cancel()

    async def _on_up(self) -> None:
        self.epoch += 1
        self._last_error = ""
        self._up = True
        self._changed.set()
        metrics.BUS_CONNECTED.set(1)
        log.info("bus.connected", epoch=self.epoch)
        for listener in tuple(self._listeners):
            listener()

    async def _on_down(self) -> None:
        self._up = False
        self._changed.set()
        metrics.BUS_CONNECTED.set(0)
        if not self._closing:
            log.warning("bus.disconnected", epoch=self.epoch)

    async def _on_error(self, error: Exception) -> None:
        # Told of each failed attempt to connect, in the task that tries: without this it may never end.
        heed_cancellation()
        # An outage repeats the same error several times a second: it is told once.
        text = f"{type(error).__name__}: {error}"
        if found := _DENIED.search(text):
            self.denied = f"{found[1]} to {found[2]}"
            metrics.BUS_DENIED.labels(action=found[1]).inc()
            log.error("bus.denied", action=found[1], subject=found[2])
            return
        if text != self._last_error and not self._closing:
            self._last_error = text
            log.warning("bus.error", error=text)


async def _end(client: Client) -> None:
    if not client.is_closed:
        with contextlib.suppress(*BUS_ERRORS):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECS):
                await client.close()


async def _end_later(client: Client) -> None:
    try:
        await asyncio.sleep(LINGER_SECS)
    finally:
        await _end(client)


class Inbox:
    """The messages of one subscription, in order, one at a time; wakes its reader after silence or a new connection.

    What waits here is bounded by the server: one unacknowledged message of a durable consumer, or the flow-control
    window of a reader.
    """

    def __init__(self, link: NatsLink) -> None:
        self._link = link
        self._client: Client | None = None
        self._subscription: Subscription | None = None
        self._queue: asyncio.Queue[Msg | None] = asyncio.Queue()

    async def open(self, subject: str, *, group: str = "") -> None:
        """Subscribes. Raises BusAway or the client's errors."""
        self._client = self._link.client
        self._subscription = await self._client.subscribe(subject, queue=group, cb=self._take)
        self._link.listen(self.wake)

    async def _take(self, message: Msg) -> None:
        self._queue.put_nowait(message)

    def wake(self) -> None:
        """Makes the present or next `next` return None."""
        self._queue.put_nowait(None)

    @property
    def stale(self) -> bool:
        """True where the connection it was opened on has been replaced."""
        return not self._link.connected or self._link.client is not self._client

    async def next(self, silence_secs: float) -> Msg | None:
        """The next message; None after so much silence, or because the connection was made again."""
        heed_cancellation()
        if not self._queue.empty():
            return self._queue.get_nowait()
        timer = asyncio.get_running_loop().call_later(silence_secs, self.wake)
        try:
            return await self._queue.get()
        finally:
            timer.cancel()

    def left(self) -> list[Msg]:
        """Messages that nobody took."""
        rest = []
        while not self._queue.empty():
            if (message := self._queue.get_nowait()) is not None:
                rest.append(message)
        return rest

    async def close(self) -> None:
        self._link.ignore(self.wake)
        if self._subscription is not None:
            with contextlib.suppress(*BUS_ERRORS):
                await self._subscription.unsubscribe()
