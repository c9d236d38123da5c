"""Requests become filters, and a stream gets what its request asks for and nothing else."""

import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from tetragon.api import messages
from tetragon.api.encode import ProtoEncoder
from tetragon.api.fields import FrameFields
from tetragon.api.filters import filter_value, request_filters, stream_filter
from tetragon.api.listen import Addresses
from tetragon.api.parse import Parser
from tetragon.api.server import GrpcServer
from tetragon.api.service import AgentService
from tetragon.api.stream import GrpcSink
from tetragon.errors import FilterError
from tetragon.event.fields import compile_field_filter_text
from tetragon.event.fields_json import LineFields
from tetragon.event.json import JsonEncoder
from tetragon.model.control import AgentControl
from tetragon.model.event import Event
from tetragon.model.filters import (
    AggregationOptions,
    CapFilter,
    CapFilterSet,
    FieldFilter,
    Filter,
    FilterOptions,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "event"))
from filter_events import make_exec, whole_events

GET_EVENTS = "/tetragon.FineGuidanceSensors/GetEvents"


def request(**lists: list[dict[str, Any]] | dict[str, Any]) -> messages.GetEventsRequest:
    """Return a request from its JSON form."""
    found = messages.GetEventsRequest()
    Parser().fill(found, lists)
    return found


def test_every_field_of_a_request_is_taken_over() -> None:
    """A message and its value say the same."""
    found = request_filters(request(
        allow_list=[{
            "binary_regex": ["a"], "health_check": False, "pid": [1, 2], "event_set": [1, 77],
            "capabilities": {"effective": {"any": [5], "all": []}, "permitted": {}},
            "in_init_tree": True, "cel_expression": ["true"],
        }, {}],
        deny_list=[{"namespace": ["", "x"], "policy_names": ["p"]}],
        field_filters=[
            {"fields": "process.execId,args", "action": "EXCLUDE", "event_set": [1],
             "invert_event_set": True},
            {},
        ],
        aggregation_options={"window_size": "1.5s", "channel_buffer_size": "7"},
    ))  # fmt: skip
    assert found.allow == (
        Filter(
            binary_regex=("a",), health_check=False, pid=(1, 2), event_set=(1, 77),
            capabilities=CapFilter(effective=CapFilterSet(any=(5,)), permitted=CapFilterSet()),
            in_init_tree=True, cel_expression=("true",),
        ),
        Filter(),
    )  # fmt: skip
    assert found.deny == (Filter(namespace=("", "x"), policy_names=("p",)),)
    assert found.fields == (
        FieldFilter(
            fields=("process.exec_id", "args"), action=1, event_set=(1,), invert_event_set=True
        ),
        FieldFilter(),
    )
    assert found.aggregation == AggregationOptions(window_size=1_500_000_000, channel_buffer_size=7)
    assert request_filters(messages.GetEventsRequest()) == ((), (), (), None)


def test_every_field_of_the_message_has_a_value_field() -> None:
    """A field added to the API's Filter must be added to ours."""
    described: Any = messages.Filter.DESCRIPTOR
    assert tuple(field.name for field in described.fields) == Filter.__struct_fields__
    for field in described.fields:
        message = messages.Filter()
        if field.message_type is not None:
            getattr(message, field.name).SetInParent()
        else:
            getattr(message, field.name).append("x" if field.type == field.TYPE_STRING else 1)
        assert getattr(filter_value(message), field.name) is not None, field.name


def test_default_aggregation_window() -> None:
    """Options without a window mean the documented 15 seconds."""
    found = request_filters(request(aggregation_options={}))
    assert found.aggregation == AggregationOptions(window_size=15_000_000_000)
    with pytest.raises(FilterError, match=r"^aggregation_options\.window_size: 0 ns is no window"):
        request_filters(request(aggregation_options={"window_size": "0s"}))


def test_request_for_everything_needs_no_filter() -> None:
    """What tetra sends without flags costs nothing per event."""
    assert stream_filter(request(allow_list=[{}]), FilterOptions()) == (None, None)
    assert stream_filter(request(field_filters=[{}]), FilterOptions()) == (None, None)


