"""The ledger's `halts`, which admin may read and put the kill switch into: while all else is down, too."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from holdfast_runtime import ledger_halts
from holdfast_runtime.errors import Retry
from holdfast_runtime.ledger_halts import OpenHalt


class HaltLedger:
    """Calls block on the database, so each runs on a worker thread; one at a time."""

    def __init__(self, url: Callable[[], str], account: str) -> None:
        """`url` is asked for at each call: a new password counts at once (SE-1)."""
        self._url = url
        self._account = account
        self._lock = asyncio.Lock()

    async def engage(self, reason: str, set_by: str, at: datetime) -> str:
        """Inserts the kill switch; returns the halt's id. Raises Retry where the ledger cannot be written."""
        async with self._lock:
            try:
                return await asyncio.to_thread(
                    ledger_halts.engage_kill_switch, self._url(), self._account, reason, set_by, at
                )
            except SQLAlchemyError as error:
                raise Retry(f"the ledger cannot be written: {_cause(error)}") from error

    async def open(self) -> list[OpenHalt]:
        """Halts in force. Raises Retry where the ledger cannot be read."""
        async with self._lock:
            try:
                return await asyncio.to_thread(ledger_halts.open_halts, self._url(), self._account)
            except SQLAlchemyError as error:
                raise Retry(f"the ledger cannot be read: {_cause(error)}") from error


def _cause(error: SQLAlchemyError) -> str:
    """The driver's own words, without the statement and its values."""
    return str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
