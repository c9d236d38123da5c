"""JSON lines: what protojson prints of the message that holds the same values, field by field."""

import json
from collections.abc import Callable

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from tetragon.api.messages import GetEventsResponse
from tetragon.api.messages import Process as ProcessMessage
from tetragon.event.json import JsonEncoder, process_text
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

NOON = 1_706_702_400_000_000_000
NS_NAMES = Namespaces.__struct_fields__
ID_NAMES = ("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
U32 = st.integers(0, 2**32 - 1)
TIME = st.integers(0, 4 * 10**18) | st.integers(0, 4 * 10**9).map(lambda s: s * 10**9)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=3).map(lambda d: tuple(sorted(d.items())))
NAMESPACE = st.builds(Namespace, U32, st.booleans())
NAMESPACES = st.builds(Namespaces, *([NAMESPACE] * 10)) | st.builds(
    Namespaces,
    *([NAMESPACE] * 6),
    st.none(),
    st.none(),
    NAMESPACE,
    NAMESPACE,
)
MASK = st.integers(0, 2**64 - 1) | st.just(0x1FFFFFFFFFF)
CONTAINER = st.builds(
    Container, TEXT, TEXT, st.builds(Image, TEXT, TEXT), TIME, U32, st.booleans(), st.booleans()
)
POD = st.builds(Pod, TEXT, TEXT, TEXT, CONTAINER, PAIRS, PAIRS, TEXT, TEXT)
PROPERTIES = st.builds(
    BinaryProperties,
    st.none() | U32,
    st.none() | U32,
    st.sets(st.integers(1, 3)).map(lambda s: tuple(sorted(s))),
    st.none() | st.integers(1, 2**64 - 1),
)
ENVIRONMENT = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
PROCESS = st.builds(
    Process,
    pid=U32,
    ktime=st.just(0),
    exec_id=TEXT.filter(bool),
    parent_exec_id=TEXT,
    tid=U32,
    uid=U32,
    auid=U32,
    cwd=TEXT,
    binary=TEXT,
    arguments=TEXT,
    flags=st.sampled_from(["execve clone", "procFS", "unknown"]),
    start_time=TIME,
    docker=TEXT,
    in_init_tree=st.booleans(),
    shown_refcnt=st.integers(0, 1),
    pod=st.none() | POD,
    cap=st.none() | st.builds(Capabilities, MASK, MASK, MASK),
    ns=st.none() | NAMESPACES,
    credentials=st.none() | st.builds(Credentials, *([U32] * 8), st.integers(0, 255)),
    user=st.none() | TEXT,
    environment=ENVIRONMENT,
    complete=st.booleans(),
)
SHARED = {
    "time": TIME,
    "process": PROCESS,
    "parent": st.none() | PROCESS,
    "ancestors": st.lists(PROCESS, max_size=2).map(tuple),
}
EXEC = st.builds(ExecEvent, **SHARED, binary_properties=st.none() | PROPERTIES)
EXIT = st.builds(
    ExitEvent,
    **SHARED,
    signal=st.sampled_from(["", "SIGKILL"]),
    status=st.integers(0, 255),
)


def message_of(process: Process) -> ProcessMessage:
    """Fill the API's message from a process, one field after the other."""
    to = ProcessMessage(flags=process.flags)
    to.pid.value = process.pid
    to.start_time.FromNanoseconds(process.start_time)
    if not process.complete:
        return to
    for name in ("exec_id", "cwd", "binary", "arguments", "docker", "parent_exec_id"):
        setattr(to, name, getattr(process, name))
    for name in ("uid", "auid", "tid", "in_init_tree"):
        getattr(to, name).value = getattr(process, name)
    to.refcnt = process.shown_refcnt
    for pair in process.environment:
        to.environment_variables.add(Key=pair[0], Value=pair[1])
    if process.user is not None:
        to.user.SetInParent()
        to.user.name = process.user
    fill_pod(to, process.pod)
    fill_context(to, process)
    return to


def fill_context(to: ProcessMessage, process: Process) -> None:
    """Fill capabilities, namespaces and credentials."""
    if process.cap is not None:
        to.cap.SetInParent()
        for name in ("permitted", "effective", "inheritable"):
            mask = getattr(process.cap, name)
            getattr(to.cap, name).extend(bit for bit in range(64) if mask >> bit & 1)
    for name in NS_NAMES if process.ns is not None else ():
        namespace = getattr(process.ns, name)
        if namespace is not None:
            getattr(to.ns, name).SetInParent()
            getattr(to.ns, name).inum = namespace.inum
            getattr(to.ns, name).is_host = namespace.is_host
    if process.credentials is not None:
        for name in ID_NAMES:
            getattr(to.process_credentials, name).value = getattr(process.credentials, name)
        bits = process.credentials.securebits
        to.process_credentials.securebits.extend(1 << n for n in range(8) if bits >> n & 1)


