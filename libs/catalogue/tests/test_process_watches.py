"""What every process watches of itself: each condition brought about for real, seen, healed where it heals."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast.doctor.v1.doctor_pb2 import VERDICT_OK, VERDICT_RED, VERDICT_WARN, CheckResult, Examination
from holdfast.failurepoint.v1 import failurepoint_pb2 as pb
from holdfast_catalogue.machine import Room, Usage, room, usage
from holdfast_catalogue.process import MIB, NO_ROOM_BYTES, Process, process_watches
from holdfast_catalogue.sentinel import Sentinel
from holdfast_runtime.clock import WallMarketClock
from holdfast_runtime.health import Health
from holdfast_runtime.loops import supervise
from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.secrets import SECRETS_DIR, SecretStore
from holdfast_runtime.starts import Start
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.telemetry.logs import LogSink
from holdfast_simulation.hurried_clock import HurriedClock
from holdfast_simulation.manual_clock import ManualMonotonicClock

OK, WARN, ERROR = pb.STATUS_OK, pb.STATUS_WARN, pb.STATUS_ERROR


@dataclass
class Host:
    """One process, with the machine's answers to be set."""

    folder: Path
    clock: ManualMonotonicClock = field(default_factory=ManualMonotonicClock)
    connected: bool = True
    restarts: int = 0
    alerts: list[pb.FailurePoint] = field(default_factory=list)
    usage: Usage = field(default_factory=usage)
    room: Room | None = None
    examined: Examination | None = None
    certificate_kept: str = ""
    crashes: list[Start] = field(default_factory=list)

    def __post_init__(self):
        (self.folder / "secrets").mkdir()
        self.secret = self.folder / "secrets" / "KEY"
        self.secret.write_text("a-secret")
        self.health = Health(self.clock)
        self.secrets = SecretStore({SECRETS_DIR: str(self.folder / "secrets")})
        self.secrets.get("KEY")
        process = Process(
            clock=self.clock,
            bus_trouble=lambda: "" if self.connected else "not connected",
            health=self.health,
            secrets=self.secrets,
            state_dir=self.folder,
            restart=self.restart,
            certificate_kept=lambda: self.certificate_kept,
            bus_denied=lambda: "publish to facts.v1.fill",
            usage=lambda: self.usage,
            room=lambda folder: self.room or room(folder),
            examined=lambda: self.examined,
            crashes=lambda: self.crashes,
        )
        self.sentinel = Sentinel(
            "gate", process_watches(process), clock=self.clock, wall=WallMarketClock(), listener=self
        )

    async def restart(self):
        self.restarts += 1

    def changed(self, point):
        """Nobody listens."""

    def alert(self, point):
        self.alerts.append(point)

    async def look(self, identity: str, *, after_secs: float = 10.0) -> pb.FailurePoint:
        self.clock.advance(after_secs)
        await self.sentinel.turn()
        return next(each for each in self.sentinel.messages() if each.id == identity)

    async def status(self, identity: str, *, after_secs: float = 10.0) -> int:
        return (await self.look(identity, after_secs=after_secs)).status


@pytest.fixture
def host(tmp_path) -> Host:
    return Host(tmp_path)


async def test_a_healthy_process_is_ok_everywhere(host):
    await host.look("bus.away")
    assert {each.id: each.status for each in host.sentinel.messages() if each.status != OK} == {}


async def test_a_bus_that_is_away_is_an_error_until_it_is_back(host):
    """IN-5, FP-6.6, NW-1."""
    assert await host.status("bus.away") == OK
    host.connected = False
    assert await host.status("bus.away", after_secs=2) == WARN
    assert await host.status("bus.away", after_secs=4) == ERROR
    host.connected = True
    message = await host.look("bus.away")
    assert (message.status, message.heals) == (OK, 1)


async def test_a_filling_stream_warns_and_a_full_one_is_an_error(host):
    """DI-7: before it refuses what comes."""
    gauge = metrics.BUS_STREAM_FILL.labels("FACTS")
    try:
        for fraction, status in ((0.5, OK), (0.85, WARN), (0.99, ERROR), (0.1, OK)):
            gauge.set(fraction)
            message = await host.look("bus.full")
            assert (message.status, message.shown["FACTS"]) == (status, f"{fraction:.0%}")
    finally:
        gauge.set(0)


