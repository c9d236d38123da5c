"""Fields: field filters in, one plan per kind of event out: which fields leave and which do not.

Filters apply one after another; all of them together are one plan, made before the first event.
This file applies a plan to the JSON object form; `fields_json.py` to JSON lines, quicker, and
`api/fields.py` to protobuf bytes. All three give the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final

from tetragon.errors import FilterError
from tetragon.event import shape
from tetragon.event.filter_text import locate, parse_field_filters, suggestion
from tetragon.event.shape import Field, Kind
from tetragon.model.event import EventType
from tetragon.model.filters import FieldAction, FieldFilter


class Leaf(Enum):
    """What becomes of a whole field; EMPTY is the zero value of its kind, still printed."""

    KEEP = "keep"
    DROP = "drop"
    EMPTY = "empty"


Plan = Mapping[str, "Leaf | Plan"]
"""What becomes of each field of a message, by proto name; the message itself stays."""

Trie = dict[str, "Trie"]
"""Paths as a tree of PascalCase names; a name without children means the whole field."""

_PATH: Final = re.compile(r"[^.]+(\.[^.]+)*")


class FieldFilters:
    """
    Compiled field filters.

    Args:
        plans: by event type; types that are not in it keep everything.
    """

    __slots__ = ("plans",)

    def __init__(self, plans: Mapping[int, Plan]) -> None:
        self.plans = plans

    def apply(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the JSON object of an event (GetEventsResponse) without what shall not leave.

        Args:
            event: as decoded from its JSON line, names in snake_case or camelCase; not changed.
        """
        return {key: self._member(key, value) for key, value in event.items()}

    def _member(self, key: str, value: Any) -> Any:
        found = _by_json_name(shape.ROOT).get(key)
        plan = self.plans.get(found.number) if found is not None and found.oneof else None
        if plan is None or found is None or value is None:
            return value
        return _apply(plan, found.type, value)


def compile_field_filters(
    filters: Sequence[FieldFilter], *, name: str = "field_filters"
) -> FieldFilters | None:
    """
    Return what applies ``filters`` in their order, None when they change nothing.

    Raises:
        FilterError: names the filter by its place in the list called ``name``.
    """
    tries = [_trie(one, f"{name}[{index}]") for index, one in enumerate(filters)]
    plans: dict[int, Plan] = {}
    for number, member in shape.events().items():
        plan: Leaf | Plan = Leaf.KEEP
        for one, trie in zip(filters, tries, strict=True):
            if trie and _is_for(one, number):
                build = _include if one.action == FieldAction.INCLUDE else _exclude
                plan = _then(plan, _simplified(build(member.type, trie)))
        if not isinstance(plan, Leaf):
            plans[number] = plan
    return FieldFilters(plans) if plans else None


def compile_field_filter_text(text: str, *, name: str = "field_filters") -> FieldFilters | None:
    """
    Return what applies the field filters of ``text``, None when they change nothing.

    Raises:
        FilterError: with line and column.
    """
    filters = parse_field_filters(text, name=name)
    try:
        return compile_field_filters(filters, name=name)
    except FilterError as exc:
        raise locate(exc, text, name=name) from None


def unknown_paths(
    filters: Sequence[FieldFilter], *, name: str = "field_filters"
) -> tuple[str, ...]:
    """
    Return one sentence, fit for a warning, for each path that names no field of any event.

    Such paths are no error: INCLUDE keeps nothing for them, EXCLUDE removes nothing.
    """
    return tuple(
        sentence
        for index, one in enumerate(filters)
        for sentence in _unknown(one, f"{name}[{index}].fields")
    )


def pascal(name: str) -> str:
    """Return a path component as fields are compared: PascalCase, underscores gone."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def empty(field: Field) -> Any:
    """Return the JSON form of a field's zero value."""
    match field.kind:
        case Kind.MESSAGE | Kind.MAP:
            return {}
        case Kind.ENUM:
            return next(iter(shape.enum(field.type)))
        case Kind.TIMESTAMP:
            return "1970-01-01T00:00:00Z"
        case Kind.SCALAR | Kind.WRAPPER:
            return _ZEROS[shape.WRAPPERS.get(field.type, field.type)]


_ZEROS: Final[Mapping[str, Any]] = {
    "string": "",
    "bytes": "",
    "bool": False,
    "int32": 0,
    "uint32": 0,
    "int64": "0",
    "uint64": "0",
}


def _is_for(one: FieldFilter, number: int) -> bool:
    if not one.event_set:
        return True
    return (number in one.event_set) != one.invert_event_set


def _trie(one: FieldFilter, path: str) -> Trie:
    """Return the paths of a filter as a tree; a deeper path overrides a shorter one."""
    if one.action not in (FieldAction.INCLUDE, FieldAction.EXCLUDE):
        raise FilterError(f"invalid fieldfilter action: {one.action}", f"{path}.action")
    root: Trie = {}
    for text in one.fields:
        if not _PATH.fullmatch(text):
            reason = f'invalid fieldName FieldFilter format: "{text}" (empty name in the path)'
            raise FilterError(reason, f"{path}.fields")
        at = root
        for component in text.split("."):
            at = at.setdefault(pascal(component), {})
    return root


