"""The one table of the ledger that a second service writes: `halts`.

Admin inserts the kill switch itself, with no other right on the ledger, so that it works while execution or the bus is
down. Execution reads open halts again in the transaction that stores SENDING, and turns a new row into a fact.

Needs SQLAlchemy, imported only when called: most services never touch the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from holdfast_runtime.secrets import SecretStore, register_secret

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData, Table

    from holdfast_runtime.settings import Settings

KILL_SWITCH = "kill_switch"
CREDENTIALS = "credentials"
"""The broker refuses them: nobody asks it anything until they change, or a person says that they are good."""
LEDGER_FILE = "ledger.db"
LEDGER_URL = "LEDGER_URL"
"""Name of the secret that holds the ledger's address with its password."""
FROM_SECRET = "secret"
"""What `execution.ledger_url` says where the address must come from that secret."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970, UTC: the ledger's form of an instant. Refuses a naive one."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} is naive: every instant is aware")
    return (instant - EPOCH) // _MICROSECOND


def from_micros(count: int) -> datetime:
    """The inverse of `to_micros`."""
    return EPOCH + timedelta(microseconds=count)


def engine_url(url: str) -> str:
    """`postgresql://` with the driver that this project uses; other addresses as they are."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def ledger_url(settings: Settings, secrets: SecretStore) -> str:
    """The ledger's address: the secret LEDGER_URL, else the configured one, else SQLite in the state folder.

    Where the configuration says `secret`, nothing takes the secret's place. Its password is hidden from logs and traces
    by itself too. Raises SecretUnavailable (SE-4).
    """
    configured = settings.execution.ledger_url
    found = secrets.get(LEDGER_URL) if configured == FROM_SECRET else secrets.optional(LEDGER_URL)
    if found is None:
        return configured or f"sqlite:///{settings.state_dir.resolve() / LEDGER_FILE}"
    url = found.reveal()
    if password := urlsplit(url).password:
        register_secret(password)
        register_secret(unquote(password))
    return url


def halts_table(metadata: MetaData) -> Table:
    """The `halts` table: a row without `cleared_at` is open; empty `symbol` and `strategy` cover everything.

    `noticed` is false until execution has appended the row's fact.
    """
    import sqlalchemy as sa

    return sa.Table(
        "halts",
        metadata,
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("halt_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False, server_default=""),
        sa.Column("strategy", sa.Text, nullable=False, server_default=""),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("cleared_at", sa.BigInteger, nullable=True),
        sa.Column("cleared_by", sa.Text, nullable=False, server_default=""),
        sa.Column("noticed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Index("halts_open", "account", sqlite_where=sa.text("cleared_at IS NULL"),
                 postgresql_where=sa.text("cleared_at IS NULL")),
    )  # fmt: skip


def halt_id(kind: str, symbol: str, strategy: str, since: datetime, taken: Callable[[str], bool]) -> str:
    """Id of a new halt: what it names, since when, and a number where it was set and cleared at that very instant.

    Market time may stand still (a replay that waits or has ended), and a halt must be settable all the same.
    """
    scope = ".".join(part for part in (kind, symbol, strategy) if part)
    first = f"{scope}.{since.astimezone(UTC).strftime('%Y%m%dT%H%M%S%fZ')}"
    names = chain([first], (f"{first}.{number}" for number in count(2)))
    return next(name for name in names if not taken(name))


def engage_kill_switch(url: str, account: str, reason: str, set_by: str, at: datetime) -> str:
    """Inserts an open kill switch and returns its halt id; where one is open already, returns that one's.

    `at` is the market time shown as "since". Blocking: call it off the event loop. Raises SQLAlchemy's errors where the
    ledger cannot be reached, so that whoever pulled the switch learns of it.
    """
    import sqlalchemy as sa

    table = halts_table(sa.MetaData())
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            found = connection.execute(
                sa.select(table.c.halt_id)
                .where(
                    table.c.account == account,
                    table.c.kind == KILL_SWITCH,
                    table.c.symbol == "",
                    table.c.strategy == "",
                    table.c.cleared_at.is_(None),
                )
                .order_by(table.c.since)
            ).scalar()
            if found is not None:
                return str(found)
            by_id = sa.select(table.c.halt_id).where(table.c.account == account)
            identity = halt_id(
                KILL_SWITCH,
                "",
                "",
                at,
                lambda name: connection.execute(by_id.where(table.c.halt_id == name)).first() is not None,
            )
            connection.execute(
                sa.insert(table).values(
                    account=account,
                    halt_id=identity,
                    kind=KILL_SWITCH,
                    reason=reason,
                    set_by=set_by,
                    since=to_micros(at),
                )
            )
            return identity
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHalt:
    """One halt in force. `noticed`: execution has made its fact."""

    halt_id: str
    kind: str
    symbol: str
    strategy: str
    reason: str
    set_by: str
    since: datetime
    noticed: bool


def open_halts(url: str, account: str) -> list[OpenHalt]:
    """Every halt in force, oldest first, from the ledger itself: true also while execution is down.

    Blocking: call it off the event loop. Raises SQLAlchemy's errors where the ledger cannot be reached.
    """
    import sqlalchemy as sa

    table = halts_table(sa.MetaData())
    columns = table.c
    query = (
        sa.select(
            columns.halt_id, columns.kind, columns.symbol, columns.strategy, columns.reason, columns.set_by,
            columns.since, columns.noticed,
        )
        .where(columns.account == account, columns.cleared_at.is_(None))
        .order_by(columns.since, columns.halt_id)
    )  # fmt: skip
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            return [
                OpenHalt(**{**row._mapping, "since": from_micros(row.since), "noticed": bool(row.noticed)})
                for row in connection.execute(query)
            ]
    finally:
        engine.dispose()


def engine_of(url: str) -> Engine:
    """An engine that keeps no connection. Raises SQLAlchemy's OperationalError where there is no SQLite file yet."""
    import sqlalchemy as sa

    address = engine_url(url)
    if address.startswith("sqlite"):
        file = sa.make_url(address).database or ""
        if not Path(file).is_file():
            # SQLite would make an empty one here; the ledger is execution's to make.
            raise sa.exc.OperationalError(f"open {file}", None, FileNotFoundError("there is no ledger yet"))
        # Execution's writer holds the lock for milliseconds only: the wait is generous.
        return sa.create_engine(address, poolclass=sa.NullPool, connect_args={"timeout": 5.0})
    return sa.create_engine(address, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
