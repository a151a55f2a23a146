"""Writes docs/failure-points.md from the registry: `python -m holdfast_catalogue.docs > docs/failure-points.md`."""

import sys
from collections.abc import Iterable

from holdfast_catalogue import requirements
from holdfast_catalogue.points import EVERY_SERVICE, FailurePoint
from holdfast_catalogue.registry import POINTS, SERVICES

_HEAD = """# Failure points

Generated from `holdfast_catalogue.registry`; do not edit.

Each is one way in which trading can break or is held back on purpose. A sentinel in the service that owns it looks
every two seconds, heals in bounds, checks the heal with the same detector, and tells a person where that does not help.
A *critical* ERROR turns the trading status RED, any other failure that limits trading YELLOW; *low* ones and blocks on
purpose are shown and do not alarm. A service that stops reporting is an ERROR of its own. `holdfast ready` lists what
stands between now and GREEN.
"""


def render() -> str:
    """The whole page."""
    rows = requirements.load()
    parts = [_HEAD]
    for owner in (*SERVICES, EVERY_SERVICE):
        found = [each for each in POINTS if each.owner == owner]
        parts.append(f"\n## {'Every service' if owner == EVERY_SERVICE else owner}\n")
        parts.extend(_section(each, rows) for each in found)
    parts.append(_coverage(rows))
    return "".join(parts)


def _section(each: FailurePoint, rows: dict[str, requirements.Requirement]) -> str:
    heading = f"\n### `{each.id}` {each.title}\n\n"
    kind = f"{each.severity.value}{', on purpose' if each.intentional else ''}"
    priority = f", priority {each.priority}" if each.priority else ""
    lines = [
        f"- **Severity** {kind}{priority}",
        "- **Covers** " + ", ".join(f"{name} ({rows[name].title})" for name in each.covers),
        f"- **Detector** {each.detector}",
        f"- **Healer** {each.healer}{_bound(each)}" if each.healer else f"- **No healer** {each.why_no_healer}",
    ]
    if each.manual_steps:
        lines.append("- **By hand** " + " ".join(f"{n}. {step}" for n, step in enumerate(each.manual_steps, 1)))
    lines.append("- **Proved by** " + ", ".join(f"`{proof}`" for proof in each.proofs))
    return heading + "\n".join(lines) + "\n"


def _bound(each: FailurePoint) -> str:
    if each.max_attempts:
        tries = "once" if each.max_attempts == 1 else f"at most {each.max_attempts} times"
        return f" ({tries}, then a person is told)"
    return f" (a person is told after {each.heal_within_secs:g} s)"


def _coverage(rows: dict[str, requirements.Requirement]) -> str:
    by_row: dict[str, list[str]] = {}
    for each in POINTS:
        for name in each.covers:
            by_row.setdefault(name, []).append(each.id)
    head = "\n## Requirements covered\n\n| requirement | title | points |\n| --- | --- | --- |\n"
    return head + "".join(_row(rows[name], by_row[name]) for name in rows if name in by_row)


def _row(row: requirements.Requirement, points: Iterable[str]) -> str:
    return f"| {row.id} | {row.title.replace('|', '/')} | {', '.join(f'`{each}`' for each in points)} |\n"


if __name__ == "__main__":
    sys.stdout.write(render())
