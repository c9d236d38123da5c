"""Event in, one JSON line out, as protojson prints GetEventsResponse with proto field names.

A process is in every event of its life, so its object text is made once and kept beside it; a
line is then a join of ready texts.

Flow    process cache -> Event -> [JsonEncoder.line] -> file, UDP, terminal
Owns    memos of repeated texts; the encoded forms live on Process and Event.
Source  docs/outputs.md, "JSON"
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as quote
from types import MappingProxyType
from typing import Final

from tetragon.model.text import timestamp
from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Container,
    Credentials,
    Namespace,
    Namespaces,
    Pod,
    Process,
)

# fmt: off
CAPABILITY_NAMES: Final = (
    "CAP_CHOWN", "DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)
# fmt: on
SECUREBIT_NAMES: Final = (
    "SecBitNoRoot",
    "SecBitNoRootLocked",
    "SecBitNoSetUidFixup",
    "SecBitNoSetUidFixupLocked",
    "SecBitKeepCaps",
    "SecBitKeepCapsLocked",
    "SecBitNoCapAmbientRaise",
    "SecBitNoCapAmbientRaiseLocked",
)
PRIVILEGE_NAMES: Final = (
    "PRIVILEGES_CHANGED_UNSET",
    "PRIVILEGES_RAISED_EXEC_FILE_CAP",
    "PRIVILEGES_RAISED_EXEC_FILE_SETUID",
    "PRIVILEGES_RAISED_EXEC_FILE_SETGID",
)


class JsonEncoder:
    """
    Makes JSON lines; one for all sinks of an agent, as the result is kept on the event.

    Args:
        node_name: envelope field ``node_name``.
        cluster_name: envelope field, left out when empty.
        node_labels: envelope field, left out when empty.
        sequence: add the member ``sequence`` (our addition) to every line.
    """

    def __init__(
        self,
        node_name: str,
        cluster_name: str = "",
        node_labels: Mapping[str, str] = MappingProxyType({}),
        sequence: bool = False,
    ) -> None:
        self._head = f'"node_name":{quote(node_name)},"time":"'
        tail = f',"cluster_name":{quote(cluster_name)}' if cluster_name else ""
        if node_labels:
            tail += f',"node_labels":{_map_text(sorted(node_labels.items()))}'
        self._tail = tail
        self._sequence = sequence
        # The whole dispatch: a new event kind adds its line here.
        self._bodies: Final[Mapping[type[Event], Callable[..., str]]] = {
            ExecEvent: self._exec,
            ExitEvent: self._exit,
            ThrottleEvent: _throttle,
            RateLimitInfo: _rate_limit,
        }

    def line(self, event: Event) -> bytes:
        """Return the event's line with its newline; the same bytes object every time."""
        line = event.json
        if line is None:
            body = self._bodies[event.__class__](event)
            tail = f'{self._tail},"sequence":"{event.sequence}"' if self._sequence else self._tail
            text = f'{{{body},{self._head}{timestamp(event.time)}"{tail}}}\n'
            line = event.json = text.encode()
        return line

    def _exec(self, event: ExecEvent) -> str:
        process = event.process
        assert process is not None
        if event.binary_properties is None:
            text = process.json or process_text(process)
        else:
            text = _with_properties(process, event.binary_properties)
        parent = event.parent
        if parent is None:
            return f'"process_exec":{{"process":{text}}}'
        parent_text = parent.json or process_text(parent)
        if not event.ancestors:
            return f'"process_exec":{{"process":{text},"parent":{parent_text}}}'
        above = _ancestors_text(event)
        return f'"process_exec":{{"process":{text},"parent":{parent_text},"ancestors":[{above}]}}'

    def _exit(self, event: ExitEvent) -> str:
        process = event.process
        assert process is not None
        text = f'"process_exit":{{"process":{process.json or process_text(process)}'
        parent = event.parent
        if parent is not None:
            text = f'{text},"parent":{parent.json or process_text(parent)}'
        if event.signal:
            text = f'{text},"signal":"{event.signal}"'
        if event.status:
            text = f'{text},"status":{event.status}'
        text = f'{text},"time":"{timestamp(event.time)}"'
        if event.ancestors:
            text = f'{text},"ancestors":[{_ancestors_text(event)}]'
        return f"{text}}}"


def process_text(process: Process) -> str:
    """Return a process's JSON object, made once and kept on it."""
    text = process.json = f"{_front(process)}{_back(process)}"
    return text


def _with_properties(process: Process, properties: BinaryProperties) -> str:
    """Return a process's object with what only its exec event shows."""
    back = _back(process)
    mark = "".join((',"binary_properties":', _properties_text(properties)))
    at = back.find(',"user":{')
    if at < 0:
        at = back.find(',"in_init_tree":')
    return f"{_front(process)}{back[:at]}{mark}{back[at:]}" if at >= 0 else process_text(process)


def _front(process: Process) -> str:
    """Return the object up to ``tid``, which always stands."""
    if not process.complete:
        return (
            f'{{"pid":{process.pid},"flags":"{process.flags}"'
            f',"start_time":"{timestamp(process.start_time)}"'
        )
    optional = ""
    if process.pod is not None:
        optional = f',"pod":{_pod_text(process.pod)}'
    if process.docker:
        optional = f'{optional},"docker":{quote(process.docker)}'
    if process.parent_exec_id:
        optional = f'{optional},"parent_exec_id":"{process.parent_exec_id}"'
    if process.shown_refcnt:
        optional = f'{optional},"refcnt":{process.shown_refcnt}'
    if process.cap is not None:
        optional = f'{optional},"cap":{_capabilities_text(process.cap)}'
    if process.ns is not None:
        optional = f'{optional},"ns":{_namespaces_text(process.ns)}'
    cwd = f',"cwd":{quote(process.cwd)}' if process.cwd else ""
    binary = f',"binary":{quote(process.binary)}' if process.binary else ""
    arguments = f',"arguments":{quote(process.arguments)}' if process.arguments else ""
    return (
        f'{{"exec_id":"{process.exec_id}","pid":{process.pid},"uid":{process.uid}'
        f'{cwd}{binary}{arguments},"flags":"{process.flags}"'
        f',"start_time":"{timestamp(process.start_time)}","auid":{process.auid}{optional}'
    )


