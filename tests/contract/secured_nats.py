"""The wheel's nats-server as the chart runs it: TLS first, certificates that are users, permissions by the table."""

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from holdfast_cli.nats_server import find_binary
from holdfast_cli.ports import free_ports
from holdfast_runtime.bus.nats_bus import NatsBus
from holdfast_runtime.bus.permissions import DUTIES, render
from holdfast_runtime.certificates import Certificates
from holdfast_runtime.identity import AUTHORITY_FILE, Authority
from tests.contract.bus_backends import running


class SecuredNats:
    """One server with a store of its own, and the certificates of all who use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(now=datetime.now(UTC))
        self.certificates = folder / "certificates"
        self.authority.write(self.certificates, [*DUTIES, "nats", "papermarket"])
        (self.port,) = free_ports(1)
        self.url = f"tls://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when somebody listens."""
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "jetstream": {"store_dir": str(self.folder / "store"), "max_file_store": 2**31},
            "log_file": str(self.folder / "nats.log"),
            "tls": {
                "cert_file": str(self.certificates / "nats.crt"),
                "key_file": str(self.certificates / "nats.key"),
                "ca_file": str(self.certificates / "ca.crt"),
                "verify_and_map": True,
                "handshake_first": True,
            },
        }
        body = "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())
        file = self.folder / "nats.conf"
        file.write_text(body + render())
        self._process = subprocess.Popen([str(find_binary()), "--config", str(file)])

    async def reload(self) -> None:
        """Returns when it has read its certificate and its authorities again."""
        assert self._process is not None
        log = self.folder / "nats.log"
        before = log.read_text().count("Reloaded")
        self._process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while log.read_text().count("Reloaded") <= before:  # noqa: ASYNC110 another process's file
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def trust(self, *authorities: Authority) -> None:
        """Everybody's file of authorities, the server's too."""
        (self.certificates / AUTHORITY_FILE).write_bytes(b"".join(each.certificate for each in authorities))

    @contextlib.asynccontextmanager
    async def bus(self, service: str, certificates: Certificates | None = None) -> AsyncIterator[NatsBus]:
        """The bus of one service, as its shell makes it."""
        certificates = certificates or Certificates(self.certificates, service)
        bus = NatsBus(url=self.url, name=service, tls=certificates.client_context, service=service)
        await bus.link.open(lambda: None)
        async with running(bus):
            yield bus
