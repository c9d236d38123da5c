"""Shortening: whatever the event and the limit, what comes out is an event and fits."""

import base64
import json

import msgspec
import pytest
from export_support import exec_event, make_front
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tetragon.export.shorten import SMALLEST, shorten

LONG = st.text(max_size=3000) | st.builds(str.__mul__, st.text(max_size=8), st.integers(0, 3000))
PROCESS = st.fixed_dictionaries(
    {"exec_id": st.just("bm9kZToxOjE="), "pid": st.integers(0, 2**32 - 1), "uid": st.just(0)},
    optional={
        "cwd": LONG,
        "binary": LONG,
        "arguments": LONG,
        "flags": st.just("execve clone"),
        "start_time": st.just("2024-01-31T12:00:00.000000001Z"),
        "pod": st.fixed_dictionaries(
            {"namespace": st.text(max_size=60), "name": st.text(max_size=60)},
            optional={"pod_labels": st.dictionaries(st.text(), st.text(), max_size=20)},
        ),
        "environment_variables": st.lists(
            st.fixed_dictionaries({"Key": st.text(max_size=20), "Value": LONG}), max_size=5
        ),
    },
)
ARGUMENT = st.one_of(
    st.fixed_dictionaries({"string_arg": LONG}),
    st.fixed_dictionaries({"size_arg": st.just("18446744073709551615")}),
    st.fixed_dictionaries(
        {"bytes_arg": st.binary(max_size=3000).map(lambda raw: base64.b64encode(raw).decode())}
    ),
)
FRAME = st.fixed_dictionaries({"offset": st.just("123"), "symbol": st.text(max_size=60)})
BODY = st.fixed_dictionaries(
    {"process": PROCESS},
    optional={
        "parent": PROCESS,
        "ancestors": st.lists(PROCESS, max_size=6),
        "function_name": st.text(max_size=60),
        "args": st.lists(ARGUMENT, max_size=5),
        "action": st.just("KPROBE_ACTION_CLEANUPENFORCERNOTIFICATION"),
        "kernel_stack_trace": st.lists(FRAME, max_size=127),
        "user_stack_trace": st.lists(FRAME, max_size=127),
    },
)
EVENT = st.fixed_dictionaries(
    {"process_kprobe": BODY, "node_name": st.text(max_size=253)},
    optional={
        "time": st.just("2024-01-31T12:00:00.000000001Z"),
        "node_labels": st.dictionaries(st.text(), st.text(), max_size=30),
        "sequence": st.just("18446744073709551615"),
    },
)


def line_of(event: object) -> bytes:
    """Return an event as a line."""
    return msgspec.json.encode(event) + b"\n"


def check_is_part(short: object, whole: object, path: str = "") -> None:
    """Fail unless ``short`` is ``whole`` with things left out: texts and lists end earlier."""
    assert type(short) is type(whole), path
    if isinstance(short, dict) and isinstance(whole, dict):
        for key, value in short.items():
            assert key in whole, path
            check_is_part(value, whole[key], f"{path}.{key}")
    elif isinstance(short, list) and isinstance(whole, list):
        assert len(short) <= len(whole), path
        for mine, theirs in zip(short, whole, strict=False):
            check_is_part(mine, theirs, path)
    elif isinstance(short, str) and isinstance(whole, str):
        assert whole.startswith(short), path
        if path.endswith("bytes_arg"):
            assert base64.b64decode(whole, validate=True).startswith(
                base64.b64decode(short, validate=True)
            )
    else:
        assert short == whole, path


@settings(deadline=None, max_examples=50)
@given(EVENT, st.integers(SMALLEST, 20_000))
@example({"process_kprobe": {"process": {"pid": 1, "binary": '"' * 9999}}, "node_name": "n"}, 600)
@example({"process_kprobe": {"process": {"pid": 1, "binary": "\U0001f600" * 999}}}, 600)
def test_the_result_is_a_part_of_the_event_and_fits(event: dict[str, object], limit: int) -> None:
    """Valid JSON, no longer than allowed, nothing invented; who and where always stays."""
    line = line_of(event)
    short = shorten(line, limit)
    assert len(short) <= limit
    assert short.endswith(b"}\n")
    assert short.count(b"\n") == 1
    got = json.loads(short)
    note = got.pop("truncated", None)
    check_is_part(got, event)
    assert (note is None) == (short == line)
    if note is not None:
        assert note["size"] == len(line)
        assert note["cut"]
    who, whole = got["process_kprobe"]["process"], event["process_kprobe"]["process"]
    assert who["pid"] == whole["pid"]
    assert who.get("exec_id") == whole.get("exec_id")
    if note is None or note["cut"] != ["all"]:
        for key in ("action", "time", "sequence", "node_name"):
            assert got.get(key) == event.get(key) or key == "action"


