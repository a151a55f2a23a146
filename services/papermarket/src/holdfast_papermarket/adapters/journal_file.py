"""The journal on disk: one append-only file a run, one line a command, on the disk before `append` returns."""

import errno
import json
import os
from pathlib import Path

from holdfast_runtime.errors import AskPerson


class JournalFile:
    """Implements venue.Journal. The first line says which run it is of, so that no other run continues it."""

    def __init__(self, path: Path, *, run: dict[str, str], fresh: bool = False) -> None:
        """Opens or begins the journal of `run` (its id, recording and account settings).

        Raises AskPerson where the file belongs to another run. `fresh` begins anew whatever is there.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if fresh else 0)
        self._descriptor = os.open(path, flags, 0o600)
        self._failed = False
        lines = self._read_whole_lines(path)
        if not lines:
            self.append(json.dumps(run, sort_keys=True))
            lines = [json.dumps(run, sort_keys=True)]
        if json.loads(lines[0]) != run:
            os.close(self._descriptor)
            raise AskPerson(
                f"{path} belongs to another run: {lines[0]}",
                steps=("Start with a new run id, or with the settings that the run was begun with.",),
            )
        self.lines = lines[1:]
        """Commands that were there when it was opened."""

    def _read_whole_lines(self, path: Path) -> list[str]:
        """Lines that were written to their end. A torn last one was never answered: it is cut off."""
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)
        return content[:whole].decode("utf-8").splitlines()

    def append(self, line: str) -> None:
        """Returns when the line would survive a power cut.

        Raises OSError, and then nothing more can be appended: the file may end in a part of a line, which the next
        start cuts off.
        """
        if self._failed:
            raise OSError(errno.EIO, "an earlier line was not written to its end")
        rest = memoryview(line.encode("utf-8") + b"\n")
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                if not written:
                    raise OSError(errno.EIO, "nothing was written")
                rest = rest[written:]
            os.fdatasync(self._descriptor)
        except OSError:
            self._failed = True
            raise

    def close(self) -> None:
        os.close(self._descriptor)
