"""CEL bindings: a field of an event message in, what reads it from an event out.

Two bindings: of the events the agent has (model values), and of events read from JSON objects.

Layout  A message that is not there is None. Values are as `cel_eval.py` counts them: enum numbers,
        uint and int both int, timestamps ns since 1970, an unset wrapper None.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import Any, Final, Protocol

from tetragon.event import shape
from tetragon.event.cel_time import parse_timestamp
from tetragon.event.shape import Field, Kind
from tetragon.model.event import ThrottleEvent
from tetragon.model.process import BinaryProperties, Container, Pod, Process

Getter = Callable[[Any], Any]
"""Takes a message that is there; gives the field's value, its default when it is not set."""


class Binding(Protocol):
    """How the fields of messages are read."""

    @property
    def root(self) -> Getter:
        """What takes an event and gives its message."""
        ...

    def field(self, message: str, field: Field) -> Getter:
        """Return what reads ``field`` from a ``message``."""
        ...

    def has(self, message: str, field: Field) -> Getter:
        """Return what tells whether ``field`` is set in a ``message``."""
        ...


def default(field: Field) -> Any:
    """Return what an unset field reads as."""
    if field.repeated:
        return []
    match field.kind:
        case Kind.MESSAGE | Kind.WRAPPER:
            return None
        case Kind.MAP:
            return {}
        case Kind.ENUM | Kind.TIMESTAMP:
            return 0
        case Kind.SCALAR:
            return {"string": "", "bytes": b"", "bool": False}.get(field.type, 0)


class ModelBinding:
    """Reads the agent's own events (`model/`)."""

    @property
    def root(self) -> Getter:
        """An event is its own message."""
        return _itself

    def field(self, message: str, field: Field) -> Getter:
        """Return what reads ``field``; of messages no event of ours holds, its default."""
        unset = default(field)
        return MODEL.get(message, {}).get(field.name, _always(unset))

    def has(self, message: str, field: Field) -> Getter:
        """Return whether ``field`` is set: not its default."""
        get, unset = self.field(message, field), default(field)
        if unset is None:
            return lambda value: get(value) is not None
        return lambda value: get(value) != unset


class JsonBinding:
    """Reads JSON objects of events (`from_json.py`), with either of a field's names."""

    @property
    def root(self) -> Getter:
        """The event's own object, without the envelope."""
        return attrgetter("payload")

    def field(self, message: str, field: Field) -> Getter:  # noqa: ARG002 names say it all
        """Return what reads ``field`` and turns its JSON form into a value."""
        name, other, unset = field.name, field.json_name, default(field)
        convert = _each(_converter(field)) if field.repeated else _converter(field)

        def read(parent: Mapping[str, Any]) -> Any:
            value = parent.get(name)
            if value is None:
                value = parent.get(other)
                if value is None:
                    return unset
            return value if convert is None else convert(value)

        return read

    def has(self, message: str, field: Field) -> Getter:
        """Return whether ``field`` is set: members of a oneof count even when zero."""
        if field.oneof:
            name, other = field.name, field.json_name
            return lambda parent: parent.get(name, parent.get(other)) is not None
        get, unset = self.field(message, field), default(field)
        if unset is None:
            return lambda parent: get(parent) is not None
        return lambda parent: get(parent) != unset


def _converter(field: Field) -> Getter | None:
    """Return what turns a JSON value into a CEL value, None when it is one already."""
    match field.kind:
        case Kind.ENUM:
            numbers = shape.enum(field.type)
            return lambda value: numbers.get(value, 0) if isinstance(value, str) else value
        case Kind.TIMESTAMP:
            return parse_timestamp
        case Kind.SCALAR if field.type in ("int64", "uint64"):
            return int
        case Kind.SCALAR if field.type == "bytes":
            return b64decode
        case _:
            return None


def _each(convert: Getter | None) -> Getter | None:
    """Return ``convert`` for every item of a list."""
    return None if convert is None else lambda values: [convert(value) for value in values]


class _WithProperties:
    """A process together with what only its exec event knows."""

    __slots__ = ("_process", "binary_properties")

    def __init__(self, process: Process, properties: BinaryProperties) -> None:
        self._process = process
        self.binary_properties = properties

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


