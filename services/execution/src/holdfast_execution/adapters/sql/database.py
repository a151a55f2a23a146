"""Connections to the ledger: one that writes, some that read.

SQLite: WAL, synchronous FULL, foreign keys, BEGIN IMMEDIATE for writes. PostgreSQL: psycopg; writers queue on the
account's row, readers see one snapshot (REPEATABLE READ).
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from holdfast_execution.adapters.sql import plain
from holdfast_runtime.ledger_halts import engine_url

_BUSY_SECS = 5.0


@dataclass(frozen=True, slots=True)
class Database:
    """`write` has one connection. In memory both are the same connection: inline use only."""

    write: sa.Engine
    read: sa.Engine

    def close(self) -> None:
        self.write.dispose()
        if self.read is not self.write:
            self.read.dispose()


def open_database(url: str) -> Database:
    """Engines for a SQLAlchemy URL (sqlite or postgresql). Connects on first use."""
    address = sa.make_url(engine_url(url))
    if address.get_backend_name() == "sqlite":
        if address.database in (None, "", ":memory:"):
            memory = sa.create_engine(address, poolclass=StaticPool, connect_args={"check_same_thread": False})
            _prepare_sqlite(memory, begin="BEGIN IMMEDIATE")
            return Database(memory, memory)
        write = _sqlite_engine(address, begin="BEGIN IMMEDIATE", size=1)
        return Database(write, _sqlite_engine(address, begin="BEGIN", size=2))
    if address.get_backend_name() != "postgresql":
        raise ValueError(f"the ledger is kept in sqlite or postgresql, not in {address.get_backend_name()}")
    options: dict[str, Any] = {
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": int(_BUSY_SECS), "options": "-c lock_timeout=5000 -c timezone=UTC"},
    }
    return Database(
        sa.create_engine(address, pool_size=1, max_overflow=0, **options),
        sa.create_engine(address, pool_size=2, max_overflow=0, isolation_level="REPEATABLE READ", **options),
    )


def _sqlite_engine(address: sa.URL, *, begin: str, size: int) -> sa.Engine:
    # The pool hands a connection to one thread at a time, which is all that SQLite asks for.
    engine = sa.create_engine(
        address,
        pool_size=size,
        max_overflow=0,
        # Each transaction is ended by whoever began it, and the next one looks for what a failed commit has left.
        pool_reset_on_return=None,
        connect_args={"timeout": _BUSY_SECS, "check_same_thread": False},
    )
    _prepare_sqlite(engine, begin=begin)
    return engine


def _prepare_sqlite(engine: sa.Engine, *, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver's own transaction control is off: it would begin late, and without IMMEDIATE.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        driver = connection.connection.dbapi_connection
        if driver is not None and driver.in_transaction:
            driver.rollback()
        plain.command(connection, begin)
