"""Field filters leave exactly the fields they are told to, on objects, lines and frames alike."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from filter_events import UPSTREAM, as_json, whole_events
from hypothesis import given, settings
from hypothesis import strategies as st

from tetragon.api import messages
from tetragon.api.fields import FrameFields
from tetragon.api.parse import Parser
from tetragon.errors import FilterError
from tetragon.event import shape
from tetragon.event.fields import (
    FieldFilters,
    compile_field_filter_text,
    compile_field_filters,
    unknown_paths,
)
from tetragon.event.fields_json import LineFields
from tetragon.event.from_json import event_from_json
from tetragon.event.shape import Kind
from tetragon.model.filters import FieldAction, FieldFilter

Json = dict[str, Any]

KPROBE: Json = {
    "process_kprobe": {
        "process": {"exec_id": "x", "pid": 0, "binary": "/b", "in_init_tree": False},
        "args": [
            {"file_arg": {"path": "/x", "flags": "f"}, "label": "L"},
            {"int_arg": 5},
            {"size_arg": "3"},
            {"bytes_arg": "aGk="},
        ],
        "return": {"int_arg": -1},
        "action": "KPROBE_ACTION_POST",
        "tags": ["a"],
    },
    "node_name": "n",
    "time": "2024-01-01T00:00:00Z",
}
EMPTY: Json = {"node_name": "n", "time": "2024-01-01T00:00:00Z"}


def fields(text: str) -> FieldFilters:
    """Return compiled field filters that change something."""
    found = compile_field_filter_text(text)
    assert found is not None
    return found


def frame(event: Json) -> messages.GetEventsResponse:
    """Return an event's message."""
    message = messages.GetEventsResponse()
    Parser().fill(message, event)
    return message


def applied(filters: FieldFilters, event: Json) -> Json:
    """Return what is left of an event, the same in all three forms."""
    before = json.dumps(event)
    left = filters.apply(event)
    assert json.dumps(event) == before, "the event was changed"
    kind = event_from_json(event)
    line = LineFields(filters).line(kind, f"{before}\n".encode())
    assert line.endswith(b"}\n")
    assert json.loads(line) == left
    data = FrameFields(filters).frame(kind, frame(event).SerializeToString())
    assert messages.GetEventsResponse.FromString(data) == frame(left)
    return left


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ('{"fields":"process.exec_id,process.pid"}', {"process": {"exec_id": "x", "pid": 0}}),
        ('{"fields":"process.exec_id"}{"fields":"process"}', {"process": {"exec_id": "x"}}),
        ('{"fields":"process"}{"fields":"args"}', {}),
        ('{"fields":"process,process.pid"}', {"process": {"pid": 0}}),
        ('{"fields":"process"}{"fields":"process.binary,process.pid","action":"EXCLUDE"}',
         {"process": {"exec_id": "x", "in_init_tree": False}}),
        ('{"fields":"process.nope"}', {"process": {}}),
        ('{"fields":"nope"}', {}),
        ('{"fields":"process.binary.nope"}', {"process": {"binary": "/b"}}),
        ('{"fields":"process.execId,process.InInitTree"}',
         {"process": {"exec_id": "x", "in_init_tree": False}}),
        ('{"fields":"process.execid"}', {"process": {}}),
        ('{"fields":"tags,action"}', {"tags": ["a"], "action": "KPROBE_ACTION_POST"}),
        ('{"fields":"args.label"}', {"args": [{"label": "L"}, {}, {}, {}]}),
        ('{"fields":"args.file_arg"}', {"args": [{}, {}, {}, {}]}),
        ('{"fields":"args.arg.file_arg.path"}', {"args": [
            {"file_arg": {"path": "/x"}}, {"int_arg": 0}, {"size_arg": "0"}, {"bytes_arg": ""},
        ]}),
        ('{"fields":"args.arg"}', {"args": [
            {"file_arg": {"path": "/x", "flags": "f"}}, {"int_arg": 5}, {"size_arg": "3"},
            {"bytes_arg": "aGk="},
        ]}),
        ('{"fields":"return.arg.string_arg"}', {"return": {"int_arg": 0}}),
        ('{"fields":"process.pid.value"}', {"process": {"pid": 0}}),
    ],
)  # fmt: skip
def test_include_keeps_only_what_is_named(text: str, payload: Json) -> None:
    """Messages on the way stay, empty if need be; members of a oneof need its name."""
    assert applied(fields(text), KPROBE) == {"process_kprobe": payload, **EMPTY}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ('{"fields":"process","action":1}', {"process": None}),
        ('{"fields":"process.exec_id,process.pid,process.binary,process.in_init_tree","action":1}',
         {"process": {}}),
        ('{"fields":"args,return,tags,action","action":1}',
         {"args": None, "return": None, "tags": None, "action": None}),
        ('{"fields":"args.arg.int_arg,args.arg.file_arg.path,args.label","action":1}', {"args": [
            {"file_arg": {"flags": "f"}}, {"int_arg": 0}, {"size_arg": "3"}, {"bytes_arg": "aGk="},
        ]}),
        ('{"fields":"args.arg","action":1}', {"args": [{"label": "L"}, {}, {}, {}]}),
        ('{"fields":"args.arg.file_arg","action":1}', {"args": [
            {"file_arg": {}, "label": "L"}, {"int_arg": 5}, {"size_arg": "3"},
            {"bytes_arg": "aGk="},
        ]}),
        ('{"fields":"args.file_arg,nope,process.nope.x","action":1}{"fields":"tags","action":1}',
         {"tags": None}),
    ],
)  # fmt: skip
def test_exclude_keeps_all_but_what_is_named(text: str, changes: Json) -> None:
    """A member of a oneof that is named stays as its empty value; unknown paths change nothing."""
    payload = KPROBE["process_kprobe"] | changes
    left = {name: value for name, value in payload.items() if value is not None}
    assert applied(fields(text), KPROBE) == {"process_kprobe": left, **EMPTY}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ('{"fields":"tags","event_set":["PROCESS_KPROBE"]}', True),
        ('{"fields":"tags","event_set":["PROCESS_EXEC"]}', False),
        ('{"fields":"tags","event_set":["PROCESS_EXEC"],"invert_event_set":true}', True),
        ('{"fields":"tags","event_set":[9],"invert_event_set":true}', False),
        ('{"fields":"tags","invert_event_set":true}', True),
        ('{"fields":"tags","event_set":["UNDEF"]}', False),
    ],
)
def test_event_set_limits_a_field_filter(text: str, changes: bool) -> None:
    """It is for the kinds named, or for all others; an empty set is for all either way."""
    found = compile_field_filter_text(text)
    left = KPROBE if found is None else applied(found, KPROBE)
    assert (left != KPROBE) is changes


