"""Writes docs/configuration.md from the models: `python -m holdfast_runtime.config_docs > docs/configuration.md`."""

import itertools
import sys
from typing import Any

from holdfast_runtime import config_schema
from holdfast_runtime.config import ENVIRONMENT_PREFIX
from holdfast_runtime.config_schema import Leaf
from holdfast_runtime.settings import Settings

_HEAD = """# Configuration

Generated from `holdfast_runtime.settings`; do not edit.

A YAML file (services read the one that `HOLDFAST_CONFIG` names), then environment variables over it, then options of
the command line. Unknown keys and values outside their range refuse to start, each with the
key, the value given, what is allowed and where it came from. `[]` stands for a place in a list, counted from 0,
or for a name in a table.
Secrets are never configuration: see `HOLDFAST_SECRETS_DIR`.
"""


def render() -> str:
    """The whole page."""
    found = list(config_schema.leaves(Settings))
    # Keys without a section come first, whatever their place in the model.
    found.sort(key=lambda leaf: len(leaf.path) > 1)
    parts = [_HEAD]
    for title, group in itertools.groupby(found, key=_title):
        parts.append(f"\n## {title}\n\n| key | allowed | default | meaning |\n| --- | --- | --- | --- |\n")
        parts.extend(_row(leaf) for leaf in group)
    parts.append(f"\nAs an environment variable `gate.max_positions` is `{ENVIRONMENT_PREFIX}GATE__MAX_POSITIONS`.\n")
    return "".join(parts)


def _title(leaf: Leaf) -> str:
    return leaf.path[0] if len(leaf.path) > 1 else "Top level"


def _row(leaf: Leaf) -> str:
    place = config_schema.place(Settings, tuple(0 if part == "[]" else part for part in leaf.path))
    allowed = config_schema.allowed(place) if place else ""
    cells = (f"`{'.'.join(leaf.path)}`", allowed, _default(leaf), leaf.field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _default(leaf: Leaf) -> str:
    if leaf.field.is_required():
        return "required"
    default: Any = leaf.field.get_default(call_default_factory=True, validated_data={})
    if default is None or default == "" or default == () or default == {}:
        return ""
    if isinstance(default, tuple):
        default = ", ".join(str(each) for each in default)
    if isinstance(default, bool):
        default = str(default).lower()
    return f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(render())
