"""Facts travel here. Nothing whose loss would matter lives only here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a stream."""

    subject: str
    payload: bytes
    message_id: str
    sequence: int
    """Position in its stream, from 1."""
    deliveries: int = 1
    """How often this consumer was given it; more than 1 is a redelivery."""
    headers: Mapping[str, str] = field(default_factory=dict)
    stored_ns: int = 0
    """Wall-clock nanoseconds since 1970 at which the bus stored it, for telemetry alone; 0 where it does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that is to be published."""

    subject: str
    payload: bytes
    message_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A durable place in a stream: one message in flight, in order."""

    stream: str
    name: str
    subjects: tuple[str, ...]
    max_deliveries: int = 10
    """After so many tries the message is dead-lettered with its reason."""


MessageHandler = Callable[[Message], Awaitable[None]]


class Bus(Protocol):
    """Streams, as declared in `holdfast_runtime.bus.streams`."""

    async def publish(
        self, subject: str, payload: bytes, *, message_id: str, headers: Mapping[str, str] | None = None
    ) -> int:
        """Stores a message and returns its position in the stream. The same id again within the window stores nothing
        and returns the first position. Raises Retry where the bus is away or the stream is full."""

    async def publish_all(self, letters: Sequence[Letter]) -> list[bool]:
        """As `publish` for each, in their order, without waiting for one before the next; False for those that would
        have raised Retry."""

    async def consume(self, consumer: Consumer, handler: MessageHandler) -> None:
        """Hands one message after the other to `handler` until cancelled, and acknowledges after it returned.

        Retry from the handler: delivered again after its delay. Malformed or GiveUp: dead-lettered with the reason.
        While the handler works the delivery is kept alive. Trace context of the message is the handler's parent.
        """

    def read(self, stream: str, subject: str, *, after: int = 0) -> AsyncIterator[Message]:
        """Every message after position `after`, then new ones as they come, without a durable place (projections)."""

    async def put_aside(self, message: Message, reader: str, reason: str) -> None:
        """Keeps a message that `reader` cannot use among the dead letters, with its reason; it stays in its stream too.

        For readers without a durable place: `consume` does it by itself. Raises Retry where the bus is away."""

    async def last_position(self, stream: str) -> int:
        """Position of the newest message ever stored in the stream; 0 where there was none."""

    async def acknowledged(self, consumer: Consumer) -> int:
        """Position up to which `consumer` has finished."""