async def test_an_edge_that_is_cut_is_an_error_with_its_name(host):
    """IN-8."""
    assert await host.status("edge.cut") == OK
    well = CheckResult(check="bus", verdict=VERDICT_OK, evidence="it answers")
    for verdict, status in ((VERDICT_RED, ERROR), (VERDICT_WARN, WARN), (VERDICT_OK, OK)):
        cut = CheckResult(check="call execution", verdict=verdict, evidence="connection refused")
        host.examined = Examination(trigger="on demand", results=[well, cut])
        message = await host.look("edge.cut")
        assert message.status == status
        assert ("call execution: connection refused" in message.evidence) == (verdict != VERDICT_OK)


async def test_crashes_are_counted_with_their_cause_and_alarm_when_they_persist(host):
    """FP-6.2, PR-1."""
    assert await host.status("service.crashing") == OK
    host.crashes.append(Start(WallMarketClock().now(), cause="MemoryError: no room"))
    message = await host.look("service.crashing")
    assert (message.status, message.shown["crashes"]) == (OK, "1"), "the restart has healed it"
    assert message.shown["last_cause"] == "MemoryError: no room"
    host.crashes += host.crashes * 2
    assert await host.status("service.crashing") == ERROR
    host.clock.advance(60)
    await host.look("service.crashing")
    assert [each.id for each in host.alerts] == ["service.crashing"]


async def test_a_loop_without_a_turn_is_late_then_stuck(host):
    """FP-6.3, PR-4: and liveness fails with it, so that the controller restarts the process."""
    turn = host.health.progress("cycles", stuck_after_secs=30)
    assert await host.status("loop.stuck", after_secs=10) == OK
    assert await host.status("loop.stuck", after_secs=10) == WARN
    message = await host.look("loop.stuck", after_secs=20)
    assert message.status == ERROR
    assert "cycles" in message.evidence
    assert host.health.stuck_loops == ["cycles"]
    turn()
    assert await host.status("loop.stuck", after_secs=2) == OK


async def test_failures_of_a_loop_show_until_it_has_run_well_for_a_minute(host):
    """CQ-1, PR-2: a real supervised loop fails and is started again."""
    runs = []

    async def loop():
        runs.append(1)
        if len(runs) % 6:
            raise ValueError("broken")

    await supervise("cycles", loop, HurriedClock(), lambda: None)
    message = await host.look("loop.failing", after_secs=2)
    assert (message.status, message.shown["failures"]) == (ERROR, "5")
    assert await host.status("loop.failing", after_secs=70) == OK


async def test_a_secret_that_is_gone_is_kept_told_and_healed_by_reading_it_again(host):
    """IN-6, SE-4, PT-4: the last good value stays, three attempts, then a person; and the healer's own success."""
    host.secret.unlink()
    host.secrets.refresh()
    for _ in range(5):
        message = await host.look("secrets.kept")
    assert (message.status, message.heal_attempts) == (ERROR, 3)
    assert "KEY" in message.evidence
    assert [each.id for each in host.alerts] == ["secrets.kept"]
    assert host.secrets.get("KEY").reveal() == "a-secret"
    host.secret.write_text("a-new-secret")
    host.secrets.refresh()
    assert await host.status("secrets.kept") == OK
    host.secret.unlink()
    host.secrets.refresh()
    host.secret.write_text("a-newer-secret")
    message = await host.look("secrets.kept")
    assert (message.status, message.heal_attempts) == (OK, 1)
    assert host.secrets.get("KEY").reveal() == "a-newer-secret"


async def test_a_certificate_that_cannot_be_used_is_told_with_its_reason(host):
    """SE-1, SE-4"""
    host.certificate_kept = "the key is another certificate's"
    message = await host.look("secrets.kept")
    assert (message.status, "another certificate's" in message.evidence) == (ERROR, True)
    host.certificate_kept = ""
    assert await host.status("secrets.kept") == OK


