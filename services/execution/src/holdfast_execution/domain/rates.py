"""Order rates of entries: one a second for each strategy, so many a minute for the account, in market time."""

from collections import deque
from datetime import datetime, timedelta

STRATEGY_GAP = timedelta(seconds=1)
ACCOUNT_WINDOW = timedelta(seconds=60)


class EntryRates:
    """Remembers when entries were sent. Bounded: it keeps one window of the account and one instant a strategy."""

    def __init__(self, per_minute: int) -> None:
        if per_minute < 1:
            raise ValueError(f"per_minute {per_minute} lets nothing through")
        self._account: deque[datetime] = deque(maxlen=per_minute)
        self._strategies: dict[str, datetime] = {}

    def free_at(self, strategy: str, now: datetime) -> datetime:
        """The earliest instant at which an entry of `strategy` may be sent; `now` where that is at once."""
        earliest = now
        last = self._strategies.get(strategy)
        if last is not None:
            earliest = max(earliest, last + STRATEGY_GAP)
        if self._account.maxlen is not None and len(self._account) == self._account.maxlen:
            earliest = max(earliest, self._account[0] + ACCOUNT_WINDOW)
        return earliest

    def sent(self, strategy: str, at: datetime) -> None:
        """An entry was sent at `at`. Instants are given in order."""
        self._account.append(at)
        self._strategies[strategy] = at
