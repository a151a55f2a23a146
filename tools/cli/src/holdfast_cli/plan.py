"""What a local stack consists of: the folder of the run, ports, certificates, secrets and processes."""

import errno
import fcntl
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdfast_cli.nats_server import NatsServer
from holdfast_cli.ports import LOOPBACK, free_ports
from holdfast_runtime.config import ENVIRONMENT_PREFIX, InvalidConfiguration, dump_settings
from holdfast_runtime.identity import Authority
from holdfast_runtime.settings import Settings, VenueKind
from holdfast_runtime.telemetry import logs

SERVICES = ("execution", "signal", "gate", "scoring", "reconciliation", "admin")
VENUE_SERVICE = "papermarket"
OPERATOR = "operator"
"""Identity of the person at the terminal: it may read, nothing else."""
BUS = "nats"
KEPT_RUNS = 5
LOCK_FILE = ".lock"
BROKER_KEYS = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")
OWN_SECRETS = (*BROKER_KEYS, "NATS_TOKEN", "ADMIN_TOKEN")
PAPER_RUN = re.compile(r"\d{8}T\d{6}-\d+")
"""Folder name of a run on papermarket. No account is called so: its name has no capital letter."""
NEEDS_BROKER_KEYS = ("execution", "signal", "reconciliation", "papermarket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One child of the supervisor."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health_address: str
    """host:port that speaks the gRPC health protocol; for the bus, the port that greets."""
    error_file: Path
    speaks_grpc: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A stack that is laid out on disk and ready to be started."""

    run_id: str
    folder: Path
    settings: Settings
    processes: tuple[Process, ...]
    claim: int
    """Open file that holds the folder's lock: while this process lives, nobody else runs or deletes what is in it."""

    def release(self) -> None:
        """Gives the folder up; whoever ends does so anyhow."""
        os.close(self.claim)

    @property
    def dashboard_url(self) -> str:
        return dashboard_url(self.settings)


def dashboard_url(settings: Settings) -> str:
    """Where the dashboard of a run is."""
    return f"http://{settings.admin.host}:{settings.admin.port}/"


def lay_out(settings: Settings, environ: Mapping[str, str], *, live: bool) -> Plan:
    """Makes the run's folder with all that the processes need. Secrets are files of mode 0600, one folder a service."""
    base = settings.state_dir.resolve()
    paper = settings.venue.kind is VenueKind.PAPERMARKET
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}" if paper else settings.account.id
    folder = base / "runs" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    if (claim := _claim(folder)) is None:
        raise InvalidConfiguration(f"{folder}: another `holdfast up` runs there: stop it, or use another --state-dir")
    for left in (folder / "logs").glob("*.pid"):
        # Of the account's run before: this one has not ended before it began.
        left.unlink()
    _prune(base / "runs", keep=folder)
    _point_latest(base, folder)
    services = (VENUE_SERVICE, *SERVICES) if paper else SERVICES
    ports = iter(free_ports(3 * len(services) + 3))
    nats_port = next(ports)
    endpoints = {}
    for service in services:
        endpoints[service] = f"{LOOPBACK}:{next(ports)}"
        endpoints[f"{service}.health"] = f"{LOOPBACK}:{next(ports)}"
        endpoints[f"{service}.metrics"] = f"{LOOPBACK}:{next(ports)}"
    own_bus = not settings.bus.url
    update: dict[str, object] = {
        "state_dir": folder,
        "endpoints": endpoints,
        "bus": settings.bus.model_copy(update={"url": settings.bus.url or f"nats://{LOOPBACK}:{nats_port}"}),
        "admin": settings.admin.model_copy(update={"port": _port_or_free(settings.admin.host, settings.admin.port)}),
    }
    if paper:
        endpoints["papermarket.http"] = http = f"{LOOPBACK}:{next(ports)}"
        update["venue"] = settings.venue.model_copy(
            update={
                "trading_url": f"http://{http}",
                "trading_stream_url": f"ws://{http}/stream",
                "data_url": f"http://{http}",
                "data_stream_url": f"ws://{http}/v2/iex",
                "crypto_stream_url": f"ws://{http}/v1beta3/crypto/us",
            }
        )
    settings = settings.model_copy(update=update)
    config_file = folder / "holdfast.yaml"
    # In one step: whoever finds it reads all of it.
    fresh_file = folder / ".holdfast.yaml.new"
    fresh_file.write_text(dump_settings(settings))
    fresh_file.replace(config_file)
    Authority(now=datetime.now(UTC)).write(folder / "certificates", [*services, OPERATOR])
    nats_token = environ.get("NATS_TOKEN") or secrets.token_urlsafe(24)
    keys = _broker_keys(environ, paper=paper)
    common = _inherited(environ) | {
        "HOLDFAST_CONFIG": str(config_file),
        "HOLDFAST_CERTIFICATES": str(folder / "certificates"),
        "HOLDFAST_RUN_ID": run_id,
        "HOLDFAST_LIVE": "1" if live else "0",
        logs.STDERR_VARIABLE: "errors",
        "PYTHONUNBUFFERED": "1",
    }
    (folder / "logs").mkdir(exist_ok=True)
    processes = [_bus_process(folder, nats_port, nats_token)] if own_bus else []
    for service in services:
        own = {"NATS_TOKEN": nats_token}
        if service in NEEDS_BROKER_KEYS:
            own |= keys
        if service == "admin":
            own["ADMIN_TOKEN"] = secrets.token_urlsafe(24)
            write_secret(folder / "admin.token", own["ADMIN_TOKEN"])
        secret_folder = folder / "secrets" / service
        for key, value in own.items():
            write_secret(secret_folder / key, value)
        processes.append(
            Process(
                name=service,
                command=(sys.executable, "-m", f"holdfast_{service}"),
                environment=common | {"HOLDFAST_SECRETS_DIR": str(secret_folder)},
                health_address=endpoints[f"{service}.health"],
                error_file=folder / "logs" / f"{service}.err",
            )
        )
    return Plan(
        run_id=run_id,
        folder=folder,
        settings=settings,
        processes=tuple(processes),
        claim=claim,
    )