def _include(message: str, trie: Trie) -> Plan:
    """Return the plan that keeps only what ``trie`` names."""
    plan: dict[str, Leaf | Plan] = {}
    for field in shape.fields(message):
        inner = trie.get(pascal(field.oneof or field.name))
        if inner is None:
            plan[field.name] = Leaf.DROP
        elif not inner:
            plan[field.name] = Leaf.KEEP
        elif not field.oneof:
            plan[field.name] = _include_part(field, inner)
        else:  # the other members of a named oneof stay, as empty values
            member = inner.get(pascal(field.name))
            plan[field.name] = Leaf.EMPTY if member is None else _include_part(field, member)
    return plan


def _include_part(field: Field, trie: Trie) -> "Leaf | Plan":
    if not trie:
        return Leaf.KEEP
    if field.kind is Kind.MESSAGE:
        return _include(field.type, trie)
    parts = _PARTS.get(field.kind)
    return Leaf.KEEP if parts is None or parts & trie.keys() else Leaf.EMPTY


def _exclude(message: str, trie: Trie) -> Plan:
    """Return the plan that keeps all but what ``trie`` names."""
    plan: dict[str, Leaf | Plan] = {}
    for field in shape.fields(message):
        inner = trie.get(pascal(field.oneof or field.name))
        if inner is None:
            plan[field.name] = Leaf.KEEP
        elif not inner:
            plan[field.name] = Leaf.DROP
        elif not field.oneof:
            plan[field.name] = _exclude_part(field, inner)
        else:
            member = inner.get(pascal(field.name))
            if member is None:
                plan[field.name] = Leaf.KEEP
            else:  # a member's name stays, only its value leaves
                plan[field.name] = _exclude_part(field, member) if member else Leaf.EMPTY
    return plan


def _exclude_part(field: Field, trie: Trie) -> "Leaf | Plan":
    if field.kind is Kind.MESSAGE and trie:
        return _exclude(field.type, trie)
    return Leaf.EMPTY if _PARTS.get(field.kind, frozenset[str]()) & trie.keys() else Leaf.KEEP


_PARTS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.WRAPPER: frozenset(["Value"]),
    Kind.TIMESTAMP: frozenset(["Seconds", "Nanos"]),
}
"""Members of messages that JSON shows as one value: to name one is to name the value."""


def _then(first: "Leaf | Plan", second: "Leaf | Plan") -> "Leaf | Plan":
    """Return the action that is ``first`` and, on its result, ``second``."""
    if second is Leaf.DROP or first is Leaf.DROP:
        return Leaf.DROP
    if second is Leaf.EMPTY or first is Leaf.EMPTY:
        return Leaf.EMPTY
    if isinstance(second, Leaf):
        return first
    if isinstance(first, Leaf):
        return second
    return {name: _then(action, second[name]) for name, action in first.items()}


def _simplified(plan: Plan) -> "Leaf | Plan":
    """Return KEEP for a plan that keeps everything, else the plan with its parts simplified."""
    parts = {
        name: action if isinstance(action, Leaf) else _simplified(action)
        for name, action in plan.items()
    }
    return Leaf.KEEP if all(action is Leaf.KEEP for action in parts.values()) else parts


@cache
def _by_json_name(message: str) -> Mapping[str, Field]:
    """Return the fields of a message by both names JSON may use."""
    return {name: one for one in shape.fields(message) for name in (one.name, one.json_name)}


def _apply(plan: Plan, message: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of ``message`` as ``plan`` has it."""
    known = _by_json_name(message)
    kept: dict[str, Any] = {}
    for key, inner in value.items():
        field = known.get(key)
        action = Leaf.DROP if field is None else plan[field.name]
        if field is None or action is Leaf.DROP:
            continue
        if action is Leaf.KEEP or inner is None:
            kept[key] = inner
        elif action is Leaf.EMPTY:
            kept[key] = empty(field)
        elif field.repeated:
            kept[key] = [_apply(action, field.type, item) for item in inner]
        else:
            kept[key] = _apply(action, field.type, inner)
    return kept


def _unknown(one: FieldFilter, path: str) -> Iterator[str]:
    """Yield a sentence for each path that leads nowhere in every event the filter is for."""
    kinds = [member for number, member in shape.events().items() if _is_for(one, number)]
    where = " or ".join(EventType(member.number).name for member in kinds if one.event_set)
    for text in one.fields:
        components = [pascal(component) for component in text.split(".")]
        if not any(_exists(member.type, components) for member in kinds):
            names = {known: None for kind in kinds for known in _paths(kind.type, "")}
            hint = suggestion(text, names)
            yield f'{path}: "{text}" names no field of {where or "any event"}{hint}'


def _exists(message: str, components: Sequence[str]) -> bool:
    """Tell whether a path (PascalCase) leads to a field of ``message``, or to a oneof in it."""
    first, *rest = components
    for field in shape.fields(message):
        if pascal(field.oneof or field.name) != first:
            continue
        below = rest
        if field.oneof and rest:
            if pascal(field.name) != rest[0]:
                continue
            below = rest[1:]
        if not below or (field.kind is Kind.MESSAGE and _exists(field.type, below)):
            return True
    return False


def _paths(message: str, before: str) -> Iterator[str]:
    """Yield the paths below a message, down to three levels."""
    for field in shape.fields(message):
        path = f"{before}{field.oneof + '.' if field.oneof else ''}{field.name}"
        yield path
        if field.kind is Kind.MESSAGE and path.count(".") < 2:
            yield from _paths(field.type, f"{path}.")