def fill_pod(to: ProcessMessage, pod: Pod | None) -> None:
    """Fill what Kubernetes knows."""
    if pod is None:
        return
    for name in ("namespace", "name", "uid", "workload", "workload_kind"):
        setattr(to.pod, name, getattr(pod, name))
    to.pod.pod_labels.update(pod.labels)
    to.pod.pod_annotations.update(pod.annotations)
    container, into = pod.container, to.pod.container
    into.id, into.name = container.id, container.name
    into.image.SetInParent()
    into.image.id, into.image.name = container.image.id, container.image.name
    if container.start_time:
        into.start_time.FromNanoseconds(container.start_time)
    if container.pid:
        into.pid.value = container.pid
    into.maybe_exec_probe = container.maybe_exec_probe
    into.security_context.SetInParent()
    into.security_context.privileged = container.privileged


def response_of(event: ExecEvent | ExitEvent) -> GetEventsResponse:
    """Fill the API's message from an event."""
    response = GetEventsResponse(node_name="n")
    response.time.FromNanoseconds(event.time)
    assert event.process is not None
    to = response.process_exec if isinstance(event, ExecEvent) else response.process_exit
    to.process.CopyFrom(message_of(event.process))
    if event.parent is not None:
        to.parent.CopyFrom(message_of(event.parent))
        to.ancestors.extend(message_of(one) for one in event.ancestors)
    if isinstance(event, ExitEvent):
        to.signal, to.status = event.signal, event.status
        to.time.FromNanoseconds(event.time)
    elif event.binary_properties is not None and event.process.complete:
        fill_properties(to.process, event.binary_properties)
    return response


def fill_properties(to: ProcessMessage, properties: BinaryProperties) -> None:
    """Fill what an exec changed."""
    into = to.binary_properties
    into.SetInParent()
    if properties.setuid is not None:
        into.setuid.value = properties.setuid
    if properties.setgid is not None:
        into.setgid.value = properties.setgid
    into.privileges_changed.extend(properties.privileges_changed)
    if properties.inode is not None:
        into.file.inode.number = properties.inode
        into.file.inode.links.value = 0


def protojson(response: GetEventsResponse) -> dict[str, object]:
    """Return what protobuf's own JSON writer makes of a message."""
    found: dict[str, object] = MessageToDict(response, preserving_proto_field_name=True)
    return found


def line_of(event: Event, **options: object) -> bytes:
    """Return an event's line of a new encoder."""
    return JsonEncoder("n", **options).line(event)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(EXEC | EXIT)
def test_any_event_is_what_protojson_prints(event: ExecEvent | ExitEvent) -> None:
    """Every field, set or not: equal to the message built field by field."""
    if event.parent is None:
        event.ancestors = ()
    line = line_of(event)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == protojson(response_of(event))


def members_in_order(members: dict[str, object], descriptor: object) -> None:
    """Check that an object's members stand in the order in which the schema declares them."""
    declared = {field.name: field for field in descriptor.fields}  # type: ignore[attr-defined]
    places = [list(declared).index(name) for name in members]
    assert places == sorted(places), list(members)
    for name, value in members.items():
        below = declared[name].message_type
        if isinstance(value, dict) and below is not None and not below.GetOptions().map_entry:
            members_in_order(value, below)


@settings(max_examples=20, deadline=None)
@given(EXEC | EXIT)
def test_members_stand_in_the_schema_s_order(event: Event) -> None:
    """Readers by eye, and by line, find things where upstream puts them."""
    members_in_order(json.loads(line_of(event)), GetEventsResponse.DESCRIPTOR)


PARENT = Process(1, 1, "pid", tid=1, binary="/sbin/init", start_time=NOON, flags="procFS")


def test_a_host_s_exec_to_the_byte() -> None:
    """The line has no white space, and wrappers are shown though they are 0 or false."""
    process = Process(
        7, 1, "id", "pid", None, 7, 0, 0, 4294967295, "/", "/bin/<a>", '"é"', "execve", NOON + 1
    )
    line = line_of(ExecEvent(time=NOON + 1, process=process, parent=PARENT))
    assert line.decode() == (
        '{"process_exec":{"process":{"exec_id":"id","pid":7,"uid":0,"cwd":"/",'
        '"binary":"/bin/<a>","arguments":"\\"é\\"","flags":"execve",'
        '"start_time":"2024-01-31T12:00:00.000000001Z","auid":4294967295,'
        '"parent_exec_id":"pid","tid":7,"in_init_tree":false},"parent":{"exec_id":"pid",'
        '"pid":1,"uid":0,"binary":"/sbin/init","flags":"procFS",'
        '"start_time":"2024-01-31T12:00:00Z","auid":4294967295,"tid":1,"in_init_tree":false}},'
        '"node_name":"n","time":"2024-01-31T12:00:00.000000001Z"}\n'
    )


