"""CEL expressions are checked as upstream checks them and mean what they mean there."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from filter_events import (
    NOON,
    UPSTREAM,
    as_json,
    make_exec,
    make_process,
    through_json,
    whole_events,
    whole_process,
)

from tetragon.api import messages
from tetragon.api.parse import Parser
from tetragon.errors import FilterError
from tetragon.event import shape
from tetragon.event.cel import Compiler, Expression
from tetragon.event.cel_bind import MODEL, Binding, JsonBinding, ModelBinding, default
from tetragon.event.from_json import event_from_json, kind_of
from tetragon.event.shape import Kind
from tetragon.model.event import TYPES, Event, ExecEvent
from tetragon.model.process import BinaryProperties, Capabilities, Pod

COMPILER = Compiler()

REFUSED = {
    'process_exec.process.binary.matches("[")': "a malformed expression is refused at once",
    'process_exec.process.start_time.getHours("Europe/Berlin") == 4': "named time zones",
    "process_exec.process == process_exec.parent": "whole messages",
    "process_exec.process in [process_exec.parent]": "whole messages",
    "process_exec.ancestors == []": "whole messages",
    '[1, "a"].exists(x, x == 1) && has(process_exec.process)': "mixed lists",
    '{"a": 1, "b": "x"}.size() == 2 && process_exec.process.pid == 12u': "mixed maps",
    "dyn(process_exec.process.pid) == 12": "dyn()",
    "type(process_exec.process.binary) == string": "type()",
    "tetragon.Process{pid: 1u}.pid == process_exec.process.pid": "message literals",
    'string(1.5) == "1.5" && process_exec.process.pid == 12u': "the text of a double",
}
"""What upstream takes and we refuse: docs/filters.md says so."""


def run(expression: Expression, event: Event) -> bool | None:
    """Return an expression's answer for an event of either form."""
    kind = kind_of(type(event))
    if kind not in expression.kinds:
        return False
    json = type(event) not in TYPES
    return expression.test(kind, json=json, report=lambda _: None)(event)


@pytest.mark.parametrize("case", UPSTREAM["cel"]["cases"], ids=lambda case: case[0][:70])
def test_expression_agrees_with_upstream(case: tuple[str, str]) -> None:
    """Expressions taken and refused, and the events they hold for, are those recorded."""
    text, recorded = case
    try:
        expression = COMPILER.compile(text)
    except FilterError:
        assert recorded == "error" or text in REFUSED
        return
    got = [run(expression, event_from_json(event)) for event in UPSTREAM["cel"]["events"]]
    assert "".join("1" if holds else "0" for holds in got) == recorded
    assert text not in REFUSED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("process_exec.process.pid == 1",
         "<input>:1:26: found no matching overload for '_==_' applied to '(wrapper(uint), int)'"),
        ("process_exec.process.nope == 1u", "<input>:1:21: undefined field 'nope'"),
        ("node_name == 'x'", "<input>:1:1: undeclared reference to 'node_name'"),
        ("process_exec.process.pid ==", "<input>:1:28: Syntax error: mismatched input '<EOF>'"),
        ("1 ==\n 2 ==", "<input>:2:6: Syntax error"),
        ("'a'", 'got "string", wanted "bool" result type'),
        ("process_exec.process", 'got "tetragon.Process", wanted "bool" result type'),
        ("process_exec.process.in_init_tree", 'got "wrapper(bool)", wanted "bool" result type'),
        ("", "Syntax error"),
        ("(" * 500 + "true" + ")" * 500, "Expression recursion limit exceeded"),
        ("true" + " || true" * 2_100, "longer than 16384 characters"),
        ("'\ud800' == 'a'", "invalid UTF-8"),
        ("1" + "+1" * 40 + "==1", "Exceeded max recursion depth"),
    ],
)  # fmt: skip
def test_check_error_has_place_and_reason(text: str, message: str) -> None:
    """A syntax or type error points into the expression."""
    with pytest.raises(FilterError) as caught:
        COMPILER.compile(text)
    assert caught.value.reason.startswith("error compiling CEL expression: ")
    assert message in caught.value.reason
    assert "INVALID_ARGUMENT" not in caught.value.reason


@pytest.mark.parametrize("text", REFUSED)
def test_what_event_filters_do_not_offer_is_refused_with_place(text: str) -> None:
    """It is an error when the filter is made, never a filter that silently matches nothing."""
    with pytest.raises(FilterError, match=r"^error building CEL program: .*\(at character \d+\)$"):
        COMPILER.compile(text)


