"""The bus over NATS JetStream (ports.bus.Bus).

Connects in the background and for ever; until it is connected, publishing raises Retry and consumers wait. A server
that was killed is found again, one whose store was lost gets its streams and consumers again.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog
from nats.errors import BadHeaderError, BadSubjectError, MaxPayloadError
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServerError, ServiceUnavailableError

from holdfast_runtime.bus.confirming import Confirmations
from holdfast_runtime.bus.consuming import Consuming
from holdfast_runtime.bus.dead_letters import DeadLetter, unreadable
from holdfast_runtime.bus.envelope import incoming, outgoing
from holdfast_runtime.bus.link import BUS_ERRORS, BusAway, NatsLink, TlsContext, heed_cancellation
from holdfast_runtime.bus.provision import BusMismatch, Provision, Survey
from holdfast_runtime.bus.reading import Reading
from holdfast_runtime.bus.settlement import ACK_WAIT_SECS
from holdfast_runtime.bus.streams import Stream, stream_named, stream_of
from holdfast_runtime.errors import GiveUp, Retry
from holdfast_runtime.ports.bus import Consumer, Letter, Message, MessageHandler
from holdfast_runtime.telemetry import metrics

"""A delivery without a sign of life for so long is given to another worker: the bound of a take-over."""

PUBLISH_BOUND_SECS = 3.0
FIRST_RETRY_SECS = 0.04
MAX_RETRY_SECS = 0.5
TRIES_BEFORE_LOOKING = 3
"""After so many refusals publishing looks whether the stream is gone, and makes it again."""

LOOK_EVERY_SECS = 1.0
CHECK_EVERY_LOOKS = 3
MEASURE_EVERY_LOOKS = 30

log = structlog.get_logger()


class StreamFull(Retry):
    """The stream is at its maximum and refuses messages until old ones have expired."""


class ProgressFactory(Protocol):
    """Gives a loop's heartbeat by the loop's name."""

    def __call__(self, name: str, /) -> Callable[[], None]: ...


def _no_progress(_: str, /) -> Callable[[], None]:
    return lambda: None


class NatsBus:
    """One process's bus. `url`: one or more nats:// addresses, comma-separated. `replicas`: 1 or 3 for every stream."""

    def __init__(
        self,
        *,
        url: str,
        name: str = "holdfast",
        replicas: int = 1,
        token: str | None = None,
        tls: TlsContext | None = None,
        service: str | None = None,
        ack_wait_secs: float = ACK_WAIT_SECS,
        progress: ProgressFactory = _no_progress,
    ) -> None:
        """`service`: makes that service's streams alone; None: all."""
        self.link = NatsLink(url, name=name, token=token, tls=tls)
        self.provision = Provision(self.link, replicas=replicas, service=service)
        self._confirmations = Confirmations(self.link)
        self._ack_wait_secs = ack_wait_secs
        self._progress = progress

    @property
    def connected(self) -> bool:
        """True while there is a connection; never a reason for being unready (readiness is own state)."""
        return self.link.connected

    async def connect(self, *, timeout_secs: float = 30.0) -> None:
        """Connects and creates what is missing. `run` does the same in the background. Raises Retry after
        `timeout_secs`, BusMismatch where a stream is not as declared."""
        try:
            async with asyncio.timeout(timeout_secs):
                await self.link.open(lambda: None)
                while True:
                    try:
                        await self.apply(update=False)
                        return
                    except BusAway:
                        # JetStream answers a little later than the server does.
                        await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise BusAway(f"no bus within {timeout_secs} s") from error

    async def run(self) -> None:
        """Keeps the connection and the streams until cancelled: after every new connection what a lost store took is
        created again. A stream that differs from its declaration is told, and trading goes on."""
        progress = self._progress("bus")
        applied = looks = 0
        while True:
            await self.link.open(progress)
            try:
                if applied != (epoch := self.link.epoch):
                    await self._apply_or_tell()
                    applied, looks = epoch, 0
                elif looks % CHECK_EVERY_LOOKS == 0:
                    await self._apply_or_tell(own_only=True)
                if looks % MEASURE_EVERY_LOOKS == 0:
                    await self.provision.measure()
                looks += 1
            except (Retry, *BUS_ERRORS) as error:
                log.info("bus.not_answering", error=str(error))
            progress()
            await self.link.pause(LOOK_EVERY_SECS)

    async def _apply_or_tell(self, *, own_only: bool = False) -> None:
        try:
            await self.provision.apply(update=False, own_only=own_only)
        except BusMismatch as error:
            log.error("bus.mismatch", error=str(error), steps=list(error.steps))

    async def renew(self) -> None:
        """Goes over to a connection with the certificate that is valid now. Raises BusAway where that is refused; the
        old connection stays."""
        await self.link.renew()

    async def close(self) -> None:
        """Ends the connection."""
        await self.link.close()

    async def apply(self, *, update: bool = True) -> list[str]:
        """Creates what is missing, changes what differs where `update`, verifies; returns the names created.

        Idempotent. Raises BusMismatch naming the stream, its field, what is declared and what is there."""
        return await self.provision.apply(update=update)

    async def survey(self, *, now: Callable[[], datetime]) -> Survey:
        """Looks at every declared stream and bucket, and at the server's clock. Raises Retry where it is away."""
        try:
            return await self.provision.survey(now=now)
        except BUS_ERRORS as error:
            raise BusAway(f"the bus does not answer: {error or type(error).__name__}") from error

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> int:
        """See ports.bus.Bus. Tries for at most 3 s with the same message id, then raises Retry (BusAway, StreamFull).

        Raises GiveUp for a subject that no declared stream stores, and for a message that is too large."""
        stream, carried = _addressed(subject, payload, message_id, headers)
        loop = asyncio.get_running_loop()
        until_secs = loop.time() + PUBLISH_BOUND_SECS
        tries, wait_secs = 0, FIRST_RETRY_SECS
        while True:
            tries += 1
            try:
                position = await self._try(stream, subject, payload, carried)
            except BusAway as error:
                if loop.time() + wait_secs > until_secs:
                    metrics.BUS_PUBLISH_FAILURES.labels(stream.name).inc()
                    raise
                log.debug("bus.publish_again", subject=subject, message_id=message_id, tries=tries, error=str(error))
            except Retry:
                metrics.BUS_PUBLISH_FAILURES.labels(stream.name).inc()
                raise
            else:
                heed_cancellation()
                metrics.BUS_PUBLISHED.labels(stream.name).inc()
                return position
            heed_cancellation()
            if self.link.connected:
                await asyncio.sleep(wait_secs)
                if tries == TRIES_BEFORE_LOOKING:
                    await self._make_again()
            else:
                await self.link.wait(wait_secs)
            wait_secs = min(2 * wait_secs, MAX_RETRY_SECS)

    async def publish_all(self, letters: Sequence[Letter]) -> list[bool]:
        """See ports.bus.Bus. What is not confirmed at once is published again, as `publish` does."""
        addressed = [_addressed(each.subject, each.payload, each.message_id, each.headers) for each in letters]
        on_their_way: list[asyncio.Future[int]] = []
        with contextlib.suppress(Retry, *BUS_ERRORS):
            for each, (_, carried) in zip(letters, addressed, strict=True):
                on_their_way.append(await self._confirmations.send(each.subject, each.payload, carried))
        if on_their_way:
            await asyncio.wait(on_their_way)
        heed_cancellation()
        stored = [not sent.cancelled() and sent.exception() is None for sent in on_their_way]
        stored += [False] * (len(letters) - len(stored))
        counts = Counter(stream.name for (stream, _), done in zip(addressed, stored, strict=True) if done)
        for name, count in counts.items():
            metrics.BUS_PUBLISHED.labels(name).inc(count)
        left = [number for number, done in enumerate(stored) if not done]
        again = await asyncio.gather(*(self._publish_again(letters[number]) for number in left))
        for number, done in zip(left, again, strict=True):
            stored[number] = done
        return stored

    async def _publish_again(self, letter: Letter) -> bool:
        try:
            await self.publish(letter.subject, letter.payload, message_id=letter.message_id, headers=letter.headers)
        except Retry:
            return False
        return True

    async def _try(self, stream: Stream, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        try:
            return await self._confirmations.publish(subject, payload, headers)
        except (BadSubjectError, BadHeaderError, MaxPayloadError) as error:
            raise GiveUp(f"{subject}: {error}") from error
        except NoStreamResponseError as error:
            raise BusAway(f"{subject}: no stream answers") from error
        except (ServiceUnavailableError, ServerError) as error:
            if error.err_code == _REFUSED_BY_STORE:
                raise StreamFull(f"stream {stream.name} is full: {error.description}", after_secs=5.0) from error
            raise BusAway(f"{subject}: {error}") from error
        except APIError as error:
            raise GiveUp(f"{subject}: stream {stream.name} refuses the message: {error.description}") from error
        except BUS_ERRORS as error:
            raise BusAway(f"{subject}: not confirmed: {error}") from error

    async def _make_again(self) -> None:
        try:
            await self._apply_or_tell()
        except BusAway as error:
            log.info("bus.not_answering", error=str(error))

    async def consume(self, consumer: Consumer, handler: MessageHandler) -> None:
        """See ports.bus.Bus."""
        stream_named(consumer.stream)
        await Consuming(
            self.link,
            self.provision,
            consumer,
            handler,
            bury=self._bury,
            ack_wait_secs=self._ack_wait_secs,
            progress=self._progress(f"consume-{consumer.name}"),
        ).run()

    async def _bury(self, letter: DeadLetter) -> None:
        await self.publish(
            letter.own_subject, letter.payload, message_id=letter.own_message_id, headers=letter.own_headers()
        )

    def read(self, stream: str, subject: str, *, after: int = 0) -> AsyncIterator[Message]:
        """See ports.bus.Bus. After a loss of the stream it begins again at the first message: sequences go back."""
        stream_named(stream)
        return Reading(self.link, self.provision, stream, subject, after=after).messages()

    async def put_aside(self, message: Message, reader: str, reason: str) -> None:
        """See ports.bus.Bus."""
        await self._bury(unreadable(message, reader, reason))

    async def last_position(self, stream: str) -> int:
        """See ports.bus.Bus. Raises Retry where the bus is away."""
        stream_named(stream)
        try:
            return (await self.link.js.stream_info(stream)).state.last_seq
        except NotFoundError:
            return 0
        except BUS_ERRORS as error:
            raise BusAway(f"stream {stream}: {error}") from error

    async def acknowledged(self, consumer: Consumer) -> int:
        """See ports.bus.Bus. 0 where the consumer has never run. Raises Retry where the bus is away."""
        stream_named(consumer.stream)
        try:
            info = await self.link.js.consumer_info(consumer.stream, consumer.name)
        except NotFoundError:
            return 0
        except BUS_ERRORS as error:
            raise BusAway(f"consumer {consumer.name}: {error}") from error
        return info.ack_floor.stream_seq if info.ack_floor else 0

    async def stored(self, stream: str, subject: str, *, after: int = 0, limit: int = 100) -> list[Message]:
        """What `stream` holds now under `subject` after position `after`, oldest first, at most `limit`; does not wait.
        Raises Retry where the bus is away."""
        stream_named(stream)
        found: list[Message] = []
        try:
            while len(found) < limit:
                raw = await self.link.js.get_msg(stream, seq=after + 1, subject=subject, next=True)
                message_id, headers = incoming(raw.headers)
                after = raw.seq or 0
                found.append(
                    Message(
                        subject=raw.subject or "",
                        payload=raw.data or b"",
                        message_id=message_id,
                        sequence=after,
                        headers=headers,
                    )
                )
        except NotFoundError:
            return found
        except BUS_ERRORS as error:
            raise BusAway(f"stream {stream}: {error}") from error
        return found


_REFUSED_BY_STORE = 10077


def _addressed(
    subject: str, payload: bytes, message_id: str, headers: Mapping[str, str] | None
) -> tuple[Stream, dict[str, str]]:
    """The stream of a message, and all its headers. Raises GiveUp for one that can never be published."""
    stream = stream_of(subject)
    carried = outgoing(message_id, headers)
    size = len(payload) + sum(len(name) + len(value) + 4 for name, value in carried.items())
    if size > stream.max_message_bytes:
        raise GiveUp(f"{subject}: {size} bytes, stream {stream.name} takes {stream.max_message_bytes}")
    return stream, carried
