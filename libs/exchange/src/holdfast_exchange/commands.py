"""Everything that can change an exchange, as values that can be written down and read back.

An exchange is a function of its recording, its configuration and the commands it has taken: a journal of commands is
its whole state. One command is one line of JSON: `op`, `at`, and the other fields by name. A new command is a frozen
dataclass with an `at`, and a line in `_KINDS`; its fields are texts, numbers, Decimals, instants, days, enums, tuples
and dataclasses of these. A field that is None is left out; one that was added later needs a default, so that older
lines still read.
"""

import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from holdfast_exchange.account_commands import Announce, Configure, JournalCash
from holdfast_exchange.faults import commands as fault_commands
from holdfast_exchange.faults.commands import FaultCommand
from holdfast_exchange.orders import NewOrder, Replacement
from holdfast_exchange.venue_commands import Hold, RejectReplacement


class JournalUnreadable(ValueError):
    """A line that no version of this code has written."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Tick `number`: market time moves to `at`; with `data` the recording up to there is seen and orders match."""

    number: int
    at: datetime
    data: bool


@dataclass(frozen=True, slots=True)
class Submit:
    at: datetime
    order: NewOrder


@dataclass(frozen=True, slots=True)
class Cancel:
    at: datetime
    order_id: str


@dataclass(frozen=True, slots=True)
class Replace:
    at: datetime
    order_id: str
    change: Replacement


Command = (
    Advance | Submit | Cancel | Replace | Hold | RejectReplacement | FaultCommand | Configure | Announce | JournalCash
)
_KINDS: dict[str, type[Any]] = {
    "advance": Advance,
    "submit": Submit,
    "cancel": Cancel,
    "replace": Replace,
    "hold": Hold,
    "reject_replacement": RejectReplacement,
    **fault_commands.COMMANDS,
    "configure": Configure,
    "announce": Announce,
    "journal_cash": JournalCash,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(command: Command) -> str:
    """One line of JSON without the newline."""
    return json.dumps({"op": _NAMES[type(command)]} | _record(command), separators=(",", ":"))


def decode(line: str) -> Command:
    """The command in a line. Raises JournalUnreadable."""
    try:
        record = json.loads(line)
        kind = _KINDS[record.pop("op")]
        command: Command = _value(kind, record)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise JournalUnreadable(f"{line[:200]!r}: {error}") from error
    return command


def _record(value: Any) -> dict[str, Any]:
    pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: _plain(item) for name, item in pairs if item is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return _record(value) if is_dataclass(value) else value


def _value(kind: Any, plain: Any) -> Any:
    """`plain`, read from JSON, as a value of the type `kind`."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], item) for item in plain)
    if is_dataclass(kind) and isinstance(kind, type):
        known = _types(kind)
        return kind(**{name: _value(known[name], item) for name, item in plain.items()})
    if issubclass(kind, date):
        return kind.fromisoformat(plain)
    if issubclass(kind, Enum | Decimal):
        return kind(plain)
    if type(plain) is not kind:
        raise ValueError(f"{plain!r} is no {kind.__name__}")
    return plain


@cache
def _types(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)
