"""Messages become the JSON the contract asks for, and JSON becomes messages again."""

import json
import time
from typing import Any

import pytest
from api_support import events, make_execs
from google.protobuf import json_format
from hypothesis import given, settings

from tetragon.api import messages as api
from tetragon.api.encode import ProtoEncoder
from tetragon.api.json import Converter
from tetragon.api.parse import Parser
from tetragon.model.event import Event


def parse(text: str, into: Any) -> Any:
    Parser().line(text, into)
    return into


@settings(max_examples=20, deadline=None)
@given(events)
def test_events_print_as_protobuf_prints_them(event: Event) -> None:
    """The object is json_format's with proto names; the line is the object."""
    message = api.GetEventsResponse.FromString(ProtoEncoder("n").frame(event))
    expected = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert Converter().object(message) == expected
    line = Converter(raw=True).line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == expected


@settings(max_examples=20, deadline=None)
@given(events)
def test_parsing_what_was_printed_gives_the_message_back(event: Event) -> None:
    """Both spellings of field names are understood."""
    message = api.GetEventsResponse.FromString(ProtoEncoder("n", "c", {"a": "b"}).frame(event))
    assert parse(Converter().line(message).decode(), api.GetEventsResponse()) == message
    camel = json_format.MessageToJson(message)
    assert parse(camel, api.GetEventsResponse()) == message


def test_order_is_that_of_the_declaration() -> None:
    """The event comes first even where its number is large; a label comes last."""
    message = api.GetEventsResponse(node_name="n")
    message.rate_limit_info.number_of_dropped_process_events = 3
    assert list(Converter().object(message)) == ["rate_limit_info", "node_name"]
    argument = api.KprobeArgument(label="l", uint_arg=0)
    argument.error_arg.Message = "m"
    assert list(Converter().object(argument)) == ["error_arg", "label"]


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ({"int_arg": 0}, {"int_arg": 0}),
        ({"bytes_arg": b""}, {"bytes_arg": ""}),
        ({"bytes_arg": b"\xff\x00"}, {"bytes_arg": "/wA="}),
        ({"size_arg": 2**64 - 1}, {"size_arg": "18446744073709551615"}),
        ({"long_arg": -1}, {"long_arg": "-1"}),
        ({"bpf_cmd_arg": 5}, {"bpf_cmd_arg": "BPF_PROG_LOAD"}),
        ({"bpf_cmd_arg": 999}, {"bpf_cmd_arg": 999}),
        ({"string_arg": "<a&b>é\u2028"}, {"string_arg": "<a&b>é\u2028"}),
    ],
)
def test_argument_values(argument: dict[str, Any], shown: dict[str, Any]) -> None:
    """A member of a oneof is printed even when empty; 64 bits are text; bytes are base64."""
    assert Converter().object(api.KprobeArgument(**argument)) == shown


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1, 500_000_000, "1970-01-01T00:00:01.500Z"),
        (1, 1_000, "1970-01-01T00:00:01.000001Z"),
        (1, 1, "1970-01-01T00:00:01.000000001Z"),
    ],
)
def test_times_have_as_many_digits_as_they_need(seconds: int, nanos: int, text: str) -> None:
    """None, three, six or nine."""
    message = api.ProcessExit()
    message.time.seconds, message.time.nanos = seconds, nanos
    message.time.SetInParent()
    assert Converter().object(message) == {"time": text}
    assert parse(json.dumps({"time": text}), api.ProcessExit()) == message


def test_well_known_types_print_as_their_short_forms() -> None:
    """Duration, field mask, any: as in requests and in GetInfo."""
    request = api.GetEventsRequest()
    request.aggregation_options.window_size.FromMilliseconds(1500)
    request.field_filters.add().fields.paths.extend(["process.exec_id", "a"])
    shown = Converter().object(request)
    assert shown["aggregation_options"] == {"window_size": "1.500s"}
    assert shown["field_filters"] == [{"fields": "process.execId,a"}]
    assert parse(json.dumps(shown), api.GetEventsRequest()) == request
    info = api.GetInfoResponse()
    values = api.ListValue()
    values.values.add(string_value="x")
    info.conf.add(key="l").value.Pack(values)
    packed = Converter().object(info)["conf"][0]["value"]
    assert packed == {"@type": "type.googleapis.com/google.protobuf.ListValue", "value": ["x"]}


def test_unknown_fields_and_null_are_left_out() -> None:
    """A newer agent's fields do not make its events unreadable."""
    text = '{"process_exec":{"new":[1],"process":{"pid":7,"uid":null}},"other":{"a":1}}'
    read = parse(text, api.GetEventsResponse())
    assert Converter().object(read) == {"process_exec": {"process": {"pid": 7}}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "7",
        '{"node_name":7}',
        '{"time":"yesterday"}',
        '{"process_exec":[]}',
        '{"process_exec":{"process":{"pid":-1}}}',
        '{"process_exec":{"process":{"pid":1.5}}}',
        '{"process_exec":{"process":{"pid":true}}}',
        '{"process_exec":{"process":{"in_init_tree":"yes"}}}',
        '{"process_exec":{},"process_exit":{}}',
        '{"process_loader":{"buildid":"!!!!"}}',
        '{"process_exec":{"ancestors":{}}}',
    ],
)
def test_lines_that_are_no_event_are_refused(text: str) -> None:
    """With a ValueError, whatever is wrong with them."""
    with pytest.raises(ValueError):
        parse(text, api.GetEventsResponse())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"pid":"12"}', {"pid": 12}),
        ('{"pid":12.0}', {"pid": 12}),
        ('{"cap":{"effective":["CAP_CHOWN",21,"CAP_NEW"]}}',
         {"cap": {"effective": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}),
        ('{"execId":"x","inInitTree":false}', {"exec_id": "x", "in_init_tree": False}),
    ],
)  # fmt: skip
def test_spellings_of_values(text: str, expected: dict[str, Any]) -> None:
    """Numbers as text, enums by name or number; a name that is not known is left out."""
    assert Converter().object(parse(text, api.Process())) == expected


def test_converter_is_faster_than_json_format() -> None:
    """It exists for its speed: on repeated processes several times that of protobuf's own."""
    frames = [ProtoEncoder("n").frame(event) for event in make_execs(150)]
    found = [api.GetEventsResponse.FromString(frame) for frame in frames]

    def seconds(print_all: Any) -> float:
        best = 9.0
        for _ in range(5):
            start = time.perf_counter()
            print_all()
            best = min(best, time.perf_counter() - start)
        return best

    def slow() -> None:
        for message in found:
            json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)

    converter = Converter(raw=True)
    fast = seconds(lambda: [converter.line(message) for message in found])
    assert fast * 2 < seconds(slow)
