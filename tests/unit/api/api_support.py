"""Values and fakes the tests of the API share."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from hypothesis import strategies as st

from tetragon.api import messages as api
from tetragon.api.encode import ProtoEncoder
from tetragon.api.filters import stream_filter
from tetragon.api.listen import Addresses
from tetragon.api.server import GrpcServer, HealthCheck
from tetragon.api.service import AgentService
from tetragon.api.stream import GrpcSink
from tetragon.model.control import (
    AgentInfo,
    BuildInfo,
    CachedProcess,
    EventLogParams,
    PolicyMode,
    PolicyStatus,
)
from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent
from tetragon.model.filters import FilterOptions
from tetragon.model.ledger import Ledger
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Container,
    Credentials,
    Image,
    Namespace,
    Namespaces,
    Pod,
    Process,
)

SENSORS = "/tetragon.FineGuidanceSensors/"


def wait_until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Return once ``true`` is; fail when it takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def make_process(pid: int, **fields: object) -> Process:
    """Return a process of which most is set."""
    made = Process(
        pid=pid,
        ktime=pid,
        tid=pid,
        exec_id=f"bm9kZTo{pid}",
        parent_exec_id="bm9kZTox",
        cwd="/root",
        binary="/usr/bin/ls",
        arguments="-l /tmp",
        flags="execve clone",
        start_time=1_700_000_000_123_456_789 + pid,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def make_execs(count: int, first: int = 1) -> list[Event]:
    """Return exec events of different processes with the same parent."""
    parent = make_process(1)
    return [
        ExecEvent(time=1_700_000_000_000_000_000 + pid, process=make_process(pid), parent=parent)
        for pid in range(first, first + count)
    ]


class FakeAgent:
    """An AgentControl, EventLogControl and PolicyControl that remembers what it was told."""

    def __init__(self) -> None:
        self.level = "info"
        self.log_params = EventLogParams(10, 5, 0)
        self.policies: list[PolicyStatus] = []
        self.calls: list[tuple[object, ...]] = []
        self.failure: Exception | None = None

    def version(self) -> str:
        return "v1.2.3"

    def info(self) -> AgentInfo:
        conf = {"text": "x", "on": True, "count": 3, "list": ("a", "b"), "odd": None}
        build = BuildInfo("cpython", "abc", "2024", "false")
        return AgentInfo("v1.2.3", probes=(("large", True),), conf=conf, build=build)

    def ledgers(self) -> Iterable[Ledger]:
        return [Ledger("grpc")]

    def log_level(self) -> str:
        return self.level

    def set_log_level(self, level: str) -> None:
        self.level = level

    def processes(self, skip_zero_refcnt: bool, exclude_execve_map: bool) -> list[CachedProcess]:
        self.calls.append(("processes", skip_zero_refcnt, exclude_execve_map))
        return [CachedProcess(make_process(7), "inUse", 2, {"process++": 1, "parent++": 1})]

    def params(self) -> EventLogParams:
        return self.log_params

    def set_params(self, *changed: int | None) -> None:
        now = (
            self.log_params.max_size_mb,
            self.log_params.max_backups,
            self.log_params.rotation_interval,
        )
        pairs = zip(changed, now, strict=True)
        self.log_params = EventLogParams(*(n if c is None else c for c, n in pairs))

    def _told(self, *call: object) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure

    def add(self, yaml: str, domain: str) -> None:
        self._told("add", yaml, domain)

    def delete(self, name: str, namespace: str, domain: str) -> None:
        self._told("delete", name, namespace, domain)

    def configure(
        self, name: str, namespace: str, domain: str, enable: bool | None, mode: PolicyMode | None
    ) -> None:
        self._told("configure", name, namespace, domain, enable, mode)

    def list(self, domain: str) -> Sequence[PolicyStatus]:
        self._told("list", domain)
        return self.policies

    def domains(self) -> Sequence[str]:
        return sorted({policy.domain for policy in self.policies})


class Running:
    """A started server and what belongs to it."""

    def __init__(self, directory: Path, queue_size: int = 1000) -> None:
        self.agent = FakeAgent()
        self.path = str(directory / "tetragon.sock")
        self.healthy = True
        self.sink = GrpcSink(ProtoEncoder("node").frame, queue_size)
        service = AgentService(
            self.agent,
            self.sink,
            partial(stream_filter, options=FilterOptions()),
            policies=self.agent,
            event_log=self.agent,
        )
        self.server = GrpcServer(
            Addresses(tcp=("127.0.0.1", 0), unix=self.path),
            service.methods(),
            self.sink,
            health=HealthCheck(("127.0.0.1", 0), lambda: self.healthy, 0.01),
        )
        self.server.start()

    @property
    def tcp(self) -> str:
        """The TCP address as clients write it."""
        assert self.server.tcp is not None
        return "{}:{}".format(*self.server.tcp)


Call = Callable[..., Any]


def caller(channel: grpc.Channel) -> Call:
    """Return a function that calls an RPC by its name over Google's client."""

    def call(method: str, request: Any = None, response: Any = None, **options: Any) -> Any:
        name = method.rsplit("/", 1)[-1]
        path = method if method.startswith("/") else SENSORS + method
        known = response or getattr(api, f"{name}Response", api.GetVersionResponse)
        unary = channel.unary_unary(
            path, lambda message: message.SerializeToString(), known.FromString
        )
        empty = getattr(api, f"{name}Request", api.GetVersionRequest)()
        return unary(request if request is not None else empty, timeout=5, **options)

    return call