def _exec_process(event: Any) -> Any:
    if event.process is None or event.binary_properties is None:
        return event.process
    return _WithProperties(event.process, event.binary_properties)


def _shown(name: str, hidden: Any) -> Getter:
    """Return what reads an attribute that a process of which little is known does not show."""

    def read(process: Any) -> Any:
        return getattr(process, name) if process.complete else hidden

    return read


def _bits(name: str, masks: bool = False) -> Getter:
    """Return what reads a bit mask as a list of its bits' numbers, or of their masks."""

    def read(owner: Any) -> list[int]:
        mask: int = getattr(owner, name)
        bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
        return [1 << bit for bit in bits] if masks else bits

    return read


def _listed(name: str) -> Getter:
    """Return what reads a tuple as a list, as which literals come."""
    return lambda owner: list(getattr(owner, name))


def _attributes(*names: str) -> dict[str, Getter]:
    return {name: attrgetter(name) for name in names}


def _itself(value: Any) -> Any:
    return value


def _always(value: Any) -> Getter:
    return lambda _: value


def _throttle_type(event: ThrottleEvent) -> int:
    return 1 if event.start else 2


def _properties(process: Any) -> BinaryProperties | None:
    return getattr(process, "binary_properties", None)


def _environment(process: Process) -> list[tuple[str, str]]:
    return list(process.environment) if process.complete else []


def _labels(pod: Pod) -> dict[str, str]:
    return dict(pod.labels)


def _annotations(pod: Pod) -> dict[str, str]:
    return dict(pod.annotations)


def _container_pid(container: Container) -> int | None:
    return container.pid or None


_PARENTS: Final = {**_attributes("process", "parent"), "ancestors": _listed("ancestors")}

# What our events hold, message by message: a new event class adds its message here.
MODEL: Final[Mapping[str, Mapping[str, Getter]]] = {
    "ProcessExec": {**_PARENTS, "process": _exec_process},
    "ProcessExit": {**_PARENTS, **_attributes("signal", "status", "time")},
    "ProcessThrottle": {"type": _throttle_type, "cgroup": attrgetter("cgroup")},
    "RateLimitInfo": {"number_of_dropped_process_events": attrgetter("dropped")},
    "Process": {
        **_attributes("pid", "flags", "start_time"),
        **{name: _shown(name, "") for name in ("exec_id", "cwd", "binary", "arguments")},
        **{name: _shown(name, "") for name in ("docker", "parent_exec_id")},
        **{name: _shown(name, None) for name in ("uid", "auid", "tid", "in_init_tree")},
        **{name: _shown(name, None) for name in ("pod", "cap", "ns", "user")},
        "refcnt": _shown("shown_refcnt", 0),
        "process_credentials": _shown("credentials", None),
        "binary_properties": _properties,
        "environment_variables": _environment,
    },
    "BinaryProperties": {
        **_attributes("setuid", "setgid"),
        "privileges_changed": _listed("privileges_changed"),
        "file": attrgetter("inode"),
    },
    "FileProperties": {"inode": _itself, "path": _always("")},
    "InodeProperties": {"number": _itself, "links": _always(0)},
    "Capabilities": {name: _bits(name) for name in ("permitted", "effective", "inheritable")},
    "Namespaces": _attributes(*(field.name for field in shape.fields("Namespaces"))),
    "Namespace": _attributes("inum", "is_host"),
    "ProcessCredentials": {
        **_attributes("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid"),
        "securebits": _bits("securebits", masks=True),
        "caps": _always(None),
        "user_ns": _always(None),
    },
    "UserRecord": {"name": _itself},
    "EnvVar": {"Key": itemgetter(0), "Value": itemgetter(1)},
    "Pod": {
        **_attributes("namespace", "name", "uid", "container", "workload", "workload_kind"),
        "pod_labels": _labels,
        "pod_annotations": _annotations,
    },
    "Container": {
        **_attributes("id", "name", "image", "start_time", "maybe_exec_probe"),
        "pid": _container_pid,
        "security_context": _itself,
    },
    "SecurityContext": _attributes("privileged"),
    "Image": _attributes("id", "name"),
}
