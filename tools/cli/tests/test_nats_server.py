"""The bundled nats-server as a child process."""

import json
import stat
from pathlib import Path

import pytest

from holdfast_cli.nats_server import NatsServer, NatsServerFailed, find_binary


def test_the_binary_comes_with_the_wheel() -> None:
    assert find_binary().is_file()


def test_it_starts_answers_and_stops(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    assert not server.answers()
    with server:
        assert server.running
        assert server.answers()
        assert server.pid is not None
    assert not server.running
    assert not server.answers()
    assert server.pid is None


def test_it_comes_back_on_the_same_port_after_a_kill(tmp_path: Path) -> None:
    """FP-6.2: clients find it again."""
    server = NatsServer(tmp_path)
    server.start()
    url, first = server.url, server.pid
    server.kill()
    assert not server.running
    with server:
        assert (server.url, server.answers()) == (url, True)
        assert server.pid != first


def test_the_token_stands_in_a_file_of_the_owner_only(tmp_path: Path) -> None:
    """SE-4: no secret in arguments, address or log."""
    server = NatsServer(tmp_path, token="not-to-be-seen")
    assert "not-to-be-seen" not in " ".join(server.command()) + server.url + repr(server)
    assert stat.S_IMODE(server.config_file.stat().st_mode) == 0o600
    assert json.loads(server.config_file.read_text())["authorization"] == {"token": "not-to-be-seen"}


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "first") as first:
        second = NatsServer(tmp_path / "second", port=first.port, sync_interval="no duration")
        second.host = "127.0.0.2"
        with pytest.raises(NatsServerFailed, match="nats-server ended"):
            second.start()


def test_the_store_of_a_running_server_is_not_deleted(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server, pytest.raises(NatsServerFailed, match="running"):
        server.lose_store()
    server.lose_store()
    assert not server.store_dir.exists()
