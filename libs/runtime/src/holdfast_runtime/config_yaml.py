"""YAML 1.2 with the line of every key. Only true and false are booleans; days, symbols like ON and 09:30 stay text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from holdfast_runtime.errors import Malformed

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 32

KeyPath = tuple[str | int, ...]

_CORE = (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|nan))$",
        "-+0123456789.",
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 the base class's own table, emptied


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 as above: what is written is read back the same


for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))
    _Dumper.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


class YamlProblem(Malformed):
    """The text is no YAML, or a key stands twice in one place. Says the line."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds, and the line (from 1) of each key and list item by its path."""

    tree: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)


def parse_file(path: Path) -> Document:
    """Reads one file. Raises YamlProblem."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlProblem(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise YamlProblem(f"more than {MAX_BYTES} bytes")
    try:
        return parse(content.decode())
    except UnicodeDecodeError as error:
        raise YamlProblem(f"is no UTF-8 text (byte {error.start})") from error


def parse(text: str) -> Document:
    """Reads one document. Raises YamlProblem with the line."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            document = Document(None)
            if node is None:
                return document
            return Document(_Builder(loader, document.lines).build(node, (), 0), document.lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlProblem(f"{where}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise YamlProblem(str(error)) from error


def dump(tree: Any) -> str:
    """Text that `parse` reads back as the same tree."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


class _Builder:
    def __init__(self, loader: _Loader, lines: dict[KeyPath, int]) -> None:
        self._loader = loader
        self._lines = lines
        self._nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self._nodes += 1
        # Aliases make a small text large: the bounds hold for what it stands for.
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise YamlProblem(f"line {node.start_mark.line + 1}: too large or too deep")
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path, depth))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(each, (*path, index), depth + 1) for index, each in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _items(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlProblem(f"line {line}: a key is a word")
            key = str(key_node.value)
            if key in seen:
                raise YamlProblem(f"line {line}: {key} stands twice")
            seen.add(key)
            self._lines[(*path, key)] = line
            yield key, self.build(value_node, (*path, key), depth + 1)
