"""Descriptor: the event schema in, its serialized FileDescriptorProto out.

Gives CEL's checker the schema without this row importing protobuf.

Source   google/protobuf/descriptor.proto; the numbers below are its field numbers
"""

from typing import Final

from tetragon.event import shape
from tetragon.event.schema import ENUMS, MESSAGES
from tetragon.event.shape import Field, Kind

PACKAGE: Final = "tetragon"

_TYPES: Final = {
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_MESSAGE: Final = 11
_ENUM: Final = 14
_IMPORTS: Final = ("google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto")


def file_descriptor(name: str) -> bytes:
    """Return the serialized FileDescriptorProto of all event messages, as file ``name``."""
    file = text(1, name) + text(2, PACKAGE) + b"".join(text(3, one) for one in _IMPORTS)
    for message in MESSAGES:
        file += part(4, _message(message))
    for enum in ENUMS:
        file += part(5, _enum(enum))
    return file + text(12, "proto3")


def number(field: int, value: int) -> bytes:
    """Return a protobuf field with a number."""
    return _varint(field << 3) + _varint(value)


def text(field: int, value: str) -> bytes:
    """Return a protobuf field with a text."""
    return part(field, value.encode())


def part(field: int, value: bytes) -> bytes:
    """Return a protobuf field with bytes or an encoded message."""
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _message(name: str) -> bytes:
    fields = shape.fields(name)
    groups = list(dict.fromkeys(field.oneof for field in fields if field.oneof))
    body = text(1, name)
    for field in fields:
        body += part(2, _field(name, field, groups))
        if field.kind is Kind.MAP:
            body += part(3, _map_entry(field))
    return body + b"".join(part(8, text(1, group)) for group in groups)


def _field(message: str, field: Field, groups: list[str]) -> bytes:
    repeated = field.repeated or field.kind is Kind.MAP
    body = text(1, field.name) + number(3, field.number) + number(4, 3 if repeated else 1)
    body += _typed(message, field)
    if field.oneof:
        body += number(9, groups.index(field.oneof))
    return body + text(10, field.json_name)


def _typed(message: str, field: Field) -> bytes:
    """Return the type of a field, and the name of its type where it has one."""
    match field.kind:
        case Kind.SCALAR:
            return number(5, _TYPES[field.type])
        case Kind.ENUM:
            return number(5, _ENUM) + text(6, f".{PACKAGE}.{field.type}")
        case Kind.MAP:
            return number(5, _MESSAGE) + text(6, f".{PACKAGE}.{message}.{_entry_name(field)}")
        case Kind.MESSAGE:
            return number(5, _MESSAGE) + text(6, f".{PACKAGE}.{field.type}")
        case Kind.WRAPPER | Kind.TIMESTAMP:
            return number(5, _MESSAGE) + text(6, f".google.protobuf.{field.type}")


def _map_entry(field: Field) -> bytes:
    """Return the nested message of a map from string to string."""
    body = text(1, _entry_name(field))
    for place, name in ((1, "key"), (2, "value")):
        member = text(1, name) + number(3, place) + number(4, 1) + number(5, _TYPES["string"])
        body += part(2, member)
    return body + part(7, number(7, 1))


def _entry_name(field: Field) -> str:
    return "".join(word.capitalize() for word in field.name.split("_")) + "Entry"


def _enum(name: str) -> bytes:
    body = text(1, name)
    values = shape.enum(name)
    for value, of_value in values.items():
        body += part(2, text(1, value) + number(2, of_value))
    return body if len(set(values.values())) == len(values) else body + part(3, number(2, 1))


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
