"""Allow and deny lists let pass exactly what the API says they do."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from filter_events import (
    NOON,
    UPSTREAM,
    events,
    make_exec,
    make_process,
    through_json,
    whole_events,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tetragon.errors import FilterError
from tetragon.event.filter import compile_filter_texts, compile_filters
from tetragon.event.filter_fields import ancestor_kinds
from tetragon.event.from_json import event_from_json
from tetragon.model.event import Event, ExecEvent, ExitEvent, RateLimitInfo, ThrottleEvent
from tetragon.model.filters import CapFilter, CapFilterSet, Filter, FilterOptions
from tetragon.model.process import Capabilities, Container, Pod, Process

OPTIONS = FilterOptions(
    process_cred=True,
    ancestors=ancestor_kinds(["base", "kprobe", "tracepoint", "loader", "uprobe", "lsm", "usdt"]),
)
THROTTLE = ThrottleEvent(time=NOON, start=True, cgroup="c")
RATE = RateLimitInfo(time=NOON, dropped=1)


def passes(allow: str, event: Event, deny: str = "") -> bool:
    """Tell whether an event passes, alone and in a batch, in both of its forms."""
    predicate = compile_filter_texts(allow, deny, options=OPTIONS)
    if predicate is None:
        return True
    answer = predicate(event)
    assert predicate.select([event, event]) == [event, event] * answer
    fresh = compile_filter_texts(allow, deny, options=OPTIONS)
    assert fresh is not None
    assert fresh(through_json(event)) is answer
    return answer


def in_pod(**changes: Any) -> ExecEvent:
    """Return an exec event in a pod."""
    return make_exec(pod=Pod(**({"namespace": "ns", "name": "web-1"} | changes)))


PROBE = Pod(container=Container(maybe_exec_probe=True))
CAPS = Capabilities(permitted=0b111, effective=0b10, inheritable=0)
LABELLED = in_pod(labels=(("app", "web"), ("tier", "front")))

CASES: list[tuple[str, Event, bool]] = [
    # filter, event, whether it matches
    ("{}", make_exec(), True),
    ("{}", THROTTLE, True),
    ('{"binary_regex":["^/usr/bin/"]}', make_exec(), True),
    ('{"binary_regex":["^/bin/","sh$"]}', make_exec(), True),
    ('{"binary_regex":["^/bin/"]}', make_exec(), False),
    ('{"binary_regex":["^/usr"]}', make_exec(binary=""), False),
    ('{"binary_regex":[""]}', THROTTLE, False),
    ('{"parent_binary_regex":["init$"]}', make_exec(make_process(binary="/sbin/init")), True),
    ('{"parent_binary_regex":["init$"]}', make_exec(make_process()), False),
    ('{"parent_binary_regex":[""]}', make_exec(), False),
    ('{"arguments_regex":["^-c"]}', make_exec(), True),
    ('{"arguments_regex":["^ls"]}', make_exec(), False),
    ('{"parent_arguments_regex":["^-c"]}', make_exec(make_process()), True),
    ('{"parent_arguments_regex":["x"]}', make_exec(make_process()), False),
    ('{"parent_arguments_regex":[""]}', make_exec(), False),
    ('{"namespace":["other","ns"]}', in_pod(), True),
    ('{"namespace":["other"]}', in_pod(), False),
    ('{"namespace":["n"]}', in_pod(), False),
    ('{"namespace":[""]}', make_exec(), True),
    ('{"namespace":["ns"]}', make_exec(), False),
    ('{"namespace":[""]}', in_pod(namespace=""), True),
    ('{"namespace":[""]}', in_pod(), False),
    ('{"namespace":[""]}', THROTTLE, False),
    ('{"namespace_regex":["^n"]}', in_pod(), True),
    ('{"namespace_regex":["^s"]}', in_pod(), False),
    ('{"namespace_regex":[""]}', make_exec(), False),
    ('{"pod_regex":["^web"]}', in_pod(), True),
    ('{"pod_regex":["^api"]}', in_pod(), False),
    ('{"pod_regex":[""]}', make_exec(), False),
    ('{"container_name_regex":["^main"]}', in_pod(container=Container(name="main")), True),
    ('{"container_name_regex":["^main"]}', in_pod(container=Container(name="side")), False),
    ('{"container_name_regex":[""]}', make_exec(), False),
    ('{"container_id":["^0a"]}', make_exec(docker="0a1b"), True),
    ('{"container_id":["^a"]}', make_exec(docker="0a1b"), False),
    ('{"container_id":["^$"]}', make_exec(), True),
    ('{"health_check":true}', make_exec(pod=PROBE), True),
    ('{"health_check":true}', make_exec(make_process(pod=PROBE)), True),
    ('{"health_check":true}', make_exec(pod=Pod()), False),
    ('{"health_check":true}', THROTTLE, False),
    ('{"health_check":false}', make_exec(pod=PROBE), False),
    ('{"health_check":false}', make_exec(make_process(pod=PROBE)), False),
    ('{"health_check":false}', make_exec(), True),
    ('{"health_check":false}', THROTTLE, True),
    ('{"pid":[1,12]}', make_exec(), True),
    ('{"pid":[1]}', make_exec(), False),
    ('{"pid":[0]}', THROTTLE, False),
    ('{"event_set":["PROCESS_EXEC"]}', make_exec(), True),
    ('{"event_set":["PROCESS_EXIT",27]}', make_exec(), False),
    ('{"event_set":["PROCESS_EXIT",27]}', THROTTLE, True),
    ('{"event_set":["RATE_LIMIT_INFO"]}', RATE, True),
    ('{"event_set":["UNDEF"]}', RATE, False),
    ('{"labels":["app=web"]}', LABELLED, True),
    ('{"labels":["app=api","tier in (front)"]}', LABELLED, True),
    ('{"labels":["app=web,tier!=front"]}', LABELLED, False),
    ('{"labels":["!app"]}', in_pod(), True),
    ('{"labels":[""]}', make_exec(), False),
    ('{"labels":["!app"]}', THROTTLE, False),
    ('{"policy_names":["p"]}', make_exec(), False),
    ('{"policy_names":[""]}', make_exec(), False),
    ('{"in_init_tree":true}', make_exec(in_init_tree=True), True),
    ('{"in_init_tree":true}', make_exec(), False),
    ('{"in_init_tree":false}', make_exec(), True),
    ('{"in_init_tree":false}', THROTTLE, True),
    ('{"in_init_tree":true}', THROTTLE, False),
    ('{"capabilities":{"permitted":{"any":["CAP_KILL","CAP_CHOWN"]}}}', make_exec(cap=CAPS), True),
    ('{"capabilities":{"permitted":{"any":["CAP_KILL"]}}}', make_exec(cap=CAPS), False),
    ('{"capabilities":{"permitted":{"all":[0,1]}}}', make_exec(cap=CAPS), True),
    ('{"capabilities":{"permitted":{"all":[0,5]}}}', make_exec(cap=CAPS), False),
    ('{"capabilities":{"effective":{"exactly":["DAC_OVERRIDE"]}}}', make_exec(cap=CAPS), True),
    ('{"capabilities":{"permitted":{"exactly":["DAC_OVERRIDE"]}}}', make_exec(cap=CAPS), False),
    ('{"capabilities":{"inheritable":{"none":["CAP_KILL"]}}}', make_exec(cap=CAPS), True),
    ('{"capabilities":{"effective":{"none":["DAC_OVERRIDE"]}}}', make_exec(cap=CAPS), False),
    ('{"capabilities":{"effective":{"any":[1]},"permitted":{"none":[0]}}}', make_exec(cap=CAPS),
     False),
    ('{"capabilities":{}}', make_exec(cap=CAPS), True),
    ('{"capabilities":{}}', make_exec(), False),
    ('{"cel_expression":["process_exec.process.pid == 12u"]}', make_exec(), True),
    ('{"cel_expression":["process_exec.process.pid == 1u"]}', make_exec(), False),
    ('{"cel_expression":["process_exit.status == 0u"]}', make_exec(), False),
    ('{"cel_expression":["process_exit.status == 0u","has(process_exec.process)"]}', make_exec(),
     True),
    ('{"binary_regex":["bash"],"pid":[12],"arguments_regex":["ls"]}', make_exec(), True),
    ('{"binary_regex":["bash"],"pid":[12],"arguments_regex":["cd"]}', make_exec(), False),
    ('{"event_set":["PROCESS_EXIT"],"pid":[12]}', make_exec(), False),
    ('{"pid":[1]} {"pid":[12]}', make_exec(), True),
    ('{"pid":[1]} {"pid":[2]}', make_exec(), False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "event", "matches"), CASES)
def test_filter_matches(text: str, event: Event, matches: bool) -> None:
    """Each field hits and misses as documented; denying is the opposite of allowing."""
    assert passes(text, event) is matches
    assert passes("", event, deny=text) is not matches


def test_ancestor_binary_regex_looks_at_ancestors_only() -> None:
    """Grandparents count, the parent does not, and without ancestors nothing matches."""
    init, shell = make_process(binary="/sbin/init"), make_process(binary="/bin/sh")
    event = ExecEvent(time=NOON, process=make_process(), parent=shell, ancestors=(shell, init))
    assert passes('{"ancestor_binary_regex":["init$"]}', event)
    assert not passes('{"ancestor_binary_regex":["bash$"]}', event)
    assert not passes('{"ancestor_binary_regex":[""]}', make_exec(shell))


@pytest.mark.parametrize("name", ["process_kprobe", "process_usdt", "process_lsm"])
def test_policy_names_match_events_that_name_one(name: str) -> None:
    """All events of policies match by name, those of USDT probes too; an empty name never does."""
    predicate = compile_filter_texts('{"policy_names":["p",""]}')
    assert predicate is not None
    assert predicate(event_from_json({name: {"policy_name": "p"}}))
    assert not predicate(event_from_json({name: {"policyName": "q"}}))
    assert not predicate(event_from_json({name: {}}))
    assert not predicate(event_from_json({"process_loader": {"policy_name": "p"}}))


def test_deny_wins_over_allow() -> None:
    """An event that both lists match does not pass."""
    assert not passes('{"pid":[12]}', make_exec(), deny='{"binary_regex":["bash"]}')
    assert passes('{"pid":[12]}', make_exec(), deny='{"binary_regex":["zsh"]}')
    assert not passes("", make_exec(), deny="{}")
    assert not passes("{}", make_exec(), deny="{}")


@pytest.mark.parametrize(("allow", "deny"), [("", ""), ("{}", ""), ('{"pid":[1]} {}', "")])
def test_nothing_to_test_is_none(allow: str, deny: str) -> None:
    """Lists that let everything pass cost nothing: there is no predicate to call."""
    assert compile_filter_texts(allow, deny) is None


def test_values_that_are_given_but_empty_match_nothing() -> None:
    """An empty tuple, which texts cannot say, is not the same as None."""
    for name in ("pid", "namespace", "binary_regex", "event_set", "labels", "cel_expression"):
        predicate = compile_filters([Filter(**{name: ()})])
        assert predicate is not None
        assert not predicate(make_exec()), name


def test_numbers_nobody_knows_match_nothing_and_cost_nothing() -> None:
    """A newer client's event types and capabilities are no error, nor do they take memory."""
    newer = Filter(event_set=(1, 77))
    assert compile_filters([newer])(make_exec())  # type: ignore[misc]
    for which, matches in (("any", False), ("all", False), ("exactly", False), ("none", True)):
        wanted = CapFilterSet(**{which: (2**31 - 1, -1)})  # type: ignore[arg-type]
        test = Filter(capabilities=CapFilter(effective=wanted))
        predicate = compile_filters([test], options=OPTIONS)
        assert predicate is not None
        assert predicate(make_exec(cap=CAPS)) is matches