def _bus_process(folder: Path, port: int, token: str) -> Process:
    server = NatsServer(folder / BUS, port=port, token=token)
    return Process(
        name=BUS,
        command=tuple(server.command()),
        environment={},
        health_address=f"{server.host}:{server.port}",
        error_file=folder / "logs" / f"{BUS}.err",
        speaks_grpc=False,
    )


def write_secret(path: Path, value: str) -> None:
    """A file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(value)


def latest_run(state_dir: Path) -> Path | None:
    """Folder of the newest run, None where there was none. Where it has ended and another one goes on, that one: a
    second `holdfast up` beside it must not hide it."""
    link = state_dir.resolve() / "latest"
    if not link.exists():
        return None
    newest = link.resolve()
    if not has_ended(newest):
        return newest
    others = sorted((each for each in newest.parent.iterdir() if _lives(each)), key=lambda each: each.stat().st_mtime)
    return others[-1] if others else newest


def has_ended(folder: Path) -> bool:
    """Whether processes were started in the folder of a run, and none of them is left."""
    return any((folder / "logs").glob("*.pid")) and not _lives(folder)


def _lives(folder: Path) -> bool:
    return any(process_of(file) is not None for file in (folder / "logs").glob("*.pid"))


def process_of(file: Path) -> int | None:
    """The process whose id is in the file; None where it has ended, its id is another user's process now, or the file
    is gone or was never written whole."""
    try:
        pid = int(file.read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def _broker_keys(environ: Mapping[str, str], *, paper: bool) -> dict[str, str]:
    if paper:
        return {key: secrets.token_hex(16) for key in BROKER_KEYS}
    return {key: environ[key] for key in BROKER_KEYS}


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without secrets, which services read from files of their own (SE-2), and without
    settings: they are in the run's configuration already, where the command line has gone over them."""
    return {
        key: value
        for key, value in environ.items()
        if key not in OWN_SECRETS and not key.startswith(ENVIRONMENT_PREFIX)
    }


def _port_or_free(host: str, port: int) -> int:
    """The wanted port, or a free one where somebody else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return free_ports(1)[0]
            raise InvalidConfiguration(f"admin: nobody can listen on {host}:{port}: {error.strerror}") from error
        return int(probe.getsockname()[1])


def _claim(folder: Path) -> int | None:
    """The open lock file of a run's folder; None where another process holds it."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _prune(runs: Path, *, keep: Path) -> None:
    """Old paper runs that have ended go, so that the state folder stays bounded. A broker account's ledger is never
    touched."""
    old = sorted(path for path in runs.iterdir() if path != keep and PAPER_RUN.fullmatch(path.name))
    for path in old[: max(0, len(old) - KEPT_RUNS + 1)]:
        claim = _claim(path)
        if claim is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(claim)


def _point_latest(base: Path, folder: Path) -> None:
    fresh = base / f"latest.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.relative_to(base))
    fresh.replace(base / "latest")
