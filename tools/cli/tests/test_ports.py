"""Ports that servers are given before they listen (PR-1): nobody else comes to have them meanwhile."""

import socket

import pytest

from holdfast_cli.ports import LOOPBACK, NoFreePort, free_ports

GIVEN_TO_CONNECTIONS = range(32_768, 65_536)


def test_free_ports_differ_can_be_taken_and_are_never_given_to_a_connection() -> None:
    ports = free_ports(30)
    assert len(set(ports)) == 30
    assert not set(ports) & set(GIVEN_TO_CONNECTIONS)
    with socket.socket() as server:
        server.bind((LOOPBACK, ports[0]))


def test_a_port_that_somebody_has_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken, free) = sorted(free_ports(2))
    monkeypatch.setattr("holdfast_cli.ports.PORTS", (taken, free))
    with socket.socket() as server:
        server.bind((LOOPBACK, taken))
        assert free_ports(1) == [free]


def test_where_nothing_is_free_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken,) = free_ports(1)
    monkeypatch.setattr("holdfast_cli.ports.PORTS", range(taken, taken + 1))
    with socket.socket() as server:
        server.bind((LOOPBACK, taken))
        with pytest.raises(NoFreePort, match="fewer than 1 are free"):
            free_ports(1)
