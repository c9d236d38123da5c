"""Filter texts become values, and a mistake is found at its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetragon.errors import FilterError
from tetragon.event.filter_text import (
    locate,
    parse_field_filters,
    parse_filters,
    parse_redaction_filters,
)
from tetragon.model.filters import (
    CapFilter,
    CapFilterSet,
    FieldAction,
    FieldFilter,
    Filter,
    RedactionFilter,
)


def test_parse_filters_reads_every_field() -> None:
    """All nineteen fields of the API's Filter are read, in snake_case."""
    text = """{
        "binary_regex": ["a"], "namespace": ["b"], "health_check": true, "pid": [1],
        "pid_set": [2], "event_set": ["PROCESS_EXEC"], "pod_regex": ["c"],
        "arguments_regex": ["d"], "labels": ["e"], "policy_names": ["f"],
        "capabilities": {"effective": {"any": ["CAP_KILL"]}}, "parent_binary_regex": ["g"],
        "cel_expression": ["h"], "parent_arguments_regex": ["i"], "container_id": ["j"],
        "in_init_tree": false, "ancestor_binary_regex": ["k"], "container_name_regex": ["l"],
        "namespace_regex": ["m"]
    }"""
    [found] = parse_filters(text)
    assert found == Filter(
        binary_regex=("a",),
        namespace=("b",),
        health_check=True,
        pid=(1,),
        pid_set=(2,),
        event_set=(1,),
        pod_regex=("c",),
        arguments_regex=("d",),
        labels=("e",),
        policy_names=("f",),
        capabilities=CapFilter(effective=CapFilterSet(any=(5,))),
        parent_binary_regex=("g",),
        cel_expression=("h",),
        parent_arguments_regex=("i",),
        container_id=("j",),
        in_init_tree=False,
        ancestor_binary_regex=("k",),
        container_name_regex=("l",),
        namespace_regex=("m",),
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ()),
        (" \n\t", ()),
        ("{}", (Filter(),)),
        ("{}{}", (Filter(), Filter())),
        ('{"binaryRegex":["a"]}\n{"inInitTree":true}', (
            Filter(binary_regex=("a",)), Filter(in_init_tree=True),
        )),
        ('{"event_set":[5,"PROCESS_EXIT",5.0,"UNDEF"]}', (Filter(event_set=(5, 5, 5, 0)),)),
        ('{"pid":[0,"4294967295",3e0]}', (Filter(pid=(0, 4294967295, 3)),)),
        ('{"pid":[],"namespace":null,"health_check":null,"capabilities":null}', (Filter(),)),
        ('{"namespace":[""]}', (Filter(namespace=("",)),)),
        ('{"namespace":["\\u00e9\\n"]}', (Filter(namespace=("é\n",)),)),
        ('{"capabilities":{"permitted":{"none":[1,"CAP_KILL"],"all":[]}}}', (
            Filter(capabilities=CapFilter(permitted=CapFilterSet(none=(1, 5)))),
        )),
    ],
)  # fmt: skip
def test_parse_filters_follows_the_json_form_of_the_api(
    text: str, wanted: tuple[Filter, ...]
) -> None:
    """Both spellings, enums by name or number, numbers as text; null and [] mean not given."""
    assert parse_filters(text) == wanted


