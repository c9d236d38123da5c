"""CEL tree: the bytes of a checked CEL expression in, a typed tree of values out.

Source   cel/expr/syntax.proto and cel/expr/checked.proto of the CEL specification; the numbers
         below are their field numbers. Macros such as ``exists`` are comprehensions already.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class Type(NamedTuple):
    """A CEL type, such as ``int``, ``list`` of one, ``wrapper`` of one, or ``tetragon.Process``."""

    name: str
    params: "tuple[Type, ...]" = ()

    def __str__(self) -> str:
        inner = ", ".join(map(str, self.params))
        return f"{self.name}({inner})" if inner else self.name


class Const(NamedTuple):
    """A literal, or the number of an enum value."""

    type: Type
    at: int
    value: bool | int | float | str | bytes | None


class Ident(NamedTuple):
    """A variable: an event's name, or one of an enclosing comprehension."""

    type: Type
    at: int
    name: str


class Select(NamedTuple):
    """A field of a message or an entry of a map; ``has(...)`` when ``test`` is set."""

    type: Type
    at: int
    operand: "Node"
    field: str
    test: bool


class Call(NamedTuple):
    """An operator or function; of a member function the first argument is its target."""

    type: Type
    at: int
    function: str
    args: "tuple[Node, ...]"


class ListOf(NamedTuple):
    """A list literal."""

    type: Type
    at: int
    items: "tuple[Node, ...]"


class MapOf(NamedTuple):
    """A map literal."""

    type: Type
    at: int
    entries: "tuple[tuple[Node, Node], ...]"


class Message(NamedTuple):
    """A message literal, such as ``tetragon.Process{pid: 1u}``."""

    type: Type
    at: int
    name: str


class Comprehension(NamedTuple):
    """A loop: ``accu`` starts as ``init``, is ``step`` for each item while ``condition`` holds."""

    type: Type
    at: int
    item: str
    range: "Node"
    accu: str
    init: "Node"
    condition: "Node"
    step: "Node"
    result: "Node"


Node = Const | Ident | Select | Call | ListOf | MapOf | Message | Comprehension

_Value = int | bytes
_Fields = Mapping[int, Sequence[_Value]]

_PRIMITIVES: Final = ("", "bool", "int", "uint", "double", "string", "bytes")
_WELL_KNOWN: Final = ("", "any", "timestamp", "duration")
DYN: Final = Type("dyn")


def parse_checked(data: bytes) -> Node:
    """Return the tree in a serialized ``google.protobuf.Any`` of a CheckedExpr."""
    checked = _fields(_bytes(_fields(data), 2))
    return _Reader(checked).node(_bytes(checked, 4))


def types(node: Node) -> set[Type]:
    """Return the types of a tree's parts."""
    found = {node.type}
    for part in children(node):
        found |= types(part)
    return found


def children(node: Node) -> list[Node]:
    """Return the direct parts of a node."""
    match node:
        case Select():
            return [node.operand]
        case Call():
            return list(node.args)
        case ListOf():
            return list(node.items)
        case MapOf():
            return [part for entry in node.entries for part in entry]
        case Comprehension():
            return [node.range, node.init, node.condition, node.step, node.result]
        case Const() | Ident() | Message():
            return []


