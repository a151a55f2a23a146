"""The rules and dashboards as their files have them, and the names that a query may use."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast_runtime.telemetry import metrics

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "observability"
ALERTS = FOLDER / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))

Rule = dict[str, Any]

TARGET_LABELS = {"job", "instance", "namespace", "pod", "container"}
"""Of a scrape, not of a metric."""
FOREIGN = {
    "kube_pod_container_status_restarts_total",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "ALERTS",
}
"""Of kube-state-metrics, where that is installed, of the kubelet, and of Prometheus itself."""
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_WORDS = re.compile(
    r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)"  # lists of labels
    r"|\{[^}]*\}|\[[^\]]*\]"  # selectors and ranges
    r"|\b\d+(?:\.\d+)?(?:e\d+|[smhdw])?\b"  # numbers and durations
)
_OPERATORS = {"and", "or", "unless", "offset", "bool"}


def rules() -> list[Rule]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if "alert" in rule]


def queries(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Panel and query, with Grafana's variables as a value that could stand there."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            text = re.sub(r"\$__\w+", "5m", target["expr"])
            yield panel["title"], text.replace("$namespace", "paper")


def exported() -> dict[str, set[str]]:
    """By name of a series: the labels that it can have."""
    labels = {
        name: {*getattr(each, "_labelnames", ()), *(("le",) if kind == "histogram" else ())}
        for each in vars(metrics).values()
        for name, kind in _described(each)
    }
    found = {metric.name + suffix: labels.get(metric.name, set()) for metric in metrics.table()
             for suffix in _SUFFIXES[metric.kind]}  # fmt: skip
    recorded: dict[str, set[str]] = {rule["record"]: set() for rule in rules() if "record" in rule}
    return found | recorded


def _described(each: object) -> list[tuple[str, str]]:
    name, kind = getattr(each, "_name", None), getattr(each, "_type", None)
    return [(name, kind)] if isinstance(name, str) and isinstance(kind, str) else []


def series_of(query: str) -> set[str]:
    """Names of the series that a query reads."""
    bare = _WORDS.sub(" ", re.sub(r'"[^"]*"', '""', query))
    words = re.findall(r"[A-Za-z_][\w:]*(?!\s*[\w:(]*\()(?![\w:])", bare)
    functions = set(re.findall(r"([A-Za-z_]\w*)\s*\(", bare))
    return {word for word in words if word not in functions | _OPERATORS and not word.startswith("group_")}


def selectors(query: str) -> Iterator[tuple[str, str, str, str]]:
    """Series, label, operator and value of every matcher."""
    for series, inside in re.findall(r"([A-Za-z_:][\w:]*)\{([^}]*)\}", query):
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', inside):
            yield series, label, operator, value


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """Skips where promtool is missing, and fails where that must not be."""
    found = shutil.which("promtool")
    if found is None:
        reason = "promtool is not installed"
        pytest.fail(reason) if os.environ.get("HOLDFAST_REQUIRE_CLOUD_TOOLS") else pytest.skip(reason)
    return subprocess.run([found, *words], capture_output=True, text=True, timeout=240, check=False)
