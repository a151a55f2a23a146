"""The pages about faults, generated from their kinds: `python -m holdfast_exchange.faults.docs > docs/faults.md`."""

import sys
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from holdfast_exchange.faults.base import CONDITIONS, Area, Fault
from holdfast_exchange.faults.kinds import KINDS
from holdfast_exchange.faults.scope import Scope
from holdfast_runtime import config_schema

COMMON = ("id", "kind", "scope")
ASKED_ABOUT = {
    Area.REQUEST: "each REST request",
    Area.ANSWER: "each REST answer and each trade update",
    Area.FRAME: "each item of a stream",
    Area.ORDER: "each order that is submitted, cancelled or filled",
    Area.TICK: "each instant of the recording",
}
PAGE = """# Faults on demand

papermarket does wrong what a plan tells it to. Generated from the code: do not edit.

    holdfast up --faults plan.toml       a plan for the whole run; refused with a sentence before anything starts
    holdfast faults check plan.toml      only looks at it
    holdfast faults list                 every kind

A plan is TOML, or YAML with the same keys:

    seed = 7

    [[faults]]
    id = "answers-lost"
    kind = "no_answer"
    when = "after_accept"
    scope = {{ endpoint = "orders.submit", probability = 0.5, at_most = 2 }}

    [[faults]]
    id = "halt"
    kind = "halt"
    secs = 600
    scope = {{ symbol = "SPY", since = 2013-10-08T14:00:00Z }}

While a venue runs, `/papermarket/v1/faults` shows the plan with its counters (GET), replaces it (PUT), adds one fault
(POST), takes one away (DELETE `/papermarket/v1/faults/<id>`) or all (DELETE). It asks for the account's own keys, in
the headers that the Trading API asks for. A fault that stays as it was keeps its counters. The counters are also in
`/papermarket/v1/status`, in the metric `holdfast_faults_fired_total`, and each firing is a line `fault.fired` in the
log. A fault of the market that names a symbol which is not recorded is refused; one that cannot happen yet waits, and
is not counted.

A venue that was killed goes on with its plan, with how often each fault has fired, and with all that they do to
orders, account, prices and trading hours: a firing and its effects are one line of its journal. Late orders arrive,
cancels lose their race, prices stay frozen or no numbers, maintenance goes on (its wall seconds begin anew). Lost with
a kill is what hangs on connections: answers, frames held back, mute streams. Calls that a fault has let pass since it
last fired are forgotten: `nth = [3]` after two calls and a kill fires at the third call of the new life, and chance
goes on from the call at which the fault last fired.

A fault is asked about calls: {asked}. It fires when everything in its scope holds. Chance comes from the seed, the
fault's id and the number of the call, so that a lock-step run repeats. Faults are asked in the order of the plan. Of
those that end a request only the first that fires counts; latency adds up.

## Scope
| key | allowed | meaning |
| --- | --- | --- |
{scope}

## Kinds
{kinds}
"""


def page() -> str:
    """docs/faults.md."""
    asked = "; ".join(f"{area.value}: {words}" for area, words in ASKED_ABOUT.items())
    scope, kinds = "\n".join(_rows(Scope)), "\n".join(map(_section, KINDS))
    return PAGE.format(asked=asked, scope=scope, kinds=kinds).rstrip() + "\n"


def plain_table() -> str:
    """Every kind with its parameters, for a terminal."""
    lines = []
    for word, kind in KINDS.items():
        lines.append(f"{word}: {_told(kind)}")
        lines += [f"    {name} = {_default(field)}  {_allowed(kind, name)}" for name, field in _own(kind)]
    return "\n".join(lines)


def _section(word: str) -> str:
    kind = KINDS[word]
    conditions = ", ".join(sorted(CONDITIONS[kind.area]))
    notes = f"Asked about: {kind.area.value}; scope: {conditions}."
    if kind.once:
        notes += " Fires once unless `at_most` says otherwise."
    if kind.needs_symbol:
        notes += " Needs a symbol."
    if kind.place:
        notes += f" Only at `{kind.place}`."
    own = [f"| {row}" for row in ("key | default | allowed | meaning |", "--- | --- | --- | --- |")]
    own += [
        f"| `{name}` | {_default(field)} | {_allowed(kind, name)} | {field.description or ''} |"
        for name, field in _own(kind)
    ]
    table = "\n\n" + "\n".join(own) if _own(kind) else ""
    return f"\n### {word}\n{_told(kind)} {notes}{table}"


def _rows(model: type[BaseModel]) -> list[str]:
    fields = model.model_fields.items()
    return [f"| `{name}` | {_allowed(model, name)} | {each.description or ''} |" for name, each in fields]


def _own(kind: type[Fault]) -> list[tuple[str, FieldInfo]]:
    return [(name, field) for name, field in kind.model_fields.items() if name not in COMMON]


def _told(kind: type[Fault]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _allowed(model: type[BaseModel], name: str) -> str:
    special = {
        "since": "an instant with its time zone",
        "until": "an instant with its time zone",
        "close": "a time of day",
        "nth": "a list of integers from 1",
    }
    place = config_schema.place(model, (name,))
    return special.get(name) or (config_schema.allowed(place) if place else "").replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "null"
    return str(value.value if isinstance(value, Enum) else value) or "empty"


if __name__ == "__main__":
    sys.stdout.write(page())
