"""Reads a fault plan from TOML, YAML or JSON, and refuses a wrong one with a sentence for each mistake (CF-3).

seed = 7
[[faults]]
id = "lost-answers"
kind = "no_answer"
when = "after_accept"
scope = { endpoint = "orders.submit", probability = 0.5, at_most = 2 }
"""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from holdfast_exchange.faults.base import Fault
from holdfast_exchange.faults.kinds import KINDS
from holdfast_exchange.faults.scope import Scope
from holdfast_runtime import config_schema, config_yaml
from holdfast_runtime.config_yaml import KeyPath, YamlProblem

MAX_FAULTS = 200
MAX_SEED = 2**63 - 1
MAX_SHOWN = 200


class PlanRefused(ValueError):
    """The plan is not understood: nothing of it is taken. `problems`: one sentence each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults in the order in which they are asked, and the seed of all their chances."""

    seed: int = 0
    faults: tuple[Fault, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `from_tree` reads back as the same plan."""
        return {
            "seed": self.seed,
            "faults": [each.model_dump(mode="json", exclude_defaults=True) for each in self.faults],
        }


def load(path: Path) -> FaultPlan:
    """The plan in a file: TOML by the ending `.toml`, else YAML, which JSON is too. Raises PlanRefused."""
    try:
        if path.suffix.lower() == ".toml":
            with path.open("rb") as file:
                tree: Any = tomllib.load(file)
        else:
            tree = config_yaml.parse_file(path).tree
        return from_tree({} if tree is None else tree)
    except OSError as error:
        raise PlanRefused(f"{path}: cannot be read: {error.strerror}") from error
    except (YamlProblem, ValueError) as error:
        problems = error.problems if isinstance(error, PlanRefused) else (str(error),)
        raise PlanRefused(*(f"{path}: {problem}" for problem in problems)) from error


def as_text(plan: FaultPlan) -> str:
    """What `from_text` reads back as the same plan."""
    return json.dumps(plan.as_json(), separators=(",", ":"))


def from_text(text: str) -> FaultPlan:
    """The plan that `FaultPlan.as_json` was written down as. Raises PlanRefused."""
    try:
        return from_tree(json.loads(text))
    except json.JSONDecodeError as error:
        raise PlanRefused(f"the plan is no JSON: {error}") from error


def from_tree(tree: object) -> FaultPlan:
    """The plan that plain values mean. Raises PlanRefused."""
    if not isinstance(tree, Mapping):
        raise PlanRefused(f"the plan is {_shown(tree)}; allowed: a table with `seed` and `faults`")
    problems = [f"{key}: unknown key; known here: seed, faults" for key in tree if key not in ("seed", "faults")]
    seed, listed = tree.get("seed", 0), tree.get("faults", [])
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        problems.append(f"seed: {_shown(seed)} is not allowed; allowed: an integer from 0 to {MAX_SEED}")
    if not isinstance(listed, list) or len(listed) > MAX_FAULTS:
        problems.append(f"faults: {_shown(listed)} is not allowed; allowed: a list of at most {MAX_FAULTS} tables")
        listed = []
    found: dict[str, Fault] = {}
    for index, item in enumerate(listed):
        try:
            fault = fault_from(item, ("faults", index))
        except PlanRefused as error:
            problems.extend(error.problems)
            continue
        if fault.id in found:
            problems.append(f"faults.{index}.id: {fault.id!r} is not allowed; allowed: an id that stands once")
        found[fault.id] = fault
    if problems:
        raise PlanRefused(*problems)
    return FaultPlan(seed, tuple(found.values()))


def fault_from(item: object, path: KeyPath = ()) -> Fault:
    """One fault. `path` is where it stands, for the sentences. Raises PlanRefused."""
    if not isinstance(item, Mapping):
        raise PlanRefused(f"{_dotted(path) or 'fault'}: {_shown(item)} is not allowed; allowed: a table")
    word = item.get("kind")
    kind = KINDS.get(word) if isinstance(word, str) else None
    if kind is None:
        close = difflib.get_close_matches(str(word), KINDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: one of {', '.join(KINDS)}"
        raise PlanRefused(f"{_dotted((*path, 'kind'))}: {_shown(word)} is not allowed; {hint}")
    if booleans := _booleans(kind, item):
        raise PlanRefused(*(_not_allowed(kind, path, where, value) for where, value in booleans))
    try:
        return kind.model_validate(dict(item))
    except ValidationError as error:
        raise PlanRefused(*(_explained(kind, path, each) for each in error.errors(include_url=False))) from error


def _explained(kind: type[Fault], path: KeyPath, error: Any) -> str:
    where: KeyPath = error["loc"]
    here = _dotted((*path, *where))
    match error["type"]:
        case "extra_forbidden":
            return f"{here}: unknown key{_known(kind, where)}"
        case "missing":
            return f"{here}: missing; needed: {_allowed(kind, where)}"
        case "value_error":
            return f"{here or kind.model_fields['kind']}: is refused: {str(error['msg']).partition(', ')[2]}"
    return _not_allowed(kind, path, where, error["input"])


def _not_allowed(kind: type[Fault], path: KeyPath, where: KeyPath, value: object) -> str:
    return f"{_dotted((*path, *where))}: {_shown(value)} is not allowed; allowed: {_allowed(kind, where)}"


def _allowed(kind: type[Fault], where: KeyPath) -> str:
    while where and config_schema.place(kind, where) is None:
        where = where[:-1]
    place = config_schema.place(kind, where)
    words = config_schema.allowed(place) if place else "nothing"
    return _WORDS.get(str(where[-1]) if where else "", words)


_WORDS = {
    "since": "an instant with its time zone: 2013-10-08T13:30:00Z",
    "until": "an instant with its time zone: 2013-10-08T20:00:00Z",
    "close": "a time of day: 13:00",
    "nth": "a list of integers from 1",
    "scope": "a table of conditions",
}


def _known(kind: type[Fault], where: KeyPath) -> str:
    model: type[BaseModel] = Scope if len(where) > 1 and where[0] == "scope" else kind
    close = difflib.get_close_matches(str(where[-1]), model.model_fields, n=1)
    return f"; did you mean {close[0]}?" if close else "; known here: " + ", ".join(model.model_fields)


def _booleans(kind: type[Fault], item: Mapping[str, Any]) -> list[tuple[KeyPath, object]]:
    """Where a boolean stands for a number: it would be read as 0 or 1."""
    scope = item.get("scope")
    pairs: list[tuple[KeyPath, object]] = [((name,), value) for name, value in item.items()]
    pairs += [(("scope", name), value) for name, value in scope.items()] if isinstance(scope, Mapping) else []
    return [(where, value) for where, value in pairs if isinstance(value, bool) and config_schema.place(kind, where)]


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
