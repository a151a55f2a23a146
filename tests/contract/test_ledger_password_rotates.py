"""A new password of the ledger is used without a restart, by execution and by admin (SE-1)."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from holdfast_admin.adapters.halt_ledger import HaltLedger
from holdfast_execution.adapters.sql.address import follow
from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from tests.contract.postgres_server import fresh_database

pytestmark = pytest.mark.postgres

ROLES = ("holdfast_before", "holdfast_after")


@pytest.fixture
def addresses(postgres_server_url: str) -> Iterator[list[str]]:
    """Of one database, as two roles: the change of a secret is that of a user and his password."""
    with (
        psycopg.connect(postgres_server_url, autocommit=True) as connection,
        fresh_database(postgres_server_url, "ledger_rotates") as url,
    ):
        for role in ROLES:
            connection.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'of-{role}'".encode())
        try:
            at = sa.make_url(url)
            yield [at.set(username=each, password=f"of-{each}").render_as_string(hide_password=False) for each in ROLES]
        finally:
            for role in ROLES:
                with psycopg.connect(url, autocommit=True) as inside:
                    inside.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def user(engine: sa.Engine) -> object:
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT current_user")).scalar()


async def test_connections_from_now_on_use_the_new_password_and_the_old_ones_go_on(addresses: list[str]) -> None:
    present = addresses[0]
    database, ledger = open_ledger(present, "paper")
    follow(database, lambda: present)
    halts = HaltLedger(lambda: present, "paper")
    try:
        assert user(database.read) == ROLES[0]
        present = addresses[1]
        assert user(database.read) == ROLES[0]
        assert await halts.open() == []
        for engine in (database.read, database.write):
            # As after a restart of the server, or of its pooler.
            engine.dispose()
            assert user(engine) == ROLES[1]
        assert ledger.version() == 0
    finally:
        database.close()
