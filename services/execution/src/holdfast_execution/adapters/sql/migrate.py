"""Brings a ledger to this code's revision; and tells whether code and ledger may trade together."""

from pathlib import Path

import sqlalchemy as sa

from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import Database, open_database
from holdfast_execution.adapters.sql.tables import REVISION

_ADVISORY_LOCK = 0x686F6C64
"""`hold`: one migration at a time on a PostgreSQL server."""


def migrate(url: str) -> int:
    """Applies what is missing, in one transaction; returns the ledger's revision. Idempotent, also from two pods."""
    database = open_database(url)
    try:
        return migrate_database(database)
    finally:
        database.close()


def migrate_database(database: Database) -> int:
    """As `migrate`, on open connections: the only way for a ledger in memory."""
    found = _revision(database.read)
    # A newer ledger is left alone: migrations only expand, and older code may still protect positions on it.
    if found >= REVISION:
        return found
    with database.write.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        _upgrade(connection)
        return _revision_on(connection)


def compatibility(connection: sa.Connection) -> str:
    """Empty where this code may open entries; else the coded reason with its numbers.

    Protection works all the same: the schema only ever expands.
    """
    row = connection.execute(sa.select(tables.meta.c.revision, tables.meta.c.oldest_compatible)).one()
    return judge(row.revision, row.oldest_compatible)


def judge(revision: int, oldest_compatible: int, *, code_revision: int = REVISION) -> str:
    """The rule of `compatibility` on a row of `meta`."""
    if code_revision < oldest_compatible:
        return f"LEDGER_REQUIRES_NEWER: code={code_revision} oldest_compatible={oldest_compatible}"
    if code_revision > revision:
        return f"LEDGER_OLDER: code={code_revision} ledger={revision}"
    return ""


def _revision(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return _revision_on(connection)


def _revision_on(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table(tables.meta.name):
        return 0
    return int(connection.execute(sa.select(tables.meta.c.revision)).scalar_one())


def _upgrade(connection: sa.Connection) -> None:
    # Imported here: most starts find the ledger up to date, and Alembic takes a third of a second to import.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