# --- an evaluator that could not be simpler ---------------------------------------------------


def naive_filter(one: Filter, event: Event) -> bool:
    """Match one filter the way the documentation tells it."""
    process, parent = event.process, event.parent
    pod = process.pod if process else None

    def search(patterns: Sequence[str], texts: Sequence[str | None]) -> bool:
        return any(re.search(p, t) for t in texts if t is not None for p in patterns)

    def probe(which: Process | None) -> bool:
        return bool(which and which.pod and which.pod.container.maybe_exec_probe)

    tests: dict[str, Callable[[Any], bool]] = {
        "event_set": lambda v: event.type in v,
        "pid": lambda v: process is not None and process.pid in v,
        "namespace": lambda v: process is not None and (pod.namespace if pod else "") in v,
        "health_check": lambda v: (probe(process) or probe(parent)) == v,
        "in_init_tree": lambda v: bool(process and process.in_init_tree) == v,
        "policy_names": lambda _: False,
        "binary_regex": lambda v: search(v, [process.binary if process else None]),
        "arguments_regex": lambda v: search(v, [process.arguments if process else None]),
        "container_id": lambda v: search(v, [process.docker if process else None]),
        "parent_binary_regex": lambda v: search(v, [parent.binary if parent else None]),
        "parent_arguments_regex": lambda v: search(v, [parent.arguments if parent else None]),
        "ancestor_binary_regex": lambda v: search(v, [p.binary for p in event.ancestors]),
        "pod_regex": lambda v: search(v, [pod.name if pod else None]),
        "namespace_regex": lambda v: search(v, [pod.namespace if pod else None]),
        "container_name_regex": lambda v: search(v, [pod.container.name if pod else None]),
        "labels": lambda v: pod is not None and any(tuple(t.split("=")) in pod.labels for t in v),
        "capabilities": lambda v: bool(process and process.cap) and naive_caps(v, process),
        "cel_expression": lambda v: process is not None and f"{process.pid}u" in v[0]
        and type(event).__name__.removesuffix("Event").lower() in v[0],
    }  # fmt: skip
    given = {name: getattr(one, name) for name in tests if getattr(one, name) is not None}
    return all(tests[name](value) for name, value in given.items())


