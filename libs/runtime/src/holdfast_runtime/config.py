"""Reads the configuration: file first, environment over it, overrides of the command line last (CQ-4, FP-5.1, FP-5.2).

Whatever is not exactly understood refuses to start, with all problems at once: a line each, naming the key, the value
given, what is allowed (CF-3) and where it came from.

    HOLDFAST__GATE__MAX_POSITIONS=8             gate.max_positions
    HOLDFAST__REPLAY__SYMBOLS=SPY,IBM           replay.symbols, a list
    HOLDFAST__STRATEGIES__0__ALLOCATION=5000    of the first strategy in the file
    HOLDFAST__ENDPOINTS__GATE__HEALTH=host:1    endpoints, key `gate.health`
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from holdfast_runtime import config_schema, config_yaml
from holdfast_runtime.config_yaml import KeyPath, YamlProblem
from holdfast_runtime.errors import GiveUp
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry.redaction import redact

ENVIRONMENT_PREFIX = "HOLDFAST__"
COMMAND_LINE = "command line"


class InvalidConfiguration(GiveUp):
    """The configuration is refused: no default takes the place of what was not understood. One line a problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of this process. `overrides` has the shape of the tree. Raises InvalidConfiguration."""
    sources = _Sources()
    if path is not None:
        sources.add_file(path)
    sources.add_environment(environ)
    sources.add_tree(overrides or {}, (), COMMAND_LINE)
    problems = dict(sources.problems)
    for key_path in _booleans_for_numbers(sources.tree):
        problems[key_path] = sources.not_allowed(key_path, _at(sources.tree, key_path))
    try:
        settings = Settings.model_validate(sources.tree)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False):
            problems.setdefault(each["loc"], sources.explain(each["type"], each["loc"], each["input"], each["msg"]))
        settings = None
    if problems or settings is None:
        raise InvalidConfiguration(*(problems[key_path] for key_path in sorted(problems, key=_sortable)))
    return settings


def dump_settings(settings: Settings) -> str:
    """YAML that `load_settings` reads back as equal settings."""
    return config_yaml.dump(settings.model_dump(mode="json"))


class _Sources:
    """The merged tree, and where each part of it came from."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.problems: dict[KeyPath, str] = {}
        self._origins: dict[KeyPath, str] = {}

    def add_file(self, path: Path) -> None:
        try:
            document = config_yaml.parse_file(path)
        except YamlProblem as error:
            raise InvalidConfiguration(f"file:{path}: {error}") from error
        if document.tree is None:
            return
        if not isinstance(document.tree, dict):
            raise InvalidConfiguration(f"file:{path}: holds {_shown(document.tree)}; allowed: a table of sections")
        self.tree = document.tree
        self._origins = {key_path: f"file:{path}:{line}" for key_path, line in document.lines.items()}

    def add_environment(self, environ: Mapping[str, str]) -> None:
        names = [name for name in environ if name.startswith(ENVIRONMENT_PREFIX)]
        # A whole section before one of its keys, whatever their alphabet.
        for name in sorted(names, key=lambda name: (name.count("__"), name)):
            origin = f"environment {name}"
            key_path = _key_path(name)
            try:
                self._set(key_path, _typed(key_path, environ[name]), origin)
            except YamlProblem as error:
                self.problems[key_path] = f"{_dotted(key_path)}: {error} ({origin})"

    def add_tree(self, tree: Mapping[str, Any], path: KeyPath, origin: str) -> None:
        for key, value in tree.items():
            if isinstance(value, Mapping):
                self.add_tree(value, (*path, key), origin)
            else:
                self._set((*path, key), value, origin)

    def _set(self, path: KeyPath, value: Any, origin: str) -> None:
        parent: Any = self.tree
        for depth, part in enumerate(path[:-1]):
            child = _child(parent, part)
            if child is None and isinstance(parent, dict):
                child = parent[part] = {}
            if not isinstance(child, dict | list):
                why = f"the list has {len(parent)} items" if isinstance(parent, list) else "it has no keys to set"
                self.problems[path] = f"{_dotted(path[: depth + 1])}: {why} ({origin})"
                return
            parent = child
        last = path[-1]
        if isinstance(parent, list):
            if not isinstance(last, int) or not 0 <= last < len(parent):
                self.problems[path] = f"{_dotted(path)}: the list has {len(parent)} items ({origin})"
                return
            parent[last] = value
        else:
            parent[last] = value
        self._origins = {key: at for key, at in self._origins.items() if key[: len(path)] != path}
        self._origins[path] = origin

    def explain(self, kind: str, path: KeyPath, given: Any, message: str) -> str:
        """One problem in one line."""
        if kind == "extra_forbidden":
            return f"{_dotted(path)}: unknown key{config_schema.guess(Settings, path)}{self._origin(path)}"
        if kind == "missing":
            return f"{_dotted(path)}: missing; needed: {_allowed(path)}{self._origin(path)}"
        if kind in ("value_error", "assertion_error"):
            why = message.partition(", ")[2] or message
            # Of a whole section the reason names what is wrong in it.
            value = "" if isinstance(given, dict | list) else f"{_shown(given, path)} "
            return f"{_dotted(path)}: {value}is refused: {why}{self._origin(path)}"
        return self.not_allowed(path, given)

    def not_allowed(self, path: KeyPath, given: Any) -> str:
        return f"{_dotted(path)}: {_shown(given, path)} is not allowed; allowed: {_allowed(path)}{self._origin(path)}"

    def _origin(self, path: KeyPath) -> str:
        if path not in self._origins:
            # A section that nobody gave as a whole came from where its keys did.
            path = next((known for known in self._origins if known[: len(path)] == path), path)
        for length in range(len(path), -1, -1):
            if origin := self._origins.get(path[:length]):
                return f" ({origin})"
        return ""