@pytest.mark.parametrize("event", whole_events(), ids=lambda event: type(event).__name__)
@pytest.mark.parametrize(
    "text",
    [
        '{"fields":"process.exec_id,process.pod.container.image,parent.binary,cgroup"}',
        '{"fields":"process.ns,parent,ancestors,status,type","action":"EXCLUDE"}',
        '{"fields":"process.cap.permitted,process.start_time,process.pod.pod_labels,time"}',
        '{"fields":"process.binary_properties.file,process.uid,number_of_dropped_process_events"}',
    ],
)
def test_frames_leave_what_lines_leave(text: str, event: Event) -> None:
    """The agent's own frame and its own line, both filtered, say the same."""
    filters = compile_field_filter_text(text)
    assert filters is not None
    line = LineFields(filters).line(event, JsonEncoder("node").line(event))
    wanted = messages.GetEventsResponse()
    Parser().fill(wanted, json.loads(line))
    frame = FrameFields(filters).frame(event, ProtoEncoder("node").frame(event))
    assert messages.GetEventsResponse.FromString(frame) == wanted


# --- over the wire --------------------------------------------------------------------------


@pytest.fixture
def sink() -> GrpcSink:
    """The output that feeds the streams."""
    return GrpcSink(ProtoEncoder("node").frame)


@pytest.fixture
def channel(sink: GrpcSink) -> Iterator[grpc.Channel]:
    """A channel to a real server on loopback that compiles requests."""
    options = FilterOptions()
    service = AgentService(cast(AgentControl, None), sink, partial(stream_filter, options=options))
    server = GrpcServer(Addresses(tcp=("127.0.0.1", 0)), service.methods(), sink)
    server.start()
    assert server.tcp is not None
    with grpc.insecure_channel(f"{server.tcp[0]}:{server.tcp[1]}") as opened:
        yield opened
    server.stop(1)


def get_events(channel: grpc.Channel, asked: messages.GetEventsRequest) -> Any:
    """Open a stream."""
    call = channel.unary_stream(
        GET_EVENTS,
        request_serializer=messages.GetEventsRequest.SerializeToString,
        response_deserializer=messages.GetEventsResponse.FromString,
    )
    return call(asked, timeout=10)


def wait_for_streams(sink: GrpcSink, count: int) -> None:
    """Return once so many clients listen."""
    deadline = time.monotonic() + 5
    while sink.streams != count:
        assert time.monotonic() < deadline, f"{sink.streams} streams"
        time.sleep(0.001)


def test_stream_gets_what_its_request_asks_for(channel: grpc.Channel, sink: GrpcSink) -> None:
    """Two clients with other filters get other events, and other fields of the same event."""
    one = get_events(channel, request(
        allow_list=[{"cel_expression": ["process_exec.process.pid > 1u"]}],
        field_filters=[{"fields": "process.pid"}],
    ))  # fmt: skip
    two = get_events(channel, request(deny_list=[{"pid": [2]}]))
    wait_for_streams(sink, 2)
    sink.write([make_exec(pid=pid, uid=7) for pid in (1, 2, 3)])
    pids = [next(one).process_exec.process for _ in range(2)]
    assert [(process.pid.value, process.binary) for process in pids] == [(2, ""), (3, "")]
    whole = [next(two).process_exec.process for _ in range(2)]
    assert [(p.pid.value, p.uid.value) for p in whole] == [(1, 7), (3, 7)]
    assert sink.ledger.filtered == 2
    one.cancel()
    two.cancel()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"allow_list": [{}, {"pod_regex": ["ok", "["]}]},
         "allow_list[1].pod_regex[1]: failed to compile regexp: error parsing regexp: missing "
         "closing ]: `[`"),
        ({"deny_list": [{"labels": ["a in"]}]}, "deny_list[0].labels[0]: invalid pod label filter"),
        ({"allow_list": [{"cel_expression": ["1 + 1"]}]},
         'allow_list[0].cel_expression[0]: error compiling CEL expression: got "int"'),
        ({"allow_list": [{"capabilities": {"effective": {"any": [1]}}}]},
         "allow_list[0].capabilities: capabilities are not enabled"),
        ({"allow_list": [{"ancestor_binary_regex": ["x"]}]},
         "allow_list[0].ancestor_binary_regex: ancestors are not enabled for PROCESS_EXEC"),
        ({"field_filters": [{"action": 5}]},
         "field_filters[0].action: failed to create field filters: invalid fieldfilter action: 5"),
        ({"aggregation_options": {"window_size": "-1s"}}, "aggregation_options.window_size: "),
    ],
)  # fmt: skip
def test_bad_filter_is_invalid_argument_for_that_stream_only(
    channel: grpc.Channel, sink: GrpcSink, asked: dict[str, Any], message: str
) -> None:
    """The client learns list, filter, field and reason; another client's stream goes on."""
    other = get_events(channel, request())
    wait_for_streams(sink, 1)
    with pytest.raises(grpc.RpcError) as caught:
        next(get_events(channel, request(**asked)))
    error = cast(Any, caught.value)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(message)
    sink.write([make_exec(pid=3)])
    assert next(other).process_exec.process.pid.value == 3
    other.cancel()
