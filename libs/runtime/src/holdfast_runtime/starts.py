"""The starts of a service, kept over its crashes in a small file of the state folder, and why (FP-6.2, PR-1).

In a pod the folder outlives the containers that the kubelet starts again in it. A start that finds no word of an end
follows a crash: killed, out of memory, or lost with its machine.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from holdfast_runtime.secrets import hide_registered

FOLDER = "starts"
KEPT = 50
MAX_CAUSE = 300
WITHOUT_A_WORD = "it ended without a word: killed, out of memory, or lost with its machine"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Start:
    """One life. `ended`: when, as far as it could say so; `cause`: empty where it was told to stop."""

    began: datetime
    ended: datetime | None = None
    cause: str = WITHOUT_A_WORD

    @property
    def crashed(self) -> bool:
        return bool(self.cause)


class Starts:
    """The file of one service. A disk that refuses costs the record, never the service."""

    def __init__(self, state_dir: Path, service: str) -> None:
        self._file = state_dir / FOLDER / f"{service}.json"
        self._kept: list[Start] = []

    def began(self, at: datetime) -> None:
        """This life begins: until `ended` says otherwise, it has crashed."""
        self._kept = [*_read(self._file), Start(at)][-KEPT:]
        self._write()

    def ended(self, at: datetime, cause: str) -> None:
        """It ends, for this cause; empty: it was told to."""
        if self._kept:
            self._kept[-1] = Start(self._kept[-1].began, at, hide_registered(cause)[:MAX_CAUSE])
            self._write()

    def crashes(self, *, since: datetime) -> list[Start]:
        """The lives before this one that crashed and began their successor after `since`, oldest first."""
        lives = zip(self._kept, self._kept[1:], strict=False)
        return [before for before, after in lives if before.crashed and after.began >= since]

    def recent(self, now: datetime, within: timedelta) -> list[Start]:
        """See `crashes`."""
        return self.crashes(since=now - within)

    def _write(self) -> None:
        fresh = self._file.with_suffix(f".{os.getpid()}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps([asdict(each) for each in self._kept], default=datetime.isoformat))
            fresh.replace(self._file)
        except OSError as error:
            log.warning("starts.not_kept", file=str(self._file), error=str(error))


def _read(file: Path) -> list[Start]:
    """What is kept; a file that cannot be read begins anew."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return [
            Start(
                datetime.fromisoformat(row["began"]),
                datetime.fromisoformat(row["ended"]) if row["ended"] else None,
                str(row["cause"]),
            )
            for row in json.loads(file.read_text())
        ]
    return []
