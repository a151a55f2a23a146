"""`holdfast strategy` lists, shows, stops and starts through admin's own API (SQ-10, SQ-12, SQ-14)."""

import getpass
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog.testing
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_cli.command_line import EXIT_NOT_READY, EXIT_USAGE
from holdfast_cli.main import app
from holdfast_runtime.config import dump_settings
from holdfast_runtime.settings import AdminSettings, Settings
from services.admin.tests.conftest import TOKEN, Admin, Facts


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run whose admin is up, and that admin."""

    state_dir: Path
    admin: Admin
    port: int

    def holdfast(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["strategy", *arguments, "--state-dir", str(self.state_dir)])

    def state_of(self, strategy: str) -> str:
        return self.admin.execution.strategies[strategy].state


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("COLUMNS", "160")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    folder = tmp_path / "state" / "runs" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "state" / "latest").symlink_to(folder)
    (folder / "admin.token").write_text(TOKEN)
    (folder / "holdfast.yaml").write_text(dump_settings(Settings(admin=AdminSettings(port=port))))
    admin = Admin(tmp_path)
    server = uvicorn.Server(uvicorn.Config(admin.app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    # What admin logs here would stand among the command's own words.
    with structlog.testing.capture_logs():
        yield Run(tmp_path / "state", admin, port)
    server.should_exit = True
    thread.join()
    listener.close()
    admin.audit.close()


@pytest.fixture
def traded(run: Run) -> Run:
    """One strategy holds SPY behind its stop, the other has failed."""
    facts = Facts()
    run.admin.tell_strategies(
        pb.Strategy(
            strategy="sma", state="running", trade_state="bought", positions=[facts.position("SPY", "5").position],
            open_intents=[facts.intent("stop-1", pb.INTENT_STATE_ACKED).intent],
        ),
        pb.Strategy(strategy="rotation", state="failed", reason="[b]refused[/b] four times", trade_state="sold"),
    )  # fmt: skip
    return run


def test_the_list_has_a_row_a_strategy_with_why_it_does_not_run(traded: Run) -> None:
    result = traded.holdfast("list")
    assert result.exit_code == 0, result.output
    titles, rotation, sma = (line.split() for line in result.output.splitlines())
    assert titles == ["strategy", "state", "trades", "held", "open", "orders", "since", "why"]
    assert rotation == ["rotation", "failed", "sold", "nothing", "0", "[b]refused[/b]", "four", "times"]
    assert sma == ["sma", "running", "bought", "5", "SPY", "1"]


def test_show_tells_all_of_one(traded: Run) -> None:
    result = traded.holdfast("show", "sma")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "sma  running  bought", "positions", "  5 SPY at 10; stop 9.5 for 5, protection active", "open orders",
        "  entry: buy 5 SPY, acked  stop-1", "halts: none",
    ]  # fmt: skip


@pytest.mark.usefixtures("traded")
def test_as_json_it_says_the_same(traded: Run) -> None:
    listed = json.loads(traded.holdfast("list", "--json").output)
    assert [each["strategy"] for each in listed] == ["rotation", "sma"]
    assert json.loads(traded.holdfast("show", "sma", "--json").output) == listed[1]


def test_a_stop_and_a_start_are_done_by_execution_and_audited_with_who_typed_them(traded: Run) -> None:
    """SE-7: the audit has the person, the words and that they came by the API."""
    stopped = traded.holdfast("stop", "sma", "--note", "prices look wrong")
    assert stopped.exit_code == 0, stopped.output
    assert stopped.output.startswith("sma  stopped  bought")
    assert f"prices look wrong (by {getpass.getuser()})" in stopped.output
    assert traded.state_of("sma") == "stopped"
    assert "prices look wrong" in traded.holdfast("list").output
    started = traded.holdfast("start", "sma", "--note", "prices checked")
    assert started.exit_code == 0, started.output
    assert traded.state_of("sma") == "running"
    actions = [(each.action, each.who, each.via, each.result) for each in reversed(traded.admin.audit.newest())]
    me = getpass.getuser()
    assert actions == [
        ("stop", me, "api", "ok"), ("start", me, "api", "requested"), ("start", me, "api", "ok"),
    ]  # fmt: skip


def test_a_login_without_a_name_is_audited_by_its_number(traded: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """SE-7: in a pod the commands run under a user that no file names."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)

    assert traded.holdfast("stop", "sma", "--note", "prices look wrong").exit_code == 0
    assert traded.admin.audit.newest()[0].who == "uid 4242424"


@pytest.mark.parametrize("arguments", [("show", "smma"), ("stop", "smma", "--note", "why")])
def test_a_name_that_nobody_knows_is_answered_with_the_known_ones(traded: Run, arguments: tuple[str, ...]) -> None:
    result = traded.holdfast(*arguments)
    assert result.exit_code == EXIT_USAGE, result.output
    assert "sma" in result.output
    assert "rotation" in result.output


def test_words_for_the_record_are_asked_for(traded: Run) -> None:
    assert traded.holdfast("stop", "sma").exit_code == EXIT_USAGE
    assert traded.holdfast("stop", "sma", "--note", " ").exit_code == EXIT_USAGE
    assert traded.state_of("sma") == "running"


def test_what_cannot_be_done_now_is_one_sentence(traded: Run) -> None:
    traded.admin.execution.away = True
    result = traded.holdfast("stop", "sma", "--note", "prices look wrong")
    assert (result.exit_code, result.output) == (EXIT_NOT_READY, "holdfast: execution does not answer\n")


def test_an_expired_connection_is_told_above_the_list_with_what_to_do(traded: Run) -> None:
    """SQ-14."""
    traded.admin.sources.projection.apply(Facts().halt("credentials.1", kind="credentials"))
    lines = traded.holdfast("list").output.splitlines()
    assert lines[0].startswith("Broker connection expired")
    assert lines[1].startswith("  1. ")
    assert lines[-1].startswith("sma")


def test_any_stack_can_be_meant_with_its_token(traded: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = ("strategy", "list", "--admin", f"http://127.0.0.1:{traded.port}")
    result = CliRunner().invoke(app, elsewhere)
    assert (result.exit_code, "ADMIN_TOKEN" in result.output) == (EXIT_USAGE, True)
    monkeypatch.setenv("ADMIN_TOKEN", "wrong")
    result = CliRunner().invoke(app, elsewhere)
    assert (result.exit_code, result.output) == (EXIT_NOT_READY, "holdfast: this is not the token of this stack\n")
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    result = CliRunner().invoke(app, elsewhere)
    assert result.exit_code == 0
    assert "rotation" in result.output


def test_an_admin_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    for address in ("http://127.0.0.1:1", "nonsense"):
        result = CliRunner().invoke(app, ["strategy", "list", "--admin", address])
        assert result.exit_code == EXIT_NOT_READY
        assert "does not answer" in result.output
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "latest").symlink_to(tmp_path / "runs" / "one")
    result = CliRunner().invoke(app, ["strategy", "list", "--state-dir", str(tmp_path)])
    assert (result.exit_code, "no admin yet" in result.output) == (EXIT_NOT_READY, True)