def naive_caps(one: CapFilter, process: Any) -> bool:
    """Match a capability filter, each set once by each rule."""
    for name in ("permitted", "effective", "inheritable"):
        wanted: CapFilterSet | None = getattr(one, name)
        held = {bit for bit in range(64) if getattr(process.cap, name) >> bit & 1}
        if wanted is not None and not (
            (wanted.any is not None and held & set(wanted.any))
            or (wanted.all is not None and held >= set(wanted.all))
            or (wanted.exactly is not None and held == set(wanted.exactly))
            or (wanted.none is not None and not held & set(wanted.none))
        ):
            return False
    return True


def some(*values: Any) -> st.SearchStrategy[Any]:
    """A field's value: not given, or one or two of ``values``."""
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)


expressions = some("a", "^/usr", "b$", "^$", "")
cap_sets = st.builds(
    lambda which, bits: CapFilterSet(**{which: tuple(bits)}),
    st.sampled_from(["any", "all", "exactly", "none"]),
    st.lists(st.integers(0, 2), min_size=1, max_size=2),
)
filters = st.builds(
    Filter,
    event_set=some(1, 5, 27, 40001),
    pid=some(1, 2, 3),
    namespace=some("", "a", "b"),
    health_check=st.none() | st.booleans(),
    in_init_tree=st.none() | st.booleans(),
    policy_names=st.none() | st.just(("p",)),
    binary_regex=expressions,
    arguments_regex=expressions,
    container_id=expressions,
    parent_binary_regex=expressions,
    parent_arguments_regex=expressions,
    ancestor_binary_regex=expressions,
    pod_regex=expressions,
    namespace_regex=expressions,
    container_name_regex=expressions,
    labels=some("a", "b").map(lambda v: v and tuple(f"{key}=a" for key in v)),
    capabilities=st.none()
    | st.builds(CapFilter, permitted=cap_sets, effective=st.none() | cap_sets),
    cel_expression=st.none()
    | st.tuples(
        st.sampled_from(["process_exec.process.pid == 1u", "process_exit.process.pid in [1u, 2u]"])
    ),
)
sparse = filters.flatmap(
    lambda one: st.sets(st.sampled_from(Filter.__struct_fields__), max_size=3).map(
        lambda names: Filter(**{name: getattr(one, name) for name in names})
    )
)


