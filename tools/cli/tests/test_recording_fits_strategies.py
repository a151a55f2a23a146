"""A recording that no strategy can trade is refused before anything starts, and what will not trade is named (TS-3)."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.main import app
from holdfast_cli.recording_fit import fit
from holdfast_runtime.settings import StrategySettings
from holdfast_signal.strategy import makers_of

SMA = {"id": "sma", "kind": "sma_crossover", "symbols": ["SPY"]}
ROLES = {"roles": {"market": "SPY", "cash": "IBM"}}
ROTATION = {"id": "rotation", "kind": "etf_rotation", "symbols": ["IBM"], "parameters": ROLES}


def folder(tmp_path: Path, *names: str) -> Path:
    made = tmp_path / "recorded"
    made.mkdir()
    for name in names:
        (made / f"{name}.parquet").touch()
    return made


def test_minutes_and_seconds_fit_every_strategy(tmp_path: Path) -> None:
    makers = makers_of([StrategySettings.model_validate(each) for each in (SMA, ROTATION)])
    found = fit(folder(tmp_path, "bars_1d", "crypto_bars_1s_week"), makers)
    assert (found.refusal, found.notes) == ("", ())


def test_days_fit_strategies_on_daily_bars_and_the_others_are_named(tmp_path: Path) -> None:
    makers = makers_of([StrategySettings.model_validate(each) for each in (SMA, ROTATION)])
    found = fit(folder(tmp_path, "bars_1h"), makers)
    assert found.refusal == ""
    assert found.notes == ("the recording holds hours or days only: strategy sma needs minutes, will not trade",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["bars_1d", "bars_1h"], "every strategy of the configuration (sma) needs minutes: nothing would trade"),
        (["quotes_1m"], "no file of bars: bars_1s*.parquet"),
        ([], "no file of bars: bars_1s*.parquet"),
    ],
)
def test_what_nothing_can_trade_is_refused_in_a_sentence(
    tmp_path: Path, names: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"strategies": [SMA]}))
    place = folder(tmp_path, *names)
    result = CliRunner().invoke(app, ["up", "--config", str(file), "--recording", str(place)], env={"COLUMNS": "400"})
    assert result.exit_code == EXIT_USAGE, result.output
    assert message in result.output
    assert not Path(".holdfast").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert fit(tmp_path / "none", []).refusal.endswith("there is no such folder")