BAD = [
    # text, line, column, field, reason
    ("[{}]", 1, 1, "f[0]", "expected '{'"),
    ("{},{}", 1, 3, "f[1]", "expected '{'"),
    ('"x"', 1, 1, "f[0]", "expected '{'"),
    ("namespace=x", 1, 1, "f[0]", "expected '{'"),
    ("{", 1, 2, "f", "expected a key in double quotes"),
    ("{'pid':[1]}", 1, 2, "f", "expected a key in double quotes"),
    ("{pid:[1]}", 1, 2, "f", "expected a key in double quotes"),
    ('{"pid" [1]}', 1, 8, "f", "expected ':' after the key \"pid\""),
    ('{"pid":[1]', 1, 11, "f", "expected ',' or '}', got the end"),
    ('{"pid":[1', 1, 10, "f", "expected ',' or ']', got the end"),
    ('{"pid":[1 2]}', 1, 11, "f", "expected ',' or ']'"),
    ('{"pid":[1],}', 1, 12, "f", "expected a key in double quotes"),
    ('{"pid":[1,]}', 1, 11, "f", "Expecting value"),
    ('{"pid":', 1, 8, "f", "the text ends inside a value"),
    ('{"pid":[NaN]}', 1, 9, "f", "NaN is not JSON"),
    ('{"namespace":["a]}', 1, 15, "f", "Unterminated string"),
    ('{"namespace":["\\q"]}', 1, 16, "f", "Invalid \\escape"),
    ('{"a":' + "[" * 99, 1, 22, "f", "nested deeper than 16 levels"),
    ('{"pid":[1],"pid":[2]}', 1, 12, "f", 'duplicate field "pid"'),
    ('{"pod_regex":["a"],"podRegex":["b"]}', 1, 20, "f[0]", 'duplicate field "podRegex"'),
    ('{}\n\n  {"binary_regx":["a"]}', 3, 4, "f[1]",
     'unknown field "binary_regx" (did you mean "binary_regex"?)'),
    ('{"x":1}', 1, 2, "f[0]", 'unknown field "x"'),
    ('{"namespace":"a"}', 1, 14, "f[0].namespace", 'expected a list, such as ["a"]'),
    ('{"namespace":["a",\n 1]}', 2, 2, "f[0].namespace[1]", "expected a text in double quotes"),
    ('{"namespace":[null]}', 1, 15, "f[0].namespace[0]", "expected a text in double quotes"),
    ('{"pid":[-1]}', 1, 9, "f[0].pid[0]", "expected a whole number from 0 to 4294967295"),
    ('{"pid":[4294967296]}', 1, 9, "f[0].pid[0]", "expected a whole number"),
    ('{"pid":[1.5]}', 1, 9, "f[0].pid[0]", "expected a whole number"),
    ('{"pid":[true]}', 1, 9, "f[0].pid[0]", "expected a whole number"),
    ('{"pid":["x"]}', 1, 9, "f[0].pid[0]", "expected a whole number"),
    ('{"event_set":["PROCESS_EXE"]}', 1, 15, "f[0].event_set[0]",
     'unknown event type "PROCESS_EXE" (did you mean "PROCESS_EXEC"?)'),
    ('{"event_set":[3]}', 1, 15, "f[0].event_set[0]", "there is no event type 3"),
    ('{"event_set":[true]}', 1, 15, "f[0].event_set[0]", "expected the name or number"),
    ('{"health_check":"true"}', 1, 17, "f[0].health_check", "expected true or false"),
    ('{"in_init_tree":1}', 1, 17, "f[0].in_init_tree", "expected true or false"),
    ('{"capabilities":[]}', 1, 17, "f[0].capabilities", "expected an object"),
    ('{"capabilities":{"effectiv":{}}}', 1, 18, "f[0].capabilities",
     'unknown field "effectiv" (did you mean "effective"?)'),
    ('{"capabilities":{"effective":{"any":["KILL"]}}}', 1, 38,
     "f[0].capabilities.effective.any[0]", 'unknown capability "KILL" (did you mean "CAP_KILL"?)'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "field", "reason"), BAD)
def test_parse_filters_names_place_field_and_reason(
    text: str, line: int, column: int, field: str, reason: str
) -> None:
    """Every malformed text is refused with the line, the column, the field and what is wrong."""
    with pytest.raises(FilterError) as caught:
        parse_filters(text, name="f")
    error = caught.value
    assert (error.position, error.field) == ((line, column), field)
    assert error.reason.startswith(reason)
    assert str(error).startswith(f"line {line}, column {column}: {field}: {reason}")


def test_parse_filters_refuses_pid_set_when_it_is_not_permitted() -> None:
    """The error begins as upstream's does and stands at the field."""
    text = '{"pid":[1]}\n{"pidSet":[1]}'
    with pytest.raises(FilterError, match="pidSet filters use a best-effort approach") as caught:
        parse_filters(text, name="f", pid_set=False)
    assert caught.value.position == (2, 11)
    assert parse_filters(text, pid_set=True)[1].pid_set == (1,)