def test_an_exit_to_the_byte() -> None:
    """Signal and status are left out when there is none; its time stands in it twice."""
    process = Process(7, 1, "", flags="unknown", start_time=NOON, complete=False)
    event = ExitEvent(time=NOON, process=process, signal="SIGKILL", status=0)
    assert line_of(event) == (
        b'{"process_exit":{"process":{"pid":7,"flags":"unknown",'
        b'"start_time":"2024-01-31T12:00:00Z"},"signal":"SIGKILL",'
        b'"time":"2024-01-31T12:00:00Z"},"node_name":"n","time":"2024-01-31T12:00:00Z"}\n'
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            ThrottleEvent(time=NOON, start=True, cgroup="a\0"),
            {"process_throttle": {"type": "THROTTLE_START", "cgroup": "a\0"}},
        ),
        (
            ThrottleEvent(time=NOON, start=False, cgroup="a"),
            {"process_throttle": {"type": "THROTTLE_STOP", "cgroup": "a"}},
        ),
        (
            RateLimitInfo(time=NOON, dropped=5),
            {"rate_limit_info": {"number_of_dropped_process_events": "5"}},
        ),
        (RateLimitInfo(time=NOON, dropped=0), {"rate_limit_info": {}}),
    ],
)
def test_events_of_no_process(event: Event, expected: dict[str, object]) -> None:
    """Throttle and rate limit events have the envelope of all others."""
    envelope = {"node_name": "n", "time": "2024-01-31T12:00:00Z"}
    assert json.loads(line_of(event)) == expected | envelope


def test_the_envelope_has_what_is_configured() -> None:
    """Cluster, labels and sequence number come last, and only when asked for."""
    event = ExecEvent(time=NOON, process=PARENT, sequence=42)
    options: dict[str, object] = {
        "cluster_name": 'c"1',
        "node_labels": {"b": "2", "a": "1"},
        "sequence": True,
    }
    assert line_of(event, **options).endswith(
        b'},"node_name":"n","time":"2024-01-31T12:00:00Z","cluster_name":"c\\"1",'
        b'"node_labels":{"a":"1","b":"2"},"sequence":"42"}\n'
    )


def test_an_event_and_its_processes_are_encoded_once() -> None:
    """The same bytes serve every output, and a process's every event of its life."""
    encoder = JsonEncoder("n")
    process = Process(7, 1, "id", binary="/bin/a", start_time=NOON)
    start = ExecEvent(time=NOON, process=process, parent=PARENT)
    line = encoder.line(start)
    assert encoder.line(start) is line
    assert process.json is not None
    assert process.json in encoder.line(ExitEvent(time=NOON, process=process))


def test_binary_properties_are_not_kept_for_later_events() -> None:
    """Only the exec event shows them."""
    encoder = JsonEncoder("n")
    process = Process(7, 1, "id", start_time=NOON)
    properties = BinaryProperties(inode=5)
    start = ExecEvent(time=NOON, process=process, binary_properties=properties)
    assert b"binary_properties" in encoder.line(start)
    assert b"binary_properties" not in encoder.line(ExitEvent(time=NOON, process=process))


def test_processes_of_a_pod_share_all_but_their_pid() -> None:
    """Equal containers, another pid: each process shows its own."""

    def text(pid: int, probe: bool) -> dict[str, dict[str, dict[str, object]]]:
        container = Container(id="containerd://x", pid=pid, maybe_exec_probe=probe)
        pod = Pod("ns", "pod", container=container, labels=(("a", "b"),))
        found: dict[str, dict[str, dict[str, object]]] = json.loads(
            process_text(Process(pid, 1, "id", pod=pod))
        )
        return found

    one, other = text(5, False)["pod"], text(6, True)["pod"]
    assert one["container"].pop("pid") == 5
    assert other["container"].pop("pid") == 6
    assert other["container"].pop("maybe_exec_probe") is True
    assert one == other


@pytest.mark.parametrize("make", [ExecEvent, ExitEvent])
def test_a_process_found_at_start_keeps_its_own_start_time(make: Callable[..., Event]) -> None:
    """An event's time may differ from its process's start."""
    event = make(time=NOON + 10**9, process=Process(7, 1, "id", start_time=NOON))
    shown = json.loads(line_of(event))
    (body,) = (shown[name] for name in ("process_exec", "process_exit") if name in shown)
    assert body["process"]["start_time"] == "2024-01-31T12:00:00Z"
    assert shown["time"] == "2024-01-31T12:00:01Z"
