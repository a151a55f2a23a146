"""The one boundary between domain values and protobuf. Unspecified enums and unreadable numbers are refused here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast_core.money import InexactAmount, parse_amount
from holdfast_runtime.errors import Malformed


def to_decimal(value: Decimal | None) -> common.Decimal | None:
    """A Decimal for a message field; None leaves the field absent."""
    return None if value is None else common.Decimal(value=format(value, "f"))


def from_decimal(value: common.Decimal, *, field: str) -> Decimal:
    """The Decimal in a message. Raises Malformed naming the field."""
    try:
        return parse_amount(value.value, what=field)
    except InexactAmount as error:
        raise Malformed(str(error)) from error


def to_timestamp(instant: datetime | None) -> Timestamp | None:
    """An aware instant for a message field; None leaves the field absent."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} is naive: every instant is aware")
    stamp = Timestamp()
    stamp.FromDatetime(instant.astimezone(UTC))
    return stamp


def from_timestamp(stamp: Timestamp) -> datetime:
    """The aware UTC instant in a message, cut to microseconds. Raises Malformed where it is beyond all calendars."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"instant of {stamp.seconds} s and {stamp.nanos} ns: {error}") from error


def require(message_name: str, fields: Iterable[tuple[str, object]]) -> None:
    """Refuses a message whose named fields are empty, zero or absent. Raises Malformed naming the first one."""
    for name, value in fields:
        if not value:
            raise Malformed(f"{message_name}.{name} is missing")
