"""What happened in the world, in order: for people who read a seed, and for the hash that proves its replay."""

import hashlib
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from holdfast_runtime.telemetry.redaction import redact

MAX_LINES = 20_000


class Story:
    """Lines with their virtual time and node. Every line goes into the hash; the newest ones are kept."""

    def __init__(self, now_secs: Callable[[], float], node: Callable[[], str]) -> None:
        self.lines: list[str] = []
        self.failures: list[str] = []
        """Exceptions that a service did not mean to raise."""
        self._now_secs = now_secs
        self._node = node
        self._hash = hashlib.sha256()

    def say(self, what: str) -> None:
        """One line, as of now."""
        line = f"{self._now_secs():9.3f}  {self._node():<18} {what}"
        self._hash.update(line.encode())
        self.lines.append(line)
        if len(self.lines) > MAX_LINES:
            del self.lines[: MAX_LINES // 2]

    @property
    def digest(self) -> str:
        """Of everything that was said: the same for two runs of one seed."""
        return self._hash.hexdigest()[:16]

    @contextmanager
    def told_by_logs(self) -> Iterator[None]:
        """Inside, what services log is part of the story."""

        def take(_: Any, level: str, event: MutableMapping[str, Any]) -> Any:
            failure = sys.exc_info()[1] if event.pop("exc_info", None) else None
            name = event.pop("event")
            # As the last processor of every service does.
            told = " ".join(f"{key}={value}" for key, value in redact(dict(event)).items())
            self.say(f"{level:<8} {name} {told}")
            if failure is not None:
                self.failures.append(f"{self._node()} {name} {told}: {failure!r}")
            raise structlog.DropEvent

        before = structlog.get_config()
        structlog.configure(processors=[take])
        try:
            yield
        finally:
            structlog.configure(**before)
