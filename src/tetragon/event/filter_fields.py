"""Filter fields: one field of a filter with its values in, a test of events out.

What depends on the kind of event alone (``event_set``) is not here, nor what needs the library
for CEL: `filter.py` sees to both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tetragon.errors import FilterError
from tetragon.event.labels import parse_selector
from tetragon.event.pattern import MEMO_ENTRIES, any_of
from tetragon.model.event import Event, EventType
from tetragon.model.filters import CapFilter, CapFilterSet, Filter, FilterOptions
from tetragon.model.process import Process

Test = Callable[[Event], bool]

_Labels = tuple[tuple[str, str], ...]

PROCESS_KINDS: Final = frozenset(
    [
        EventType.PROCESS_EXEC,
        EventType.PROCESS_EXIT,
        EventType.PROCESS_KPROBE,
        EventType.PROCESS_TRACEPOINT,
        EventType.PROCESS_LOADER,
        EventType.PROCESS_UPROBE,
        EventType.PROCESS_LSM,
        EventType.PROCESS_USDT,
    ]
)
"""Events that have a process."""

_ANCESTORS: Final = {
    "kprobe": EventType.PROCESS_KPROBE,
    "tracepoint": EventType.PROCESS_TRACEPOINT,
    "loader": EventType.PROCESS_LOADER,
    "uprobe": EventType.PROCESS_UPROBE,
    "lsm": EventType.PROCESS_LSM,
    "usdt": EventType.PROCESS_USDT,
}

_NO_CAPABILITY: Final = 64
"""Stands for capability numbers no process can have."""


def ancestor_kinds(words: Sequence[str]) -> frozenset[int]:
    """Return the kinds of events that carry ancestors by the words of ``--enable-ancestors``."""
    if "base" not in words:
        return frozenset()
    more = {_ANCESTORS[word] for word in words if word in _ANCESTORS}
    return frozenset({EventType.PROCESS_EXEC, EventType.PROCESS_EXIT} | more)


def event_name(number: int) -> str:
    """Return the name of an EventType, or the number of one nobody knows."""
    return EventType(number).name if number in EventType.__members__.values() else str(number)


def check_ancestors(one: Filter, options: FilterOptions, path: str) -> None:
    """
    Refuse a filter on ancestors that its events do not carry.

    Raises:
        FilterError: names the first such event type.
    """
    for number in one.event_set or sorted(PROCESS_KINDS):
        if number not in options.ancestors:
            raise FilterError(
                f"ancestors are not enabled for {event_name(number)} event type, "
                "cannot configure ancestor filter",
                f"{path}.ancestor_binary_regex",
            )


def _in_init_tree(wanted: bool, _: str) -> Test:
    def test(event: Event) -> bool:
        process = event.process
        return (process is not None and process.in_init_tree) is wanted

    return test


def _pid(pids: Sequence[int], _: str) -> Test:
    wanted = frozenset(pids)

    def test(event: Event) -> bool:
        process = event.process
        return process is not None and process.pid in wanted

    return test


def _namespace(names: Sequence[str], _: str) -> Test:
    wanted = frozenset(names)
    without_pod = "" in wanted

    def test(event: Event) -> bool:
        process = event.process
        if process is None:
            return False
        return without_pod if process.pod is None else process.pod.namespace in wanted

    return test


def _policy_names(names: Sequence[str], _: str) -> Test:
    wanted = frozenset(names) - {""}
    return lambda event: getattr(event, "policy_name", "") in wanted


def _health_check(wanted: bool, _: str) -> Test:
    def test(event: Event) -> bool:
        return (_is_probe(event.process) or _is_probe(event.parent)) is wanted

    return test


def _is_probe(process: Process | None) -> bool:
    return (
        process is not None and process.pod is not None and process.pod.container.maybe_exec_probe
    )


def _of_process(read: Callable[[Process], str]) -> Callable[[Sequence[str], str], Test]:
    """Return the test of expressions on a text of the event's process."""

    def build(patterns: Sequence[str], path: str) -> Test:
        search = any_of(patterns, path)

        def test(event: Event) -> bool:
            process = event.process
            return process is not None and search(read(process))

        return test

    return build


def _of_parent(read: Callable[[Process], str]) -> Callable[[Sequence[str], str], Test]:
    """Return the test of expressions on a text of the parent."""

    def build(patterns: Sequence[str], path: str) -> Test:
        search = any_of(patterns, path)

        def test(event: Event) -> bool:
            parent = event.parent
            return parent is not None and search(read(parent))

        return test

    return build


