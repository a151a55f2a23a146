"""What the models of `settings` allow, in words: for error texts and for docs/configuration.md."""

import difflib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NAMES: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "booleans"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    Decimal: ("a decimal number", "decimal numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
    Any: ("any value", "values"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key path leads: the field that it ends in, or that holds it, and the type expected there."""

    annotation: Any
    field: FieldInfo | None
    """None inside a list or a table, whose items have no field of their own."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One documented key. `path` has `[]` where a list stands."""

    path: tuple[str, ...]
    field: FieldInfo


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every key of `model` that is no section itself, in the order of the models."""
    for name, field in model.model_fields.items():
        annotation = _without_none(field.annotation)
        here = (*path, name)
        item = _item(annotation)
        if section := as_section(annotation):
            yield from leaves(section, here)
        elif section := as_section(item):
            yield from leaves(section, (*here, "[]"))
        else:
            yield Leaf(here, field)


def place(model: type[BaseModel], path: tuple[str | int, ...]) -> Place | None:
    """What stands at `path`; None where the models know no such key."""
    annotation: Any = model
    field: FieldInfo | None = None
    for part in path:
        section = as_section(annotation)
        if section is not None:
            field = section.model_fields.get(str(part))
            if field is None:
                return None
            annotation = _without_none(field.annotation)
        elif (item := _item(annotation)) is not None:
            annotation, field = _without_none(item), None
        else:
            return Place(Any, None) if annotation is Any else None
    return Place(annotation, field)


def guess(model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    """What may have been meant by a key that `model` does not know, as the end of a sentence."""
    parent = place(model, path[:-1])
    section = as_section(parent.annotation) if parent else None
    if section is None:
        return ""
    known = list(section.model_fields)
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    if close:
        return f"; did you mean {'.'.join(map(str, (*path[:-1], close[0])))}?"
    return "; known here: " + ", ".join(known)


def as_section(annotation: Any) -> type[BaseModel] | None:
    """`annotation` where it is a section of the configuration."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (tuple, list)


def is_table(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict


def is_flat_table(annotation: Any) -> bool:
    """A table of plain texts: its keys may have dots."""
    return is_table(annotation) and typing.get_args(annotation)[1] is str


def is_number(annotation: Any) -> bool:
    return annotation in (int, float, Decimal)


def allowed(place: Place) -> str:
    """`an integer from 1 to 500`, `one of papermarket, alpaca`, `text of the form ^…$`."""
    annotation = place.annotation
    metadata: list[Any] = list(place.field.metadata) if place.field else []
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        metadata += [each for info in more for each in (info.metadata if isinstance(info, FieldInfo) else [info])]
    words = _kind(annotation)
    if place.field is not None and type(None) in typing.get_args(place.field.annotation):
        words += " or null"
    bounds = _bounds(metadata)
    pattern = next((each.pattern for each in metadata if getattr(each, "pattern", None)), None)
    return words + bounds + (f" of the form {pattern}" if pattern else "")


def _kind(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(str(each.value) for each in annotation)
    if as_section(annotation):
        return "a section"
    if is_list(annotation):
        item = _item(annotation)
        return f"a list of {'sections' if as_section(item) else _NAMES.get(item, ('', 'values'))[1]}"
    if is_table(annotation):
        return f"a table of {_NAMES.get(typing.get_args(annotation)[1], ('', 'values'))[1]}"
    return _NAMES.get(annotation, (str(annotation), ""))[0]


def _bounds(metadata: list[Any]) -> str:
    # Constraints are told apart by what they carry: each has the one attribute of its kind.
    found = {
        name: value
        for each in metadata
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length")
        if (value := getattr(each, name, None)) is not None
    }
    low = f"from {found['ge']}" if "ge" in found else f"above {found['gt']}" if "gt" in found else ""
    high = f"to {found['le']}" if "le" in found else f"below {found['lt']}" if "lt" in found else ""
    words = (("min_length", "at least"), ("max_length", "at most"))
    length = [f"{word} {found[name]}" for name, word in words if name in found]
    joined = " and ".join(part for part in (low, high) if part)
    joined = joined.replace("and to", "up to" if low.startswith("above") else "to")
    return (f" {joined}" if joined else "") + "".join(f", {part}" for part in length)


def _item(annotation: Any) -> Any:
    """Type of the items of a list or a table; None for anything else."""
    if is_list(annotation):
        return typing.get_args(annotation)[0]
    if is_table(annotation):
        return typing.get_args(annotation)[1]
    return None


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        left = [each for each in typing.get_args(annotation) if each is not type(None)]
        return left[0] if len(left) == 1 else annotation
    return annotation