async def test_what_was_denied_alarms_for_ten_minutes(host):
    """IN-4, SE-3, SE-7: what others tried here, and what the bus has denied to this service."""
    assert await host.status("access.denied") == OK
    metrics.RPC_DENIED.labels(reason="CALLER_NOT_ALLOWED").inc()
    metrics.BUS_DENIED.labels(action="publish").inc()
    message = await host.look("access.denied")
    assert (message.status, "publish to facts.v1.fill" in message.evidence) == (ERROR, True)
    assert [each.id for each in host.alerts] == ["access.denied"]
    assert await host.status("access.denied", after_secs=601) == OK


async def test_no_evidence_shows_a_secret(host):
    host.secret.unlink()
    host.secrets.refresh()
    message = await host.look("secrets.kept")
    assert "a-secret" not in str(message)


async def test_lost_log_lines_warn(host):
    """CQ-5, PT-8: a sink whose stream is closed loses its lines, and says so here."""

    class Closed:
        def write(self, text):
            raise ValueError("closed")

        def flush(self):
            raise ValueError("closed")

    sink = LogSink(Closed(), None)
    sink.write("{}")
    sink.close()
    message = await host.look("telemetry.dropping", after_secs=2)
    assert (message.status, message.shown["log_lines"]) == (WARN, "1")
    assert await host.status("telemetry.dropping", after_secs=70) == OK


async def test_a_full_disk_is_cleaned_of_old_telemetry_and_looked_at_again(host):
    """FP-6.4, FI-1, BS-7, HG-4: the older half of a rotated log goes, what is needed stays."""
    file = BoundedFile(host.folder / "logs" / "gate.jsonl", max_bytes=100)
    for _ in range(4):
        file.write(b"x" * 40)
    file.close()
    ledger = host.folder / "ledger.db"
    ledger.write_text("precious")
    assert file.older.exists()
    host.room = Room(free_bytes=NO_ROOM_BYTES - 1, total_bytes=10**12, writable=True)
    message = await host.look("disk.low")
    assert (message.status, message.heal_attempts) == (ERROR, 1)
    assert not file.older.exists()
    assert file.path.exists()
    assert ledger.read_text() == "precious"
    assert not host.alerts
    await host.look("disk.low")
    assert [each.id for each in host.alerts] == ["disk.low"]
    host.room = Room(free_bytes=900 * MIB, total_bytes=1024 * MIB, writable=True)
    assert await host.status("disk.low") == OK
    host.room = Room(free_bytes=1024 * MIB, total_bytes=10**12, writable=True)
    message = await host.look("disk.low")
    assert (message.status, message.evidence) == (WARN, "1,024 MiB free")
    host.room = None


async def test_a_folder_that_cannot_be_written_is_told_with_its_path(host, tmp_path):
    """FI-2: detected with the path."""
    host.room = Room(free_bytes=10**12, total_bytes=10**12, writable=False)
    message = await host.look("disk.low")
    assert message.status == ERROR
    assert str(tmp_path) in message.evidence


async def test_a_folder_that_is_gone_is_an_error(host, tmp_path):
    """FI-4: the detector raises, and that is the finding."""
    host.folder.rename(tmp_path.with_name("elsewhere"))
    message = await host.look("disk.low")
    assert message.status == ERROR
    assert str(tmp_path) in message.evidence


async def test_a_process_out_of_memory_is_restarted_in_order_once(host):
    """FP-6.5, CQ-8, PR-3: before the limit, one time; open files count alike."""
    calm = usage()
    assert calm.rss_bytes > MIB
    assert calm.open_files > 0
    host.usage = Usage(rss_bytes=85, memory_limit_bytes=100, open_files=1, open_files_limit=100)
    assert await host.status("memory.high") == WARN
    assert host.restarts == 0
    host.usage = Usage(rss_bytes=10, memory_limit_bytes=100, open_files=97, open_files_limit=100)
    for _ in range(10):
        message = await host.look("memory.high", after_secs=60)
    assert (message.status, host.restarts) == (ERROR, 1)
    assert [each.id for each in host.alerts] == ["memory.high"]


async def test_the_sentinel_turns_by_its_cadence(host):
    turns = []
    task = asyncio.create_task(host.sentinel.run(lambda: turns.append(1)))
    for _ in range(3):
        for _ in range(100):
            await asyncio.sleep(0)
        host.clock.advance(2.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(turns) == 3
