"""Event in, one JSON line out, as protojson prints GetEventsResponse with proto field names.

A process is in every event of its life, so its object's bytes are made once and kept beside it; a
line is then a join of ready bytes.

Flow    process cache -> Event -> [JsonEncoder.line] -> file, UDP, terminal
Owns    memos of repeated texts; the encoded forms live on Process and Event.
Source  docs/outputs.md, "JSON"
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as quote
from types import MappingProxyType
from typing import Final

from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Image,
    Namespace,
    Namespaces,
    Pod,
    Process,
)
from tetragon.model.text import join_line, json_object, timestamp

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


_PROCESS: Final = (
    b'"exec_id":',
    b'"pid":',
    b'"uid":',
    b'"cwd":',
    b'"binary":',
    b'"arguments":',
    b'"flags":',
    b'"start_time":',
    b'"auid":',
    b'"pod":',
    b'"docker":',
    b'"parent_exec_id":',
    b'"refcnt":',
    b'"cap":',
    b'"ns":',
    b'"tid":',
    b'"process_credentials":',
    b'"binary_properties":',
    b'"user":',
    b'"in_init_tree":',
    b'"environment_variables":',
)
"""Keys of a process's members, in the schema's order."""
_UNKNOWN: Final = (b'"pid":', b'"flags":', b'"start_time":')


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
        self._head = f'}},"node_name":{quote(node_name)},"time":"'.encode()
        self._exit_head = b'"' + self._head
        tail = f'","cluster_name":{quote(cluster_name)}' if cluster_name else '"'
        if node_labels:
            tail += f',"node_labels":{_map_text(tuple(sorted(node_labels.items())))}'
        self._tail = f"{tail}}}\n".encode()
        self._tail_open = f'{tail},"sequence":"'.encode() if sequence else None
        # The whole dispatch: a new event kind adds its line here. Each takes the event and the end
        # of its line.
        self._lines: Final[Mapping[type[Event], Callable[..., bytes]]] = {
            ExecEvent: self._exec,
            ExitEvent: self._exit,
            ThrottleEvent: self._throttle,
            RateLimitInfo: self._rate_limit,
        }

    def line(self, event: Event) -> bytes:
        """Return the event's line with its newline; the same bytes object every time."""
        line = event.json
        if line is None:
            tail = self._tail
            if self._tail_open is not None:
                tail = b'%b%d"}\n' % (self._tail_open, event.sequence)
            line = event.json = self._lines[event.__class__](event, tail)
        return line

    def _exec(self, event: ExecEvent, tail: bytes) -> bytes:
        process, parent = event.process, event.parent
        assert process is not None
        if event.binary_properties is None:
            own = process.json or process_text(process)
        else:
            own = _text(process, event.binary_properties)
        head = _ancestors_text(event) + self._head if event.ancestors else self._head
        if parent is None:
            return join_line(b'{"process_exec":{"process":', own, head, event.time, tail)
        above = parent.json or process_text(parent)
        return join_line(
            b'{"process_exec":{"process":', own, b',"parent":', above, head, event.time, tail
        )

    def _exit(self, event: ExitEvent, tail: bytes) -> bytes:
        process, parent, time = event.process, event.parent, event.time
        assert process is not None
        own = process.json or process_text(process)
        how = b',"time":"'
        if event.signal or event.status:
            signal = f',"signal":"{event.signal}"' if event.signal else ""
            status = f',"status":{event.status}' if event.status else ""
            how = f'{signal}{status},"time":"'.encode()
        head = self._exit_head
        if event.ancestors:
            head = b'"%b%b' % (_ancestors_text(event), self._head)
        if parent is None:
            return join_line(b'{"process_exit":{"process":', own, how, time, head, time, tail)
        above = parent.json or process_text(parent)
        start = b'{"process_exit":{"process":'
        return join_line(start, own, b',"parent":', above, how, time, head, time, tail)

    def _throttle(self, event: ThrottleEvent, tail: bytes) -> bytes:
        word = "START" if event.start else "STOP"
        text = f'{{"process_throttle":{{"type":"THROTTLE_{word}","cgroup":{quote(event.cgroup)}'
        return join_line(text.encode(), self._head, event.time, tail)

    def _rate_limit(self, event: RateLimitInfo, tail: bytes) -> bytes:
        count = b'"number_of_dropped_process_events":"%d"' % event.dropped if event.dropped else b""
        return join_line(b'{"rate_limit_info":{', count, self._head, event.time, tail)


def process_text(process: Process) -> bytes:
    """Return a process's JSON object, made once and kept on it."""
    text = process.json = _text(process)
    return text


def _text(process: Process, properties: BinaryProperties | None = None) -> bytes:
    """
    Return a process's object.

    Args:
        properties: what only its exec event shows.
    """
    start_time = timestamp(process.start_time)
    if not process.complete:
        return json_object(_UNKNOWN, process.pid, process.flags, start_time)
    pod, cap, ns, ids = process.pod, process.cap, process.ns, process.credentials
    user, environment = process.user, process.environment
    return json_object(
        _PROCESS,
        process.exec_id,
        process.pid,
        process.uid,
        process.cwd,
        process.binary,
        process.arguments,
        process.flags,
        start_time,
        process.auid,
        None if pod is None else _pod_text(pod),
        process.docker,
        process.parent_exec_id,
        process.shown_refcnt or None,
        None if cap is None else _capabilities_text(cap),
        None if ns is None else _namespaces_text(ns),
        process.tid,
        None if ids is None else _credentials_text(ids),
        None if properties is None else _properties_text(properties),
        None if user is None else json_object((b'"name":',), user),
        process.in_init_tree,
        _environment_text(environment) if environment else None,
    )


