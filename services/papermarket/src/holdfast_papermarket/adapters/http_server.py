"""uvicorn inside the service's own event loop: signals stay with the shell."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

Scope = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[MutableMapping[str, Any]]], Callable[[MutableMapping[str, Any]], Awaitable[None]]],
    Awaitable[None],
]

KEEP_ALIVE_SECS = 75
STOP_SECS = 2
MAX_FRAME_BYTES = 1 << 20
TRANSPORT = "papermarket.transport"
"""Key of an ASGI scope under which its connection's transport is left, for faults that cut connections."""


class _Open(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # the one of two classes that is installed
    """Shows the application the connection that it answers on."""

    app: App

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        app = self.app

        async def shown(scope: Scope, receive: Any, send: Any) -> None:
            scope[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = shown


class _Quiet(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves `app` on `host:port` until stopped."""

    def __init__(self, app: App, *, host: str, port: int) -> None:
        self._server = _Quiet(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                lifespan="off",
                http=_Open,
                ws="websockets-sansio",
                ws_max_size=MAX_FRAME_BYTES,
                ws_per_message_deflate=False,
                timeout_keep_alive=KEEP_ALIVE_SECS,
                timeout_graceful_shutdown=STOP_SECS,
            )
        )

    async def run(self) -> None:
        """Listens until `stop`."""
        await self._server.serve()

    @property
    def started(self) -> bool:
        """True once it listens."""
        return self._server.listening.is_set()

    async def until_started(self) -> None:
        await self._server.listening.wait()

    @property
    def port(self) -> int:
        """The port it listens on, also where it was asked for a free one (0)."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.should_exit = True