def _key_path(name: str) -> KeyPath:
    parts = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
    path: KeyPath = ()
    for index, part in enumerate(parts):
        here = config_schema.place(Settings, path)
        if here is not None and config_schema.is_flat_table(here.annotation):
            return (*path, ".".join(parts[index:]))
        is_list = here is not None and config_schema.is_list(here.annotation)
        path = (*path, int(part) if is_list and part.isdecimal() else part)
    return path


def _typed(path: KeyPath, text: str) -> Any:
    """The value that an environment variable's text means at `path`. Raises YamlProblem."""
    here = config_schema.place(Settings, path)
    if here is None:
        return text
    if config_schema.is_list(here.annotation) and not text.lstrip().startswith(("[", "-")):
        return [part.strip() for part in text.split(",") if part.strip()]
    if here.annotation is Any or any(
        test(here.annotation) for test in (config_schema.is_list, config_schema.is_table, config_schema.as_section)
    ):
        return config_yaml.parse(text).tree
    optional = here.field is not None and here.field.default is None
    return None if optional and not text else text


def _booleans_for_numbers(tree: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Where a boolean stands for a number: pydantic would read true as 1."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        here = (*path, key)
        if isinstance(value, bool):
            found = config_schema.place(Settings, here)
            if found is not None and config_schema.is_number(found.annotation):
                yield here
        else:
            yield from _booleans_for_numbers(value, here)


def _child(parent: Any, part: str | int) -> Any:
    if isinstance(parent, dict):
        return parent.get(part)
    return parent[part] if isinstance(part, int) and 0 <= part < len(parent) else None


def _at(tree: Any, path: KeyPath) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _allowed(path: KeyPath) -> str:
    found = config_schema.place(Settings, path)
    return config_schema.allowed(found) if found else "nothing"


def _shown(value: Any, path: KeyPath = ()) -> str:
    plain = redact(value, key=str(path[-1]) if path else "")
    text = str(plain).lower() if isinstance(plain, bool) else repr(plain)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def _sortable(path: KeyPath) -> list[tuple[int, int, str]]:
    return [(0, part, "") if isinstance(part, int) else (1, 0, part) for part in path]
