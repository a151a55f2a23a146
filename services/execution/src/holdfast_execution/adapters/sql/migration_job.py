"""Brings the ledger to this code's revision before a service starts: `python -m …adapters.sql.migration_job`.

What a pod's init container runs, and a job before an upgrade where the database is somebody else's. Any number of them
may run at once: an advisory lock lets one go first.
"""

import asyncio
import os
import sys
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.database import open_database
from holdfast_execution.adapters.sql.migrate import migrate
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.config import load_settings
from holdfast_runtime.ledger_halts import ledger_url
from holdfast_runtime.secrets import SecretStore

PATIENCE_SECS = 90.0
"""A database that is just being made answers within this."""
PAUSE_SECS = 0.5
HALTS_ROLE = "admin"
"""PostgreSQL role that may pull the kill switch and nothing else. Where it does not exist nothing is granted."""


def prepare(url: str) -> str:
    """Migrates, and lets HALTS_ROLE read and insert halts (SE-3); returns what was done, in words."""
    revision = migrate(url)
    database = open_database(url)
    try:
        with database.write.begin() as connection:
            granted = _grant(connection)
    finally:
        database.close()
    return f"the ledger is at revision {revision}" + (f"; {HALTS_ROLE} may read and insert halts" if granted else "")


def _grant(connection: sa.Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    roles = sa.text("SELECT rolname FROM pg_roles")
    if HALTS_ROLE not in connection.execute(roles).scalars():
        return False
    connection.execute(sa.text(f"GRANT SELECT, INSERT ON {tables.halts.name} TO {HALTS_ROLE}"))
    return True


async def main() -> int:
    """Returns the exit code: 1 where the database has not answered in time."""
    config = os.environ.get("HOLDFAST_CONFIG")
    settings = load_settings(Path(config) if config else None, os.environ, None)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    url = ledger_url(settings, SecretStore.from_environment())
    clock = SystemMonotonicClock()
    deadline_secs = clock.now_secs() + PATIENCE_SECS
    while True:
        try:
            done = prepare(url)
        except OperationalError as error:
            if clock.now_secs() > deadline_secs:
                sys.stderr.write(f"holdfast migrate: the ledger does not answer: {error.orig}\n")
                return 1
            await clock.sleep(PAUSE_SECS)
        else:
            sys.stdout.write(f"holdfast migrate: {done}\n")
            return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
