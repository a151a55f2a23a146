"""Ports for servers that are started a moment later, and again after they were killed."""

import secrets
import socket

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_768)
"""Below those that systems give to outgoing connections (Linux from 32,768 on): none of these takes a port between the
look at it and its use, nor while the server behind it is away."""
TRIES = 1_000


class NoFreePort(OSError):
    """Everything that was tried is in use."""


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """So many different ports that nobody listens on now. Raises NoFreePort."""
    found: set[int] = set()
    for _ in range(TRIES):
        if len(found) == count:
            return list(found)
        port = PORTS[secrets.randbelow(len(PORTS))]
        if _is_free(host, port):
            found.add(port)
    raise NoFreePort(f"{host}: of {TRIES} ports from {PORTS.start} to {PORTS.stop - 1} fewer than {count} are free")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
