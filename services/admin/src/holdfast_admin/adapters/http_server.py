"""uvicorn in the shell's own event loop: no second loop, no signal handlers, an end in order."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn

from holdfast_runtime.errors import Retry

STOP_SECS = 3
KEEP_ALIVE_SECS = 15
MAX_CONNECTIONS = 256
BACKLOG = 128
PROGRESS_EVERY_SECS = 1.0

log = structlog.get_logger()


class _Quiet(uvicorn.Server):
    """Signals belong to the shell."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves one application on `host:port` while `run` runs."""

    def __init__(self, app: Any, *, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._server: _Quiet | None = None
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def started(self) -> bool:
        """True while requests are answered."""
        return self._server is not None and self._server.started and not self._server.should_exit

    async def run(self, progress: Callable[[], None]) -> None:
        """Serves until cancelled. Raises Retry where the address cannot be had."""
        listener = self._bind()
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECS,
            timeout_graceful_shutdown=STOP_SECS,
            limit_concurrency=MAX_CONNECTIONS,
        )
        server = self._server = _Quiet(config)
        self._ended.clear()
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        try:
            log.info("admin.listening", host=self._host, port=self._port)
            while not serving.done():
                await asyncio.wait({serving}, timeout=PROGRESS_EVERY_SECS)
                progress()
            serving.result()
        finally:
            # Requests in flight are answered, then it ends by itself, beyond this cancellation too.
            server.should_exit = True
            serving.add_done_callback(lambda _: self._over(listener))

    async def stop(self) -> None:
        """Waits for the end that `run` has begun."""
        if self._server is not None:
            self._server.should_exit = True
        await self._ended.wait()

    def _over(self, listener: socket.socket) -> None:
        listener.close()
        self._ended.set()

    def _bind(self) -> socket.socket:
        try:
            return socket.create_server((self._host, self._port), backlog=BACKLOG)
        except OSError as error:
            raise Retry(f"admin cannot listen on {self._host}:{self._port}: {error.strerror}") from error
