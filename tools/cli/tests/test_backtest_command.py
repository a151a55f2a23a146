"""`holdfast backtest`: a report of a replayed hour, and refusals that name what is wrong (CF-3)."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.main import app
from holdfast_cli.report_command import EXIT_BROKEN
from holdfast_signal.strategies.sma_crossover import SmaCrossover

HOUR = ("--from", "2013-10-08", "--to", "2013-10-08T14:30:00Z")
RUN_REPORT = {
    "orders",
    "fills",
    "positions",
    "cash",
    "equity",
    "decisions",
    "reconciliation",
    "invariants",
    "recording",
}


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without a configuration."""
    monkeypatch.chdir(tmp_path)


def backtest(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["backtest", *arguments])


def test_an_hour_gives_the_report_of_a_run_with_its_figures(tmp_path: Path) -> None:
    result = backtest(*HOUR, "--strategy", "sma", "--report", "hour.json")

    assert result.exit_code == 0, result.output
    assert "return" in result.output
    assert not Path(".holdfast").exists()
    report: dict[str, Any] = json.loads((tmp_path / "hour.json").read_text())
    assert report.keys() >= RUN_REPORT
    assert report["fills"]
    assert all(each["held"] for each in report["invariants"])
    told = report["backtest"]
    assert told["strategies"] == {"sma": {"kind": "sma_crossover", "fast": 10, "slow": 30, "band_bps": 3}}
    assert told["figures"]["total_return"] == pytest.approx(float(report["equity"]) / 100_000 - 1)
    assert told["figures"]["trades"] == len([each for each in report["fills"] if each["side"] == "sell"])
    assert len(told["curve"]["at"]) == 61
    assert told["prices"].keys() == {fill["symbol"] for fill in report["fills"]}


def test_a_strategy_that_fails_is_named_and_nothing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a flat window")

    monkeypatch.setattr(SmaCrossover, "on_bar", fail)

    result = backtest(*HOUR, "--strategy", "sma", "--report", "hour.json")

    assert result.exit_code == EXIT_BROKEN
    assert "cannot be believed: signal" in result.output
    assert "a flat window" in result.output
    assert not Path("hour.json").exists()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--strategy", "smb"], ["--strategy: smb: not configured", "sma, rotation, coins"]),
        (["--from", "2014-01-01", "--to", "2014-01-02"], ["replay.start: 2014-01-01", "is after all that is recorded"]),
        (["--from", "someday"], ["replay.start: 'someday'"]),
        (["--symbols", "XYZ"], ["no bars of XYZ in", "recorded are AIG, BAC, IBM, SPY"]),
        (["--recording", "/nowhere"], ["/nowhere: there is no such folder"]),
        (["--book", "bonds"], ["books.0: 'bonds' is not allowed"]),
        (["--report", "."], ["--report .: is a folder"]),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(arguments: list[str], names: list[str]) -> None:
    result = backtest(*arguments)

    assert result.exit_code == EXIT_USAGE, result.output
    assert "Traceback" not in result.output
    for name in names:
        assert name in result.output