@pytest.mark.parametrize(
    "text",
    [
        'process_exec.process.cap.effective.exists(c, c == "CAP_KILL")',
        "process_exec.process.cap.effective.exists(c, c == 5u)",
        "process_exec.process.cap.effective.exists(c, c + 1u == 5u)",
        'process_exec.process.cap.effective.exists(c, c.startsWith("C"))',
        "process_exec.process.cap.effective.exists(c, c.x == 1)",
    ],
)
def test_items_of_enum_lists_are_ints(text: str) -> None:
    """The library's checker calls them dyn; to compare them with other types is an error still."""
    with pytest.raises(FilterError):
        COMPILER.compile(text)


def test_kinds_are_the_events_an_expression_mentions() -> None:
    """An expression is not run for other events, and never when it mentions none."""
    both = COMPILER.compile('process_exec.process.binary == "a" || process_exit.status == 1u')
    assert both.kinds == {1, 5}
    assert COMPILER.compile("1 == 1").kinds == set()
    names = [event.name for event in shape.events().values()]
    of_no_process = ("process_throttle", "test", "rate_limit_info")
    every = " || ".join(f"has({name}.process)" for name in names if name not in of_no_process)
    assert len(COMPILER.compile(every).kinds) == 8


def test_evaluation_error_is_told() -> None:
    """An expression without a value for an event gives None and says why."""
    told: list[str] = []
    expression = COMPILER.compile('process_exec.process.pod.pod_labels["x"] == "y"')
    test = expression.test(1, json=False, report=told.append)
    assert test(make_exec(pod=Pod(labels=(("x", "y"),)))) is True
    assert told == []
    assert test(make_exec()) is None
    [error] = told
    assert "pod_labels" in error
    assert "KeyError: 'x'" in error


# --- both bindings read the same --------------------------------------------------------------


