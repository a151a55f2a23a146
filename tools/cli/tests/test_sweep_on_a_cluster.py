"""`--on kube`: a sweep as an indexed Job gives what it gives on this machine, and says what keeps a cluster from it."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner, Result

from holdfast_cli import kube_sweep
from holdfast_cli.command_line import EXIT_USAGE
from holdfast_cli.kube_job import IMAGE, Target, job
from holdfast_cli.main import app
from holdfast_runtime.settings import AlertSettings, ExecutionSettings, Settings
from holdfast_simulation.shares import Work, unpacked

CHART = Path(__file__).resolve().parents[3] / "deploy" / "helm" / "holdfast"
SEEDS = ("simulate", "--first-seed", "40", "--seeds", "2")
GRID = (
    *("backtest", "--from", "2013-10-08", "--to", "2013-10-08T14:00:00Z", "--strategy", "sma"),
    *("--grid", "sma.fast=5,10"),
)


class Machine:
    """A machine with the stand-in as its kubectl."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch

    def with_cluster(self, how: str) -> None:
        program = self.folder / "kubectl"
        program.write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("kubectl_stand_in.py").read_text())
        program.chmod(0o755)
        (self.folder / "cluster").write_text(how)
        self._monkeypatch.setenv("PATH", f"{self.folder}:{os.environ['PATH']}")

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    @property
    def job(self) -> dict[str, Any]:
        """As it was made."""
        found: dict[str, Any] = json.loads((self.folder / "made.json").read_text())
        return found

    @property
    def holds_a_job(self) -> bool:
        return (self.folder / "job.json").exists()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kube_sweep, "LOOK_EVERY_SECS", 0.0)
    return Machine(tmp_path, monkeypatch)


def holdfast(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def without_speed(output: str) -> list[str]:
    return [line for line in output.splitlines() if "on one core" not in line]


def test_seeds_on_a_cluster_come_to_what_they_come_to_here(machine: Machine) -> None:
    machine.with_cluster("well")

    there = holdfast(*SEEDS, "--on", "kube", "--pods", "1", "--image", "registry/simulation:1", "--namespace", "sweeps")

    here = holdfast(*SEEDS, "--jobs", "1")
    assert there.exit_code == here.exit_code == 0, there.output
    assert without_speed(there.output) == without_speed(here.output)
    assert "2 seeds: " in there.output
    assert machine.job["spec"]["completions"] == 2
    assert machine.job["spec"]["parallelism"] == 1
    assert machine.job["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/simulation:1"
    assert {tuple(call[:2]) for call in machine.calls} == {("--namespace", "sweeps")}
    assert not machine.holds_a_job


def test_a_seed_that_violates_is_named_with_its_replay(machine: Machine) -> None:
    machine.with_cluster("a world that violates")

    result = holdfast(*SEEDS, "--seeds", "1", "--on", "kube")

    assert result.exit_code == 1
    assert f"seed 40 of {IMAGE}" in result.output
    assert "invariant 6: sold twice" in result.output
    assert "holdfast simulate --replay 40" in result.output
    assert "1 seeds violated an invariant" in result.output
    assert not machine.holds_a_job


def test_a_grid_on_a_cluster_comes_to_what_it_comes_to_here(machine: Machine) -> None:
    machine.with_cluster("full for a moment")

    there = holdfast(*GRID, "--on", "kube", "--report", "there.json")

    here = holdfast(*GRID, "--jobs", "1", "--report", "here.json")
    assert there.exit_code == here.exit_code == 0, there.output
    assert "waiting for a node: 0/1 nodes: Insufficient cpu" in there.output
    assert (machine.folder / "there.json").read_text() == (machine.folder / "here.json").read_text()
    assert not machine.holds_a_job


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("away", ["does not take the Job", "The connection to the server localhost:8080 was refused"]),
        ("without the image", [f"cannot get the image {IMAGE}", "make images", "ErrImagePull: pull access denied"]),
        ("short of memory", ["failed again: 1", "pod-1", "OOMKilled, exit code 137", "the last words of a part"]),
        ("out of time", ["the Job failed: DeadlineExceeded"]),
        ("deleted by somebody", ["somebody has deleted the Job holdfast-sweep-"]),
        ("forgetful", ["told 0 of 1 results: ['a warning of some library']"]),
        ("of another version", [f"{IMAGE} is of another version", "letters"]),
    ],
)
def test_what_a_cluster_could_not_do_is_told_and_nothing_is_left(
    machine: Machine, cluster: str, words: list[str]
) -> None:
    machine.with_cluster(cluster)

    result = holdfast(*SEEDS, "--on", "kube")

    assert result.exit_code == EXIT_USAGE
    assert [each for each in words if each not in result.output] == [], result.output
    assert "everything held" not in result.output
    assert machine.calls[-1][:2] == ["delete", "job"]
    assert not machine.holds_a_job


