"""Everything that can change an exchange, as values that can be written down and read back.

An exchange is a function of its recording, its configuration and the commands it has taken: a journal of commands is
its whole state. One command is one line of JSON.
"""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from holdfast_exchange.orders import NewOrder, OrderType, Replacement, Side, TimeInForce


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


Command = Advance | Submit | Cancel | Replace
_READERS: dict[str, Any] = {
    "side": Side,
    "type": OrderType,
    "time_in_force": TimeInForce,
    "quantity": Decimal,
    "limit_price": Decimal,
    "stop_price": Decimal,
    "protect_stop_price": Decimal,
}


def encode(command: Command) -> str:
    """One line of JSON without the newline."""
    record: dict[str, Any] = {"at": command.at.isoformat()}
    match command:
        case Advance(number=number, data=data):
            record |= {"op": "advance", "number": number, "data": data}
        case Submit(order=order):
            record |= {"op": "submit", "order": _plain(order)}
        case Cancel(order_id=order_id):
            record |= {"op": "cancel", "order_id": order_id}
        case Replace(order_id=order_id, change=change):
            record |= {"op": "replace", "order_id": order_id, "change": _plain(change)}
    return json.dumps(record, separators=(",", ":"))


def decode(line: str) -> Command:
    """The command in a line. Raises JournalUnreadable."""
    try:
        record = json.loads(line)
        at = datetime.fromisoformat(record["at"])
        match record["op"]:
            case "advance":
                return Advance(int(record["number"]), at, bool(record["data"]))
            case "submit":
                return Submit(at, NewOrder(**_typed(record["order"])))
            case "cancel":
                return Cancel(at, str(record["order_id"]))
            case "replace":
                return Replace(at, str(record["order_id"]), Replacement(**_typed(record["change"])))
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise JournalUnreadable(f"{line[:200]!r}: {error}") from error
    raise JournalUnreadable(f"{line[:200]!r}: no such command")


def _plain(value: NewOrder | Replacement) -> dict[str, str]:
    pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: item.value if isinstance(item, Enum) else str(item) for name, item in pairs if item is not None}


def _typed(record: dict[str, str]) -> dict[str, Any]:
    return {name: _READERS.get(name, str)(text) for name, text in record.items()}
