"""The ledger on PostgreSQL over TLS: the server is verified, by whoever opens the ledger (SE-5)."""

import contextlib
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from holdfast_runtime.identity import Authority
from holdfast_runtime.ledger_halts import engage_kill_switch, open_halts
from tests.contract.postgres_server import fresh_database

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
CERTIFICATE, KEY = "holdfast-test.crt", "holdfast-test.key"
BOUND_SECS = 60


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(now=datetime.now(UTC))


@pytest.fixture
def tls_url(postgres_server_url: str, authority: Authority) -> Iterator[str]:
    """A database of its own on a server that has a certificate of `authority` while the test runs."""
    identity = authority.issue("postgresql")
    with psycopg.connect(postgres_server_url, autocommit=True) as connection:
        if connection.execute("SHOW ssl").fetchone() == ("on",):
            pytest.skip("the named server has a certificate of its own")
        for name, content in ((CERTIFICATE, identity.certificate), (KEY, identity.key)):
            lines = f"SELECT regexp_split_to_table('{content.decode().strip()}', E'\\n')"
            connection.execute(f"COPY ({lines}) TO PROGRAM 'umask 077; cat > {name}'".encode())
        for setting in (f"ssl_cert_file = '{CERTIFICATE}'", f"ssl_key_file = '{KEY}'", "ssl = on"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
        try:
            with fresh_database(postgres_server_url, "ledger_over_tls") as url:
                _until_tls(url)
                yield url
        finally:
            for setting in ("ssl", "ssl_cert_file", "ssl_key_file"):
                connection.execute(f"ALTER SYSTEM RESET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")


def _until_tls(url: str) -> None:
    until_secs = time.monotonic() + BOUND_SECS
    while time.monotonic() < until_secs:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(f"{url}?sslmode=require"):
            return
    raise AssertionError(f"no TLS after {BOUND_SECS} s")


def verified(url: str, folder: Path, authority: Authority) -> str:
    """`url` with the server's name and address apart: the certificate is made for one name, wherever the server is."""
    (folder / "ca.crt").write_bytes(authority.certificate)
    address = sa.make_url(url)
    query = {
        "hostaddr": socket.gethostbyname(address.host or ""),
        "sslmode": "verify-full",
        "sslrootcert": str(folder / "ca.crt"),
    }
    return address.set(host="postgresql", query=query).render_as_string(hide_password=False)


def test_execution_and_admin_verify_the_server_by_its_authority(
    tls_url: str, authority: Authority, tmp_path: Path
) -> None:
    url = verified(tls_url, tmp_path, authority)
    database, _ = open_ledger(url, "paper")
    try:
        with database.read.begin() as connection:
            query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert connection.execute(sa.text(query)).scalar() is True
        halt = engage_kill_switch(url, "paper", "drill", "alice", NOW)
        assert [each.halt_id for each in open_halts(url, "paper")] == [halt]
    finally:
        database.close()


def test_a_server_of_another_authority_is_refused(tls_url: str, tmp_path: Path) -> None:
    url = verified(tls_url, tmp_path, Authority(now=datetime.now(UTC)))
    with pytest.raises(sa.exc.OperationalError, match="certificate verify failed"):
        open_ledger(url, "paper")
    with pytest.raises(sa.exc.OperationalError, match="certificate verify failed"):
        open_halts(url, "paper")
