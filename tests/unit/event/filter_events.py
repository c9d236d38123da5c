"""Events that filter tests look at: whole ones of every class, and small random ones."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tetragon.event.from_json import JsonEvent, event_from_json
from tetragon.event.json import JsonEncoder
from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent
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

UPSTREAM: dict[str, Any] = json.loads(Path(__file__).with_name("upstream_filters.json").read_text())
"""What the filters of upstream v1.8 answered to made-up filters and events; "error" if refused."""

NOON = 1_706_702_400_123_456_789


def make_process(**changes: Any) -> Process:
    """Return a process of which the essentials are known."""
    known: dict[str, Any] = {
        "pid": 12,
        "ktime": 7,
        "exec_id": "bjo3OjEy",
        "binary": "/usr/bin/bash",
        "arguments": "-c ls",
        "start_time": NOON,
    }
    return Process(**(known | changes))


def make_exec(parent: Process | None = None, **changes: Any) -> ExecEvent:
    """Return an exec event of such a process."""
    return ExecEvent(time=NOON, process=make_process(**changes), parent=parent)


def whole_process(pid: int) -> Process:
    """Return a process with everything an option can add."""
    spaces = {name: Namespace(4_026_531_830 + i, i % 2 == 0) for i, name in enumerate(_SPACES)}
    return make_process(
        pid=pid,
        parent_exec_id="bjo3OjE=",
        tid=pid,
        uid=1000,
        auid=1000,
        cwd="/tmp",
        flags="execve clone",
        docker="0123456789abcdef0123456789abcde",
        in_init_tree=True,
        refcnt=2,
        shown_refcnt=1,
        pod=Pod(
            namespace="default",
            name="web-1",
            uid="u-1",
            container=Container(
                id="containerd://0123",
                name="web",
                image=Image("nginx@sha256:00", "nginx:1"),
                start_time=NOON - 5,
                pid=17,
                maybe_exec_probe=True,
                privileged=True,
            ),
            labels=(("app", "web"), ("tier", "front")),
            annotations=(("owner", "ops"),),
            workload="web",
            workload_kind="Deployment",
        ),
        cap=Capabilities(permitted=0b100011, effective=0b1, inheritable=0),
        ns=Namespaces(**spaces),
        credentials=Credentials(1, 2, 3, 4, 5, 6, 7, 8, securebits=5),
        user="bin",
        environment=(("HOME", "/"), ("EMPTY", "")),
    )


_SPACES = (
    "uts", "ipc", "mnt", "pid", "pid_for_children", "net", "time", "time_for_children", "cgroup",
    "user",
)  # fmt: skip


def whole_events() -> list[Event]:
    """Return one event of every class the agent makes, with everything in it, and sparse ones."""
    process, parent = whole_process(12), whole_process(11)
    properties = BinaryProperties(setuid=0, setgid=0, privileges_changed=(1, 2), inode=99)
    stranger = Process(pid=5, ktime=1, exec_id="", start_time=NOON, complete=False)
    return [
        ExecEvent(
            time=NOON,
            process=process,
            parent=parent,
            ancestors=(whole_process(10), whole_process(9)),
            binary_properties=properties,
        ),
        ExecEvent(time=NOON, process=make_process()),
        ExitEvent(time=NOON, process=process, parent=parent, signal="SIGKILL", status=9),
        ExitEvent(time=NOON, process=stranger),
        ThrottleEvent(time=NOON, start=True, cgroup="/c"),
        ThrottleEvent(time=NOON, start=False, cgroup="/c"),
        RateLimitInfo(time=NOON, dropped=5),
    ]


def as_json(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event, as the agent writes it."""
    event.json = None
    for process in (event.process, event.parent, *event.ancestors):
        if process is not None:
            process.json = None
    found: dict[str, Any] = json.loads(JsonEncoder("node").line(event))
    return found


def through_json(event: Event) -> JsonEvent:
    """Return an event as one reads it from its JSON line."""
    return event_from_json(as_json(event))


texts = st.sampled_from(["", "a", "b", "/usr/bin/a", "a b"])
masks = st.integers(0, 7)
pods = st.builds(
    Pod,
    namespace=texts,
    name=texts,
    container=st.builds(Container, name=texts, maybe_exec_probe=st.booleans()),
    labels=st.lists(st.sampled_from("ab"), unique=True).map(
        lambda names: tuple((name, "a") for name in sorted(names))
    ),
)
processes = st.builds(
    Process,
    pid=st.integers(1, 3),
    ktime=st.just(1),
    exec_id=st.just("x"),
    start_time=st.just(NOON),
    binary=texts,
    arguments=texts,
    docker=texts,
    in_init_tree=st.booleans(),
    pod=st.none() | pods,
    cap=st.none() | st.builds(Capabilities, permitted=masks, effective=masks, inheritable=masks),
)
parents = st.none() | processes
ancestors = st.lists(processes, max_size=2).map(tuple)
events = st.one_of(
    st.builds(
        ExecEvent, time=st.just(NOON), process=processes, parent=parents, ancestors=ancestors
    ),
    st.builds(
        ExitEvent, time=st.just(NOON), process=processes, parent=parents, ancestors=ancestors
    ),
    st.builds(ThrottleEvent, time=st.just(NOON), start=st.booleans(), cgroup=st.just("c")),
    st.builds(RateLimitInfo, time=st.just(NOON), dropped=st.just(1)),
)
