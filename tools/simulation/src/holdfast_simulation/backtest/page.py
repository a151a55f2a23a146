"""The report as one HTML file that opens without a network: everything it needs is in it."""

import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import holdfast_admin

STYLES = ("vendor/uPlot.min.css", "holdfast.css", "tables.css")
"""The dashboard's own: a report looks as the dashboard does."""
SCRIPTS = ("vendor/uPlot.iife.min.js",)


def page(found: dict[str, Any]) -> str:
    """The whole file. `found`: a report with its part `backtest`."""
    own, admin = resources.files(__package__), resources.files(holdfast_admin).joinpath("static")
    # Nothing in the data can end the element that it stands in.
    data = json.dumps(found).replace("<", "\\u003c")
    parts = {
        "styles": "\n".join([*(_text(admin, name) for name in STYLES), _text(own, "page.css")]),
        "data": data,
        "scripts": "\n".join([*(_text(admin, name) for name in SCRIPTS), _text(own, "page.js")]),
    }
    whole = _text(own, "page.html")
    for name, text in parts.items():
        whole = whole.replace(f"<!-- {name} -->", text, 1)
    return whole


def _text(folder: Traversable, name: str) -> str:
    return folder.joinpath(name).read_text("utf-8")
