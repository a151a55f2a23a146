"""A look at the ledger's database from outside, for the doctor: no right is used but the one to connect.

Needs SQLAlchemy, imported only when called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast_runtime.errors import Retry
from holdfast_runtime.ledger_halts import engine_of

WITHOUT_STANDBY = ("off", "local")
"""Values of `synchronous_commit` with which nobody waits for a standby, whichever is named."""
_COMMIT, _STANDBYS = "current_setting('synchronous_commit')", "current_setting('synchronous_standby_names')"


@dataclass(frozen=True, slots=True)
class LedgerLook:
    """What the database said."""

    engine: str
    skew: timedelta | None
    """By how much its clock is ahead of this machine's; None where it has none of its own."""
    commits_at_once: bool = True
    """What it acknowledges is on its disk. PostgreSQL's `synchronous_commit`, as this role has it."""
    standby: bool = True
    """And on a second one's. PostgreSQL names a synchronous standby; SQLite has none to name."""


def look(url: str, *, now: Callable[[], datetime]) -> LedgerLook:
    """Connects on a connection of its own, asks for the time and what a commit is worth. Blocking: off the event loop.

    Raises Retry with the driver's words, never with the address, which holds a password."""
    import sqlalchemy as sa

    try:
        engine = engine_of(url)
        try:
            with engine.connect() as connection:
                if engine.dialect.name != "postgresql":
                    connection.execute(sa.text("SELECT 1")).scalar_one()
                    return LedgerLook(engine.dialect.name, None)
                asked_at = now()
                told, commit, standbys = connection.execute(
                    sa.text(f"SELECT clock_timestamp(), {_COMMIT}, {_STANDBYS}")
                ).one()
                answered_at = now()
                skew = told - (asked_at + (answered_at - asked_at) / 2)
                standby = bool(standbys) and commit not in WITHOUT_STANDBY
                return LedgerLook(engine.dialect.name, skew, commit != "off", standby)
        finally:
            engine.dispose()
    except sa.exc.SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or type(error).__name__).splitlines()
        raise Retry(f"the ledger's database does not answer: {words[0] if words else type(error).__name__}") from error
