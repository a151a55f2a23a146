"""What `holdfast` cannot do is refused before anything starts, naming key, value and range (CF-3, FP-5.2)."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.main import app
from holdfast_cli.plan import BROKER_KEYS

SMA = {"id": "sma", "kind": "sma_crossover", "symbols": ["SPY"], "parameters": {"fast": 5, "slow": 20}}
ROTATION = {"id": "rotation", "kind": "etf_rotation", "symbols": ["IBM", "AIG"]}


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys and no settings of the person who runs the tests, and a folder without a configuration."""
    for key in BROKER_KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)


def holdfast(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refused(*arguments: str) -> str:
    """The sentence that is printed. Nothing was laid out, and no traceback shown."""
    result = holdfast("up", *arguments)
    assert result.exit_code == EXIT_USAGE, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert not Path(".holdfast").exists()
    return result.output


def written(tmp_path: Path, tree: object) -> str:
    file = tmp_path / "given.yaml"
    file.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return str(file)


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ({"gate": {"max_positons": 3}}, ["gate.max_positons: unknown key", "did you mean gate.max_positions?"]),
        ({"gate": {"max_positions": 0}}, ["gate.max_positions: 0 is not allowed", "an integer from 1 to"]),
        ({"gate": {"collar": "wide"}}, ["gate.collar: 'wide' is not allowed", "a decimal number above 0 up to 1"]),
        ({"gate": {"collar": True}}, ["gate.collar: true is not allowed"]),
        ({"account": {"id": "Mine!"}}, ["account.id: 'Mine!' is not allowed", "^[a-z0-9-]{1,32}$"]),
        ({"replay": {"start": "someday"}}, ["replay.start: 'someday'", "2013-10-07T13:30:00Z"]),
        ({"strategies": [SMA, SMA]}, ["given twice: sma"]),
        ({"strategies": [SMA | {"symbols": []}]}, ["strategies.0.symbols: [] is not allowed", "at least 1"]),
        ({"strategies": [SMA | {"stop_fraction": 2}]}, ["strategies.0.stop_fraction: 2 is not allowed"]),
        ({"books": ["bonds"]}, ["books.0: 'bonds' is not allowed", "one of equity, crypto"]),
        ({"strategies": [SMA | {"book": "crypto"}]}, ["strategy sma: SPY is not of the crypto book", "BTC/USD"]),
        ({"strategies": [SMA | {"symbols": ["ETH/USD"]}]}, ["ETH/USD is not of the equity book"]),
        ({"books": ["crypto"], "strategies": [SMA]}, ["books: no enabled strategy is of the crypto book"]),
        (
            {"strategies": [SMA | {"kind": "momentum"}]},
            ["'momentum' is not installed", "etf_rotation, portfolio, sma_crossover"],
        ),
        ({"strategies": [SMA | {"parameters": {"fast": 50, "slow": 20}}]}, ["strategy sma", "fast 50", "slow 20"]),
        ({"strategies": [SMA | {"parameters": {"fats": 5}}]}, ["parameters.fats: unknown key; did you mean fast?"]),
        ({"strategies": [ROTATION]}, ["strategy rotation: parameters.roles: missing; needed: a table"]),
        ({"strategies": [ROTATION | {"parameters": {"roles": {"cash": "BAC"}}}]}, ["strategy rotation", "roles"]),
        ("gate: {max_positions: 3", ["given.yaml", "line 1"]),
        ("- gate", ["given.yaml", "a table of sections"]),
        ("gate: 5", ["gate: 5 is not allowed", "a section"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict | str) else "",
)  # fmt: skip
def test_a_configuration_is_refused_by_key_value_and_range(tmp_path: Path, tree: Any, names: list[str]) -> None:
    said = refused("--config", written(tmp_path, tree))
    assert [name for name in names if name not in said] == [], said


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--config", "missing.yaml"), "missing.yaml: there is no such configuration file"),
        (("--config", "."), "Is a directory"),
        (("--speed", "warp"), "--speed: 'warp' is not allowed; allowed: a number from 0 to 100000, or max"),
        (("--speed", "-3"), "replay.speed: -3.0 is not allowed; allowed: a number from 0 to 100000"),
        (("--from", "nonsense"), "replay.start: 'nonsense' is refused"),
        (("--from", "2013-10-08T13:30:00"), "an instant with its time zone"),
        (("--from", "2013-10-09", "--to", "2013-10-08"), "would end, 2013-10-08, before it starts, 2013-10-09"),
        (("--from", "2020-01-02"), "is after all that is recorded: 2011-01-03 to 2013-10-11"),
        (("--symbols", "NIX"), "replay.symbols: no bars of NIX in "),
        (("--symbols", "spy,NIX"), "recorded are AIG, BAC, IBM, SPY"),
        (("--symbols", "BTC/USD"), "replay.symbols: BTC/USD: not of a book of this run: equity"),
        (("--report", "report.json"), "--report needs --until-end"),
        (("--report", ".", "--until-end"), "is a folder"),
        (("--report", "given.txt/report.json", "--until-end"), "nothing can be written into"),
        (("--live",), "--live needs --venue alpaca"),
        (("--venue", "alpaca"), "--venue alpaca needs ALPACA_API_KEY and ALPACA_SECRET_KEY in the environment"),
        (("--venue", "alpaca", "--until-end"), "--until-end needs the papermarket venue"),
        (("--book", "bonds"), "books.0: 'bonds' is not allowed"),
        (("--venue", "nyse"), "'nyse' is not one of"),
        (("--speed", "[/red]"), "--speed: '[/red]' is not allowed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_cannot_be_are_refused(arguments: tuple[str, ...], names: str) -> None:
    Path("given.txt").write_text("no folder")
    assert names in refused(*arguments)


def test_an_address_that_nobody_can_listen_on_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, {"admin": {"host": "nobody.invalid"}})
    result = holdfast("up", "--config", file)
    assert result.exit_code == EXIT_USAGE
    assert "nobody can listen on nobody.invalid" in result.output


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = holdfast("up", "--state-dir", "file")
    assert result.exit_code == EXIT_USAGE
    assert "the run cannot be laid out in file" in result.output


def test_a_live_account_needs_both_the_configuration_and_the_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two keys must be turned; either alone is refused."""
    for key in BROKER_KEYS:
        monkeypatch.setenv(key, "a-key-of-nobody")
    assert "--live needs account.live: true" in refused("--venue", "alpaca", "--live")
    file = written(tmp_path, {"account": {"live": True}})
    assert "a live account is refused without --live" in refused("--venue", "alpaca", "--config", file)


def test_commands_that_look_at_a_run_say_so_where_there_is_none() -> None:
    for arguments in (("token",), ("trace", "sma.SPY"), ("status",)):
        result = holdfast(*arguments)
        assert result.exit_code == EXIT_USAGE
        assert "start one with `holdfast up`" in result.output


def test_config_check_prints_every_setting_as_it_is(tmp_path: Path) -> None:
    """What is printed can be used as a configuration; nothing in it is taken for markup."""
    file = written(tmp_path, {"strategies": [SMA], "endpoints": {"gate": "[red]:key:1"}})
    result = holdfast("config", "check", "--config", file)
    assert result.exit_code == 0
    shown = yaml.safe_load(result.output)
    assert shown["endpoints"] == {"gate": "[red]:key:1"}
    assert shown["strategies"][0]["parameters"] == {"fast": 5, "slow": 20}
    assert shown["gate"]["max_positions"] > 0