class _Reader:
    """Turns expressions into nodes, with what the checker found out beside them."""

    def __init__(self, checked: _Fields) -> None:
        self._references = {k: _fields(v) for k, v in _map(checked, 2)}
        self._types = {k: _type(_fields(v)) for k, v in _map(checked, 3)}
        source = _fields(_bytes(checked, 5))
        self._at = {k: _int(_fields(entry), 2) for k, entry in _entries(source, 4)}

    def node(self, data: bytes) -> Node:
        expr = _fields(data)
        number = _int(expr, 2)
        type_, at = self._types.get(number, DYN), self._at.get(number, 0)
        reference = self._references.get(number, {})
        if 4 in reference:
            return _const(_fields(_bytes(reference, 4)), type_, at)
        if 1 in reference and (4 in expr or 5 in expr):
            return Ident(type_, at, _text(reference, 1))
        kind = next(kind for kind in range(3, 10) if kind in expr)
        body = _fields(_bytes(expr, kind))
        match kind:
            case 3:
                return _const(body, type_, at)
            case 4:
                return Ident(type_, at, _text(body, 1))
            case 5:
                test = bool(_int(body, 3))
                return Select(type_, at, self.node(_bytes(body, 1)), _text(body, 2), test)
            case 6:
                args = [*body.get(1, ()), *body.get(3, ())]
                return Call(type_, at, _text(body, 2), self._nodes(args))
            case 7:
                return ListOf(type_, at, self._nodes(body.get(1, ())))
            case 8:
                return self._struct(body, type_, at)
            case _:
                return self._comprehension(body, type_, at)

    def _nodes(self, items: Sequence[_Value]) -> tuple[Node, ...]:
        return tuple(self.node(item) for item in items if isinstance(item, bytes))

    def _struct(self, body: _Fields, type_: Type, at: int) -> Node:
        name = _text(body, 1)
        if name:
            return Message(type_, at, name)
        entries = [_fields(e) for e in body.get(2, ()) if isinstance(e, bytes)]
        pairs = [(self.node(_bytes(e, 3)), self.node(_bytes(e, 4))) for e in entries]
        return MapOf(type_, at, tuple(pairs))

    def _comprehension(self, body: _Fields, type_: Type, at: int) -> Node:
        range_, init, condition, step, result = (
            self.node(_bytes(body, number)) for number in (2, 4, 5, 6, 7)
        )
        item, accu = _text(body, 1), _text(body, 3)
        return Comprehension(type_, at, item, range_, accu, init, condition, step, result)


def _const(body: _Fields, type_: Type, at: int) -> Const:
    """Return a Constant: exactly one of its members is there."""
    value: bool | int | float | str | bytes | None = None
    if 2 in body:
        value = bool(_int(body, 2))
    elif 3 in body:
        value = _signed(_int(body, 3))
    elif 4 in body:
        value = _int(body, 4)
    elif 5 in body:
        (value,) = struct.unpack("<d", _int(body, 5).to_bytes(8, "little"))
    elif 6 in body:
        value = _text(body, 6)
    elif 7 in body:
        value = _bytes(body, 7)
    return Const(type_, at, value)


def _type(body: _Fields) -> Type:
    """Return a Type: exactly one of its members is there."""
    if 3 in body:
        return Type(_PRIMITIVES[_int(body, 3)])
    if 4 in body:
        return Type("wrapper", (Type(_PRIMITIVES[_int(body, 4)]),))
    if 5 in body:
        return Type(_WELL_KNOWN[_int(body, 5)])
    if 6 in body:
        return Type("list", (_type(_fields(_bytes(_fields(_bytes(body, 6)), 1))),))
    if 7 in body:
        pair = _fields(_bytes(body, 7))
        return Type("map", tuple(_type(_fields(_bytes(pair, n))) for n in (1, 2)))
    if 9 in body:
        return Type(_text(body, 9))
    if 14 in body:
        return Type(_text(_fields(_bytes(body, 14)), 1))
    return Type("null_type" if 2 in body else "type" if 11 in body else "dyn")


def _fields(data: bytes) -> _Fields:
    """Return the fields of a protobuf message by number, in order."""
    found: dict[int, list[_Value]] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: _Value
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
            case 1:
                value, at = int.from_bytes(data[at : at + 8], "little"), at + 8
            case 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            case _:
                value, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _entries(body: _Fields, number: int) -> list[tuple[int, bytes]]:
    """Return a map field's entries with their integer keys."""
    entries = [entry for entry in body.get(number, ()) if isinstance(entry, bytes)]
    return [(_int(_fields(entry), 1), entry) for entry in entries]


def _map(body: _Fields, number: int) -> list[tuple[int, bytes]]:
    """Return a map field of messages by their integer keys."""
    return [(key, _bytes(_fields(entry), 2)) for key, entry in _entries(body, number)]


def _int(body: _Fields, number: int) -> int:
    value = body.get(number, (0,))[-1]
    return value if isinstance(value, int) else 0


def _bytes(body: _Fields, number: int) -> bytes:
    value = body.get(number, (b"",))[-1]
    return value if isinstance(value, bytes) else b""


def _text(body: _Fields, number: int) -> str:
    return _bytes(body, number).decode()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
