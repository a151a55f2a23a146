"""A PostgreSQL server for tests: the one named, a container, or the distribution's own binaries; else the reason.

HOLDFAST_TEST_POSTGRES_URL names a server whose user may create databases. HOLDFAST_REQUIRE_DOCKER=1 turns a missing
server into a failure.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast_cli.ports import free_ports

IMAGE = "postgres:15"
URL_VARIABLE = "HOLDFAST_TEST_POSTGRES_URL"
REQUIRE_DOCKER = "HOLDFAST_REQUIRE_DOCKER"


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """URL of a server. Skips the test where there is none."""
    named = os.environ.get(URL_VARIABLE, "")
    if named:
        yield named
    elif _docker_answers():
        with _container() as url:
            yield url
    elif (binaries := _binaries()) is not None and not os.environ.get(REQUIRE_DOCKER):
        with _embedded(binaries) as url:
            yield url
    else:
        reason = (
            f"no PostgreSQL: {URL_VARIABLE} is not set, Docker does not answer, no binaries under /usr/lib/postgresql"
        )
        if os.environ.get(REQUIRE_DOCKER):
            pytest.fail(reason)
        pytest.skip(reason)


@contextlib.contextmanager
def fresh_database(server_url: str, name: str) -> Iterator[str]:
    """A database of its own, dropped at the end."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        done = subprocess.run([docker, "version"], capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@contextlib.contextmanager
def _container() -> Iterator[str]:
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(IMAGE, username="holdfast", password="holdfast", dbname="holdfast", driver=None) as server:
        yield str(server.get_connection_url()).replace("localhost", "127.0.0.1")


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextlib.contextmanager
def _embedded(binaries: Path) -> Iterator[str]:
    # PostgreSQL refuses to run as root.
    user = None if os.geteuid() else next(name for name in ("postgres", "nobody") if _exists(name))
    with tempfile.TemporaryDirectory(prefix="holdfast-pg-") as folder:
        base = Path(folder)
        data = base / "data"
        base.chmod(0o755)
        if user is not None:
            shutil.chown(base, user)
        (port,) = free_ports(1)

        def tool(*command: str) -> None:
            subprocess.run(
                [str(binaries / command[0]), *command[1:]],
                user=user, cwd=base, check=True, stdout=subprocess.DEVNULL, timeout=120,
            )  # fmt: skip

        tool("initdb", "-D", str(data), "-U", "holdfast", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={base}"
        tool("pg_ctl", "-D", str(data), "-l", str(base / "log"), "-w", "-o", options, "start")
        try:
            yield f"postgresql://holdfast@127.0.0.1:{port}/postgres"
        finally:
            tool("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
