"""The chart as `helm template` renders it, for the tests of this folder. Needs helm; says so where it is missing."""

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "holdfast"
REQUIRE = "HOLDFAST_REQUIRE_CLOUD_TOOLS"
KUBERNETES = "1.33.0"
VALUES = ("default", "production", "external", "everything")
"""Each is the chart's `values-<name>.yaml`; default is none."""

Manifest = dict[str, Any]


def tool(name: str) -> str:
    """The program's path. Skips the test where it is missing, and fails it where that must not be."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed"
        if os.environ.get(REQUIRE):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("helm"), *words], capture_output=True, text=True, timeout=60, check=False)


def values_file(name: str) -> list[str]:
    return [] if name == "default" else ["--values", str(CHART / f"values-{name}.yaml")]


def template(*words: str) -> subprocess.CompletedProcess[str]:
    """`helm template holdfast` in the namespace `trading`."""
    return helm("template", "holdfast", str(CHART), "--namespace", "trading", "--kube-version", KUBERNETES, *words)


@lru_cache
def rendered(name: str) -> str:
    """The manifests with one of VALUES."""
    done = template(*values_file(name))
    assert done.returncode == 0, done.stderr
    return done.stdout


@lru_cache
def manifests(name: str) -> list[Manifest]:
    """What it renders, parsed. Not to be changed: every test gets the same."""
    return [each for each in yaml.load_all(rendered(name), yaml.CSafeLoader) if each]


def of_kind(found: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in found if each["kind"] in kinds]


def pods(found: list[Manifest]) -> dict[str, Manifest]:
    """By `Kind/name`: every pod, or template of pods, with its labels and spec."""
    return {f"{each['kind']}/{each['metadata']['name']}": pod for each in found if (pod := _pod_of(each))}


def _pod_of(manifest: Manifest) -> Manifest | None:
    match manifest["kind"]:
        case "Pod":
            return manifest
        case "CronJob":
            return manifest["spec"]["jobTemplate"]["spec"]["template"]
        case "Deployment" | "StatefulSet" | "Job" | "DaemonSet":
            return manifest["spec"]["template"]
        case _:
            return None


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