@settings(deadline=None, max_examples=50)
@given(EVENT, st.integers(2000, 20_000))
def test_no_more_is_cut_than_needed(event: dict[str, object], limit: int) -> None:
    """As long as texts can give way, the result uses the room it has, but for a frame or two."""
    process = event["process_kprobe"]["process"]
    process["arguments"] = "y" * 30_000
    others = len(line_of(event)) - 30_000
    short = shorten(line_of(event), limit)
    if others < limit - 300:
        assert len(short) > limit - 300
        assert set(json.loads(short)["truncated"]["cut"]) == {"arguments"}


def test_a_line_that_fits_is_the_same_object() -> None:
    """Nothing is decoded or copied for events of ordinary size."""
    line = b'{"process_exec":{}}\n'
    assert shorten(line, SMALLEST) is line


def big_event() -> dict[str, object]:
    """Return an event with something of everything that can be cut."""
    frames = [{"offset": str(n), "symbol": f"function_number_{n}"} for n in range(60)]
    process = {"exec_id": "a" * 40, "pid": 7, "uid": 0, "binary": "/bin/x", "arguments": "y" * 900}
    return {
        "process_kprobe": {
            "process": {**process, "environment_variables": [{"Key": "K", "Value": "v" * 400}]},
            "parent": {**process, "cwd": "c" * 300},
            "function_name": "f" * 300,
            "args": [{"string_arg": "z" * 800}],
            "kernel_stack_trace": frames,
            "ancestors": [process] * 3,
        },
        "node_name": "node",
        "time": "2024-01-31T12:00:00Z",
        "node_labels": {"zone": "a" * 200},
    }


@pytest.mark.parametrize(
    ("limit", "cut"),
    [
        (8000, ["arguments"]),
        (5000, ["arguments", "stack_traces"]),
        (2600, ["arguments", "stack_traces", "ancestors"]),
        (2000, ["arguments", "stack_traces", "ancestors", "environment"]),
        (1500, ["arguments", "stack_traces", "ancestors", "environment", "parent"]),
        (
            1300,
            ["arguments", "stack_traces", "ancestors", "environment", "parent", "details"],
        ),
    ],
)
def test_things_are_cut_in_the_order_promised(limit: int, cut: list[str]) -> None:
    """The less it may take, the further down the list it goes; the list is in the event."""
    short = shorten(line_of(big_event()), limit)
    assert len(short) <= limit
    assert json.loads(short)["truncated"]["cut"] == cut


def test_arguments_are_cut_evenly() -> None:
    """The longest give way first; short ones stay whole."""
    event = {
        "process_exec": {
            "process": {"pid": 1, "arguments": "a" * 5000},
            "parent": {"pid": 2, "arguments": "b" * 100},
            "ancestors": [{"pid": 3, "arguments": "c" * 5000}],
        }
    }
    got = json.loads(shorten(line_of(event), 3000))["process_exec"]
    assert len(got["process"]["arguments"]) == len(got["ancestors"][0]["arguments"]) > 1000
    assert got["parent"]["arguments"] == "b" * 100


@settings(deadline=None, max_examples=50)
@given(LONG)
def test_lines_of_the_encoder_can_be_shortened(text: str) -> None:
    """The encoder's own way to write a text makes no difference."""
    event = exec_event(arguments=text, binary=text)
    (line,) = make_front().admit([event]).lines
    short = shorten(line, 700)
    assert len(short) <= 700
    process = json.loads(short)["process_exec"]["process"]
    assert text.startswith(process.get("binary", ""))
    assert text.startswith(process.get("arguments", ""))
