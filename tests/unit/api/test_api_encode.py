"""Joined bytes are what protobuf itself would have made of the event."""

import json

import pytest
from api_support import events, make_execs, make_process
from hypothesis import given, settings

from tetragon.api import messages as api
from tetragon.api.encode import ProtoEncoder, process_message
from tetragon.api.json import Converter
from tetragon.event.json import JsonEncoder
from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent
from tetragon.model.process import BinaryProperties, Process

LABELS = {"zone": "a", "arch": "x"}


def by_field(event: Event) -> api.GetEventsResponse:
    """Build the event's message with protobuf's classes, field by field."""
    message = api.GetEventsResponse(node_name="node", cluster_name="c", node_labels=LABELS)
    message.time.FromNanoseconds(event.time)
    if isinstance(event, ExecEvent):
        _lineage(message.process_exec, event)
        if event.binary_properties is not None and event.process and event.process.complete:
            _properties(message.process_exec.process.binary_properties, event.binary_properties)
    elif isinstance(event, ExitEvent):
        _lineage(message.process_exit, event)
        message.process_exit.signal = event.signal
        message.process_exit.status = event.status
        message.process_exit.time.FromNanoseconds(event.time)
    elif isinstance(event, ThrottleEvent):
        message.process_throttle.type = 1 if event.start else 2
        message.process_throttle.cgroup = event.cgroup
    elif isinstance(event, RateLimitInfo):
        message.rate_limit_info.number_of_dropped_process_events = event.dropped
        message.rate_limit_info.SetInParent()
    return message


def _lineage(into: "api.ProcessExec | api.ProcessExit", event: Event) -> None:
    assert event.process is not None
    into.process.CopyFrom(process_message(event.process))
    if event.parent is not None:
        into.parent.CopyFrom(process_message(event.parent))
    into.ancestors.extend(process_message(process) for process in event.ancestors)


def _properties(into: api.BinaryProperties, properties: BinaryProperties) -> None:
    for name in ("setuid", "setgid"):
        value = getattr(properties, name)
        if value is not None:
            getattr(into, name).value = value
            getattr(into, name).SetInParent()
    into.privileges_changed.extend(properties.privileges_changed)
    if properties.inode is not None:
        into.file.inode.number = properties.inode
        into.file.inode.links.SetInParent()
    into.SetInParent()


def forget(event: Event) -> None:
    """Drop the encoded forms, so that each is made anew."""
    event.json = event.proto = None
    for process in (event.process, event.parent, *event.ancestors):
        if process is not None:
            process.json = process.proto = None


@settings(max_examples=20, deadline=None)
@given(events)
def test_frame_decodes_to_the_message_built_by_field(event: Event) -> None:
    """Whatever the event holds, the join of cached bytes is its message."""
    frame = ProtoEncoder("node", "c", LABELS).frame(event)
    assert api.GetEventsResponse.FromString(frame) == by_field(event)
    assert event.proto is frame


@settings(max_examples=20, deadline=None)
@given(events)
def test_frame_says_the_same_as_the_json_line(event: Event) -> None:
    """A client that prints our frame as JSON prints what our JSON export writes."""
    forget(event)
    frame = ProtoEncoder("node", "c", LABELS).frame(event)
    printed = Converter().object(api.GetEventsResponse.FromString(frame))
    line = json.loads(JsonEncoder("node", "c", LABELS).line(event))
    assert printed == line
    assert list(printed) == list(line)


def test_process_is_encoded_once_for_all_its_events() -> None:
    """The bytes made for the exec are those in the exit; the parent's are in both."""
    encoder = ProtoEncoder("node")
    exec_event = make_execs(1, first=5)[0]
    frame = encoder.frame(exec_event)
    process, parent = exec_event.process, exec_event.parent
    assert process is not None
    assert parent is not None
    made = process.proto
    assert made is not None
    assert made in frame
    exit_event = ExitEvent(time=2, process=process, parent=parent, status=1)
    assert made in encoder.frame(exit_event)
    assert process.proto is made


def test_binary_properties_stay_out_of_the_cached_process() -> None:
    """They belong to the exec event alone."""
    encoder, process = ProtoEncoder("node"), make_process(5)
    event = ExecEvent(time=1, process=process, binary_properties=BinaryProperties(setuid=0))
    shown = api.GetEventsResponse.FromString(encoder.frame(event)).process_exec.process
    assert shown.binary_properties.HasField("setuid")
    after = api.GetEventsResponse.FromString(encoder.frame(ExitEvent(time=2, process=process)))
    assert not after.process_exit.process.HasField("binary_properties")


@pytest.mark.parametrize("size", [0, 127, 128, 4095, 4096, 16383, 16384, 300_000])
def test_lengths_at_the_borders_of_their_encoding(size: int) -> None:
    """A body as long as 300 kB of arguments is framed right, as is one of any other length."""
    event = ExecEvent(time=1, process=make_process(5, arguments="x" * size))
    frame = ProtoEncoder("n").frame(event)
    assert len(api.GetEventsResponse.FromString(frame).process_exec.process.arguments) == size


def test_text_that_is_not_unicode_is_an_error() -> None:
    """A lone surrogate, which decoding never lets in, raises instead of corrupting the frame."""
    process = Process(pid=1, ktime=1, exec_id="x", binary="\udc80")
    with pytest.raises(UnicodeEncodeError):
        ProtoEncoder("n").frame(ExecEvent(time=1, process=process))
