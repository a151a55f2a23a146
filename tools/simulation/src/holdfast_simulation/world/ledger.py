"""One node's way to the ledger: the real one on SQLite in memory, with commits that are refused or not heard of."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from holdfast_execution.adapters.sql.database import Database, open_database
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger, open_ledger
from holdfast_execution.adapters.sql.writer import Inline
from holdfast_execution.ledger import Ledger, LedgerReads
from holdfast_execution.parts import Parts
from holdfast_runtime.errors import Retry
from holdfast_simulation.world.faults import Kind, Weather

T = TypeVar("T")

COMMIT_SECS = 0.002


def new_database(account: str) -> Database:
    """An empty migrated ledger in memory. It is migrated once, and the others begin as its copies."""
    database = open_database("sqlite://")
    _driver(database).deserialize(_migrated(account))
    return database


@cache
def _migrated(account: str) -> bytes:
    database, _ = open_ledger("sqlite://", account)
    image = _driver(database).serialize()
    database.close()
    return image


def _driver(database: Database) -> sqlite3.Connection:
    with database.write.connect() as connection:
        driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


class WorldLedger:
    """LedgerRunner of one node. A node may crash before a commit and after it, before it is heard of."""

    def __init__(self, ledger: SqlLedger, weather: Weather, chance: random.Random, *, node: str) -> None:
        self._inline = Inline(ledger)
        self._weather = weather
        self._chance = chance
        self._node = node
        self._turn = asyncio.Lock()
        self._callbacks: list[Callable[[int], None]] = []
        self._version: int | None = None
        self._inline.on_commit(self._committed)

    async def run(self, call: Callable[[Ledger], T]) -> T:
        """See execution.ledger.LedgerRunner."""
        # Not cancelled with whoever waits for it: a commit that has begun is made.
        commit = asyncio.ensure_future(self._run(call))
        commit.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(commit)

    async def _run(self, call: Callable[[Ledger], T]) -> T:
        async with self._turn:
            await asyncio.sleep(COMMIT_SECS * self._chance.uniform(0.1, 2.0))
            if self._weather.strikes(Kind.COMMIT_REFUSED, self._node):
                raise Retry("the ledger's database did not answer", after_secs=0.5)
            self._version = None
            value = await self._inline.run(call)
            version = self._version
            await asyncio.sleep(COMMIT_SECS * self._chance.uniform(0.1, 1.0))
            if self._weather.strikes(Kind.COMMIT_UNHEARD, self._node):
                raise Retry("the ledger's database did not answer", after_secs=0.5)
        if version is not None:
            for callback in self._callbacks:
                callback(version)
        return value

    def _committed(self, version: int) -> None:
        self._version = version

    async def read(self, call: Callable[[LedgerReads], T]) -> T:
        """See execution.ledger.LedgerRunner."""
        await asyncio.sleep(COMMIT_SECS * self._chance.uniform(0.1, 1.0))
        return await self._inline.read(call)

    def newest(self) -> Parts | None:
        """See execution.ledger.LedgerRunner."""
        return self._inline.newest()

    def on_commit(self, callback: Callable[[int], None]) -> None:
        """See execution.ledger.LedgerRunner."""
        self._callbacks.append(callback)
