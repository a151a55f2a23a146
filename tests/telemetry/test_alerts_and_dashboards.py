"""What alerts and dashboards ask Prometheus for is there, and says what it should (MO-2, IN-10, SE-7)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from holdfast_catalogue.registry import BY_ID
from holdfast_execution.domain.outcomes import Step
from holdfast_reconciliation.domain.comparison import Kind
from holdfast_runtime.telemetry import metrics, traces
from tests.telemetry import rules

SEVERITIES = {"critical", "warning", "info", "none"}
DASHBOARDS = pytest.mark.parametrize("dashboard", rules.DASHBOARDS, ids=lambda path: path.stem)


def everything_asked() -> list[tuple[str, str]]:
    """Where it stands, and the query."""
    found = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules.rules()]
    for dashboard in rules.DASHBOARDS:
        found += [(f"{dashboard.stem}: {title}", query) for title, query in rules.queries(dashboard)]
    return found


def test_promtool_accepts_the_rules() -> None:
    done = rules.promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules.ALERTS))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", ["alerts_test.yaml", "alerts_over_days_test.yaml"])
def test_each_alert_fires_stays_quiet_and_misses_its_series_as_it_should(file: str) -> None:
    done = rules.promtool("test", "rules", str(rules.FOLDER / file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_firing_by_a_unit_test() -> None:
    tried = {
        name
        for file in ("alerts_test.yaml", "alerts_over_days_test.yaml")
        for test in yaml.safe_load((rules.FOLDER / file).read_text())["tests"]
        for each in test["promql_expr_test"]
        for sample in each["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    assert {rule["alert"] for rule in rules.alerts()} == tried


def test_each_alert_says_how_grave_it_is_what_is_the_matter_and_what_to_do() -> None:
    for rule in rules.alerts():
        assert rule["labels"]["severity"] in SEVERITIES, rule
        assert rule["annotations"].keys() == {"summary", "action", "runbook_url"}, rule
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md", rule


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    assert {rule["alert"] for rule in rules.alerts()} == {path.stem for path in rules.RUNBOOKS.glob("*.md")}


@pytest.mark.parametrize("runbook", sorted(rules.RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_each_runbook_says_what_it_means_how_to_see_it_what_to_do_and_when_to_stop(runbook: Path) -> None:
    text = runbook.read_text()
    assert text.startswith(f"# {runbook.stem}\n")
    for part in ("What it means", "How to see it", "What to do", "When to stop trading"):
        assert f"**{part}" in text
    others = set(re.findall(r"\bHoldfast[A-Z]\w+", text))
    assert others <= {rule["alert"] for rule in rules.alerts()}
    known = rules.exported().keys() | {metric.name for metric in metrics.table()}
    assert set(re.findall(r"`(holdfast_\w+)", text)) <= known


def test_rules_and_dashboards_use_exported_names_and_labels_only() -> None:
    exported = rules.exported()
    for place, query in everything_asked():
        assert rules.series_of(query) - rules.FOREIGN <= exported.keys(), place
        for series, label, _, _ in rules.selectors(query):
            if series not in rules.FOREIGN and not series.startswith("holdfast:"):
                assert label in exported[series] | rules.TARGET_LABELS, (place, series, label)


def test_every_metric_of_the_table_is_set_by_somebody() -> None:
    """A row that nobody sets would pass for a zero."""
    sources = "".join(
        path.read_text()
        for folder in ("libs", "services")
        for path in (rules.ROOT / folder).glob("*/src/**/*.py")
    )  # fmt: skip
    constants = [name for name, each in vars(metrics).items() if hasattr(each, "_labelnames")]
    assert len(constants) > 50
    helped = {"STAGE_SECONDS"}
    assert [name for name in constants if f"metrics.{name}." not in sources and name not in helped] == []


def test_values_of_labels_in_queries_are_ones_that_occur() -> None:
    """A stage, a failure point or an outcome that was renamed would make a query silent."""
    known = {
        "stage": {*traces.STAGES, metrics.DECIDED, metrics.ANSWERED},
        "point": set(BY_ID),
        "outcome": {*Step, "allowed", "blocked", "published", "decided", "expired", "accepted", "refused", "limited"},
        "le": {str(bound) for bound in metrics.FAST_SECS},
    }
    for place, query in everything_asked():
        for series, label, operator, value in rules.selectors(query):
            if label == "kind" and series == "holdfast_discrepancies_total":
                assert set(value.split("|")) <= set(Kind), place
            for each in value.split("|") if label in known else ():
                pattern = re.compile(each if "~" in operator else re.escape(each))
                assert any(pattern.fullmatch(name) for name in known[label]), (place, label, each)


@DASHBOARDS
def test_queries_of_a_dashboard_can_be_read_by_prometheus(dashboard: Path, tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": query} for number, (_, query) in enumerate(rules.queries(dashboard))
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": dashboard.stem, "rules": recorded}]}))
    done = rules.promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboards_are_as_their_description_says() -> None:
    done = subprocess.run(
        [sys.executable, "tools/dashboards.py", "--check"], cwd=rules.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
