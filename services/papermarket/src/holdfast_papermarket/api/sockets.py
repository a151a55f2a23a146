"""What both kinds of WebSocket do: read what a client says, and empty a connection's queue into the socket."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import WebSocket, WebSocketDisconnect

from holdfast_papermarket.hubs import Connection

Item = TypeVar("Item")
CLOSE_POLICY = 1008


async def nothing() -> None:
    """For a stream that says no last word."""


async def pump(
    connection: Connection[Item],
    send: Callable[[list[Item]], Awaitable[Any]],
    socket: WebSocket,
    last_word: Callable[[], Awaitable[None]] = nothing,
) -> None:
    """Empties a connection into its socket until one of them ends; `last_word` is for a client that was cut off."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (items := await connection.queue.get()) is not None:
            await send(items)
        await last_word()
        await socket.close(CLOSE_POLICY)


async def receive(socket: WebSocket) -> str | bytes | None:
    """The next message; None when the client is gone."""
    message = await socket.receive()
    if message["type"] != "websocket.receive":
        return None
    found = message.get("text")
    return found if found is not None else bytes(message.get("bytes") or b"")
