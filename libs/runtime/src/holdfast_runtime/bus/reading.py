"""Reads a stream in order without a durable place, through restarts of the server and the loss of its store."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.errors import NotFoundError

from holdfast_runtime.bus.consuming import FIRST_BACKOFF_SECS, MAX_BACKOFF_SECS, NeedsRebuild, to_message
from holdfast_runtime.bus.envelope import MESSAGE_ID
from holdfast_runtime.bus.link import BUS_ERRORS, Inbox, NatsLink
from holdfast_runtime.bus.provision import Provision
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.bus import Message
from holdfast_runtime.telemetry import metrics

HEARTBEAT_SECS = 1.0
SILENCE_SECS = 3 * HEARTBEAT_SECS
"""Beyond so many missed heartbeats the reader is built again."""

FORGET_AFTER_SECS = 30.0
"""The server forgets a reader that nobody listens to for so long."""

STATUS, CONTROL = "Status", "100"
STALLED, LAST_DELIVERED = "Nats-Consumer-Stalled", "Nats-Last-Consumer"

log = structlog.get_logger()


class Reading:
    """One reader. `latest`: begins with the newest message of each subject (a bucket) instead of after a position."""

    def __init__(
        self, link: NatsLink, provision: Provision, stream: str, subject: str, *, after: int = 0, latest: bool = False
    ) -> None:
        self._link = link
        self._provision = provision
        self._stream = stream
        self._subject = subject
        self._latest = latest
        self._last = after
        self._last_id = ""
        self._created: datetime | None = None
        self._backoff_secs = FIRST_BACKOFF_SECS

    async def messages(self) -> AsyncIterator[Message]:
        """Every message in order, for ever; a lost stream is read again from its first."""
        while True:
            while not await self._link.wait(1.0):
                pass
            inbox = Inbox(self._link)
            try:
                await self._begin(inbox)
                expected = 1
                while True:
                    raw = await inbox.next(SILENCE_SECS)
                    if raw is None:
                        raise NeedsRebuild("silence beyond the heartbeat, or a new connection")
                    if (raw.headers or {}).get(STATUS) == CONTROL:
                        await self._control(raw, expected)
                        continue
                    if raw.metadata.sequence.consumer != expected:
                        raise NeedsRebuild(f"delivery {raw.metadata.sequence.consumer} came, {expected} was due")
                    expected += 1
                    self._backoff_secs = FIRST_BACKOFF_SECS
                    message = to_message(raw)
                    self._last, self._last_id = message.sequence, message.message_id
                    yield message
            except (Retry, *BUS_ERRORS) as error:
                log.info("bus.reader_rebuilt", stream=self._stream, after=self._last, why=str(error))
                metrics.BUS_REBUILDS.labels(self._stream).inc()
            finally:
                await inbox.close()
            await self._link.pause(self._backoff_secs)
            self._backoff_secs = min(self._backoff_secs * 2, MAX_BACKOFF_SECS)

    async def _begin(self, inbox: Inbox) -> None:
        info = await self._standing()
        if await self._lost(info):
            log.warning("bus.stream_lost", stream=self._stream, after=self._last, last=info.state.last_seq)
            metrics.BUS_STREAMS_LOST.labels(self._stream).inc()
            self._last, self._last_id = 0, ""
        self._created = info.created
        subject = self._link.client.new_inbox()
        await inbox.open(subject)
        await self._link.js.add_consumer(self._stream, config=self._config(subject))

    def _config(self, subject: str) -> ConsumerConfig:
        return ConsumerConfig(
            deliver_subject=subject,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT if self._latest else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=None if self._latest else self._last + 1,
            filter_subject=self._subject,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            idle_heartbeat=HEARTBEAT_SECS,
            flow_control=True,
            inactive_threshold=FORGET_AFTER_SECS,
            mem_storage=True,
            num_replicas=1,
        )

    async def _standing(self) -> StreamInfo:
        try:
            return await self._link.js.stream_info(self._stream)
        except NotFoundError:
            await self._provision.apply(update=False)
            return await self._link.js.stream_info(self._stream)

    async def _lost(self, info: StreamInfo) -> bool:
        """True where what was read is no longer what the stream holds: made anew, cut short, or other at that place."""
        if self._last == 0 or self._latest:
            return False
        if info.state.last_seq < self._last:
            return True
        if self._created is not None and info.created != self._created:
            return True
        if not self._last_id or info.state.first_seq > self._last:
            return False
        with contextlib.suppress(NotFoundError):
            there = await self._link.js.get_msg(self._stream, seq=self._last)
            return bool((there.headers or {}).get(MESSAGE_ID, "") != self._last_id)
        return False

    async def _control(self, raw: Msg, expected: int) -> None:
        """Answers flow control (the server holds back until then), and checks a heartbeat's count."""
        headers = raw.headers or {}
        if answer := raw.reply or headers.get(STALLED, ""):
            await self._link.client.publish(answer)
        delivered = headers.get(LAST_DELIVERED, "")
        if delivered.isdecimal() and int(delivered) != expected - 1:
            raise NeedsRebuild(f"the server sent {delivered} messages, {expected - 1} came")
