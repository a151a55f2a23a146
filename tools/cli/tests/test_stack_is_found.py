"""In a pod the commands look at the mounted release, on a laptop at the newest run."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast_cli.main import app
from holdfast_cli.stack_calls import StackFiles, mounted_files

NOBODY = 2**31 - 1
"""No process has this id: Linux gives none above 2**22."""


def test_a_pod_names_its_stack_by_two_variables() -> None:
    both = {"HOLDFAST_CONFIG": "/etc/holdfast/holdfast.yaml", "HOLDFAST_CERTIFICATES": "/etc/holdfast/certificates"}
    assert mounted_files(both) == StackFiles(Path("/etc/holdfast/holdfast.yaml"), Path("/etc/holdfast/certificates"))
    assert [mounted_files({key: value}) for key, value in both.items()] == [None, None]


@pytest.mark.parametrize("command", [["report"], ["ready"]])
def test_without_any_stack_the_commands_say_how_to_start_one(command: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*command, "--state-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "start one with `holdfast up`" in result.output


@pytest.mark.parametrize(
    "command", [["report"], ["ready"], ["doctor"], ["strategy", "list"], ["claim", "SPY", "--note", "why"]]
)
def test_of_a_run_that_has_ended_the_commands_say_so(command: list[str], tmp_path: Path) -> None:
    """Not which connection to which port was refused."""
    run = tmp_path / "runs" / "20131007T093000-1"
    (run / "logs").mkdir(parents=True)
    (run / "logs" / "gate.pid").write_text(str(NOBODY))
    (tmp_path / "latest").symlink_to("runs/20131007T093000-1")
    result = CliRunner().invoke(app, [*command, "--state-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output == "holdfast: run 20131007T093000-1 has ended: start one with `holdfast up`\n"


def test_a_mounted_stack_without_the_operators_certificate_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "holdfast.yaml"
    config.write_text("{}\n")
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    monkeypatch.setenv("HOLDFAST_CERTIFICATES", str(tmp_path))
    result = CliRunner().invoke(app, ["report"])
    assert result.exit_code == 1
    assert f"{tmp_path}/operator.crt" in result.output.replace("\n", "")
