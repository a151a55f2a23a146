"""The doctor asks PostgreSQL whether a commit is on its disk, and on a second one's (IN-8)."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from holdfast_runtime.ledger_probe import look
from tests.contract.postgres_server import fresh_database

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_server_url: str) -> Iterator[str]:
    with fresh_database(postgres_server_url, "ledger_commits") as found:
        yield found


def asked(url: str) -> tuple[bool, bool]:
    seen = look(url, now=lambda: datetime.now(UTC))
    return seen.commits_at_once, seen.standby


def test_a_server_alone_commits_at_once_and_has_no_standby(url: str) -> None:
    assert asked(url) == (True, False)


def test_a_database_that_does_not_wait_for_its_disk_is_told(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE ledger_commits SET synchronous_commit = off")
    assert asked(url) == (False, False)
