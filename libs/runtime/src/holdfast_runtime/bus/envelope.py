"""What travels beside a payload: the message id, the sender's own headers, and W3C trace context."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, propagate

from holdfast_runtime.errors import GiveUp

MESSAGE_ID = "Nats-Msg-Id"
RESERVED = "Nats-"
"""Headers of the server's own begin so: they are never handed to a handler, nor taken from a sender."""


def outgoing(message_id: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers of a message about to be published. A trace context that the sender gave wins over the present one.

    Raises GiveUp where there is no message id or a header is the server's own."""
    if not message_id or not message_id.isprintable():
        raise GiveUp(f"message id {message_id!r}: it is empty or not printable, so a repeat could not be recognised")
    carried: dict[str, str] = {}
    propagate.inject(carried)
    for name, value in (headers or {}).items():
        if name.startswith(RESERVED):
            raise GiveUp(f"header {name}: names that begin with {RESERVED} belong to the server")
        carried[name] = value
    carried[MESSAGE_ID] = message_id
    return carried


def incoming(headers: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
    """Message id and the sender's headers, trace context included."""
    if not headers:
        return "", {}
    own = {name: value for name, value in headers.items() if not name.startswith(RESERVED)}
    return headers.get(MESSAGE_ID, ""), own


@contextmanager
def parent_of(headers: Mapping[str, str]) -> Iterator[None]:
    """While inside, spans continue the trace of the message that carried `headers`."""
    token = context.attach(propagate.extract(headers))
    try:
        yield
    finally:
        context.detach(token)


def header_text(text: str, *, limit: int = 500) -> str:
    """`text` as it may stand in a header: one line of ASCII, at most `limit` characters."""
    return " ".join(text.split()).encode("ascii", "backslashreplace").decode("ascii")[:limit]
