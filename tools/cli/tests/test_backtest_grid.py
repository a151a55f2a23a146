"""`holdfast backtest --grid`: every combination is run, and the best stands first."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast_cli.backtest_grid import axes_of, points_of, tree_of
from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.main import app
from holdfast_runtime.config import InvalidConfiguration
from holdfast_runtime.settings import Settings, StrategySettings

SETTINGS = Settings(
    strategies=(
        StrategySettings(id="rotation", kind="etf_rotation", symbols=("IBM",)),
        StrategySettings(id="sma", kind="sma_crossover", symbols=("SPY",)),
    )
)


def test_every_combination_of_values_is_a_point() -> None:
    axes = axes_of(["sma.fast=5,10", "gate.collar=0.01,0.02"], SETTINGS)

    assert points_of(axes) == [
        {"sma.fast": 5, "gate.collar": 0.01},
        {"sma.fast": 5, "gate.collar": 0.02},
        {"sma.fast": 10, "gate.collar": 0.01},
        {"sma.fast": 10, "gate.collar": 0.02},
    ]


def test_a_key_names_a_parameter_or_a_setting_of_a_strategy_or_of_the_configuration() -> None:
    axes = axes_of(["sma.fast=5", "sma.allocation=9", "rotation.roles.cash=AIG", "replay.slippage_bps=2"], SETTINGS)
    base = {"replay": {"start": "2013-10-08"}, "books": ["equity"]}

    tree = tree_of(points_of(axes)[0], axes, base)

    assert tree == {
        "replay": {"start": "2013-10-08", "slippage_bps": 2},
        "books": ["equity"],
        "strategies": {1: {"parameters": {"fast": 5}, "allocation": 9}, 0: {"parameters": {"roles": {"cash": "AIG"}}}},
    }
    assert base == {"replay": {"start": "2013-10-08"}, "books": ["equity"]}


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["sma.fast"], "allowed: key=a,b,c"),
        (["=5"], "allowed: key=a,b,c"),
        (["sma.fast=1", "sma.fast=2"], "given twice: sma.fast"),
        ([f"sma.fast={','.join(map(str, range(1001)))}"], "1001 runs are too many; allowed: up to 1000"),
    ],
)
def test_what_cannot_be_tried_is_refused(texts: list[str], why: str) -> None:
    with pytest.raises(InvalidConfiguration, match=why):
        axes_of(texts, SETTINGS)


def test_a_wrong_value_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["backtest", "--grid", "gate.collar=0.01,7"])

    assert result.exit_code == EXIT_USAGE
    assert "gate.collar: 7 is not allowed" in result.output


def test_a_grid_is_a_table_with_the_best_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    days = ("--from", "2013-10-08", "--to", "2013-10-08T14:00:00Z", "--strategy", "sma")
    files = ("--report", "grid.json", "--report", "grid.html")

    result = CliRunner().invoke(app, ["backtest", *days, "--grid", "sma.fast=5,10", "--jobs", "1", *files])

    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "grid.json").read_text())["grid"]
    assert sorted(each["settings"]["sma.fast"] for each in found) == [5, 10]
    returned = [each["figures"]["total_return"] for each in found]
    assert returned == sorted(returned, reverse=True)
    assert all(each["fills"] for each in found)
    assert "sma.fast" in (tmp_path / "grid.html").read_text()