@pytest.mark.parametrize(
    "text", ["", "{}", '{"action":"EXCLUDE"}', '{"fields":"","event_set":["PROCESS_EXEC"]}']
)
def test_no_paths_change_nothing(text: str) -> None:
    """Without paths both actions keep everything; there is nothing to apply."""
    assert compile_field_filter_text(text) is None


def test_object_in_camel_case_is_filtered_too() -> None:
    """Events read from JSON may spell names either way; they leave as they came."""
    event = {"processExec": {"process": {"execId": "x", "pid": 1}}, "nodeName": "n"}
    left = fields('{"fields":"process.exec_id"}').apply(event)
    assert left == {"processExec": {"process": {"execId": "x"}}, "nodeName": "n"}


def test_envelope_stays_and_lines_of_other_kinds_are_untouched() -> None:
    """All fields around the event stay, our own sequence number too; others are not even read."""
    filters = LineFields(fields('{"fields":"cgroup","event_set":["PROCESS_THROTTLE"]}'))
    throttle = {
        "process_throttle": {"type": "THROTTLE_START", "cgroup": "c"},
        "node_name": "n", "time": "2024-01-01T00:00:00Z", "aggregation_info": {"count": "2"},
        "cluster_name": "k", "node_labels": {"a": "b"}, "sequence": "7",
    }  # fmt: skip
    line = json.dumps(throttle).encode() + b"\n"
    left = json.loads(filters.line(event_from_json(throttle), line))
    assert left == throttle | {"process_throttle": {"cgroup": "c"}}
    assert filters.line(event_from_json({"process_exec": {}}), b"not read") == b"not read"


@pytest.mark.parametrize("case", UPSTREAM["fields"]["cases"], ids=lambda case: str(case[1])[:70])
def test_field_filters_agree_with_upstream(case: tuple[int, list[Json], Any]) -> None:
    """Random masks, right and wrong, leave of random events what was recorded."""
    index, masks, recorded = case
    event: Json = UPSTREAM["fields"]["events"][index]
    found = compile_field_filters([
        FieldFilter(
            fields=tuple(mask["paths"]), action=mask["action"],
            event_set=tuple(mask["event_set"]), invert_event_set=mask["invert"],
        )
        for mask in masks
    ])  # fmt: skip
    assert (event if found is None else applied(found, event)) == recorded


