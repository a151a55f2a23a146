"""Where the newest parts are kept, for the writer's thread, the reader's and the event loop."""

import threading

from holdfast_execution.parts import Parts


class PartsCache:
    """The newest parts that are known, shared by the writer's and the reader's session."""

    def __init__(self) -> None:
        self._newest: Parts | None = None
        self._lock = threading.Lock()

    @property
    def newest(self) -> Parts | None:
        return self._newest

    def offer(self, parts: Parts) -> None:
        """Keeps what was read, unless something newer was committed meanwhile."""
        with self._lock:
            if self._newest is None or self._newest.key < parts.key:
                self._newest = parts

    def put(self, parts: Parts | None) -> None:
        """What the writer has committed; None: the next one to look has to read."""
        with self._lock:
            self._newest = parts
