"""`--on kube`: seeds and grids come to the same past one machine, in a restricted namespace that keeps nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
SWEEP_SECS = 400.0
SEEDS = ("simulate", "--first-seed", "3000", "--seeds", "12")
GRID = ("backtest", "--from", "2013-10-08", "--to", "2013-10-08", "--strategy", "sma", "--grid", "sma.fast=5,10,15")


def holdfast(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("holdfast")), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=SWEEP_SECS, check=False)


def without_speed(output: str) -> list[str]:
    return [line for line in output.splitlines() if "on one core" not in line]


def complaints(errors: str) -> list[str]:
    """That a part waits for its turn on a full node is none."""
    return [line for line in errors.splitlines() if not line.startswith("waiting for a node: ")]


@pytest.fixture
def sweeps(context: str) -> Iterator[Cluster]:
    """A namespace that admits restricted pods only; in the end no Job and no pod may be left in it."""
    cluster = Cluster(context, "holdfast-e2e-sweeps")
    cluster.kubectl("delete", "namespace", cluster.namespace, "--ignore-not-found", limit_secs=600)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace, "labels": labels}})
    yield cluster
    eventually(lambda: not cluster.get("jobs,pods"), "nothing is left of the sweep", 180)
    cluster.kubectl("delete", "namespace", cluster.namespace, limit_secs=600)


def on_kube(sweeps: Cluster, tag: str) -> tuple[str, ...]:
    return ("--on", "kube", "--pods", "2", "--namespace", sweeps.namespace, "--image", f"holdfast/simulation:{tag}")


def test_seeds_of_an_indexed_job_come_to_what_they_come_to_here(sweeps: Cluster, images: str) -> None:
    there = holdfast(*SEEDS, *on_kube(sweeps, images))

    here = holdfast(*SEEDS)
    assert (there.returncode, complaints(there.stderr)) == (here.returncode, [])
    assert without_speed(there.stdout) == without_speed(here.stdout)
    assert "12 seeds: " in there.stdout


def test_a_grid_of_an_indexed_job_comes_to_what_it_comes_to_here(sweeps: Cluster, images: str, tmp_path: Path) -> None:
    there = holdfast(*GRID, *on_kube(sweeps, images), "--report", str(tmp_path / "there.json"))

    here = holdfast(*GRID, "--report", str(tmp_path / "here.json"))
    assert (there.returncode, here.returncode) == (0, 0), there.stderr
    assert (tmp_path / "there.json").read_text() == (tmp_path / "here.json").read_text()


def test_an_image_that_nobody_has_is_told_at_once(sweeps: Cluster) -> None:
    found = holdfast(*SEEDS, *on_kube(sweeps, "no-such-tag"))

    assert found.returncode == 2
    assert "the cluster cannot get the image holdfast/simulation:no-such-tag" in found.stderr