@settings(deadline=None)
@given(
    st.lists(sparse, max_size=3),
    st.lists(sparse, max_size=2),
    st.lists(events, min_size=1, max_size=4),
)
def test_lists_agree_with_the_naive_evaluator(
    allow: list[Filter], deny: list[Filter], batch: list[Event]
) -> None:
    """Whatever the lists, what passes is what the documentation's own words let pass."""
    everywhere = FilterOptions(process_cred=True, ancestors=frozenset(range(50_000)))
    predicate = compile_filters(allow, deny, options=everywhere)

    def naive(event: Event) -> bool:
        allowed = not allow or any(naive_filter(one, event) for one in allow)
        return allowed and not any(naive_filter(one, event) for one in deny)

    wanted = [naive(event) for event in batch]
    got = [True] * len(batch) if predicate is None else [predicate(event) for event in batch]
    assert got == wanted
    if predicate is not None:
        assert [id(event) for event in predicate.select(batch)] == [
            id(event) for event, passed in zip(batch, wanted, strict=True) if passed
        ]
        assert [predicate(through_json(event)) for event in batch] == wanted


@pytest.mark.parametrize("case", UPSTREAM["filter"]["cases"], ids=lambda case: case[0][:50])
def test_lists_agree_with_upstream(case: tuple[str, str, str]) -> None:
    """Lists taken and refused, and the events they let pass, are those recorded."""
    allow, deny, recorded = case
    options = FilterOptions(process_cred=True, ancestors=ancestor_kinds(["base", "kprobe"]))
    batch = [event_from_json(event) for event in UPSTREAM["filter"]["events"]]
    try:
        predicate = compile_filter_texts(allow, deny, options=options)
    except FilterError:
        assert recorded == "error"
    else:
        got = [predicate is None or predicate(event) for event in batch]
        assert "".join("1" if passed else "0" for passed in got) == recorded


