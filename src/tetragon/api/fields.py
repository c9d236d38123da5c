"""Fields of frames: an event's protobuf bytes in, the bytes without what shall not leave out.

A plan becomes a message type of the same field numbers that knows only the fields that stay. It
parses the frame in C; all else is unknown to it and discarded. Fields that stay whole are bytes to
it, whatever they hold, and are copied.

Owns    one message type per kind of event, made with the first event of that kind.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from tetragon.api import messages
from tetragon.event import descriptor, shape
from tetragon.event.fields import FieldFilters, Leaf, Plan
from tetragon.event.from_json import kind_of
from tetragon.event.shape import Field, Kind
from tetragon.model.event import Event

_Blank = Callable[[Any], None]
"""Puts the zero values of a plan into a parsed frame."""

_OPTIONAL, _REPEATED = 1, 3
_UINT64, _MESSAGE, _BYTES = 4, 11, 12
_ROOT: Final = "Root"


class _Codec(NamedTuple):
    message: Any
    blank: _Blank | None


class FrameFields:
    """Applies field filters to GetEventsResponse bytes."""

    __slots__ = ("_codecs",)

    def __init__(self, filters: FieldFilters) -> None:
        self._codecs = _Codecs(filters)

    def frame(self, event: Event, frame: bytes) -> bytes:
        """Return the frame of ``event`` with only the fields that leave."""
        codec = self._codecs[event.__class__]
        if codec is None:
            return frame
        message = codec.message.FromString(frame)
        message.DiscardUnknownFields()
        if codec.blank is not None:
            codec.blank(message)
        kept: bytes = message.SerializeToString()
        return kept


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
    root: dict[str, Leaf | Plan] = {
        field.name: Leaf.KEEP for field in shape.fields(shape.ROOT) if not field.oneof
    }
    root[member.name] = plan
    declared = _Messages()
    declared.add(_ROOT, shape.ROOT, root)
    return _Codec(declared.made(_ROOT), _blank(shape.ROOT, root))


class _Messages:
    """Collects the message types of a plan as a file descriptor."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = []
        self._count = 0

    def add(self, name: str, message: str, plan: Plan) -> None:
        """Declare ``message`` as far as ``plan`` keeps it, and the messages in it."""
        body = descriptor.text(1, name)
        for field in shape.fields(message):
            action = plan.get(field.name, Leaf.DROP)
            if action is Leaf.DROP:
                continue
            type_ = descriptor.number(5, _BYTES)
            if not isinstance(action, Leaf):
                self._count += 1
                inner = f"Part{self._count}"
                self.add(inner, field.type, action)
                type_ = descriptor.number(5, _MESSAGE) + descriptor.text(6, f".{inner}")
            elif _is_number(field):
                type_ = descriptor.number(5, _UINT64)
            body += descriptor.part(2, _declared(field) + type_)
        self._bodies.append(body)

    def made(self, name: str) -> Any:
        """Return the class of a declared message."""
        file = descriptor.text(1, "fields.proto")
        file += b"".join(descriptor.part(4, body) for body in self._bodies)
        known: Any = messages.descriptor(f"{descriptor.PACKAGE}.{shape.ROOT}")
        pool = type(known.file.pool)()  # the C implementation's, whatever it is called
        pool.AddSerializedFile(file)
        return _class(pool.FindMessageTypeByName(name))


def _class(described: Any) -> Any:
    """Return the class of a message; those of the messages in it are made as well."""
    metaclass: Any = type(messages.GetEventsResponse)
    members = {"DESCRIPTOR": described, "__module__": __name__}
    made = metaclass(described.name, (Message,), members)
    for field in described.fields:
        if field.message_type is not None:
            _class(field.message_type)
    return made


def _declared(field: Field) -> bytes:
    """Return a field without its type; numbers in lists are packed, as the API has them."""
    repeated = field.repeated or field.kind is Kind.MAP
    label = _REPEATED if repeated else _OPTIONAL
    body = descriptor.text(1, field.name) + descriptor.number(3, field.number)
    body += descriptor.number(4, label)
    if repeated and _is_number(field):
        body += descriptor.part(8, descriptor.number(2, 1))
    return body


def _is_number(field: Field) -> bool:
    """Tell whether a field is a varint on the wire; everything else of ours is length-delimited."""
    if field.kind is Kind.SCALAR:
        return field.type not in ("string", "bytes")
    return field.kind is Kind.ENUM


def _blank(message: str, plan: Plan) -> _Blank | None:
    """Return what puts the plan's zero values into a parsed ``message``, None for nothing."""
    zeros: list[tuple[str, int | bytes]] = []
    inner: list[tuple[str, bool, _Blank]] = []
    for field in shape.fields(message):
        action: Leaf | Mapping[str, Any] = plan.get(field.name, Leaf.DROP)
        if action is Leaf.EMPTY:
            zeros.append((field.name, 0 if _is_number(field) else b""))
        elif not isinstance(action, Leaf):
            below = _blank(field.type, action)
            if below is not None:
                inner.append((field.name, field.repeated, below))
    if not zeros and not inner:
        return None

    def blank(parsed: Any) -> None:
        for name, zero in zeros:
            if parsed.HasField(name):
                setattr(parsed, name, zero)
        for name, repeated, below in inner:
            if repeated:
                for item in getattr(parsed, name):
                    below(item)
            elif parsed.HasField(name):
                below(getattr(parsed, name))

    return blank