def _ancestors_text(event: Event) -> bytes:
    texts = [process.json or process_text(process) for process in event.ancestors]
    return b',"ancestors":[%b]' % b",".join(texts)


_ENVIRONMENT: Final = (b'"Key":', b'"Value":')


def _environment_text(environment: tuple[tuple[str, str], ...]) -> bytes:
    pairs = [json_object(_ENVIRONMENT, name, value) for name, value in environment]
    return b"[%b]" % b",".join(pairs)


_PROPERTIES: Final = (b'"setuid":', b'"setgid":', b'"privileges_changed":', b'"file":')


def _properties_text(properties: BinaryProperties) -> bytes:
    changes, inode = properties.privileges_changed, properties.inode
    names = ",".join(f'"{PRIVILEGE_NAMES[number]}"' for number in changes)
    file = None if inode is None else b'{"inode":{"number":"%d","links":0}}' % inode
    privileges = f"[{names}]".encode() if changes else None
    return json_object(_PROPERTIES, properties.setuid, properties.setgid, privileges, file)


@lru_cache(maxsize=256)
def bit_names(mask: int, names: tuple[str, ...]) -> str:
    """Return a JSON array of the names of the bits set; a bit without a name is its number."""
    return ",".join(
        f'"{names[bit]}"' if bit < len(names) else str(bit)
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    ).join("[]")


@lru_cache(maxsize=256)
def _capabilities_text(cap: Capabilities) -> bytes:
    sets = (
        ("permitted", cap.permitted),
        ("effective", cap.effective),
        ("inheritable", cap.inheritable),
    )
    parts = [f'"{name}":{bit_names(mask, CAPABILITY_NAMES)}' for name, mask in sets if mask]
    return f"{{{','.join(parts)}}}".encode()


@lru_cache(maxsize=256)
def _namespaces_text(namespaces: Namespaces) -> bytes:
    found: list[tuple[str, Namespace | None]] = [
        (name, getattr(namespaces, name)) for name in namespaces.__struct_fields__
    ]
    return f"{{{','.join(_namespace_text(name, ns) for name, ns in found if ns)}}}".encode()


def _namespace_text(name: str, namespace: Namespace) -> str:
    number = f'"inum":{namespace.inum}' if namespace.inum else ""
    comma = "," if namespace.inum and namespace.is_host else ""
    host = '"is_host":true' if namespace.is_host else ""
    return f'"{name}":{{{number}{comma}{host}}}'


@lru_cache(maxsize=256)
def _credentials_text(credentials: Credentials) -> bytes:
    parts = [
        f'"{name}":{getattr(credentials, name)}'
        for name in ("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid")
    ]
    if credentials.securebits:
        parts.append(f'"securebits":{bit_names(credentials.securebits, SECUREBIT_NAMES)}')
    return f"{{{','.join(parts)}}}".encode()


_Pairs = tuple[tuple[str, str], ...]


def _map_text(pairs: _Pairs) -> str:
    return f"{{{','.join(f'{quote(key)}:{quote(value)}' for key, value in pairs)}}}"


_Shared = tuple[str, str, str, _Pairs, _Pairs, str, str, str, str, Image, int, bool]
"""What the processes of a container share of their pod; see _pod_text."""


def _pod_text(pod: Pod) -> bytes:
    container = pod.container
    front, back = _pod_halves(
        (
            pod.namespace,
            pod.name,
            pod.uid,
            pod.labels,
            pod.annotations,
            pod.workload,
            pod.workload_kind,
            container.id,
            container.name,
            container.image,
            container.start_time,
            container.privileged,
        )
    )
    pid = b',"pid":%d' % container.pid if container.pid else b""
    probe = b',"maybe_exec_probe":true' if container.maybe_exec_probe else b""
    return b"".join((front, pid, probe, back))


@lru_cache(maxsize=1024)
def _pod_halves(shared: _Shared) -> tuple[bytes, bytes]:
    """Return the text before and after what is a process's own: its pid in the pod."""
    (
        namespace,
        name,
        uid,
        labels,
        annotations,
        workload,
        workload_kind,
        container_id,
        container_name,
        image,
        start_time,
        privileged,
    ) = shared
    container = _texts(id=container_id, name=container_name)
    container.append(f'"image":{{{",".join(_texts(id=image.id, name=image.name))}}}')
    if start_time:
        container.append(f'"start_time":"{timestamp(start_time)}"')
    pod = _texts(namespace=namespace, name=name, uid=uid)
    pod.append(f'"container":{{{",".join(container)}')
    context = '"privileged":true' if privileged else ""
    rest = [f',"security_context":{{{context}}}}}']
    if labels:
        rest.append(f'"pod_labels":{_map_text(labels)}')
    rest += _texts(workload=workload, workload_kind=workload_kind)
    if annotations:
        rest.append(f'"pod_annotations":{_map_text(annotations)}')
    return f"{{{','.join(pod)}".encode(), f"{','.join(rest)}}}".encode()


def _texts(**texts: str) -> list[str]:
    """Return the members that are not empty."""
    return [f'"{name}":{quote(text)}' for name, text in texts.items() if text]
