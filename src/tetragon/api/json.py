"""JSON: a message in, its protojson object or line out, with the names the .proto files use.

A converter is compiled once per message type; a process, which is in event after event, is
converted once and remembered.

Flow    GetEvents stream -> [Converter.object, line] -> terminal
Owns    the memo of processes of each Converter; one thread per Converter.
Source  docs/outputs.md, "JSON"; the protobuf language guide, "ProtoJSON format"
"""

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from google.protobuf.message import Message

from tetragon.api.messages import message_class
from tetragon.model.text import timestamp

JsonValue = Any
"""dict, list, str, int, float, bool, None or msgspec.Raw: what msgspec can encode."""

_Convert = Callable[[Any], JsonValue]
_MEMO: Final = 8192
_INT64, _UINT64, _FIXED64, _SFIXED64, _SINT64 = 3, 4, 6, 16, 18
_MESSAGE, _BYTES, _ENUM = 11, 12, 14


class Converter:
    """
    Turns messages into plain objects with the fields that are set, in the order they are declared.

    Args:
        raw: leave processes as ready JSON text (msgspec.Raw): for `line`, not for reading.
    """

    def __init__(self, raw: bool = False) -> None:
        self._raw = raw
        self._compiled: dict[str, _Convert] = {}
        self._processes: dict[bytes, JsonValue] = {}

    def object(self, message: Message) -> dict[str, JsonValue]:
        """Return the message's object; parts of it are shared between calls, so only read it."""
        made: dict[str, JsonValue] = self._for(message.DESCRIPTOR)(message)
        return made

    def line(self, message: Message) -> bytes:
        """Return the message's JSON on one line, with its newline."""
        return msgspec.json.encode(self.object(message)) + b"\n"

    def _for(self, descriptor: Any) -> _Convert:
        """Return the converter of a message type, compiling it at first use."""
        name: str = descriptor.full_name
        found = self._compiled.get(name) or _WELL_KNOWN.get(name)
        if found is None:
            plain = self._compile(descriptor)
            found = self._remembering(plain) if name == "tetragon.Process" else plain
            self._compiled[name] = found
        return found

    def _compile(self, descriptor: Any) -> _Convert:
        table: dict[int, tuple[str, _Convert]] = {}
        self._compiled[descriptor.full_name] = lambda message: _fields(message, table)
        for field in descriptor.fields:
            table[field.number] = (field.name, self._field(field))
        declared = list(table)
        if declared == sorted(declared):
            return self._compiled[descriptor.full_name]
        rank = {number: index for index, number in enumerate(declared)}
        return lambda message: _ranked_fields(message, table, rank)

    def _field(self, field: Any) -> _Convert:
        if is_map(field):
            return self._map(field.message_type.fields_by_name["value"])
        one = self._one(field)
        if not field.is_repeated:
            return one
        return list if one is _same else lambda values: [one(value) for value in values]

    def _one(self, field: Any) -> _Convert:
        """Return the converter of one value of a field."""
        if field.type == _MESSAGE:
            if field.message_type.full_name == "google.protobuf.Any":
                return self._any
            return self._for(field.message_type)
        if field.type == _ENUM:
            names = {number: v.name for number, v in field.enum_type.values_by_number.items()}
            return lambda number: names.get(number, number)
        return _SCALARS.get(field.type, _same)

    def _map(self, value_field: Any) -> _Convert:
        one = self._one(value_field)
        return lambda items: {str(key): one(items[key]) for key in sorted(items)}

    def _any(self, message: Any) -> JsonValue:
        """Convert what an Any holds; a type we do not know stays as it is."""
        kind = message.TypeName()
        try:
            held = message_class(kind)()
        except KeyError:
            return {"@type": message.type_url, "value": _base64(message.value)}
        message.Unpack(held)
        content = self._for(held.DESCRIPTOR)(held)
        if kind in _WELL_KNOWN:
            return {"@type": message.type_url, "value": content}
        return {"@type": message.type_url, **content}

    def _remembering(self, plain: _Convert) -> _Convert:
        memo = self._processes
        encode = msgspec.json.encode

        def convert(message: Any) -> JsonValue:
            key: bytes = message.SerializeToString()
            made = memo.get(key)
            if made is None:
                made = plain(message)
                if self._raw:
                    made = msgspec.Raw(encode(made))
                if len(memo) >= _MEMO:
                    memo.clear()
                memo[key] = made
            return made

        return convert