# --- refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "deny", "options", "place", "message"),
    [
        ('{"pid":[1]}\n{"binary_regex":["ok","["]}', "", OPTIONS, (2, 23),
         "allow[1].binary_regex[1]: failed to compile regexp: error parsing regexp: "),
        ("", '{"podRegex":["("]}', OPTIONS, (1, 14), "deny[0].pod_regex[0]: failed to compile"),
        ('{"labels":["a in b"]}', "", OPTIONS, (1, 12),
         'allow[0].labels[0]: invalid pod label filter: "a in b": column 6'),
        ('{"capabilities":{"effective":{}}}', "", OPTIONS, (1, 30),
         "allow[0].capabilities.effective: capability filter must define exactly one match set"),
        ('{"capabilities":{"effective":{"any":[1],"all":[2]}}}', "", OPTIONS, (1, 30),
         "capability filter may only define one match set, got: any, all"),
        ('{"capabilities":{}}', "", FilterOptions(), (1, 17),
         "capabilities are not enabled in process events, cannot configure capability filter"),
        ('{"ancestor_binary_regex":["a"]}', "", FilterOptions(), (1, 26),
         "ancestors are not enabled for PROCESS_EXEC event type, cannot configure ancestor filter"),
        ('{"ancestor_binary_regex":["a"],"event_set":[1,"PROCESS_LSM"]}', "",
         FilterOptions(ancestors=ancestor_kinds(["base"])), (1, 26),
         "ancestors are not enabled for PROCESS_LSM event type"),
        ('{"ancestor_binary_regex":["a"],"event_set":["PROCESS_THROTTLE"]}', "", OPTIONS, (1, 26),
         "ancestors are not enabled for PROCESS_THROTTLE event type"),
        ('{"cel_expression":["true","1"]}', "", OPTIONS, (1, 27),
         'allow[0].cel_expression[1]: error compiling CEL expression: got "int", wanted "bool" '
         "result type"),
        ('{"x":1}', "", OPTIONS, (1, 2), 'allow[0]: unknown field "x"'),
    ],
)  # fmt: skip
def test_bad_filter_is_refused(
    allow: str, deny: str, options: FilterOptions, place: tuple[int, int], message: str
) -> None:
    """What cannot be compiled is refused with line, column, field and reason."""
    with pytest.raises(FilterError) as caught:
        compile_filter_texts(allow, deny, options=options, names=("allow", "deny"))
    assert caught.value.position == place
    assert message in str(caught.value)


