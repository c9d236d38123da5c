"""Encode: an Event in, the bytes of its GetEventsResponse out.

A message inside a message is only tag, length and bytes. So the bytes of a process are made once,
with protobuf's own class, kept beside the process, and an event is a join of ready bytes.

Flow    pipeline -> [ProtoEncoder.frame] -> open GetEvents streams
Owns    the encoded forms on Process and Event; runs on the reader thread.
Source  proto/tetragon/events.proto, tetragon.proto

What differs from event to event of one process is not in its cached bytes but appended to a copy:
``binary_properties``. Protobuf lets a field follow later ones, and for a field that comes twice the
last one counts. A change of ``shown_refcnt`` or ``tid`` is a change of a visible field: whoever
makes it clears the cached bytes.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from tetragon.api.messages import BinaryProperties as BinaryPropertiesMessage
from tetragon.api.messages import Capabilities as CapabilitiesMessage
from tetragon.api.messages import GetEventsResponse, ProcessCredentials
from tetragon.api.messages import Namespaces as NamespacesMessage
from tetragon.api.messages import Pod as PodMessage
from tetragon.api.messages import Process as ProcessMessage
from tetragon.model.event import (
    Event,
    EventType,
    ExecEvent,
    ExitEvent,
    RateLimitInfo,
    ThrottleEvent,
)
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Namespaces,
    Pod,
    Process,
)

_SETS: Final = ("permitted", "effective", "inheritable")
_IDS: Final = ("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid")


class ProtoEncoder:
    """
    Makes event frames; one for all streams, as the result is kept on the event.

    Args:
        node_name, cluster_name, node_labels: of the envelope; left out when empty.
    """

    def __init__(
        self,
        node_name: str,
        cluster_name: str = "",
        node_labels: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._head = GetEventsResponse(node_name=node_name).SerializeToString()
        rest = GetEventsResponse(cluster_name=cluster_name, node_labels=node_labels)
        self._tail = rest.SerializeToString(deterministic=True)
        # The whole dispatch: a new event kind adds its line here.
        self._bodies: Final[Mapping[type[Event], Callable[..., list[bytes]]]] = {
            ExecEvent: _exec,
            ExitEvent: _exit,
            ThrottleEvent: _throttle,
            RateLimitInfo: _rate_limit,
        }

    def frame(self, event: Event) -> bytes:
        """
        Return the event's bytes; the same object every time.

        Raises:
            UnicodeEncodeError: a text is not UTF-8; decoding lets none such in.
        """
        frame = event.proto
        if frame is None:
            parts = self._bodies[event.__class__](event)
            when = _timestamp(event.time)
            parts += (self._head, _TIME[len(when)], when, self._tail)
            frame = event.proto = b"".join(parts)
        return frame


def process_bytes(process: Process) -> bytes:
    """Return the tetragon.Process of a process, made once and kept on it."""
    made = process.proto = process_message(process).SerializeToString()
    return made


# --- event bodies: the parts of the oneof's member, its tag and length included ------------------


def _varint(v: int) -> bytes:
    """Encode a number of 0 or more, seven bits a byte, lowest first."""
    if v < 0x80:
        return bytes((v,))
    if v < 0x4000:
        return bytes((v & 127 | 128, v >> 7))
    if v < 0x200000:
        return bytes((v & 127 | 128, v >> 7 & 127 | 128, v >> 14))
    if v < 0x10000000:
        return bytes((v & 127 | 128, v >> 7 & 127 | 128, v >> 14 & 127 | 128, v >> 21))
    return bytes((v & 127 | 128, v >> 7 & 127 | 128, v >> 14 & 127 | 128, v >> 21 & 127 | 128)) + (
        _varint(v >> 28)
    )


def _tag(number: int, wire_type: int = 2) -> bytes:
    return _varint(number << 3 | wire_type)


_LENGTHS: Final = tuple(_varint(n) for n in range(4096))
_EXEC: Final = _tag(EventType.PROCESS_EXEC)
_EXIT: Final = _tag(EventType.PROCESS_EXIT)
_THROTTLE: Final = _tag(EventType.PROCESS_THROTTLE)
_RATE_LIMIT: Final = _tag(EventType.RATE_LIMIT_INFO)
_PROCESS: Final = _tag(1)
_PARENT: Final = _tag(2)
_EXEC_ANCESTOR: Final = _tag(3)
_EXIT_SIGNAL: Final = _tag(3)
_EXIT_STATUS: Final = _tag(4, 0)
_EXIT_TIME: Final = _tag(5)
_EXIT_ANCESTOR: Final = _tag(6)
_TIME: Final = tuple(_tag(1001) + _varint(n) for n in range(24))
"""Of the envelope, by the length of what follows."""


def _exec(event: ExecEvent) -> list[bytes]:
    process = event.process
    assert process is not None
    mine = process.proto or process_bytes(process)
    if event.binary_properties is not None and process.complete:
        mine += _properties(event.binary_properties)
    return _member(_EXEC, _lineage(event, mine, _EXEC_ANCESTOR))


def _exit(event: ExitEvent) -> list[bytes]:
    process = event.process
    assert process is not None
    parts = _lineage(event, process.proto or process_bytes(process), _EXIT_ANCESTOR)
    if event.signal:
        parts += (_EXIT_SIGNAL, _length(len(event.signal)), event.signal.encode())
    if event.status:
        parts += (_EXIT_STATUS, _length(event.status))
    when = _timestamp(event.time)
    parts += (_EXIT_TIME, _LENGTHS[len(when)], when)
    return _member(_EXIT, parts)


def _member(tag: bytes, parts: list[bytes]) -> list[bytes]:
    return [tag, _length(sum(map(len, parts))), *parts]


def _lineage(event: Event, mine: bytes, ancestor: bytes) -> list[bytes]:
    """Return process, parent and ancestors, each behind tag and length."""
    parent = event.parent
    if parent is None:
        parts = [_PROCESS, _length(len(mine)), mine]
    else:
        above = parent.proto or process_bytes(parent)
        parts = [_PROCESS, _length(len(mine)), mine, _PARENT, _length(len(above)), above]
    for process in event.ancestors:
        above = process.proto or process_bytes(process)
        parts += (ancestor, _length(len(above)), above)
    return parts


def _length(value: int) -> bytes:
    return _LENGTHS[value] if value < 4096 else _varint(value)


def _throttle(event: ThrottleEvent) -> list[bytes]:
    kind = _tag(1, 0) + _varint(1 if event.start else 2)
    name = event.cgroup.encode()
    return _member(_THROTTLE, [kind, _tag(2), _length(len(name)), name])


def _rate_limit(event: RateLimitInfo) -> list[bytes]:
    return _member(_RATE_LIMIT, [_tag(1, 0) + _varint(event.dropped)] if event.dropped else [])


def _timestamp(unix_ns: int) -> bytes:
    """Encode the content of a google.protobuf.Timestamp."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    return _seconds(seconds) + b"\x10" + _varint(ns) if ns else _seconds(seconds)


