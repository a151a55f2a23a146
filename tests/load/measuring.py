"""What the benchmarks share: percentiles, free ports, and the time and memory that processes have used."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figures:
    """Latencies at one in flight in milliseconds, rate with many in flight in 1/s."""

    p50_ms: float
    p99_ms: float
    rate: float


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 by nearest rank."""
    ordered = sorted(values)
    return _rank(ordered, 50), _rank(ordered, 99)


def _rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def cpu_secs(pid: int) -> float:
    """User and system time of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident and proportional set size: of shared pages the latter counts each process's share."""
    wanted = {"Rss:": 0.0, "Pss:": 0.0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if name in wanted:
            wanted[name] = int(rest.split()[0]) / 1024
    return wanted["Rss:"], wanted["Pss:"]


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid]
    for each in found:
        found.extend(parents.get(each, []))
    return found


def total_memory_mib(pids: Iterable[int]) -> tuple[float, float]:
    """Sums of resident and proportional set sizes."""
    rss = pss = 0.0
    for pid in pids:
        try:
            one = memory_mib(pid)
        except OSError:
            continue
        rss, pss = rss + one[0], pss + one[1]
    return rss, pss


def machine() -> dict[str, object]:
    """Where the figures come from."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown",
    )
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model,
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }
