"""Shape: the name of an event message in, its fields as values out.

The public face of the generated `schema.py`: parsed at first use, then kept.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cache, lru_cache
from typing import Final

import msgspec

from tetragon.event.schema import ENUMS, MESSAGES

ROOT: Final = "GetEventsResponse"
"""The message around every event."""

WRAPPERS: Final = {"UInt32Value": "uint32", "Int32Value": "int32", "BoolValue": "bool"}
"""Messages that JSON and CEL show as their bare value or nothing."""


class Kind(Enum):
    """How a field's value is represented."""

    SCALAR = "scalar"
    ENUM = "enum"
    WRAPPER = "wrapper"
    TIMESTAMP = "timestamp"
    MAP = "map"
    MESSAGE = "message"


class Field(msgspec.Struct, frozen=True, gc=False):
    """
    One field of a message.

    Args:
        type: scalar type, ``map`` (string to string), or message or enum name.
        oneof: the group it belongs to; empty for none.
    """

    number: int
    name: str
    type: str
    repeated: bool
    oneof: str
    kind: Kind

    @property
    def json_name(self) -> str:
        """The lowerCamelCase name JSON may use instead."""
        return camel(self.name)


@cache
def fields(message: str) -> tuple[Field, ...]:
    """Return the fields of a message in the order they are declared; KeyError for no message."""
    return tuple(_field(text) for text in MESSAGES[message].split(", "))


@cache
def field(message: str, name: str) -> Field:
    """Return one field by its proto name; KeyError when there is none."""
    for found in fields(message):
        if found.name == name:
            return found
    raise KeyError(name)


@cache
def enum(name: str) -> Mapping[str, int]:
    """Return the values of an enum by name; KeyError for no enum."""
    pairs = (text.split("=") for text in ENUMS[name].split())
    return {value: int(number.rstrip(",")) for value, number in pairs}


@cache
def events() -> Mapping[int, Field]:
    """Return the members that carry an event by number, which is also its EventType."""
    return {found.number: found for found in fields(ROOT) if found.oneof}


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """Return ``name`` as JSON spells it: each underscore makes the next letter upper case."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _field(text: str) -> Field:
    number, name, type_ = text.split(" ")
    type_, _, oneof = type_.partition("=")
    bare = type_.removesuffix("*")
    return Field(int(number), name, bare, type_ != bare, oneof, _kind(bare))


def _kind(type_: str) -> Kind:
    if type_ in MESSAGES:
        return Kind.MESSAGE
    if type_ in ENUMS:
        return Kind.ENUM
    if type_ in WRAPPERS:
        return Kind.WRAPPER
    return {"Timestamp": Kind.TIMESTAMP, "map": Kind.MAP}.get(type_, Kind.SCALAR)