def test_no_pod_within_a_minute_is_told_with_the_reason(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.with_cluster("over its quota")
    monkeypatch.setattr(kube_sweep, "PATIENCE_SECS", 0.0)

    result = holdfast(*SEEDS, "--on", "kube")

    assert result.exit_code == EXIT_USAGE
    assert "the cluster makes no pod: exceeded quota: compute" in result.output


def test_a_machine_without_kubectl_says_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.folder))
    assert shutil.which("kubectl") is None

    for words in (SEEDS, GRID):
        result = holdfast(*words, "--on", "kube")
        assert result.exit_code == EXIT_USAGE
        assert "kubectl is not installed" in result.output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("simulate", "--replay", "3"), "a story is told here"),
        (("simulate", "--incident", "list"), "a story is told here"),
        (GRID[:-2], "--on kube needs --grid"),
        ((*GRID, "--recording", "."), "a folder of this machine is not in it"),
    ],
)
def test_what_a_cluster_is_no_help_for_is_refused(machine: Machine, words: tuple[str, ...], why: str) -> None:
    result = holdfast(*words, "--on", "kube")

    assert result.exit_code == EXIT_USAGE
    assert why in result.output


def test_the_job_is_one_that_kubernetes_takes_into_a_restricted_namespace() -> None:
    """IN-4, SE-5: as every pod of the chart, and without a token. It ends, and goes, by itself."""
    manifest = job("holdfast-sweep-1", word="word", parts=32, target=Target())

    kubernetes_validate.validate(manifest, "1.33.0", strict=True)
    spec = manifest["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 32, 8)
    assert spec["backoffLimitPerIndex"] == 1
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlSecondsAfterFinished"] > 0
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}


def test_the_image_is_the_release_s_own_unless_another_is_named() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["image"]
    tag = values["tag"] or yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]

    assert f"{values['repository']}/simulation:{tag}" == IMAGE


def test_a_thousand_runs_fit_into_one_job_and_take_no_secret_along() -> None:
    """SE-3: what may be a password stays here."""
    base = Settings(
        execution=ExecutionSettings(ledger_url="postgresql://holdfast:secret@db/holdfast"),
        alerts=AlertSettings(heartbeat_url="https://ping.example/secret"),
    )
    runs = [base.model_copy(update={"state_dir": Path(f"run-{number}")}) for number in range(1_000)]

    word = Work(parts=32, runs=runs).packed()

    assert len(word) < kube_sweep.LONGEST_WORD
    found = unpacked(word)
    assert [each.state_dir for each in found.runs] == [each.state_dir for each in runs]
    assert "secret" not in found.runs[0].model_dump_json()


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (31, 31), (100, 32), (1_000_000, 1_000)])
def test_every_seed_is_of_one_part_alone(size: int, parts: int) -> None:
    work = Work(parts=kube_sweep.parts_of(size, Target()), seeds=range(7, 7 + size))

    assert work.parts == parts
    sizes = [work.size_of(index) for index in range(work.parts)]
    assert sum(sizes) == size
    assert max(sizes) - min(sizes) <= 1