def test_bad_filter_value_names_the_field_without_a_place() -> None:
    """Filters that never were text are named by their path alone."""
    with pytest.raises(FilterError) as caught:
        compile_filters((), [Filter(), Filter(pod_regex=("[",))])
    assert str(caught.value).startswith("deny_list[1].pod_regex[0]: failed to compile regexp: ")


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ([], set()),
        (["kprobe"], set()),
        (["base"], {1, 5}),
        (["base", "usdt", "nonsense"], {1, 5, 29}),
    ],
)
def test_ancestor_kinds(words: list[str], kinds: set[int]) -> None:
    """Only ``base`` turns ancestors on, the other words extend it to their kinds."""
    assert ancestor_kinds(words) == kinds


# --- pid_set --------------------------------------------------------------------------------


def child(pid: int, parent: int | None) -> ExecEvent:
    """Return the start of a process."""
    above = None if parent is None else make_process(pid=parent)
    return make_exec(above, pid=pid)


def test_pid_set_follows_descendants() -> None:
    """A child joins when its parent is in the set as its event comes, and stays."""
    predicate = compile_filters([Filter(pid_set=(10,))])
    assert predicate is not None
    assert [predicate(event) for event in [
        child(20, 11), child(10, 1), child(11, 10), child(12, 11), child(12, None), child(20, 1),
        ExitEvent(time=NOON, process=make_process(pid=12)), THROTTLE,
    ]] == [False, True, True, True, True, False, True, False]  # fmt: skip


def test_pid_set_learns_from_events_that_do_not_pass() -> None:
    """Starts that the filter's other fields, its event_set or a deny list hide still count."""
    predicate = compile_filters(
        [Filter(pid_set=(10,), event_set=(5,), binary_regex=("^/nowhere",)), Filter(pid_set=(1,))],
        [Filter(event_set=(1,))],
    )
    assert predicate is not None
    end = ExitEvent(time=NOON, process=make_process(pid=11, binary="/nowhere/x"))
    assert not predicate(end)
    assert predicate.select([child(11, 10)]) == []
    assert predicate(end)


def test_pid_set_forgets_the_longest_unseen_beyond_its_budget() -> None:
    """Memory is bounded, roots are never forgotten, and what was forgotten is counted."""
    predicate = compile_filters([Filter(pid_set=(10,))], options=FilterOptions(pid_set_budget=2))
    assert predicate is not None
    for pid in (1, 2):
        assert predicate(child(pid, 10))
    assert predicate(child(1, None))  # seen again: now 2 is the oldest
    assert predicate(child(3, 10))
    assert [predicate(child(pid, None)) for pid in (1, 2, 3, 10)] == [True, False, True, True]
    assert predicate.stats().pids_forgotten == 1


# --- errors while it runs -------------------------------------------------------------------


def test_cel_error_is_no_match_and_counted() -> None:
    """An expression without a value ends its field's search, and is told about."""
    predicate = compile_filter_texts(
        '{"cel_expression":["1 / int(process_exec.process.uid) == 1","has(process_exec.process)"]}'
    )
    assert predicate is not None
    assert not predicate(make_exec(uid=0))
    assert predicate(make_exec(uid=2))
    stats = predicate.stats()
    assert stats.cel_errors == 1
    assert "ZeroDivisionError" in stats.last_cel_error
    assert "process_exec.process.uid" in stats.last_cel_error


def test_whole_events_pass_every_kind_of_test_in_both_forms() -> None:
    """An event with everything in it and the same read from JSON get the same answers."""
    texts = [text for text, _, _ in CASES]
    for event in whole_events():
        for text in texts:
            passes(text, event)