# --- hypothesis: any event the model can hold ---------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=40)
uint32 = st.integers(0, 2**32 - 1)
times = st.integers(0, 2**61)
masks = st.integers(0, 2**41 - 1)
pairs = st.dictionaries(texts, texts, max_size=3).map(lambda d: tuple(sorted(d.items())))

namespaces = st.builds(
    Namespaces,
    **dict.fromkeys(
        ("uts", "ipc", "mnt", "pid", "pid_for_children", "net", "cgroup", "user"),
        st.builds(Namespace, inum=uint32, is_host=st.booleans()),
    ),
    time=st.none() | st.builds(Namespace, inum=uint32, is_host=st.booleans()),
    time_for_children=st.none(),
)
credentials = st.builds(
    Credentials,
    **dict.fromkeys(("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid"), uint32),
    securebits=st.integers(0, 255),
)
pods = st.builds(
    Pod,
    namespace=texts,
    name=texts,
    uid=texts,
    container=st.builds(
        Container,
        id=texts,
        name=texts,
        image=st.builds(Image, id=texts, name=texts),
        start_time=times,
        pid=uint32,
        maybe_exec_probe=st.booleans(),
        privileged=st.booleans(),
    ),
    labels=pairs,
    annotations=pairs,
    workload=texts,
    workload_kind=texts,
)
properties = st.builds(
    BinaryProperties,
    setuid=st.none() | uint32,
    setgid=st.none() | uint32,
    privileges_changed=st.sets(st.integers(1, 3)).map(lambda found: tuple(sorted(found))),
    inode=st.none() | st.integers(1, 2**63),
)
ascii_ids = st.text("abcDEF012=", max_size=20)
processes = st.builds(
    Process,
    pid=uint32,
    ktime=times,
    exec_id=ascii_ids.filter(bool),
    parent_exec_id=ascii_ids,
    tid=uint32,
    uid=uint32,
    auid=uint32,
    cwd=texts,
    binary=texts,
    arguments=texts,
    flags=st.sampled_from(["execve", "procFS rootcwd", "execve clone inInitTree"]),
    start_time=times,
    docker=texts,
    in_init_tree=st.booleans(),
    shown_refcnt=st.integers(0, 3),
    pod=st.none() | pods,
    cap=st.none() | st.builds(Capabilities, permitted=masks, effective=masks, inheritable=masks),
    ns=st.none() | namespaces,
    credentials=st.none() | credentials,
    user=st.none() | texts.filter(bool),
    environment=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
) | st.builds(
    Process, pid=uint32, ktime=times, exec_id=ascii_ids, start_time=times, flags=st.just("unknown"),
    complete=st.just(False),
)  # fmt: skip
lineages = {
    "process": processes,
    "parent": st.none() | processes,
    "ancestors": st.lists(processes, max_size=2).map(tuple),
}
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(ExecEvent, time=times, binary_properties=st.none() | properties, **lineages),
    st.builds(
        ExitEvent, time=times, signal=st.sampled_from(["", "SIGKILL"]), status=uint32, **lineages
    ),
    st.builds(ThrottleEvent, time=times, start=st.booleans(), cgroup=texts.filter(bool)),
    st.builds(RateLimitInfo, time=times, dropped=st.integers(1, 2**63)),
)
