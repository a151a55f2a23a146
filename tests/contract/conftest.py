"""Servers that the contract tests share, and the ledger that they open."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger, open_ledger
from holdfast_runtime.bus import buckets, link, provision
from tests.contract.ledger_samples import ACCOUNT, CASH, NOW
from tests.contract.postgres_server import fresh_database, postgres_server

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _patient_with_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single question to a server on a busy machine may take longer than a service would wait."""
    for module in (link, buckets, provision):
        monkeypatch.setattr(module, "REQUEST_TIMEOUT_SECS", 5.0)


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """A PostgreSQL server, started once; its user may create databases."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database on each engine the ledger is kept in."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    with fresh_database(request.getfixturevalue("postgres_server_url"), f"ledger_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def opened(ledger_url: str) -> Iterator[tuple[Database, SqlLedger]]:
    database, ledger = open_ledger(ledger_url, ACCOUNT)
    yield database, ledger
    database.close()


@pytest.fixture
def ledger(opened: tuple[Database, SqlLedger]) -> SqlLedger:
    return opened[1]


@pytest.fixture
def epoch(ledger: SqlLedger) -> int:
    """Of the lease of a ledger whose account is open."""
    taken = ledger.acquire_lease(NOW, "pod-a", ledger.lease())
    assert taken is not None
    ledger.open_account(taken.epoch, NOW, CASH)
    return taken.epoch