@lru_cache(maxsize=64)
def _seconds(seconds: int) -> bytes:
    return b"\x08" + _varint(seconds) if seconds else b""


def _properties(properties: BinaryProperties) -> bytes:
    message = ProcessMessage()
    _fill_properties(message.binary_properties, properties)
    return message.SerializeToString()


# --- messages field by field --------------------------------------------------------------


def process_message(process: Process) -> ProcessMessage:
    """Return a process as its message, field by field."""
    message = ProcessMessage(flags=process.flags)
    message.pid.value = process.pid
    message.start_time.FromNanoseconds(process.start_time)
    if not process.complete:
        return message
    message.exec_id = process.exec_id
    message.uid.value = process.uid
    message.cwd = process.cwd
    message.binary = process.binary
    message.arguments = process.arguments
    message.auid.value = process.auid
    message.docker = process.docker
    message.parent_exec_id = process.parent_exec_id
    message.refcnt = process.shown_refcnt
    message.tid.value = process.tid
    message.in_init_tree.value = process.in_init_tree
    _fill_rare(message, process)
    return message


def _fill_rare(message: ProcessMessage, process: Process) -> None:
    """Fill what needs an option or Kubernetes."""
    if process.pod is not None:
        _fill_pod(message.pod, process.pod)
    if process.cap is not None:
        _fill_capabilities(message.cap, process.cap)
    if process.ns is not None:
        _fill_namespaces(message.ns, process.ns)
    if process.credentials is not None:
        _fill_credentials(message.process_credentials, process.credentials)
    if process.user is not None:
        message.user.name = process.user
        message.user.SetInParent()
    for name, value in process.environment:
        message.environment_variables.add(Key=name, Value=value)


def _fill_pod(message: PodMessage, pod: Pod) -> None:
    message.namespace = pod.namespace
    message.name = pod.name
    message.uid = pod.uid
    message.workload = pod.workload
    message.workload_kind = pod.workload_kind
    message.pod_labels.update(pod.labels)
    message.pod_annotations.update(pod.annotations)
    container, into = pod.container, message.container
    into.id = container.id
    into.name = container.name
    into.image.id = container.image.id
    into.image.name = container.image.name
    into.image.SetInParent()
    if container.start_time:
        into.start_time.FromNanoseconds(container.start_time)
    if container.pid:
        into.pid.value = container.pid
    into.maybe_exec_probe = container.maybe_exec_probe
    into.security_context.privileged = container.privileged
    into.security_context.SetInParent()


def _fill_capabilities(message: CapabilitiesMessage, cap: Capabilities) -> None:
    for name in _SETS:
        mask: int = getattr(cap, name)
        getattr(message, name).extend(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    message.SetInParent()


def _fill_namespaces(message: NamespacesMessage, namespaces: Namespaces) -> None:
    for name in namespaces.__struct_fields__:
        namespace = getattr(namespaces, name)
        if namespace is not None:
            into = getattr(message, name)
            into.inum = namespace.inum
            into.is_host = namespace.is_host
            into.SetInParent()


def _fill_credentials(message: ProcessCredentials, credentials: Credentials) -> None:
    for name in _IDS:
        getattr(message, name).value = getattr(credentials, name)
    bits = credentials.securebits
    message.securebits.extend(1 << n for n in range(bits.bit_length()) if bits >> n & 1)


def _fill_properties(message: BinaryPropertiesMessage, properties: BinaryProperties) -> None:
    if properties.setuid is not None:
        message.setuid.value = properties.setuid
    if properties.setgid is not None:
        message.setgid.value = properties.setgid
    message.privileges_changed.extend(properties.privileges_changed)
    if properties.inode is not None:
        message.file.inode.number = properties.inode
        message.file.inode.links.value = 0
    message.SetInParent()
