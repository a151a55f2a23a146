"""The supervisor with tiny real processes: restarts, liveness, final exits, order of stopping (FP-6.3, PR-4)."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdfast_cli import supervisor as supervising
from holdfast_cli.plan import BUS, VENUE_SERVICE, Process
from holdfast_cli.supervisor import MAX_FAILED_STARTS, Child, StackFailed, State, Supervisor
from holdfast_runtime.exits import EXIT_INVALID_CONFIGURATION, EXIT_NEEDS_PERSON

PATIENCE_SECS = 120.0

SERVES = """
import asyncio, faulthandler, signal, sys
from pathlib import Path
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

log, port, stuck = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])

class Health(health_pb2_grpc.HealthServicer):
    async def Check(self, request, context):
        alive = request.service != "liveness" or not stuck.exists()
        return health_pb2.HealthCheckResponse(status=1 if alive else 2)

faulthandler.register(signal.SIGUSR1)

async def main():
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await over.wait()
    await server.stop(0)
    await asyncio.sleep(float(sys.argv[5]))
    with log.open("a") as file:
        file.write(sys.argv[4] + "\\n")

asyncio.run(main())
"""
GREETS = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    connection.sendall(b"INFO {}\\r\\n")
    connection.close()
"""


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules at a pace for tests."""
    monkeypatch.setattr(supervising, "FIRST_BACKOFF_SECS", 0.01)
    monkeypatch.setattr(supervising, "MAX_BACKOFF_SECS", 0.05)
    monkeypatch.setattr(supervising, "PROBE_EVERY_SECS", 0.05)
    # A child on a busy machine may take its time over an answer, or over its end: only a frozen one never comes to it.
    monkeypatch.setattr(supervising, "PROBE_TIMEOUT_SECS", 5.0)
    monkeypatch.setattr(supervising, "STOP_LIMIT_SECS", 60.0)
    monkeypatch.setattr(supervising, "LIVENESS_FAILURES", 2)


class Folder:
    """Makes processes whose files are in one folder."""

    def __init__(self, path: Path, ports: Callable[[], int]) -> None:
        self.path = path
        self._port = ports

    def process(self, name: str, code: str, *arguments: str, port: int = 0, speaks_grpc: bool = True) -> Process:
        return Process(
            name=name,
            command=(sys.executable, "-c", code, *arguments),
            environment={"PATH": os.environ.get("PATH", "")},
            health_address=f"127.0.0.1:{port or self._port()}",
            error_file=self.path / f"{name}.err",
            speaks_grpc=speaks_grpc,
        )

    def service(self, name: str = "gate", *, lingers_secs: float = 0.0) -> Process:
        """It serves its health, and notes its name when it ends in order, so long after its health has ended."""
        port = self._port()
        log, stuck = str(self.path / "ended"), str(self.path / "stuck")
        return self.process(name, SERVES, log, str(port), stuck, name, str(lingers_secs), port=port)

    @property
    def ended(self) -> list[str]:
        """Names in the order in which they were told to end."""
        file = self.path / "ended"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def folder(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> Folder:
    return Folder(tmp_path, unused_tcp_port_factory)


@asynccontextmanager
async def supervised(*processes: Process) -> AsyncIterator[tuple[Child, ...]]:
    supervisor = Supervisor(processes)
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor.children
    finally:
        running.cancel()
        await asyncio.wait({running})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while not condition():  # noqa: ASYNC110  # what is waited for happens in another process
            await asyncio.sleep(0.01)


async def pid_of(child: Child, *, other_than: int | None = None) -> int:
    """Its process id once it is ready."""
    await until(lambda: child.state is State.READY and child.pid not in (None, other_than))
    assert child.pid is not None
    return child.pid


async def test_a_process_that_dies_is_started_again(folder: Folder) -> None:
    async with supervised(folder.service()) as (child,):
        first = await pid_of(child)
        assert int((folder.path / "gate.pid").read_text()) == first
        os.kill(first, signal.SIGKILL)
        second = await pid_of(child, other_than=first)
        assert (child.restarts, child.last_exit) == (1, -signal.SIGKILL)
        assert int((folder.path / "gate.pid").read_text()) == second
    assert child.state is State.STOPPED


async def test_a_process_without_progress_is_killed_and_started_again(folder: Folder) -> None:
    """PR-4: liveness is progress, and who has none is replaced."""
    async with supervised(folder.service()) as (child,):
        first = await pid_of(child)
        (folder.path / "stuck").touch()
        await until(lambda: child.restarts == 1)
        (folder.path / "stuck").unlink()
        await pid_of(child, other_than=first)
        assert child.last_exit == -signal.SIGKILL
    assert "most recent call first" in (folder.path / "gate.err").read_text(), "it told where it stood"


async def test_a_frozen_process_is_found_and_killed(folder: Folder) -> None:
    """It neither answers nor takes SIGTERM."""
    async with supervised(folder.service()) as (child,):
        first = await pid_of(child)
        os.kill(first, signal.SIGSTOP)
        await pid_of(child, other_than=first)
        assert child.last_exit == -signal.SIGKILL


async def test_a_frozen_process_can_be_stopped_in_order(folder: Folder) -> None:
    async with supervised(folder.service()) as (child,):
        os.kill(await pid_of(child), signal.SIGSTOP)
        await child.stop()
        assert folder.ended == ["gate"]


async def test_a_process_that_takes_its_time_to_end_is_not_killed_for_want_of_health(folder: Folder) -> None:
    """What it still has to write is written: its health ends before it does."""
    async with supervised(folder.service(lingers_secs=1.5)) as (child,):
        await pid_of(child)
    assert folder.ended == ["gate"]
    assert child.last_exit == 0


async def test_a_process_that_does_not_end_when_told_is_killed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "STOP_LIMIT_SECS", 0.2)
    code = "import pathlib, signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += "pathlib.Path(sys.argv[1]).touch()\nsignal.pause()"
    up = folder.path / "up"
    async with supervised(folder.process("deaf", code, str(up))) as (child,):
        await until(up.exists)
        await child.stop()
        assert child._handle is not None
        assert child._handle.returncode == -signal.SIGKILL


async def test_venue_and_bus_are_told_to_end_after_all_services(folder: Folder) -> None:
    """What is still in flight is answered."""
    names = (BUS, VENUE_SERVICE, "execution", "gate")
    async with supervised(*(folder.service(name) for name in names)) as children:
        for child in children:
            await pid_of(child)
    assert len(folder.ended) == 4
    assert set(folder.ended[:2]) == {"execution", "gate"}
    assert {child.state for child in children} == {State.STOPPED}


@pytest.mark.parametrize("code", [EXIT_INVALID_CONFIGURATION, EXIT_NEEDS_PERSON])
async def test_an_exit_that_no_restart_helps_ends_the_stack_with_what_the_process_said(
    folder: Folder, code: int
) -> None:
    says = (
        f"import sys; print('{{\"event\": \"log\"}}'); sys.stderr.write('gate.collar: too wide\\n'); sys.exit({code})"
    )
    supervisor = Supervisor((folder.service("execution"), folder.process("gate", says)))
    with pytest.raises(StackFailed, match=f"gate ended with {code}: gate.collar: too wide"):
        await asyncio.wait_for(supervisor.run(), PATIENCE_SECS)
    execution, gate = supervisor.children
    assert (execution.state, gate.state, gate.restarts) == (State.STOPPED, State.FAILED, 0)


async def test_a_process_that_never_becomes_ready_ends_the_stack(folder: Folder) -> None:
    supervisor = Supervisor((folder.process("gate", "raise ModuleNotFoundError('no such thing')"),))
    with pytest.raises(StackFailed, match=rf"gate has not become ready in {MAX_FAILED_STARTS} starts.*no such thing"):
        await asyncio.wait_for(supervisor.run(), PATIENCE_SECS)
    assert supervisor.children[0].restarts == MAX_FAILED_STARTS - 1


async def test_a_command_that_does_not_exist_ends_the_stack(folder: Folder) -> None:
    process = Process(
        name="gate",
        command=("/nowhere/at/all",),
        environment={},
        health_address="127.0.0.1:1",
        error_file=folder.path / "gate.err",
    )
    with pytest.raises(StackFailed, match="gate cannot be started"):
        await asyncio.wait_for(Supervisor((process,)).run(), PATIENCE_SECS)


async def test_the_bus_is_ready_when_it_greets(folder: Folder, unused_tcp_port_factory: Callable[[], int]) -> None:
    port = unused_tcp_port_factory()
    async with supervised(folder.process(BUS, GREETS, str(port), port=port, speaks_grpc=False)) as (child,):
        first = await pid_of(child)
        os.kill(first, signal.SIGKILL)
        await pid_of(child, other_than=first)


async def test_children_end_with_their_supervisor(folder: Folder, tmp_path: Path) -> None:
    """No orphan trades on, not even after kill -9 of the supervisor."""
    code = (
        "import asyncio, pathlib, sys\n"
        "from holdfast_cli.plan import Process\n"
        "from holdfast_cli.supervisor import Supervisor\n"
        "sleeper = (sys.executable, '-c', 'import signal; signal.pause()')\n"
        "file = pathlib.Path(sys.argv[1]) / 'child.err'\n"
        "where = {'health_address': '127.0.0.1:1', 'error_file': file}\n"
        "process = Process(name='child', command=sleeper, environment={}, **where)\n"
        "asyncio.run(Supervisor((process,)).run())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path))
    written = tmp_path / "child.pid"
    await until(lambda: written.exists() and written.read_text().strip())
    child = int(written.read_text())
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(child))


def alive(pid: int) -> bool:
    """False for one that has ended, reaped or not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
