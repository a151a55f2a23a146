"""One cluster, its images, and two releases: a day that nobody disturbs, and a week in which everything is."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Cluster, NoCluster, current_context, load, run
from tests.e2e.release import CHART, CRAMPED_FOLDER, NAME, STORES, Release, Row
from tests.integration.stack import running

ORDER = (
    "images",
    "default_values",
    "full_volumes",
    "replayed_day",
    "doctor",
    "strategies",
    "deleted_pods",
    "frozen_process",
    "stores",
    "upgrades",
    "drain",
    "identities",
    "edges",
    "end",
    "sweeps",
)
"""Of the subjects: what needs a market that still moves comes first, what ends the release comes last."""
DAY = {"start": "2013-10-08", "end": "2013-10-08"}
WEEK = {"start": "2013-10-07", "end": "2013-10-11"}
TAG = os.environ.get("E2E_TAG", "e2e")
BUILD_SECS = 1200.0
SMALL_VOLUME = """\
        - name: data
          emptyDir: {medium: Memory, sizeLimit: 192Mi}
{{- end }}
"""
BLOCKING_STRATEGY = Path(__file__).with_name("blocking_strategy")
ROWS = pytest.StashKey[list[Row]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    own = [item for item in items if "e2e" in item.path.parts]
    if os.environ.get("HOLDFAST_E2E") != "1":
        for item in own:
            item.add_marker(pytest.mark.skip(reason="changes the cluster of the kube context: `make e2e` runs it"))
        return
    own.sort(key=lambda item: ORDER.index(item.path.stem.removeprefix("test_")))
    items[:] = [item for item in items if "e2e" not in item.path.parts] + own


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = terminalreporter.config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("starts, and disturbances with the time until all was ready and trading again")
    width = max(len(row.disturbance) for row in rows)
    for row in rows:
        took = "" if row.recovery_secs is None else f"{row.recovery_secs:7.1f} s"
        terminalreporter.write_line(f"{row.disturbance:<{width}}  {took:>9}  {row.result}")


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> list[Row]:
    """What the end of the run tells."""
    return request.config.stash[ROWS]


@pytest.fixture(scope="session")
def context() -> str:
    """The cluster. Without one nothing here counts as passed."""
    try:
        return current_context()
    except NoCluster as error:
        pytest.exit(f"NOT TESTED, there is no cluster: {error}", returncode=1)


@pytest.fixture(scope="session")
def images(context: str) -> str:
    """Builds the images of this tree and makes them known to the cluster, the stores' too. Their tag."""
    run("make", "images", f"TAG={TAG}", limit_secs=BUILD_SECS)
    signal = f"holdfast/signal:{TAG}"
    run(
        "docker", "build", "--tag", signal, "--build-arg", f"SIGNAL={signal}", str(BLOCKING_STRATEGY),
        limit_secs=BUILD_SECS,
    )  # fmt: skip
    version = json.loads(run("kubectl", "--context", context, "version", "--output", "json"))["serverVersion"]
    rendered = run(
        "helm", "template", NAME, str(CHART), "--set", f"image.tag={TAG},jaeger.enabled=true",
        "--kube-version", version["gitVersion"],
    )  # fmt: skip
    wanted = set(re.findall(r"^\s*(?:- )?image: [\"']?([^\s\"']+)", rendered, re.MULTILINE))
    load(context, sorted(wanted | {f"holdfast/cli:{TAG}", f"holdfast/simulation:{TAG}"}))
    return TAG


def values_of(tag: str, days: dict[str, str]) -> dict[str, Any]:
    strategies = yaml.safe_load((CHART / "values.yaml").read_text())["config"]["strategies"]
    (crossover,) = (each for each in strategies if each["kind"] == "sma_crossover")
    crossover["kind"] = "blocking_sma"
    return {
        "image": {"tag": tag},
        # A frozen process is frozen from within its pod: its own first process would ignore that.
        "pod": {"shareProcessNamespace": True},
        "services": {"execution": {"replicas": 2}},
        "config": {"replay": days | {"speed": 0}, "strategies": strategies},
    }


