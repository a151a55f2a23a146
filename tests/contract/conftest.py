"""Servers that the contract tests share."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.postgres_server import fresh_database, postgres_server

_numbers = itertools.count(1)


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
