"""Requests in the last minute of market time, for the sources that limit them by key."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)


class Meter:
    """At most `limit` requests in any minute. Market time counts, so a lock-step run repeats."""

    def __init__(self, limit: int, now: Callable[[], datetime]) -> None:
        self.limit = limit
        self._now = now
        self._taken: deque[datetime] = deque(maxlen=limit)

    def take(self) -> bool:
        """Counts one request; False where it is one too many, and then it is not counted."""
        now = self._now()
        while self._taken and self._taken[0] <= now - MINUTE:
            self._taken.popleft()
        if len(self._taken) >= self.limit:
            return False
        self._taken.append(now)
        return True

    @property
    def used(self) -> int:
        return len(self._taken)

    @property
    def reset_ms(self) -> int:
        """Milliseconds of market time until the oldest counted request is forgotten."""
        return 0 if not self._taken else int((self._taken[0] + MINUTE - self._now()) / timedelta(milliseconds=1))