def paths(message: str, depth: int = 0) -> st.SearchStrategy[str]:
    """Paths below a message; most of them lead somewhere."""

    def below(field: shape.Field) -> st.SearchStrategy[str]:
        name = f"{field.oneof}.{field.name}" if field.oneof else field.name
        if field.kind is not Kind.MESSAGE or depth > 3:
            return st.just(name)
        return st.just(name) | paths(field.type, depth + 1).map(lambda path: f"{name}.{path}")

    return st.sampled_from([*shape.fields(message)]).flatmap(below) | st.just("nope")


masks = st.builds(
    FieldFilter,
    fields=st.lists(paths("ProcessExec"), max_size=4).map(tuple),
    action=st.sampled_from(FieldAction),
)


@settings(deadline=None)
@given(st.lists(masks, max_size=3))
def test_one_plan_is_the_same_as_one_filter_after_another(filters: Sequence[FieldFilter]) -> None:
    """The filters' plan does at once, and in every form, what they do one by one."""
    event = as_json(whole_events()[0])
    wanted = event
    for one in filters:
        alone = compile_field_filters([one])
        wanted = wanted if alone is None else alone.apply(wanted)
    together = compile_field_filters(filters)
    assert (event if together is None else applied(together, event)) == wanted


@pytest.mark.parametrize(
    ("paths_", "unknown"),
    [
        (["process.exe_id"], 'f[0].fields: "process.exe_id" names no field of any event '
                             '(did you mean "process.exec_id"?)'),
        (["args.file_arg"], '"args.file_arg" names no field of any event (did you mean '
                            '"args.arg.file_arg"?)'),
        (["process.binary.x"], 'f[0].fields: "process.binary.x" names no field of any event'),
        (["process.exec_id", "args.arg.file_arg.path", "return", "cgroup"], None),
        (["process.environment_variables.Key", "process.pod.pod_labels"], None),
    ],
)  # fmt: skip
def test_unknown_paths_are_told(paths_: list[str], unknown: str | None) -> None:
    """A path that names nothing anywhere is no error, yet something to warn of."""
    told = "\n".join(unknown_paths([FieldFilter(fields=tuple(paths_))], name="f"))
    assert (unknown in told) if unknown else not told


def test_unknown_path_names_the_kinds_it_is_for() -> None:
    """A field that only other kinds have is unknown to the kinds of the filter."""
    [told] = unknown_paths([FieldFilter(fields=("function_name",), event_set=(1, 5), action=1)])
    assert '"function_name" names no field of PROCESS_EXEC or PROCESS_EXIT' in told


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (FieldFilter(action=2), "f[1].action: invalid fieldfilter action: 2"),
        (FieldFilter(fields=("a..b",)),
         'f[1].fields: invalid fieldName FieldFilter format: "a..b"'),
        (FieldFilter(fields=("",)), 'f[1].fields: invalid fieldName FieldFilter format: ""'),
    ],
)  # fmt: skip
def test_bad_field_filter_is_refused(one: FieldFilter, message: str) -> None:
    """The error names the filter by its place in the list."""
    with pytest.raises(FilterError) as caught:
        compile_field_filters([FieldFilter(), one], name="f")
    assert str(caught.value).startswith(message)


def test_line_keeps_fields_as_they_are_written() -> None:
    """What stays is copied, not parsed and printed anew: escapes and spaces are as they were."""
    line = b'{"process_exec":{"process":{"binary":"\\u00e9\\/" , "pid": 1,"cwd":"/"}},"time":"t"}\n'
    left = LineFields(fields('{"fields":"process.cwd","action":1}')).line(
        event_from_json({"process_exec": {}}), line
    )
    assert left == b'{"process_exec":{"process":{"pid":1,"binary":"\\u00e9\\/"}},"time":"t"}\n'


def test_frames_keep_zero_members_and_empty_messages() -> None:
    """A oneof's zero, a wrapper's zero and an empty message are told from absence on the wire."""
    event: Mapping[str, Any] = {
        "process_kprobe": {
            "process": {"pid": 0, "cap": {}},
            "args": [{"int_arg": 0}, {"file_arg": {}}, {"bytes_arg": ""}],
        }
    }
    left = applied(fields('{"fields":"process.binary,tags","action":1}'), dict(event))
    assert left == event
