"""Messages put aside with their reason: what they hold, and how they are read back (BS-3, BS-8).

A dead letter keeps the original payload byte for byte; everything else is in its headers. Its message id is made of
the original's, so that a crash between putting aside and terminating the original does not store it twice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from holdfast_runtime.bus.envelope import header_text
from holdfast_runtime.bus.settlement import Dead
from holdfast_runtime.bus.streams import DEADLETTERS, stream_of
from holdfast_runtime.errors import Malformed
from holdfast_runtime.ports.bus import Consumer, Message

SUBJECT = "Holdfast-Subject"
STREAM = "Holdfast-Stream"
SEQUENCE = "Holdfast-Sequence"
CONSUMER = "Holdfast-Consumer"
ID = "Holdfast-Message-Id"
DELIVERIES = "Holdfast-Deliveries"
KIND = "Holdfast-Kind"
REASON = "Holdfast-Reason"

_OWN = frozenset({SUBJECT, STREAM, SEQUENCE, CONSUMER, ID, DELIVERIES, KIND, REASON})


# Anybody may have published the original: a header name that could not be sent again is left behind.
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


class StoredMessages(Protocol):
    """A bus that can be asked for what it holds now, without waiting for more."""

    async def stored(self, stream: str, subject: str, *, after: int = 0, limit: int = 100) -> list[Message]:
        """Messages of `stream` under `subject` after position `after`, oldest first, at most `limit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a consumer could not use, and why."""

    position: int
    """Its place among the dead letters, from 1; 0 where it is not stored yet."""
    stream: str
    subject: str
    sequence: int
    """Position of the original in its stream."""
    message_id: str
    payload: bytes
    consumer: str
    deliveries: int
    kind: str
    """Class of the error (Malformed, Refused), or Exhausted."""
    reason: str
    headers: Mapping[str, str]
    """The original's own."""

    @property
    def own_subject(self) -> str:
        """Where it is published: deadletters.v1.<stream>.<consumer>."""
        return f"deadletters.v1.{self.stream}.{self.consumer}"

    @property
    def own_message_id(self) -> str:
        """The same original put aside by the same consumer is the same dead letter."""
        return header_text(f"dead-{self.consumer}-{self.message_id or f'{self.stream}-{self.sequence}'}")

    def own_headers(self) -> dict[str, str]:
        """Everything but the payload, the original's headers included."""
        return {
            **{name: value for name, value in self.headers.items() if _SAFE_NAME.fullmatch(name)},
            SUBJECT: header_text(self.subject),
            STREAM: self.stream,
            SEQUENCE: str(self.sequence),
            CONSUMER: self.consumer,
            ID: header_text(self.message_id),
            DELIVERIES: str(self.deliveries),
            KIND: self.kind,
            REASON: header_text(self.reason),
        }


def dead_letter(message: Message, consumer: Consumer, dead: Dead) -> DeadLetter:
    """The dead letter made of a message that `consumer` could not use."""
    return DeadLetter(
        position=0,
        stream=consumer.stream,
        subject=message.subject,
        sequence=message.sequence,
        message_id=message.message_id,
        payload=message.payload,
        consumer=consumer.name,
        deliveries=message.deliveries,
        kind=dead.kind,
        reason=dead.reason,
        headers=message.headers,
    )


def unreadable(message: Message, reader: str, reason: str) -> DeadLetter:
    """The dead letter made of a message that `reader`, which has no durable place, could not read."""
    source = Consumer(stream=stream_of(message.subject).name, name=reader, subjects=(message.subject,))
    return dead_letter(message, source, Dead(Malformed.__name__, reason))


def from_message(message: Message) -> DeadLetter:
    """The dead letter in a message of the DEADLETTERS stream; what is missing there is empty, never an error."""
    held = message.headers
    return DeadLetter(
        position=message.sequence,
        stream=held.get(STREAM, ""),
        subject=held.get(SUBJECT, ""),
        sequence=_number(held.get(SEQUENCE, "")),
        message_id=held.get(ID, ""),
        payload=message.payload,
        consumer=held.get(CONSUMER, ""),
        deliveries=_number(held.get(DELIVERIES, "")),
        kind=held.get(KIND, ""),
        reason=held.get(REASON, ""),
        headers={name: value for name, value in held.items() if name not in _OWN},
    )


async def list_dead_letters(bus: StoredMessages, *, after: int = 0, limit: int = 100) -> list[DeadLetter]:
    """Dead letters after position `after`, oldest first, at most `limit`. Raises Retry where the bus is away."""
    return [from_message(each) for each in await bus.stored(DEADLETTERS, "deadletters.v1.>", after=after, limit=limit)]


async def read_dead_letter(bus: StoredMessages, position: int) -> DeadLetter | None:
    """The dead letter at `position`; None where there is none (any more)."""
    found = await list_dead_letters(bus, after=position - 1, limit=1)
    return found[0] if found and found[0].position == position else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
