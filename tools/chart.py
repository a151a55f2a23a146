"""Keeps what the chart has of others current: the schema of `config`, and copies of alerts, dashboards and NATS rights.

python tools/chart.py           writes
python tools/chart.py --check   ends with 1 where something is not current
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generated import ROOT, write

from holdfast_runtime.settings import Settings

CHART = ROOT / "deploy" / "helm" / "holdfast"
SCHEMA = CHART / "values.schema.json"
OBSERVABILITY = ROOT / "deploy" / "observability"
SAID_ELSEWHERE = ("title", "description", "default", "format")
"""What a check of values does not need."""


def wanted() -> Iterator[tuple[Path, str]]:
    """Every generated file of the chart, with what it should hold."""
    yield SCHEMA, schema(json.loads(SCHEMA.read_text()))
    if (alerts := OBSERVABILITY / "alerts.yaml").exists():
        yield CHART / "files" / "alerts.yaml", alerts.read_text()
    for dashboard in sorted((OBSERVABILITY / "dashboards").glob("*.json")):
        yield CHART / "files" / "dashboards" / dashboard.name, dashboard.read_text()


def schema(values: dict[str, Any]) -> str:
    """The schema of the values, that of the settings beneath `$defs`: a wrong key is refused before it is applied."""
    settings = Settings.model_json_schema()
    definitions = {**settings.pop("$defs"), "Settings": settings}
    values["$defs"] = {name: _bare(definitions[name]) for name in sorted(definitions)}
    return json.dumps(values, indent=2) + "\n"


def _bare(node: Any, *, names: bool = False) -> Any:
    """`node` without prose, and without patterns that look ahead, which Helm's regular expressions cannot.

    `names`: the keys are those of settings, not of the schema."""
    if isinstance(node, list):
        return [_bare(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _bare(value, names=key == "properties")
        for key, value in node.items()
        if names or not (key in SAID_ELSEWHERE or (key == "pattern" and "(?" in value))
    }


if __name__ == "__main__":
    sys.exit(write(wanted(), "make chart"))
