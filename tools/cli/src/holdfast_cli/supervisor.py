"""Runs the stack's processes as the kubelet would: restarts with backoff, liveness by the gRPC health protocol."""

import asyncio
import contextlib
import ctypes
import os
import signal as signals
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

import grpc
from grpc_health.v1 import health_pb2

from holdfast_cli.plan import BUS, VENUE_SERVICE, Process
from holdfast_runtime.exits import EXIT_INVALID_CONFIGURATION, EXIT_NEEDS_PERSON

FIRST_BACKOFF_SECS = 0.2
MAX_BACKOFF_SECS = 5.0
MAX_ERROR_FILE_BYTES = 5_000_000
STABLE_AFTER_SECS = 20.0
PROBE_EVERY_SECS = 0.5
PROBE_TIMEOUT_SECS = 2.0
LIVENESS_FAILURES = 5
STARTUP_LIMIT_SECS = 60.0
STOP_LIMIT_SECS = 12.0
LAST_WORDS_SECS = 0.3
MAX_FAILED_STARTS = 8
"""So many ends in a row without having been ready once in between: it will not start."""

FINAL_EXITS = (EXIT_INVALID_CONFIGURATION, EXIT_NEEDS_PERSON)
PR_SET_PDEATHSIG = 1


class State(StrEnum):
    """What a person is shown of a process."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "not ready"
    STUCK = "stuck"
    BACKOFF = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class StackFailed(Exception):
    """A process ended in a way that no restart helps: its message says which and where to look."""


def die_with_parent() -> None:
    """In the child, before exec: it gets SIGTERM when the supervisor dies, so that no orphan trades on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signals.SIGTERM)


