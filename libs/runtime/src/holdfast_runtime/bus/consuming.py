"""A durable place in a stream: one message in flight, in order, through restarts of either side.

Delivery is by push, the fastest there is, to a subject that is a function of stream and consumer; processes share it as
a group, so the place is taken over where one of them dies. Deliveries are counted by the server and survive it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from holdfast_runtime.bus.dead_letters import DeadLetter, dead_letter
from holdfast_runtime.bus.envelope import incoming
from holdfast_runtime.bus.link import BUS_ERRORS, REQUEST_TIMEOUT_SECS, BusAway, Inbox, NatsLink
from holdfast_runtime.bus.permissions import deliver_subject
from holdfast_runtime.bus.provision import Provision
from holdfast_runtime.bus.settlement import Again, Dead, Done, Outcome, attempt
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.bus import Consumer, Message, MessageHandler
from holdfast_runtime.telemetry import metrics

SILENCE_SECS = 2.0
"""After so much silence the server is asked whether the consumer still stands."""

FIRST_BACKOFF_SECS = 0.1
MAX_BACKOFF_SECS = 2.0
STALLED_LOOKS = 2
"""So many looks in a row that find messages waiting and none on its way mean that delivery has stalled."""

ACK, NAK, PROGRESS, TERM = b"+ACK", b"-NAK", b"+WPI", b"+TERM"

log = structlog.get_logger()


class NeedsRebuild(BusAway):
    """The subscription or the consumer on the server is not what it was."""


def to_message(raw: Msg) -> Message:
    """A delivery as the port gives it."""
    message_id, headers = incoming(raw.headers)
    place = raw.metadata
    return Message(
        subject=raw.subject,
        payload=raw.data,
        message_id=message_id,
        sequence=place.sequence.stream,
        deliveries=place.num_delivered,
        headers=headers,
        stored_ns=int(place.timestamp.timestamp() * 1e9),
    )


class Consuming:
    """Runs one durable consumer until cancelled."""

    def __init__(
        self,
        link: NatsLink,
        provision: Provision,
        consumer: Consumer,
        handler: MessageHandler,
        *,
        bury: Callable[[DeadLetter], Awaitable[None]],
        ack_wait_secs: float,
        progress: Callable[[], None],
    ) -> None:
        self._link = link
        self._provision = provision
        self._consumer = consumer
        self._handler = handler
        self._bury = bury
        self._ack_wait_secs = ack_wait_secs
        self._progress = progress
        self._subject = deliver_subject(consumer.stream, consumer.name)
        self._in_hand: Msg | None = None
        self._finished: tuple[int, object] | None = None
        self._backoff_secs = FIRST_BACKOFF_SECS

    async def run(self) -> None:
        """Delivers until cancelled; whatever breaks on the bus is built again."""
        while True:
            try:
                async with self._bound() as inbox:
                    await self._deliver(inbox)
            except (Retry, *BUS_ERRORS) as error:
                log.info(
                    "bus.consumer_rebuilt", stream=self._consumer.stream, consumer=self._consumer.name, why=str(error)
                )
                metrics.BUS_REBUILDS.labels(self._consumer.stream).inc()
            self._progress()
            await self._link.pause(self._backoff_secs)
            self._backoff_secs = min(self._backoff_secs * 2, MAX_BACKOFF_SECS)

    @contextlib.asynccontextmanager
    async def _bound(self) -> AsyncIterator[Inbox]:
        while not await self._link.wait(1.0):
            self._progress()
        inbox = Inbox(self._link)
        try:
            await inbox.open(self._subject, group=self._consumer.name)
            await self._declare()
            yield inbox
        finally:
            # Given back only once we no longer listen: another worker, or our successor, gets them at once.
            await inbox.close()
            await self._give_back(inbox)

    async def _declare(self) -> None:
        config = self._config()
        try:
            await self._link.js.add_consumer(self._consumer.stream, config=config)
        except NotFoundError:
            await self._provision.apply(update=False)
            await self._link.js.add_consumer(self._consumer.stream, config=config)

    def _config(self) -> ConsumerConfig:
        subjects = self._consumer.subjects
        return ConsumerConfig(
            name=self._consumer.name,
            durable_name=self._consumer.name,
            deliver_policy=DeliverPolicy.ALL,
            deliver_subject=self._subject,
            deliver_group=self._consumer.name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait_secs,
            max_ack_pending=1,
            # Deliveries are limited here, not by the server, which would only stop delivering: nothing is skipped.
            max_deliver=-1,
            filter_subject=subjects[0] if len(subjects) == 1 else None,
            filter_subjects=list(subjects) if len(subjects) > 1 else None,
        )

    async def _deliver(self, inbox: Inbox) -> None:
        stalled = 0
        while True:
            self._progress()
            raw = await inbox.next(SILENCE_SECS)
            if raw is None:
                stalled = await self._look(inbox, stalled)
            elif raw.reply:
                stalled = 0
                await self._handle(raw)
            self._backoff_secs = FIRST_BACKOFF_SECS

    async def _look(self, inbox: Inbox, stalled: int) -> int:
        """After silence or a new connection: is there still somebody to deliver to us? Raises NeedsRebuild."""
        if inbox.stale:
            raise NeedsRebuild("the connection was replaced")
        try:
            info = await self._link.js.consumer_info(self._consumer.stream, self._consumer.name)
        except NotFoundError:
            raise NeedsRebuild("the consumer is gone from the server") from None
        if not info.push_bound:
            raise NeedsRebuild("the server does not deliver to us")
        stalled = stalled + 1 if info.num_pending and not info.num_ack_pending else 0
        if stalled >= STALLED_LOOKS:
            raise NeedsRebuild(f"{info.num_pending} messages wait and none comes")
        return stalled

    async def _handle(self, raw: Msg) -> None:
        message = to_message(raw)
        place = (message.sequence, raw.metadata.timestamp)
        if place == self._finished:
            # Our acknowledgement was lost, or came late: the work is done.
            await self._settle(raw, Done())
            return
        self._in_hand = raw
        with self._kept_alive(raw):
            outcome = await attempt(self._handler, message, self._consumer)
            if isinstance(outcome, Dead):
                outcome = await self._put_aside(message, outcome)
        if not isinstance(outcome, Again):
            self._finished = place
        self._in_hand = None
        await self._settle(raw, outcome)

    async def _put_aside(self, message: Message, dead: Dead) -> Outcome:
        try:
            await self._bury(dead_letter(message, self._consumer, dead))
        except Retry as error:
            log.error(
                "bus.dead_letter_waits", consumer=self._consumer.name, message_id=message.message_id, error=str(error)
            )
            return Again(error.after_secs, f"its dead letter could not be stored: {error}")
        return dead

    async def _settle(self, raw: Msg, outcome: Outcome) -> None:
        # Where the answer is lost the delivery comes again and is recognised by its place.
        client = self._link.client
        if isinstance(outcome, Again):
            await client.publish(raw.reply, _nak(outcome.after_secs))
        else:
            body = TERM if isinstance(outcome, Dead) else ACK
            await client.request(raw.reply, body, timeout=REQUEST_TIMEOUT_SECS)

    @contextlib.contextmanager
    def _kept_alive(self, raw: Msg) -> Iterator[None]:
        """Tells the server every third of `ack_wait` that the handler works."""
        loop = asyncio.get_running_loop()
        telling: list[asyncio.Task[None]] = []
        # A timer that rarely fires is cheaper on the way of a trade than a task for each message.
        timer = loop.call_later(
            self._ack_wait_secs / 3, lambda: telling.append(loop.create_task(self._keep_telling(raw)))
        )
        try:
            yield
        finally:
            timer.cancel()
            for task in telling:
                task.cancel()

    async def _keep_telling(self, raw: Msg) -> None:
        while True:
            with contextlib.suppress(Retry, *BUS_ERRORS):
                await self._link.client.publish(raw.reply, PROGRESS)
            await asyncio.sleep(self._ack_wait_secs / 3)

    async def _give_back(self, inbox: Inbox) -> None:
        rest = inbox.left()
        if self._in_hand is not None:
            rest.insert(0, self._in_hand)
            self._in_hand = None
        client: Client | None = self._link.client if self._link.connected else None
        for raw in rest:
            if client is not None and raw.reply:
                with contextlib.suppress(*BUS_ERRORS):
                    await client.publish(raw.reply, NAK)


def _nak(delay_secs: float) -> bytes:
    return NAK if delay_secs <= 0 else NAK + b' {"delay": %d}' % int(delay_secs * 1_000_000_000)
