"""From JSON: the JSON object of an event in, an Event out that filters can look at.

For events that come as text (``tetra getevents`` reading its standard input). Processes become the
same values the agent has, as far as filters need them; everything else stays the JSON object,
which is where CEL expressions read.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from tetragon.errors import DecodeError
from tetragon.event import shape
from tetragon.model.event import TYPES, Event, EventType
from tetragon.model.process import Capabilities, Container, Pod, Process

_Json = Mapping[str, Any]


class JsonEvent(Event, kw_only=True):
    """
    An event of any kind the API knows, read from its JSON object.

    Args:
        payload: the event's own message, such as that of ``process_exec``.
        policy_name: of the policy that made it; empty for none.
    """

    KIND: ClassVar[EventType]
    """The API's type of all events of this class."""

    payload: _Json
    policy_name: str = ""

    @property
    def type(self) -> EventType:
        """The API's type of this event."""
        return self.KIND


def event_from_json(event: _Json) -> JsonEvent:
    """
    Return the event of a GetEventsResponse object, names in snake_case or camelCase.

    ``time`` stays 0: no filter reads it.

    Raises:
        DecodeError: no event in it, or one this version does not know; or a part of the wrong type.
    """
    key = next((key for key in event if key in _classes()), None)
    if key is None:
        raise DecodeError(f"no event in a JSON object with the keys {', '.join(event) or 'none'}")
    body: _Json = event[key]
    try:
        return _classes()[key](
            time=0,
            process=_process(body.get("process")),
            parent=_process(body.get("parent")),
            ancestors=tuple(filter(None, map(_process, body.get("ancestors") or ()))),
            payload=body,
            policy_name=_member(body, "policy_name", ""),
        )
    except (AttributeError, TypeError, ValueError) as exc:
        raise DecodeError(f"{key}: not what the API's JSON form is: {exc}") from None


def kind_of(event: type[Event]) -> EventType:
    """Return the API's type of a class of events, read from JSON or not."""
    return event.KIND if issubclass(event, JsonEvent) else TYPES[event]


@cache
def _classes() -> dict[str, type[JsonEvent]]:
    """Return one class per kind of event by both names JSON may use."""
    made: dict[str, type[JsonEvent]] = {}
    for number, member in shape.events().items():
        kind = type(f"Json{member.type}", (JsonEvent,), {"KIND": EventType(number)})
        made[member.name] = made[member.json_name] = kind
    return made


def _member(parent: _Json, name: str, default: Any) -> Any:
    """Return a member by either of its names; null counts as not given, else of the same type."""
    value = parent.get(name)
    if value is None:
        value = parent.get(shape.camel(name))
    if value is None:
        return default
    if not isinstance(value, type(default)):
        raise TypeError(f"{name} is {value!r}")
    return value


def _process(process: _Json | None) -> Process | None:
    if process is None:
        return None
    return Process(
        pid=_member(process, "pid", 0),
        ktime=0,
        exec_id=_member(process, "exec_id", ""),
        binary=_member(process, "binary", ""),
        arguments=_member(process, "arguments", ""),
        docker=_member(process, "docker", ""),
        in_init_tree=_member(process, "in_init_tree", False),
        pod=_pod(process.get("pod")),
        cap=_capabilities(process.get("cap")),
    )


def _pod(pod: _Json | None) -> Pod | None:
    if pod is None:
        return None
    container: _Json = _member(pod, "container", {})
    return Pod(
        namespace=_member(pod, "namespace", ""),
        name=_member(pod, "name", ""),
        container=Container(
            name=_member(container, "name", ""),
            maybe_exec_probe=_member(container, "maybe_exec_probe", False),
        ),
        labels=tuple(_member(pod, "pod_labels", {}).items()),
    )


def _capabilities(cap: _Json | None) -> Capabilities | None:
    if cap is None:
        return None
    return Capabilities(
        permitted=_mask(cap.get("permitted")),
        effective=_mask(cap.get("effective")),
        inheritable=_mask(cap.get("inheritable")),
    )


def _mask(names: list[str | int] | None) -> int:
    """Return a capability list as a bit mask; names this version does not know are left out."""
    known = shape.enum("CapabilitiesType")
    mask = 0
    for name in names or ():
        number = name if isinstance(name, int) else known.get(name, 64)
        if 0 <= number < 64:
            mask |= 1 << number
    return mask
