"""A fault plan on the command line: a wrong one is refused before anything starts (TS-3, CF-3)."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.main import app

WRONG = "faults:\n  - {id: a, kind: latncy}\n  - {id: b, kind: halt, secs: -1}\n"
SENTENCES = (
    "faults.0.kind: 'latncy' is not allowed; did you mean latency?",
    "faults.1.secs: -1 is not allowed; allowed: a number above 0 up to 86400",
)


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def holdfast(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("command", [("up", "--faults"), ("faults", "check")])
def test_a_wrong_plan_is_refused_with_its_sentences(command: tuple[str, ...]) -> None:
    Path("wrong.yaml").write_text(WRONG)
    result = holdfast(*command, "wrong.yaml")
    assert result.exit_code == EXIT_USAGE, result.output
    assert all(f"wrong.yaml: {sentence}" in result.output for sentence in SENTENCES), result.output
    assert not Path(".holdfast").exists()


def test_a_missing_plan_is_refused() -> None:
    result = holdfast("up", "--faults", "missing.toml")
    assert (result.exit_code, "missing.toml: cannot be read" in result.output) == (EXIT_USAGE, True), result.output


def test_a_plan_of_the_configuration_is_checked_as_well() -> None:
    Path("wrong.yaml").write_text(WRONG)
    Path("holdfast.yaml").write_text("replay: {faults: wrong.yaml}\n")
    assert holdfast("up").exit_code == EXIT_USAGE


def test_a_plan_is_shown_and_the_kinds_are_listed() -> None:
    Path("plan.toml").write_text('seed = 7\n[[faults]]\nid = "halt"\nkind = "halt"\n')
    checked = holdfast("faults", "check", "plan.toml")
    assert (checked.exit_code, "halt: halt" in checked.output) == (0, True), checked.output
    listed = holdfast("faults", "list").output
    assert "no_answer: No answer comes" in listed
    assert "hold_secs = 30.0" in listed