@dataclass(slots=True)
class Child:
    """One supervised process."""

    process: Process
    state: State = State.STARTING
    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    failed_starts: int = 0
    """Ends since it was last ready."""
    _handle: asyncio.subprocess.Process | None = None
    _stopping: bool = False

    async def run(self) -> None:
        """Keeps the process running until `stop`. Raises StackFailed where no restart helps."""
        backoff_secs = FIRST_BACKOFF_SECS
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began_secs = loop.time()
            await self._run_once()
            if self._stopping:
                break
            if self.last_exit in FINAL_EXITS:
                self.state = State.FAILED
                raise StackFailed(f"{self.process.name} ended with {self.last_exit}: {self._last_words()}")
            # Whoever kills it from outside says nothing about whether it can start.
            self.failed_starts += self.last_exit != -signals.SIGKILL
            if self.failed_starts >= MAX_FAILED_STARTS:
                self.state = State.FAILED
                raise StackFailed(
                    f"{self.process.name} has not become ready in {self.failed_starts} starts, the last one ended with "
                    f"{self.last_exit}: {self._last_words(lines=1)}\nlog: {self.process.error_file}"
                )
            backoff_secs = FIRST_BACKOFF_SECS if loop.time() - began_secs > STABLE_AFTER_SECS else backoff_secs
            self.state = State.BACKOFF
            self.restarts += 1
            await asyncio.sleep(backoff_secs)
            backoff_secs = min(backoff_secs * 2, MAX_BACKOFF_SECS)
        self.state = State.STOPPED

    async def _run_once(self) -> None:
        self.state = State.STARTING
        with self._open_error_file() as errors:
            try:
                self._handle = await asyncio.create_subprocess_exec(
                    *self.process.command,
                    env=dict(self.process.environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            except OSError as error:
                self.state = State.FAILED
                raise StackFailed(f"{self.process.name} cannot be started: {error}") from error
        self.pid = self._handle.pid
        self._write_pid(self._handle.pid)
        probe = asyncio.create_task(self._probe(self._handle))
        try:
            self.last_exit = await self._handle.wait()
        finally:
            probe.cancel()
            self.pid = None

    def _open_error_file(self) -> BinaryIO:
        """Appends, readable by its owner alone; begins anew where the last starts have filled it."""
        file = self.process.error_file
        full = file.exists() and file.stat().st_size > MAX_ERROR_FILE_BYTES
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if full else os.O_APPEND)
        return os.fdopen(os.open(file, flags, 0o600), "ab")

    def _write_pid(self, pid: int) -> None:
        """In one step: whoever reads it finds the old one or the new one, never half."""
        file = self.process.error_file.with_suffix(".pid")
        fresh = file.with_suffix(".pid.new")
        fresh.write_text(f"{pid}\n")
        fresh.replace(file)

    async def _probe(self, handle: asyncio.subprocess.Process) -> None:
        """Startup, liveness and readiness, as Kubernetes asks them. Without progress the process is killed."""
        loop = asyncio.get_running_loop()
        began_secs = loop.time()
        failures = 0
        async with probe_of(self.process) as probe:
            while handle.returncode is None:
                alive = await probe("liveness")
                if self._stopping:
                    # It closes its doors, health among them, in order: `stop` gives it its time.
                    return
                ready = alive and await probe("readiness")
                if ready:
                    self.state = State.READY
                    self.failed_starts = 0
                elif self.state is State.READY:
                    self.state = State.UNREADY
                starting = self.state is State.STARTING and loop.time() - began_secs < STARTUP_LIMIT_SECS
                failures = 0 if alive or starting else failures + 1
                if failures >= LIVENESS_FAILURES:
                    self.state = State.STUCK
                    # A service writes where its threads stand, even where its event loop does not turn any more.
                    with contextlib.suppress(ProcessLookupError):
                        handle.send_signal(signals.SIGUSR1)
                        await asyncio.sleep(LAST_WORDS_SECS)
                        handle.kill()
                    return
                await asyncio.sleep(PROBE_EVERY_SECS)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that is not answered in time."""
        self._stopping = True
        handle = self._handle
        if handle is None or handle.returncode is not None:
            return
        # A process that is frozen (SIGSTOP) takes no SIGTERM before it is woken.
        for number in (signals.SIGTERM, signals.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                handle.send_signal(number)
        try:
            await asyncio.wait_for(handle.wait(), STOP_LIMIT_SECS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                handle.kill()
            await handle.wait()

    def _last_words(self, lines: int = 6) -> str:
        try:
            found = self.process.error_file.read_text(errors="replace").strip().splitlines()
        except OSError:
            found = []
        words = [line for line in found if not line.startswith("{")][-lines:] or found[-1:]
        return "\n".join(words) if words else f"see {self.process.error_file}"


Probe = Callable[[str], Awaitable[bool]]

CHANNEL_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500))


@asynccontextmanager
async def probe_of(process: Process) -> AsyncIterator[Probe]:
    """Asks `liveness` or `readiness` of a process; for the bus both mean that it greets."""
    if not process.speaks_grpc:
        host, _, port = process.health_address.rpartition(":")

        async def greets(_: str) -> bool:
            return await _greets(host, int(port))

        yield greets
        return
    async with grpc.aio.insecure_channel(process.health_address, options=CHANNEL_OPTIONS) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )

        async def serving(name: str) -> bool:
            try:
                answer = await check(health_pb2.HealthCheckRequest(service=name), timeout=PROBE_TIMEOUT_SECS)
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        yield serving


async def _greets(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return bool(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


class Supervisor:
    """All processes of a plan."""

    def __init__(self, processes: tuple[Process, ...]) -> None:
        self.children = tuple(Child(process) for process in processes)

    async def run(self) -> None:
        """Runs all until cancelled or until one fails for good (StackFailed); then stops all."""
        tasks = [asyncio.create_task(child.run(), name=child.process.name) for child in self.children]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            # Venue and bus go last: what is still in flight is answered.
            last = [child for child in self.children if child.process.name in (VENUE_SERVICE, BUS)]
            await asyncio.gather(*(child.stop() for child in self.children if child not in last))
            await asyncio.gather(*(child.stop() for child in last))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
