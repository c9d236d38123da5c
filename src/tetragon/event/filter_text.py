"""Filter text: what a flag or configuration file says in, filter values out.

The text is a stream of JSON objects in the API's JSON form: names in snake_case or camelCase, enums
by name or number, unknown keys refused. Every error names line, column, field and reason.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tetragon.errors import FilterError
from tetragon.event import shape
from tetragon.event.jsonstream import Member, Node, Stream
from tetragon.model.event import EventType
from tetragon.model.filters import (
    CapFilter,
    CapFilterSet,
    FieldAction,
    FieldFilter,
    Filter,
    RedactionFilter,
)

_Read = Callable[[Stream, Node, str], object]
"""Reads one value; the text is its path in errors. Gives None for what counts as not given."""

_COMPONENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PID_SET: Final = (
    "pidSet filters use a best-effort approach to follow children by pid: fit for testing, not "
    "for production; pass --enable-pid-set-filter to use them all the same"
)


def parse_filters(text: str, *, name: str = "filters", pid_set: bool = True) -> tuple[Filter, ...]:
    """
    Return the filters of an allow or deny list.

    Args:
        text: JSON objects; empty for none.
        name: what errors call the list.
        pid_set: whether ``pid_set`` may be used (``--enable-pid-set-filter``).

    Raises:
        FilterError: with line and column.
    """
    stream = Stream(text, name)
    found: list[Filter] = []
    for index, node in enumerate(stream.objects()):
        members = _members(stream, node, f"{name}[{index}]", _FILTER)
        if "pid_set" in members and not pid_set:
            field = f"{name}[{index}].pid_set"
            raise locate(FilterError(_PID_SET, field), text, name=name)
        found.append(msgspec.convert(members, Filter))
    return tuple(found)


def parse_field_filters(text: str, *, name: str = "field_filters") -> tuple[FieldFilter, ...]:
    """
    Return the field filters of ``text``; ``fields`` is one string with commas between paths.

    Raises:
        FilterError: with line and column.
    """
    return tuple(
        msgspec.convert(members, FieldFilter) for members in _all(text, name, _FIELD_FILTER)
    )


def parse_redaction_filters(
    text: str, *, name: str = "redaction_filters"
) -> tuple[RedactionFilter, ...]:
    """
    Return the redaction filters of ``text``; the deprecated ``match`` is read and ignored.

    Raises:
        FilterError: with line and column; starts like ``failed to parse redaction filter list``.
    """
    try:
        found = _all(text, name, _REDACTION_FILTER)
    except FilterError as exc:
        reason = f"failed to parse redaction filter list: {exc.reason}"
        raise FilterError(reason, exc.field, exc.position) from None
    for members in found:
        members.pop("match", None)
    return tuple(msgspec.convert(members, RedactionFilter) for members in found)


def locate(error: FilterError, text: str, *, name: str) -> FilterError:
    """
    Return ``error``, which came from compiling the filters of ``text``, with its line and column.

    Args:
        error: its field starts with ``name``.
        text: parsed without error before.
        name: as given to the parser.
    """
    steps: list[str] = re.findall(r"[^\[\].]+", error.field.removeprefix(name))
    node = Node(Stream(text, name).objects(), 0)
    for step in steps:
        inner: Node | None = None
        if isinstance(node.value, list):
            inner = node.value[int(step)]
        elif isinstance(node.value, dict):
            member = node.value.get(step) or node.value.get(shape.camel(step))
            inner = member.node if member else None
        if inner is None:
            break
        node = inner
    return Stream(text, name).error(error.reason, node.at, error.field)


def suggestion(word: str, known: Mapping[str, object]) -> str:
    """Return `` (did you mean "x"?)`` when something known is close to ``word``, else nothing."""
    from difflib import get_close_matches  # only an error pays for it

    close = get_close_matches(word, known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


def _all(text: str, name: str, table: Mapping[str, _Read]) -> list[dict[str, object]]:
    stream = Stream(text, name)
    return [
        _members(stream, node, f"{name}[{index}]", table)
        for index, node in enumerate(stream.objects())
    ]


def _members(
    stream: Stream, node: Node, path: str, table: Mapping[str, _Read]
) -> dict[str, object]:
    """Read an object whose keys ``table`` knows; members not given are left out."""
    if not isinstance(node.value, dict):
        raise stream.error("expected an object", node.at, path)
    found: dict[str, object] = {}
    for key, member in node.value.items():
        name = _name(stream, key, member, path, table)
        if name in found:
            raise stream.error(f'duplicate field "{key}"', member.key_at, path)
        value = table[name](stream, member.node, f"{path}.{name}")
        if member.node.value is not None:
            found[name] = value
    return {name: value for name, value in found.items() if value is not None}


def _name(stream: Stream, key: str, member: Member, path: str, table: Mapping[str, _Read]) -> str:
    """Return the snake_case name of ``key``."""
    for name in table:
        if key in (name, shape.camel(name)):
            return name
    raise stream.error(f'unknown field "{key}"{suggestion(key, table)}', member.key_at, path)


def _list(item: _Read) -> _Read:
    """A repeated field: null and ``[]`` mean not given."""

    def read(stream: Stream, node: Node, path: str) -> object:
        if node.value is None:
            return None
        if not isinstance(node.value, list):
            raise stream.error('expected a list, such as ["a"]', node.at, path)
        items = [item(stream, one, f"{path}[{i}]") for i, one in enumerate(node.value)]
        return tuple(items) or None

    return read


def _string(stream: Stream, node: Node, path: str) -> str:
    if not isinstance(node.value, str):
        raise stream.error("expected a text in double quotes", node.at, path)
    return node.value


def _bool(stream: Stream, node: Node, path: str) -> bool | None:
    if node.value is not None and not isinstance(node.value, bool):
        raise stream.error("expected true or false", node.at, path)
    return node.value


def _uint32(stream: Stream, node: Node, path: str) -> int:
    value = node.value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise stream.error("expected a whole number from 0 to 4294967295", node.at, path)
    return value


def _enum(names: Callable[[], Mapping[str, int]], what: str) -> _Read:
    """An enum value by its name or number; numbers nobody knows are refused."""

    def read(stream: Stream, node: Node, path: str) -> object:
        known, value = names(), node.value
        if isinstance(value, str):
            if value not in known:
                raise stream.error(
                    f'unknown {what} "{value}"{suggestion(value, known)}', node.at, path
                )
            return known[value]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise stream.error(f"expected the name or number of a {what}", node.at, path)
        if value not in known.values():
            raise stream.error(f"there is no {what} {value}", node.at, path)
        return value

    return read


def _optional(item: _Read) -> _Read:
    def read(stream: Stream, node: Node, path: str) -> object:
        return None if node.value is None else item(stream, node, path)

    return read


def _paths(stream: Stream, node: Node, path: str) -> tuple[str, ...] | None:
    """Read ``fields``: paths with commas between, each a chain of names with dots between."""
    if node.value is None:
        return None
    if not isinstance(node.value, str):
        raise stream.error(
            'expected one text, such as "process.exec_id,parent.binary"', node.at, path
        )
    if not node.value.strip():
        return ()
    paths = tuple(part.strip() for part in node.value.split(","))
    for part in paths:
        if not all(_COMPONENT.fullmatch(component) for component in part.split(".")):
            raise stream.error(f'invalid path "{part}"', node.at, path)
    return paths


def _cap_filter_set(stream: Stream, node: Node, path: str) -> CapFilterSet:
    return msgspec.convert(_members(stream, node, path, _CAP_FILTER_SET), CapFilterSet)


def _cap_filter(stream: Stream, node: Node, path: str) -> CapFilter:
    return msgspec.convert(_members(stream, node, path, _CAP_FILTER), CapFilter)


def _filter(stream: Stream, node: Node, path: str) -> Filter:
    return msgspec.convert(_members(stream, node, path, _FILTER), Filter)


def event_types() -> Mapping[str, int]:
    """Return the numbers of the API's EventType by name, that of no event included."""
    return {"UNDEF": 0, **{kind.name: kind.value for kind in EventType}}