@pytest.fixture(scope="session")
def undisturbed_week(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _local_run(tmp_path_factory.mktemp("week"), WEEK)


@pytest.fixture(scope="session")
def undisturbed_day(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _local_run(tmp_path_factory.mktemp("day"), DAY)


def _local_run(folder: Path, days: dict[str, str]) -> dict[str, Any]:
    """The report of `holdfast up` on this machine."""
    with running(folder, "--until-end", "--speed", "max", "--from", days["start"], "--to", days["end"]) as stack:
        return stack.report()


def install_for_a_while(release: Release, folder: Path) -> Iterator[Release]:
    """A fresh one; in the end its namespace goes, whatever is left in it."""
    cluster = release.cluster
    cluster.kubectl("delete", "namespace", cluster.namespace, "--ignore-not-found", limit_secs=600)
    try:
        release.install(folder)
        yield release
    finally:
        sys.stderr.write(_what_is_wrong(release))
        if os.environ.get("E2E_KEEP") != "1":
            cluster.kubectl("delete", "namespace", cluster.namespace, "--ignore-not-found", limit_secs=600)


def _what_is_wrong(release: Release) -> str:
    """For a person who reads a failed run: pods that are not as they should be, and the last events."""
    lines = release.cluster.kubectl("get", "pods", "--output", "wide").splitlines()
    odd = [line for line in lines[1:] if not re.search(r"\s(\d+)/\1\s+Running\s|Completed", line)]
    if not odd:
        return ""
    events = release.cluster.kubectl("get", "events", "--sort-by", ".lastTimestamp").splitlines()
    return "\n".join(["", *lines, *events[-40:], ""])


@pytest.fixture
def unsaid(context: str, images: str, table: list[Row], tmp_path: Path) -> Iterator[Release]:
    """A release with no values, but which images."""
    release = Release(Cluster(context, "holdfast-e2e-unsaid"), {"image": {"tag": images}}, images, table)
    yield from install_for_a_while(release, tmp_path)


@pytest.fixture(scope="module")
def cramped(
    context: str,
    images: str,
    table: list[Row],
    undisturbed_week: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """A release that replays a week in lock-step, whose stores have little room that is theirs alone."""
    folder = tmp_path_factory.mktemp("e2e-cramped")
    chart = folder / "chart"
    shutil.copytree(CHART, chart)
    _cramp(chart / "templates")
    release = Release(
        Cluster(context, "holdfast-e2e-cramped"), values_of(images, WEEK), images, table, undisturbed_week, chart
    )
    yield from install_for_a_while(release, folder)


def _cramp(templates: Path) -> None:
    """Puts volumes in memory in the place of the stores' claims: a claim on one node's disk is as large as that disk.
    The reloader beside each store, which has a shell, gets at them."""
    for store in STORES:
        template = templates / f"{store}.yaml"
        before, claim, _ = template.read_text().partition("  volumeClaimTemplates:\n")
        assert claim, template
        template.write_text(before + SMALL_VOLUME)
    # What is written into memory counts as the writer's.
    mounts = "- {name: configuration, mountPath: /etc/reload, readOnly: true}"
    _change(templates / "_certificates.tpl", mounts, f"{mounts}\n    - {{name: data, mountPath: {CRAMPED_FOLDER}}}")
    _change(templates / "_certificates.tpl", "limits: {memory: 64Mi}", "limits: {memory: 512Mi}")
    # Streams reserve what the disk has to begin with: it is filled later, by something else.
    _change(templates / "_nats.tpl", "max_memory_store: 64MB", "max_memory_store: 64MB\n  max_file_store: 2GB")


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, (file, old)
    file.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def day(context: str, images: str, table: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A release that replays one day and is left alone, with a Jaeger."""
    values = values_of(images, DAY) | {"jaeger": {"enabled": True}}
    release = Release(Cluster(context, "holdfast-e2e-day"), values, images, table)
    yield from install_for_a_while(release, tmp_path_factory.mktemp("e2e-day"))


@pytest.fixture(scope="session")
def release(
    context: str,
    images: str,
    table: list[Row],
    undisturbed_week: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """The release that is disturbed, while it replays a week in lock-step."""
    release = Release(Cluster(context, "holdfast-e2e"), values_of(images, WEEK), images, table, undisturbed_week)
    yield from install_for_a_while(release, tmp_path_factory.mktemp("e2e"))