@settings(deadline=None)
@given(st.text(alphabet='{}[]",: \nabepid_1\\', max_size=30))
def test_parse_filters_only_ever_raises_filter_errors(text: str) -> None:
    """Whatever the text, it is either read or refused with a place inside it."""
    place: tuple[int, int] | None = (1, 1)
    try:
        parse_filters(text)
    except FilterError as error:
        place = error.position
    assert place is not None
    line, column = place
    assert 1 <= line <= text.count("\n") + 1
    assert 1 <= column <= len(text.split("\n")[line - 1]) + 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{}", FieldFilter()),
        ('{"fields":""}', FieldFilter()),
        ('{"fields":null,"action":null}', FieldFilter()),
        ('{"fields":"process.exec_id, parent.binary"}', FieldFilter(
            fields=("process.exec_id", "parent.binary"),
        )),
        ('{"fields":"args","action":"EXCLUDE","event_set":["PROCESS_EXEC"],'
         '"invert_event_set":true}', FieldFilter(
            fields=("args",), action=FieldAction.EXCLUDE, event_set=(1,), invert_event_set=True,
        )),
        ('{"fields":"process.execId","action":1,"eventSet":[5]}', FieldFilter(
            fields=("process.execId",), action=FieldAction.EXCLUDE, event_set=(5,),
        )),
    ],
)  # fmt: skip
def test_parse_field_filters_reads_the_text_form(text: str, wanted: FieldFilter) -> None:
    """Paths stand in one text with commas, in any spelling, whatever other objects look like."""
    assert parse_field_filters(text) == (wanted,)
    assert parse_field_filters(f"{text} {{}}") == (wanted, FieldFilter())


@pytest.mark.parametrize(
    ("text", "column", "field", "reason"),
    [
        ('{"fields":["a"]}', 11, "f[0].fields", "expected one text"),
        ('{"fields":"a..b"}', 11, "f[0].fields", 'invalid path "a..b"'),
        ('{"fields":"a,"}', 11, "f[0].fields", 'invalid path ""'),
        ('{"fields":"a-b"}', 11, "f[0].fields", 'invalid path "a-b"'),
        ('{"fields":"args.*"}', 11, "f[0].fields", 'invalid path "args.*"'),
        ('{"fields":"a","action":2}', 24, "f[0].action", "invalid fieldfilter action: 2"),
        ('{"action":"exclude"}', 11, "f[0].action", "invalid fieldfilter action: exclude"),
        ('{"action":true}', 11, "f[0].action", "invalid fieldfilter action: True"),
        ('{"field":"a"}', 2, "f[0]", 'unknown field "field" (did you mean "fields"?)'),
        ('{"event_set":["X"]}', 15, "f[0].event_set[0]", 'unknown event type "X"'),
    ],
)
def test_parse_field_filters_refuses_with_the_place(
    text: str, column: int, field: str, reason: str
) -> None:
    """A malformed field filter is refused with its column, field and reason."""
    with pytest.raises(FilterError) as caught:
        parse_field_filters(text, name="f")
    assert (caught.value.position, caught.value.field) == ((1, column), field)
    assert caught.value.reason.startswith(reason)


def test_parse_redaction_filters_ignores_match_but_checks_it() -> None:
    """The deprecated ``match`` changes nothing, yet must be well formed."""
    text = '{"redact":["a"],"binaryRegex":["b"],"match":[{"pid":[1]}]}'
    assert parse_redaction_filters(text) == (RedactionFilter(redact=("a",), binary_regex=("b",)),)
    with pytest.raises(FilterError, match="failed to parse redaction filter list: unknown field"):
        parse_redaction_filters('{"redact":["a"],"match":[{"x":1}]}')
    with pytest.raises(FilterError, match=r"line 1, column 2: .*did you mean") as caught:
        parse_redaction_filters('{"redakt":["a"]}')
    assert caught.value.reason.startswith("failed to parse redaction filter list: ")


def test_locate_finds_the_place_of_a_compile_error() -> None:
    """An error that names a field by its path gets the line and column of that field's value."""
    text = '{}\n {"capabilities":{"effective":{}}, "binaryRegex": ["a",\n "["]}'
    for field, place in [
        ("f[1].binary_regex[1]", (3, 2)),
        ("f[1].binary_regex", (2, 51)),
        ("f[1].capabilities.effective", (2, 31)),
        ("f[1].ancestor_binary_regex", (2, 2)),
        ("f[0]", (1, 1)),
    ]:
        found = locate(FilterError("why", field), text, name="f")
        assert (found.position, found.field, found.reason) == (place, field, "why")