def _of_pod(read: Callable[[Any], str]) -> Callable[[Sequence[str], str], Test]:
    """Return the test of expressions on a text of the pod; no pod, no match."""

    def build(patterns: Sequence[str], path: str) -> Test:
        search = any_of(patterns, path)

        def test(event: Event) -> bool:
            process = event.process
            return process is not None and process.pod is not None and search(read(process.pod))

        return test

    return build


def _ancestor_binary_regex(patterns: Sequence[str], path: str) -> Test:
    search = any_of(patterns, path)
    return lambda event: any(search(process.binary) for process in event.ancestors)


def _labels(selectors: Sequence[str], path: str) -> Test:
    compiled: list[Callable[[Mapping[str, str]], bool]] = []
    for index, text in enumerate(selectors):
        try:
            compiled.append(parse_selector(text))
        except FilterError as exc:
            reason = f'invalid pod label filter: "{text}": {exc.reason}'
            raise FilterError(reason, f"{path}[{index}]") from None

    answers: dict[int, tuple[_Labels, bool]] = {}  # by id; the labels kept keep it theirs

    def test(event: Event) -> bool:
        process = event.process
        if process is None or process.pod is None:
            return False
        labels = process.pod.labels
        known = answers.get(id(labels))
        if known is None or known[0] is not labels:
            found = dict(labels)
            known = labels, any(selects(found) for selects in compiled)
            if len(answers) >= MEMO_ENTRIES:
                answers.clear()
            answers[id(labels)] = known
        return known[1]

    return test


def _capabilities(one: CapFilter, path: str) -> Test:
    effective, inheritable, permitted = (
        _cap_set(getattr(one, name), f"{path}.{name}")
        for name in ("effective", "inheritable", "permitted")
    )

    def test(event: Event) -> bool:
        process = event.process
        if process is None or process.cap is None:
            return False
        cap = process.cap
        return (
            effective(cap.effective) and inheritable(cap.inheritable) and permitted(cap.permitted)
        )

    return test


def _cap_set(one: CapFilterSet | None, path: str) -> Callable[[int], bool]:
    """Return the test of one capability mask; an absent set holds for all."""
    if one is None:
        return lambda _: True
    given = {
        name: numbers
        for name in ("any", "all", "exactly", "none")
        if (numbers := getattr(one, name)) is not None
    }
    if len(given) > 1:
        names = ", ".join(given)
        raise FilterError(f"capability filter may only define one match set, got: {names}", path)
    if not given:
        raise FilterError("capability filter must define exactly one match set", path)
    [(name, numbers)] = given.items()
    wanted = _mask(numbers)
    return _CAP_TESTS[name](wanted)


def _mask(numbers: Sequence[int]) -> int:
    mask = 0
    for number in numbers:
        mask |= 1 << (number if 0 <= number < _NO_CAPABILITY else _NO_CAPABILITY)
    return mask


def _any(wanted: int) -> Callable[[int], bool]:
    return lambda held: held & wanted != 0


def _all(wanted: int) -> Callable[[int], bool]:
    return lambda held: held & wanted == wanted


def _exactly(wanted: int) -> Callable[[int], bool]:
    return lambda held: held == wanted


def _none(wanted: int) -> Callable[[int], bool]:
    return lambda held: held & wanted == 0


_CAP_TESTS: Final = {"any": _any, "all": _all, "exactly": _exactly, "none": _none}


def _binary(process: Process) -> str:
    return process.binary


def _arguments(process: Process) -> str:
    return process.arguments


def _docker(process: Process) -> str:
    return process.docker


def _pod_name(pod: Any) -> str:
    return str(pod.name)


def _pod_namespace(pod: Any) -> str:
    return str(pod.namespace)


def _container_name(pod: Any) -> str:
    return str(pod.container.name)


# A filter's fields, the cheapest test first. Each takes the field's values and its path in errors.
TESTS: Final[Mapping[str, Callable[[Any, str], Test]]] = {
    "in_init_tree": _in_init_tree,
    "pid": _pid,
    "namespace": _namespace,
    "policy_names": _policy_names,
    "health_check": _health_check,
    "capabilities": _capabilities,
    "binary_regex": _of_process(_binary),
    "parent_binary_regex": _of_parent(_binary),
    "container_id": _of_process(_docker),
    "namespace_regex": _of_pod(_pod_namespace),
    "pod_regex": _of_pod(_pod_name),
    "container_name_regex": _of_pod(_container_name),
    "arguments_regex": _of_process(_arguments),
    "parent_arguments_regex": _of_parent(_arguments),
    "labels": _labels,
    "ancestor_binary_regex": _ancestor_binary_regex,
}
