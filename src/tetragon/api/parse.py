"""Parse: a JSON object in, the message it stands for out.

Accepts what the ProtoJSON format accepts: both spellings of a field, numbers as text, enum names
or numbers. A field the message does not have is left out without a word.

Source  the protobuf language guide, "ProtoJSON format"
"""

import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from google.protobuf.message import Message

from tetragon.api.json import is_map

_MESSAGE, _ENUM = 11, 14
_STAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_SPAN: Final = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s", re.ASCII)


class _Field(NamedTuple):
    """How one JSON member gets into a message."""

    name: str
    put: Callable[[Any, str, Any], None]
    oneof: str | None


class Parser:
    """Turns JSON objects into messages; compiles each message type at first use."""

    def __init__(self) -> None:
        self._compiled: dict[str, dict[str, _Field]] = {}

    def line(self, line: bytes | str, message: Message) -> None:
        """
        Fill ``message`` from one line of JSON.

        Raises:
            ValueError: not a JSON object, or a value its field cannot hold.
        """
        self.fill(message, msgspec.json.decode(line))

    def fill(self, message: Message, value: Any) -> None:
        """
        Fill ``message`` from a decoded JSON object.

        Raises:
            ValueError: a value its field cannot hold.
        """
        fields = self._for(message.DESCRIPTOR)
        seen: set[str] = set()
        for name, item in _object(value).items():
            field = fields.get(name)
            if field is None or item is None:
                continue
            if field.oneof is not None and field.oneof in seen:
                raise ValueError(f"{name}: {field.oneof} is already set")
            if field.oneof is not None:
                seen.add(field.oneof)
            try:
                field.put(message, field.name, item)
            except (TypeError, ValueError, OverflowError) as exc:
                raise ValueError(f"{name}: {exc}") from exc

    def _for(self, descriptor: Any) -> dict[str, _Field]:
        found = self._compiled.get(descriptor.full_name)
        if found is None:
            found = self._compiled[descriptor.full_name] = {}
            for field in descriptor.fields:
                oneof = field.containing_oneof
                made = _Field(field.name, self._putter(field), oneof and oneof.name)
                found[field.name] = found[field.json_name] = made
        return found

    def _putter(self, field: Any) -> Callable[[Any, str, Any], None]:
        if field.type == _MESSAGE:
            held = field.message_type
            if is_map(field):
                return self._map_putter(held)
            fill = _WELL_KNOWN.get(held.full_name, self._fill_set)
            if not field.is_repeated:
                return lambda message, name, value: fill(getattr(message, name), value)
            return lambda message, name, value: _add_each(getattr(message, name), fill, value)
        read = _reader(field)
        if not field.is_repeated:
            return lambda message, name, value: _set(message, name, read(value))
        return lambda message, name, value: getattr(message, name).extend(
            item for item in map(read, _array(value)) if item is not None
        )

    def _map_putter(self, entry: Any) -> Callable[[Any, str, Any], None]:
        read_key = _reader(entry.fields_by_name["key"])
        read = _reader(entry.fields_by_name["value"])
        return lambda message, name, value: getattr(message, name).update(
            {read_key(key): read(item) for key, item in _object(value).items()}
        )

    def _fill_set(self, message: Any, value: Any) -> None:
        self.fill(message, value)
        message.SetInParent()


def _set(message: Any, name: str, value: Any) -> None:
    if value is not None:
        setattr(message, name, value)


def _add_each(container: Any, fill: Callable[[Any, Any], None], value: Any) -> None:
    for item in _array(value):
        fill(container.add(), item)


def _array(value: Any) -> list[Any]:
    if value.__class__ is not list:
        raise ValueError("expected an array")
    items: list[Any] = value
    return items


def _object(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise ValueError("expected an object")
    members: dict[str, Any] = value
    return members


# --- values of one field; None means: leave the field alone --------------------------------


def _reader(field: Any) -> Callable[[Any], Any]:
    if field.type == _ENUM:
        return _enum_reader(field.enum_type)
    return _READERS[field.type]


def _enum_reader(enum: Any) -> Callable[[Any], Any]:
    numbers = {name: value.number for name, value in enum.values_by_name.items()}

    def read(value: Any) -> int | None:
        return numbers.get(value) if isinstance(value, str) else _whole(value)

    return read


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is not whole")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _bytes(value: Any) -> bytes:
    text = _text(value)
    text += "=" * (-len(text) % 4)
    if "-" in text or "_" in text:
        return urlsafe_b64decode(text)
    return b64decode(text, validate=True)


def _put_timestamp(message: Any, value: Any) -> None:
    match = _STAMP.fullmatch(_text(value))
    if match is None:
        raise ValueError(f"{value!r} is not a time")
    zone = "+00:00" if match[3] == "Z" else match[3]
    message.seconds = int(datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp())
    message.nanos = int((match[2] or "").ljust(9, "0"))
    message.SetInParent()


def _put_duration(message: Any, value: Any) -> None:
    match = _SPAN.fullmatch(_text(value))
    if match is None:
        raise ValueError(f"{value!r} is not a duration")
    sign = -1 if match[1] else 1
    message.seconds = sign * int(match[2])
    message.nanos = sign * int((match[3] or "").ljust(9, "0"))
    message.SetInParent()


def _put_field_mask(message: Any, value: Any) -> None:
    paths = (path for path in _text(value).split(",") if path)
    message.paths.extend(re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", path) for path in paths)
    message.SetInParent()


def _put_wrapped(read: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    def put(message: Any, value: Any) -> None:
        message.value = read(value)
        message.SetInParent()

    return put


_READERS: Final[Mapping[int, Callable[[Any], Any]]] = {
    3: _whole,
    4: _whole,
    5: _whole,
    8: _truth,
    9: _text,
    12: _bytes,
    13: _whole,
}
_WELL_KNOWN: Final[Mapping[str, Callable[[Any, Any], None]]] = {
    "google.protobuf.Timestamp": _put_timestamp,
    "google.protobuf.Duration": _put_duration,
    "google.protobuf.FieldMask": _put_field_mask,
    "google.protobuf.BoolValue": _put_wrapped(_truth),
    "google.protobuf.StringValue": _put_wrapped(_text),
    "google.protobuf.Int32Value": _put_wrapped(_whole),
    "google.protobuf.Int64Value": _put_wrapped(_whole),
    "google.protobuf.UInt32Value": _put_wrapped(_whole),
}
