"""Writes deploy/observability/dashboards/*.json for Grafana from what tools/dashboard_panels.py says.

python tools/dashboards.py           writes
python tools/dashboards.py --check   ends with 1 where a file is not current
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dashboard_panels import HEALTH, TRADING, Dashboard, Panel, Row
from generated import ROOT, write

FOLDER = ROOT / "deploy" / "observability" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}
NAMESPACES = 'namespace=~"$namespace"'
ROW_HEIGHT, STAT_HEIGHT, WIDTH = 7, 4, 24


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["holdfast"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), _namespace()]},
        "panels": list(_panels(dashboard.rows)),
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _namespace() -> dict[str, Any]:
    return {
        "name": "namespace",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(holdfast_ready, namespace)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row in rows:
        number += 1
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        top += 1
        height = STAT_HEIGHT if all(panel.kind == "stat" for panel in row.panels) else ROW_HEIGHT
        width = WIDTH // len(row.panels)
        for index, panel in enumerate(row.panels):
            number += 1
            yield _panel(panel, number, {"x": index * width, "y": top, "w": width, "h": height})
        top += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.thresholds:
        steps = [{"value": value, "color": colour} for value, colour in panel.thresholds]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.names:
        options = {value: {"text": text, "color": colour} for value, text, colour in panel.names}
        defaults["mappings"] = [{"type": "value", "options": options}]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expression.replace("@", NAMESPACES),
                "legendFormat": legend,
                "exemplar": panel.exemplars,
                "instant": panel.instant,
                "range": not panel.instant,
            }
            for index, (expression, legend) in enumerate(panel.queries.items())
        ],
    }


def wanted() -> Iterator[tuple[Path, str]]:
    """Every file with what it should hold."""
    for dashboard in (TRADING, HEALTH):
        path = FOLDER / f"{dashboard.uid.removeprefix('holdfast-')}.json"
        yield path, _text(grafana(dashboard))


def _text(found: dict[str, Any]) -> str:
    """JSON with a line for each panel, so that a difference can be read."""
    panels = ",\n".join(f"  {json.dumps(panel)}" for panel in found.pop("panels"))
    rest = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in found.items())
    return f'{{\n{rest} "panels": [\n{panels}\n ]\n}}\n'


if __name__ == "__main__":
    sys.exit(write(wanted(), "python tools/dashboards.py"))
