"""The watches of every process: its bus, its loops, its secrets, its telemetry, its memory and its disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from holdfast.doctor.v1 import doctor_pb2 as doctor
from holdfast.doctor.v1.doctor_pb2 import Examination
from holdfast_catalogue import machine
from holdfast_catalogue.doctor.checks import Verdict, gravest
from holdfast_catalogue.gauges import Growth, Lasting, total, values
from holdfast_catalogue.machine import Room, Usage
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Healer, Watch
from holdfast_catalogue.standing import Finding, Status, error, ok, warn
from holdfast_runtime.health import Health
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.secrets import SecretStore
from holdfast_runtime.starts import Start
from holdfast_runtime.telemetry import metrics

BUS_GRACE_SECS = 3.0
FILLING, FULL = 0.8, 0.98
LATE_FRACTION = 0.5
"""Of a loop's bound: silent for so much of it is a warning."""
CRASHES_WITHIN = timedelta(minutes=10)
CRASHES_TO_ALARM = 3
"""A crash is healed by the restart; one that persists is not."""
FAILURES_WITHIN_SECS = 60.0
FAILURES_TO_ALARM = 5
DROPS_WITHIN_SECS = 60.0
DENIED_WITHIN_SECS = 600.0
HIGH_FRACTION, SPENT_FRACTION = 0.8, 0.95
NO_ROOM_BYTES = 256 * 1024**2
MIB = 1024**2
ROOM_EVERY_SECS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What the watches look at; the shell gives it."""

    clock: MonotonicClock
    bus_trouble: Callable[[], str]
    """Why the bus cannot be reached now; empty where it can."""
    health: Health
    secrets: SecretStore
    state_dir: Path
    restart: Healer
    """Ends the process in order; its controller starts it again."""
    certificate_kept: Callable[[], str] = lambda: ""
    """Why the last good certificate is in use instead of the mounted one; empty where it is not."""
    bus_denied: Callable[[], str] = lambda: ""
    """What the bus has denied this service last."""
    examined: Callable[[], Examination | None] = lambda: None
    """The newest look of this process at its own edges; None before the first."""
    crashes: Callable[[], Sequence[Start]] = tuple
    """The crashes of this service within CRASHES_WITHIN, oldest first."""
    usage: Callable[[], Usage] = machine.usage
    room: Callable[[Path], Room] = machine.room


def process_watches(process: Process) -> list[Watch]:
    """One watch for each point that belongs to every service."""
    return [
        Watch(point=point("bus.away"), detect=_bus_away(process)),
        Watch(point=point("bus.full"), detect=_bus_full),
        Watch(point=point("edge.cut"), detect=_edge_cut(process)),
        Watch(point=point("service.crashing"), detect=_crashing(process)),
        Watch(point=point("loop.stuck"), detect=_loop_stuck(process.health)),
        Watch(point=point("loop.failing"), detect=_loop_failing(process.clock)),
        Watch(point=point("secrets.kept"), detect=_secrets_kept(process), heal=_refresh(process.secrets)),
        Watch(point=point("access.denied"), detect=_access_denied(process)),
        Watch(point=point("telemetry.dropping"), detect=_telemetry_dropping(process.clock)),
        Watch(
            point=point("disk.low"), detect=_disk_low(process), heal=_clean_up(process), every_secs=ROOM_EVERY_SECS
        ),
        Watch(point=point("memory.high"), detect=_memory_high(process), heal=process.restart),
    ]  # fmt: skip


def _bus_away(process: Process) -> Callable[[], Finding]:
    away = Lasting(process.clock)

    def detect() -> Finding:
        trouble = process.bus_trouble()
        secs = away(bool(trouble))
        if not trouble:
            return ok("connected, and it answers")
        text = f"{trouble}, for {secs:.0f} s"
        return error(text, away_secs=f"{secs:.0f}") if secs >= BUS_GRACE_SECS else warn(text, away_secs=f"{secs:.0f}")

    return detect


def _edge_cut(process: Process) -> Callable[[], Finding]:
    def detect() -> Finding:
        found = process.examined()
        if found is None:
            return ok("not examined yet")
        bad = [each for each in found.results if each.verdict != doctor.VERDICT_OK]
        told = "; ".join(f"{each.check}: {each.evidence}" for each in bad)
        shown = {"checks": len(found.results), "not_ok": len(bad), "why_examined": found.trigger}
        if gravest(bad) is Verdict.RED:
            return error(told, **shown)
        return warn(told, **shown) if bad else ok(f"{len(found.results)} checks are well", **shown)

    return detect


def _crashing(process: Process) -> Callable[[], Finding]:
    def detect() -> Finding:
        found = process.crashes()
        metrics.CRASHES.set(len(found))
        if not found:
            return ok("no crash lately", crashes=0)
        minutes = CRASHES_WITHIN.total_seconds() / 60
        text = f"{len(found)} crashes within {minutes:.0f} minutes, the last one: {found[-1].cause}"
        shown = {"crashes": len(found), "last_cause": found[-1].cause, "last_began": found[-1].began.isoformat()}
        return error(text, **shown) if len(found) >= CRASHES_TO_ALARM else ok(text, **shown)

    return detect


def _bus_full() -> Finding:
    fill = {name: fraction for name, fraction in values(metrics.BUS_STREAM_FILL, "stream").items() if name}
    shown = {name: f"{fraction:.0%}" for name, fraction in sorted(fill.items())}
    over = sorted(name for name, fraction in fill.items() if fraction >= FILLING)
    if not over:
        return ok(f"the fullest stream is at {max(fill.values(), default=0.0):.0%}", **shown)
    text = "filling: " + ", ".join(f"{name} {shown[name]}" for name in over)
    return error(text, **shown) if max(fill.values()) >= FULL else warn(text, **shown)


def _loop_stuck(health: Health) -> Callable[[], Finding]:
    def detect() -> Finding:
        ages = health.ages()
        shown = {name: f"{age:.0f} of {bound:.0f} s" for name, (age, bound) in sorted(ages.items())}
        stuck = sorted(name for name, (age, bound) in ages.items() if age > bound)
        if stuck:
            return Finding(Status.ERROR, "no turn within its bound: " + ", ".join(stuck), shown)
        late = sorted(name for name, (age, bound) in ages.items() if age > bound * LATE_FRACTION)
        if late:
            return Finding(Status.WARN, "slow: " + ", ".join(late), shown)
        return Finding(Status.OK, f"{len(ages)} loops turn", shown)

    return detect


def _loop_failing(clock: MonotonicClock) -> Callable[[], Finding]:
    failures = Growth(lambda: total(metrics.LOOP_FAILURES), clock, within_secs=FAILURES_WITHIN_SECS)

    def detect() -> Finding:
        count = failures()
        text = f"{count:.0f} failures of loops within {FAILURES_WITHIN_SECS:.0f} s"
        if count >= FAILURES_TO_ALARM:
            return error(text, failures=f"{count:.0f}")
        return warn(text, failures=f"{count:.0f}") if count else ok(text, failures="0")

    return detect


def _secrets_kept(process: Process) -> Callable[[], Finding]:
    def detect() -> Finding:
        kept: dict[str, str] = dict(process.secrets.kept)
        if reason := process.certificate_kept():
            kept["certificate"] = reason
        if not kept:
            return ok("every mounted secret and certificate could be used")
        told = "; ".join(f"{name}: {reason}" for name, reason in sorted(kept.items()))
        return error(f"the last good value is in use of {told}", secrets=", ".join(sorted(kept)))

    return detect


def _access_denied(process: Process) -> Callable[[], Finding]:
    calls = Growth(lambda: total(metrics.RPC_DENIED), process.clock, within_secs=DENIED_WITHIN_SECS)
    bus = Growth(lambda: total(metrics.BUS_DENIED), process.clock, within_secs=DENIED_WITHIN_SECS)

    def detect() -> Finding:
        by_us, to_us = calls(), bus()
        shown = {"calls_denied_here": f"{by_us:.0f}", "denied_by_the_bus": f"{to_us:.0f}"}
        told = []
        if by_us:
            told.append(f"{by_us:.0f} calls of this service were denied to their callers")
        if to_us:
            told.append(f"the bus has denied {to_us:.0f} times, last {process.bus_denied()}")
        return error("; ".join(told), **shown) if told else ok("nothing was denied", **shown)

    return detect


def _refresh(secrets: SecretStore) -> Healer:
    async def heal() -> None:
        secrets.refresh()

    return heal


def _telemetry_dropping(clock: MonotonicClock) -> Callable[[], Finding]:
    logs = Growth(lambda: total(metrics.LOGS_DROPPED), clock, within_secs=DROPS_WITHIN_SECS)
    spans = Growth(lambda: total(metrics.SPANS_DROPPED), clock, within_secs=DROPS_WITHIN_SECS)

    def detect() -> Finding:
        lines, lost = logs(), spans()
        shown = {"log_lines": f"{lines:.0f}", "spans": f"{lost:.0f}"}
        if lines or lost:
            return warn(f"{lines:.0f} log lines and {lost:.0f} spans lost within {DROPS_WITHIN_SECS:.0f} s", **shown)
        return ok("nothing is lost", **shown)

    return detect


def _disk_low(process: Process) -> Callable[[], Finding]:
    def detect() -> Finding:
        room = process.room(process.state_dir)
        metrics.DISK_FREE_BYTES.set(room.free_bytes)
        metrics.DISK_TOTAL_BYTES.set(room.total_bytes)
        free_mib, of_mib = f"{room.free_bytes // MIB:,}", f"{room.total_bytes // MIB:,}"
        shown = {"free_mib": free_mib, "of_mib": of_mib, "folder": process.state_dir}
        if not room.writable:
            return error(f"{process.state_dir} cannot be written to", **shown)
        text = f"{free_mib} MiB free"
        if room.free_bytes < NO_ROOM_BYTES:
            return error(text, **shown)
        return warn(text, **shown) if room.low else ok(text, **shown)

    return detect


def _clean_up(process: Process) -> Healer:
    async def heal() -> None:
        machine.drop_old_telemetry(process.state_dir)

    return heal


def _memory_high(process: Process) -> Callable[[], Finding]:
    def detect() -> Finding:
        used = process.usage()
        memory, files = used.rss_bytes / used.memory_limit_bytes, used.open_files / used.open_files_limit
        metrics.MEMORY_FRACTION.set(memory)
        shown = {
            "rss_mib": used.rss_bytes // MIB,
            "limit_mib": used.memory_limit_bytes // MIB,
            "open_files": used.open_files,
            "open_files_limit": used.open_files_limit,
        }
        text = f"{memory:.0%} of the memory limit, {files:.0%} of the open files"
        if max(memory, files) >= SPENT_FRACTION:
            return error(text, **shown)
        return warn(text, **shown) if max(memory, files) >= HIGH_FRACTION else ok(text, **shown)

    return detect
