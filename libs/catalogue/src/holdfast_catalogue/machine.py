"""What the operating system says of this process and of the disk it writes to. All of it answers at once."""

import contextlib
import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

MEMORY_LIMIT_BYTES = 768 * 1024 * 1024
"""Of one service where nothing sets a lower limit: several times what any of them needs."""
LOW_ROOM_BYTES = 2 * 1024**3
LOW_SHARE = 0.2
CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Of version 2, and of version 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Memory and open files of this process, with their limits."""

    rss_bytes: int
    memory_limit_bytes: int
    open_files: int
    open_files_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Free space where the state is kept, and whether a file can be written there."""

    free_bytes: int
    total_bytes: int
    writable: bool

    @property
    def low(self) -> bool:
        """Little is left: of a large disk in bytes, of a small volume by its share."""
        return self.free_bytes < min(LOW_ROOM_BYTES, self.total_bytes * LOW_SHARE)


def usage(cgroups: Path = CGROUPS) -> Usage:
    """Of this process, from /proc, and its container's limit; without a /proc the peak memory is the present one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        rss = pages * os.sysconf("SC_PAGE_SIZE")
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 names alone, no objects
    except OSError:
        rss, files = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, 0
    return Usage(
        rss_bytes=rss, memory_limit_bytes=_memory_limit_bytes(cgroups), open_files=files, open_files_limit=max(soft, 1)
    )


def _memory_limit_bytes(cgroups: Path) -> int:
    """The container's limit where it is the lower one."""
    limits = [MEMORY_LIMIT_BYTES]
    for name in _LIMITS:
        # No limit is `max` in version 2, and a number beyond any memory in version 1.
        with contextlib.suppress(OSError, ValueError):
            limits.append(int((cgroups / name).read_text()))
    return min(limits)


def room(folder: Path) -> Room:
    """Raises OSError naming the folder where it is missing or cannot be looked at (FI-2, FI-4)."""
    disk = shutil.disk_usage(folder)
    return Room(free_bytes=disk.free, total_bytes=disk.total, writable=os.access(folder, os.W_OK | os.X_OK))


def drop_old_telemetry(folder: Path) -> list[Path]:
    """Deletes the older halves of rotated logs and traces under `folder`; returns what was deleted (FP-6.4, HG-4).

    Nothing else is touched: the ledger, the bus and the present files stay.
    """
    dropped = []
    for path in sorted([*folder.glob("logs/*.jsonl.1"), *folder.glob("traces/*.jsonl.1")]):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            dropped.append(path)
    return dropped