def _action(stream: Stream, node: Node, path: str) -> int:
    value = node.value
    for action in FieldAction:
        if value == action.name or (value == action and not isinstance(value, bool)):
            return action
    raise stream.error(f"invalid fieldfilter action: {value} (INCLUDE or EXCLUDE)", node.at, path)


_STRINGS: Final = _list(_string)
_NUMBERS: Final = _list(_uint32)
_EVENTS: Final = _list(_enum(event_types, "event type"))
_CAPABILITIES: Final = _list(_enum(lambda: shape.enum("CapabilitiesType"), "capability"))
_CAP_FILTER_SET: Final[Mapping[str, _Read]] = dict.fromkeys(
    CapFilterSet.__struct_fields__, _CAPABILITIES
)
_CAP_FILTER: Final[Mapping[str, _Read]] = dict.fromkeys(
    CapFilter.__struct_fields__, _optional(_cap_filter_set)
)
_FILTER: Final[Mapping[str, _Read]] = dict.fromkeys(Filter.__struct_fields__, _STRINGS) | {
    "health_check": _bool,
    "pid": _NUMBERS,
    "pid_set": _NUMBERS,
    "event_set": _EVENTS,
    "capabilities": _optional(_cap_filter),
    "in_init_tree": _bool,
}
_FIELD_FILTER: Final[Mapping[str, _Read]] = {
    "fields": _paths,
    "action": _optional(_action),
    "event_set": _EVENTS,
    "invert_event_set": _bool,
}
_REDACTION_FILTER: Final[Mapping[str, _Read]] = {
    "redact": _STRINGS,
    "binary_regex": _STRINGS,
    "match": _list(_filter),
}