def is_map(field: Any) -> bool:
    """
    Tell whether a field is a map.

    Its options would say so, but reading options makes protobuf import its largest module.
    """
    held = field.message_type
    return held is not None and held.name.endswith("Entry") and set(held.fields_by_name) == _ENTRY


_ENTRY: Final = {"key", "value"}


def _fields(message: Any, table: Mapping[int, tuple[str, _Convert]]) -> dict[str, JsonValue]:
    made: dict[str, JsonValue] = {}
    for field, value in message.ListFields():
        name, convert = table[field.number]
        made[name] = convert(value)
    return made


def _ranked_fields(
    message: Any, table: Mapping[int, tuple[str, _Convert]], rank: Mapping[int, int]
) -> dict[str, JsonValue]:
    """The same for a message whose declared order is not that of its numbers."""
    listed = [(rank[field.number], field.number, value) for field, value in message.ListFields()]
    listed.sort(key=_first)
    made: dict[str, JsonValue] = {}
    for _, number, value in listed:
        name, convert = table[number]
        made[name] = convert(value)
    return made


def _first(item: tuple[int, int, Any]) -> int:
    return item[0]


def _same(value: JsonValue) -> JsonValue:
    return value


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode()


def _wrapped(message: Any) -> JsonValue:
    return message.value


def _wrapped_text(message: Any) -> JsonValue:
    return str(message.value)


def _timestamp(message: Any) -> str:
    return timestamp(message.seconds * 1_000_000_000 + message.nanos)


def _duration(message: Any) -> str:
    total = message.seconds * 1_000_000_000 + message.nanos
    whole, ns = divmod(abs(total), 1_000_000_000)
    text = f"-{whole}" if total < 0 else str(whole)
    if not ns:
        return f"{text}s"
    digits = 3 if ns % 1_000_000 == 0 else 6 if ns % 1000 == 0 else 9
    return f"{text}.{f'{ns:09d}'[:digits]}s"


def _field_mask(message: Any) -> str:
    return ",".join(map(_camel, message.paths))


def _camel(path: str) -> str:
    first, *rest = path.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _value(message: Any) -> JsonValue:
    """Convert a google.protobuf.Value."""
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list(message.list_value)
    if kind == "number_value" and message.number_value.is_integer():
        return int(message.number_value)
    return None if kind in (None, "null_value") else getattr(message, kind)


def _struct(message: Any) -> dict[str, JsonValue]:
    return {key: _value(message.fields[key]) for key in sorted(message.fields)}


def _list(message: Any) -> list[JsonValue]:
    values: Iterable[Any] = message.values
    return [_value(value) for value in values]


_SCALARS: Final[Mapping[int, _Convert]] = {
    _INT64: str,
    _UINT64: str,
    _FIXED64: str,
    _SFIXED64: str,
    _SINT64: str,
    _BYTES: _base64,
}
_WELL_KNOWN: Final[Mapping[str, _Convert]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _field_mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Value": _value,
    "google.protobuf.BoolValue": _wrapped,
    "google.protobuf.StringValue": _wrapped,
    "google.protobuf.Int32Value": _wrapped,
    "google.protobuf.UInt32Value": _wrapped,
    "google.protobuf.DoubleValue": _wrapped,
    "google.protobuf.FloatValue": _wrapped,
    "google.protobuf.Int64Value": _wrapped_text,
    "google.protobuf.UInt64Value": _wrapped_text,
    "google.protobuf.BytesValue": lambda message: _base64(message.value),
}
