"""Whether all of a message can be read: a fact is checked once, as it comes, so that no page can fail on it later."""

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_decimal, from_timestamp


def check_readable(message: Message) -> None:
    """Every amount is exact, every instant is in the calendar, every enum value is known. Raises Malformed naming the
    field."""
    for descriptor, value in message.ListFields():
        name = f"{message.DESCRIPTOR.name}.{descriptor.name}"
        if descriptor.enum_type is not None:
            values = value if descriptor.is_repeated else [value]
            for each in values:
                if each not in descriptor.enum_type.values_by_number:
                    raise Malformed(f"{name}: {each} is no {descriptor.enum_type.name}")
        elif descriptor.type == FieldDescriptor.TYPE_MESSAGE and not _is_map(descriptor):
            for each in value if descriptor.is_repeated else [value]:
                _check_one(each, name)


def _check_one(value: Message, name: str) -> None:
    if isinstance(value, common.Decimal):
        if value.value:
            from_decimal(value, field=name)
    elif isinstance(value, Timestamp):
        try:
            from_timestamp(value)
        except Malformed as error:
            raise Malformed(f"{name}: {error}") from error
    else:
        check_readable(value)


def _is_map(descriptor: FieldDescriptor) -> bool:
    kind = descriptor.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)
