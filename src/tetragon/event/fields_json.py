"""Fields of JSON lines: an event's line in, the line without what shall not leave out.

A plan becomes a record type that knows only the fields that stay. The parser then skips the others
without building them, and copies those that stay whole as they are written.

Owns    one decoder per kind of event, made with the first event of that kind.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tetragon.event import shape
from tetragon.event.fields import FieldFilters, Leaf, Plan, empty
from tetragon.event.from_json import kind_of
from tetragon.event.shape import Field
from tetragon.model.event import Event

_Blank = Callable[[Any], None]
"""Puts the zero values of a plan into a decoded record."""

_SEQUENCE: Final = "sequence"
"""The one member our lines may have that the API's message has not."""


class _Codec(NamedTuple):
    decode: Callable[[bytes], Any]
    blank: _Blank | None


class LineFields:
    """Applies field filters to JSON lines as `event/json.py` writes them: proto names only."""

    __slots__ = ("_codecs", "_encode")

    def __init__(self, filters: FieldFilters) -> None:
        self._codecs = _Codecs(filters)
        self._encode = msgspec.json.Encoder().encode

    def line(self, event: Event, line: bytes) -> bytes:
        """
        Return the line of ``event`` with only the fields that leave.

        Args:
            event: tells the kind.
            line: its JSON object and a newline.
        """
        codec = self._codecs[event.__class__]
        if codec is None:
            return line
        record = codec.decode(line)
        if codec.blank is not None:
            codec.blank(record)
        return self._encode(record) + b"\n"


class _Codecs(dict[type[Event], "_Codec | None"]):
    """The codec of each class of events, None for those that keep everything."""

    def __init__(self, filters: FieldFilters) -> None:
        super().__init__()
        self._plans = filters.plans

    def __missing__(self, event: type[Event]) -> _Codec | None:
        kind = kind_of(event)
        plan = self._plans.get(kind)
        codec = self[event] = None if plan is None else _codec(shape.events()[kind], plan)
        return codec


def _codec(member: Field, plan: Plan) -> _Codec:
    """Return the codec of one kind of event."""
    envelope: dict[str, Leaf | Plan] = {
        field.name: Leaf.KEEP for field in shape.fields(shape.ROOT) if not field.oneof
    }
    root: Mapping[str, Leaf | Plan] = {member.name: plan, **envelope}
    record = _record(shape.ROOT, root, (_SEQUENCE,))
    return _Codec(msgspec.json.Decoder(record).decode, _blank(shape.ROOT, root))


def _record(message: str, plan: Plan, more: tuple[str, ...] = ()) -> type[Struct]:
    """Return a record type with the fields of ``message`` that stay; ``more`` are kept as well."""
    names: dict[str, str] = {}
    members: list[tuple[str, Any, Any]] = []
    for field in shape.fields(message):
        action = plan.get(field.name, Leaf.DROP)
        if action is not Leaf.DROP:
            names[_attribute(field)] = field.name
            members.append((_attribute(field), _type(field, action), UNSET))
    for name in more:
        names[name] = name
        members.append((name, Raw, UNSET))
    return msgspec.defstruct(message, members, rename=names, gc=False)


def _type(field: Field, action: "Leaf | Plan") -> Any:
    if isinstance(action, Leaf):
        return Raw
    record = _record(field.type, action)
    return list[record] | UnsetType if field.repeated else record | UnsetType  # type: ignore[valid-type]


def _attribute(field: Field) -> str:
    """Return a field's attribute: its name may be a Python keyword."""
    return f"f{field.number}"


def _blank(message: str, plan: Plan) -> _Blank | None:
    """Return what puts the plan's zero values into a record of ``message``, None for nothing."""
    zeros: list[tuple[str, Raw]] = []
    inner: list[tuple[str, _Blank]] = []
    for field in shape.fields(message):
        action = plan.get(field.name, Leaf.DROP)
        if action is Leaf.EMPTY:
            zeros.append((_attribute(field), Raw(msgspec.json.encode(empty(field)))))
        elif not isinstance(action, Leaf):
            below = _blank(field.type, action)
            if below is not None:
                inner.append((_attribute(field), _each(below) if field.repeated else below))
    if not zeros and not inner:
        return None

    def blank(record: Any) -> None:
        for attribute, zero in zeros:
            if getattr(record, attribute) is not UNSET:
                setattr(record, attribute, zero)
        for attribute, below in inner:
            value = getattr(record, attribute)
            if value is not UNSET:
                below(value)

    return blank


def _each(blank: _Blank) -> _Blank:
    def blank_each(records: list[Any]) -> None:
        for record in records:
            blank(record)

    return blank_each
