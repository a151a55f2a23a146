"""A file of lines that cannot outgrow its bound: when full it becomes `<name>.1`, replacing the one before it."""

import os
import threading
from pathlib import Path


class BoundedFile:
    """Appends whole lines. At most `max_bytes` in the file and as much in the older one beside it.

    Safe to call from any thread. A failed write closes the file; the next one opens it anew, so a disk that has room
    again is used again. A line torn by a crash or a full disk is ended before the next begins: it spoils only itself.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}: at least 1")
        self.path = path
        self.older = path.with_name(path.name + ".1")
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._size = 0
        self._torn = False

    def write(self, line: bytes) -> None:
        """Appends `line` and a newline. Raises OSError where the disk refuses, ValueError where it can never fit."""
        data = line + b"\n"
        if len(data) > self._max_bytes:
            raise ValueError(f"a line of {len(data)} bytes does not fit into {self._max_bytes}")
        with self._lock:
            try:
                self._write(data)
            except OSError:
                self._close()
                raise

    def close(self) -> None:
        """Closes the file; a later write opens it again."""
        with self._lock:
            self._close()

    def _write(self, data: bytes) -> None:
        fd = self._open() if self._fd is None else self._fd
        if self._torn:
            data = b"\n" + data
        if self._size and self._size + len(data) > self._max_bytes:
            self._close()
            self.path.replace(self.older)
            fd = self._open()
            data = data.lstrip(b"\n")
        self._torn = True
        view = memoryview(data)
        while view:
            written = os.write(fd, view)
            self._size += written
            view = view[written:]
        self._torn = False

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._torn = self._size > 0 and os.pread(fd, 1, self._size - 1) != b"\n"
        return fd

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