def _back(process: Process) -> str:
    """Return the object from ``tid`` on."""
    if not process.complete:
        return "}"
    optional = ""
    if process.credentials is not None:
        optional = f',"process_credentials":{_credentials_text(process.credentials)}'
    if process.user is not None:
        optional = f'{optional},"user":{{"name":{quote(process.user)}}}'
    tree = "true" if process.in_init_tree else "false"
    environment = ""
    if process.environment:
        pairs = ",".join(
            f'{{"Key":{quote(name)},"Value":{quote(value)}}}'
            for name, value in process.environment
        )
        environment = f',"environment_variables":[{pairs}]'
    return f',"tid":{process.tid}{optional},"in_init_tree":{tree}{environment}}}'


def _ancestors_text(event: Event) -> str:
    return ",".join([process.json or process_text(process) for process in event.ancestors])


def _throttle(event: ThrottleEvent) -> str:
    word = "START" if event.start else "STOP"
    return (
        f'"process_throttle":{{"type":"THROTTLE_{word}","cgroup":{quote(event.cgroup)}}}'
    )


def _rate_limit(event: RateLimitInfo) -> str:
    return f'"rate_limit_info":{{"number_of_dropped_process_events":"{event.dropped}"}}'


def _properties_text(properties: BinaryProperties) -> str:
    parts = []
    if properties.setuid is not None:
        parts.append(f'"setuid":{properties.setuid}')
    if properties.setgid is not None:
        parts.append(f'"setgid":{properties.setgid}')
    if properties.privileges_changed:
        names = ",".join(f'"{PRIVILEGE_NAMES[n]}"' for n in properties.privileges_changed)
        parts.append(f'"privileges_changed":[{names}]')
    if properties.inode is not None:
        parts.append(f'"file":{{"inode":{{"number":"{properties.inode}","links":0}}}}')
    return f"{{{','.join(parts)}}}"


@lru_cache(maxsize=256)
def bit_names(mask: int, names: tuple[str, ...]) -> str:
    """Return a JSON array of the names of the bits set; a bit without a name is its number."""
    return ",".join(
        f'"{names[bit]}"' if bit < len(names) else str(bit)
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    ).join("[]")


@lru_cache(maxsize=256)
def _capabilities_text(cap: Capabilities) -> str:
    parts = [
        f'"{name}":{bit_names(mask, CAPABILITY_NAMES)}'
        for name, mask in (
            ("permitted", cap.permitted),
            ("effective", cap.effective),
            ("inheritable", cap.inheritable),
        )
        if mask
    ]
    return f"{{{','.join(parts)}}}"


@lru_cache(maxsize=256)
def _namespaces_text(namespaces: Namespaces) -> str:
    found: list[tuple[str, Namespace | None]] = [
        (name, getattr(namespaces, name)) for name in namespaces.__struct_fields__
    ]
    return f"{{{','.join(_namespace_text(name, ns) for name, ns in found if ns)}}}"


def _namespace_text(name: str, namespace: Namespace) -> str:
    host = ',"is_host":true' if namespace.is_host else ""
    return f'"{name}":{{"inum":{namespace.inum}{host}}}'


@lru_cache(maxsize=256)
def _credentials_text(credentials: Credentials) -> str:
    parts = [
        f'"{name}":{getattr(credentials, name)}'
        for name in ("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid")
    ]
    if credentials.securebits:
        parts.append(f'"securebits":{bit_names(credentials.securebits, SECUREBIT_NAMES)}')
    return f"{{{','.join(parts)}}}"


def _map_text(items: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> str:
    return f"{{{','.join(f'{quote(key)}:{quote(value)}' for key, value in items)}}}"


@lru_cache(maxsize=1024)
def _pod_text(pod: Pod) -> str:
    parts = [
        f'"{name}":{quote(value)}'
        for name, value in (("namespace", pod.namespace), ("name", pod.name), ("uid", pod.uid))
        if value
    ]
    parts.append(f'"container":{_container_text(pod.container)}')
    if pod.labels:
        parts.append(f'"pod_labels":{_map_text(pod.labels)}')
    if pod.workload:
        parts.append(f'"workload":{quote(pod.workload)}')
    if pod.workload_kind:
        parts.append(f'"workload_kind":{quote(pod.workload_kind)}')
    if pod.annotations:
        parts.append(f'"pod_annotations":{_map_text(pod.annotations)}')
    return f"{{{','.join(parts)}}}"


def _container_text(container: Container) -> str:
    image = container.image
    image_parts = [
        f'"{name}":{quote(value)}' for name, value in (("id", image.id), ("name", image.name)) if value
    ]
    parts = [
        f'"{name}":{quote(value)}'
        for name, value in (("id", container.id), ("name", container.name))
        if value
    ]
    parts.append(f'"image":{{{",".join(image_parts)}}}')
    if container.start_time:
        parts.append(f'"start_time":"{timestamp(container.start_time)}"')
    if container.pid:
        parts.append(f'"pid":{container.pid}')
    if container.maybe_exec_probe:
        parts.append('"maybe_exec_probe":true')
    privileged = '"privileged":true' if container.privileged else ""
    parts.append(f'"security_context":{{{privileged}}}')
    return f"{{{','.join(parts)}}}"