def walk(message: str, model: Any, json: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield every field below a message as both bindings read it, and whether it is set."""
    bindings: tuple[Binding, Binding] = (ModelBinding(), JsonBinding())
    for field in shape.fields(message):
        where = f"{path}.{field.name}"
        has = [b.has(message, field)(v) for b, v in zip(bindings, (model, json), strict=True)]
        yield f"has({where})", *has
        one, two = (
            b.field(message, field)(v) for b, v in zip(bindings, (model, json), strict=True)
        )
        if field.kind is not Kind.MESSAGE:
            yield where, one, two
        elif field.repeated:
            yield f"size({where})", len(one), len(two)
            for index, pair in enumerate(zip(one, two, strict=True)):
                yield from walk(field.type, *pair, f"{where}[{index}]")
        elif one is not None and two is not None:
            yield from walk(field.type, one, two, where)


@pytest.mark.parametrize("event", whole_events(), ids=lambda event: type(event).__name__)
def test_agent_events_read_as_their_json_form(event: Event) -> None:
    """Every field of every class of event is the same, set or not, in memory and as JSON."""
    read = through_json(event)
    message = shape.events()[kind_of(type(event))].type
    found = list(walk(message, event, read.payload, message))
    assert [(where, one) for where, one, _ in found] == [(where, two) for where, _, two in found]


def test_every_field_of_agent_events_is_bound() -> None:
    """A field of a message our events hold has its entry: a new class or field must add one."""
    waiting = [shape.events()[kind].type for kind in TYPES.values()]
    unset = {"ProcessCredentials.caps", "ProcessCredentials.user_ns"}
    seen: set[str] = set()
    while waiting:
        message = waiting.pop()
        if message in seen:
            continue
        seen.add(message)
        assert MODEL[message].keys() == {field.name for field in shape.fields(message)}, message
        for field in shape.fields(message):
            if field.kind is Kind.MESSAGE and f"{message}.{field.name}" not in unset:
                waiting.append(field.type)
    assert seen == MODEL.keys()


# --- the library's own evaluator agrees -----------------------------------------------------

ON_EXEC = [
    "process_exec.process.pid == 12u && process_exec.process.uid != 0u",
    'process_exec.process.binary.startsWith("/usr") || process_exec.parent.pid > 100u',
    "has(process_exec.process.pod) ? process_exec.process.pod.container.pid == 17u : false",
    "process_exec.process.cap.permitted.exists(c, c == 5)",
    "process_exec.process.cap.permitted.all(c, c < 5)",
    "process_exec.process.cap.permitted == [0, 1, 5]",
    "process_exec.process.cap.inheritable.size() == 0",
    'process_exec.process.environment_variables.exists(e, e.Key == "HOME" && e.Value == "/")',
    "process_exec.ancestors.map(a, a.pid) == [10u, 9u]",
    'process_exec.process.pod.pod_labels["app"] == "web"',
    'process_exec.process.pod.pod_labels.tier == "front"',
    'process_exec.process.start_time > timestamp("2024-01-01T00:00:00Z")',
    "process_exec.process.start_time.getHours() == 12",
    'process_exec.process.start_time - timestamp("2024-01-31T12:00:00Z") < duration("1m")',
    "process_exec.process.binary_properties.file.inode.number == 99u",
    "has(process_exec.process.binary_properties.setuid)",
    "process_exec.process.binary_properties.privileges_changed == [1, 2]",
    "process_exec.process.process_credentials.securebits == [1, 4]",
    "process_exec.process.ns.mnt.inum == 4026531832u && process_exec.process.ns.mnt.is_host",
    'process_exec.process.user.name == "bin"',
    "process_exec.process.in_init_tree == true",
    "process_exec.process.in_init_tree ? true : false",
    "process_exec.parent.in_init_tree == null",
    "process_exec.process.refcnt % 2u == 1u",
    'process_exec.process.binary.matches("b[a-z]+h$")',
    "process_exec.process.binary.size() == 13",
    '[1, 2, 3].filter(x, x > 1).map(x, x * 2) == [4, 6] && process_exec.process.pid == 12u',
    "1 / int(process_exec.process.refcnt) == 1",
    'process_exec.process.pod.pod_labels["nope"] == "x" || process_exec.process.pid == 12u',
]  # fmt: skip


def library_answer(text: str, event: Event) -> bool | None:
    """Return what the library's own evaluator says, None where it finds no value."""
    message = messages.GetEventsResponse()
    Parser().fill(message, as_json(event))
    data: Mapping[str, Any] = {"process_exec": message.process_exec}
    value = COMPILER._environment.compile(text).eval(data=data).value()
    return value if isinstance(value, bool) else None


@pytest.mark.parametrize("text", ON_EXEC)
def test_closures_agree_with_the_library(text: str) -> None:
    """Our evaluator and the library's give the same for whole and for sparse events."""
    expression = COMPILER.compile(text)
    whole = whole_events()[0]
    for event in (whole, make_exec(), make_exec(uid=5)):
        ours = run(expression, event)
        assert ours == library_answer(text, event), type(event)
        assert run(expression, through_json(event)) == ours


def test_properties_of_an_exec_are_its_own() -> None:
    """What an exec changed shows on its process, not on the same process elsewhere."""
    process = whole_process(12)
    event = ExecEvent(
        time=NOON, process=process, parent=process, binary_properties=BinaryProperties(setuid=0)
    )
    holds = COMPILER.compile(
        "has(process_exec.process.binary_properties) && !has(process_exec.parent.binary_properties)"
        ' && process_exec.process.binary == "/usr/bin/bash"'
    )
    assert run(holds, event) is True


def test_defaults_of_what_is_not_there() -> None:
    """Fields of messages that are not set read as their defaults."""
    holds = COMPILER.compile(
        'process_exec.parent.binary == "" && process_exec.parent.pid == null && '
        "process_exec.parent.cap.effective == [] && process_exec.parent.pod.pod_labels.size() == 0 "
        "&& process_exec.parent.start_time == timestamp(0) && !process_exec.parent.ns.mnt.is_host "
        '&& process_exit.signal == "" && process_kprobe.args.size() == 0 && '
        'process_loader.buildid == b""'
    )
    assert run(holds, make_exec()) is True
    assert default(shape.field("KprobeArgument", "size_arg")) == 0


def test_capabilities_of_the_agent_are_numbers() -> None:
    """Capability masks read as lists of the API's enum numbers."""
    holds = COMPILER.compile(
        "process_exec.process.cap.effective == [1, 38] && "
        "tetragon.CapabilitiesType.CAP_PERFMON in process_exec.process.cap.effective"
    )
    cap = Capabilities(permitted=0, effective=1 << 1 | 1 << 38, inheritable=0)
    assert run(holds, make_exec(cap=cap)) is True
    assert run(holds, make_exec(make_process(cap=cap))) is False


def test_missing_library_is_told_with_the_remedy() -> None:
    """Without the package a CEL expression is refused, and everything else works."""
    code = """if True:
        import sys
        sys.modules["cel_expr_python"] = None
        from tetragon.errors import FilterError
        from tetragon.event.filter import compile_filter_texts
        assert compile_filter_texts('{"pid":[1]}') is not None
        try:
            compile_filter_texts('{"cel_expression":["true"]}')
        except FilterError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "allow_list[0].cel_expression[0]: " in done.stdout
    assert "pip install cel-expr-python" in done.stdout
