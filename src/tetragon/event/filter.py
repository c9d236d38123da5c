"""Filter: allow and deny lists in, one test of events out.

An event passes when the allow list is empty or one of its filters matches, and no filter of the
deny list does. A filter matches when all its fields do, a field when one of its values does.

Flow    pipeline -> [Predicate.select] -> field filters -> sink
Owns    for each class of event its test, or the mere answer when no event of that class needs to
        be looked at; the pids a ``pid_set`` follows. One Predicate belongs to one thread.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tetragon.errors import FilterError
from tetragon.event.filter_fields import PROCESS_KINDS, TESTS, Test, check_ancestors
from tetragon.event.filter_text import locate, parse_filters
from tetragon.event.from_json import JsonEvent, kind_of
from tetragon.event.pid_set import PidSet
from tetragon.model.event import TYPES, Event, EventType
from tetragon.model.filters import Filter, FilterOptions

if TYPE_CHECKING:
    from tetragon.event.cel import Compiler, Expression

POLICY_KINDS: Final = frozenset(
    [
        EventType.PROCESS_KPROBE,
        EventType.PROCESS_TRACEPOINT,
        EventType.PROCESS_UPROBE,
        EventType.PROCESS_LSM,
        EventType.PROCESS_USDT,
    ]
)
"""Events that name the policy they come from."""

_WITHOUT_PROCESS: Final = ("event_set", "health_check", "in_init_tree")
"""Fields that can match an event of no process."""

_Answer = bool | Test
"""What a class of events needs: a test of each, or nothing but the answer."""


class FilterStats(msgspec.Struct):
    """
    What went wrong in a predicate.

    Args:
        cel_errors: times an expression had no value, so that its filter did not match.
        last_cel_error: the latest of them.
        pids_forgotten: descendants a ``pid_set`` gave up to stay within its budget.
    """

    cel_errors: int = 0
    last_cel_error: str = ""
    pids_forgotten: int = 0


class Predicate:
    """Tells which events pass; made by `compile_filters`."""

    __slots__ = ("_answers", "_filters", "_stats")

    def __init__(self, filters: "_Lists") -> None:
        self._filters = filters
        self._stats = FilterStats()
        self._answers = _Answers(filters, self._report)
        for known in TYPES:  # now, so that the first event waits for nothing
            self._answers.prepare(known)

    def __call__(self, event: Event) -> bool:
        """Tell whether ``event`` passes."""
        answer = self._answers[event.__class__]
        return answer if isinstance(answer, bool) else answer(event)

    def select(self, batch: Iterable[Event]) -> list[Event]:
        """Return the events of ``batch`` that pass, in their order."""
        answers = self._answers
        return [
            event
            for event in batch
            if (answer := answers[event.__class__]) is True or (answer and answer(event))
        ]

    def stats(self) -> FilterStats:
        """Return the counters of this predicate."""
        self._stats.pids_forgotten = sum(one.forgotten for one in self._filters.pid_sets)
        return self._stats

    def _report(self, error: str) -> None:
        self._stats.cel_errors += 1
        self._stats.last_cel_error = error


def compile_filters(
    allow: Sequence[Filter],
    deny: Sequence[Filter] = (),
    *,
    options: FilterOptions | None = None,
    names: tuple[str, str] = ("allow_list", "deny_list"),
) -> Predicate | None:
    """
    Return the test of an allow and a deny list, None when every event passes.

    Args:
        allow, deny: either may be empty.
        options: what the events carry; a filter on what they do not is refused.
        names: what errors call the lists.

    Raises:
        FilterError: names the list, the filter by its place, the field and the reason.
    """
    context = _Context(options or FilterOptions())
    lists = _Lists(
        bool(allow),
        [_compiled(one, context, f"{names[0]}[{index}]") for index, one in enumerate(allow)],
        [_compiled(one, context, f"{names[1]}[{index}]") for index, one in enumerate(deny)],
    )
    return None if lists.pass_all else Predicate(lists)


def compile_filter_texts(
    allow: str,
    deny: str = "",
    *,
    options: FilterOptions | None = None,
    pid_set: bool = True,
    names: tuple[str, str] = ("allow_list", "deny_list"),
) -> Predicate | None:
    """
    Return the test of an allow and a deny list given as texts (`parse_filters`).

    Raises:
        FilterError: with line and column.
    """
    lists = tuple(
        parse_filters(text, name=name, pid_set=pid_set)
        for name, text in zip(names, (allow, deny), strict=True)
    )
    try:
        return compile_filters(*lists, options=options, names=names)
    except FilterError as exc:
        of_deny = exc.field.startswith(f"{names[1]}[")
        raise locate(exc, deny if of_deny else allow, name=names[of_deny]) from None


class _Context:
    """What the filters of a configuration share while they are compiled."""

    def __init__(self, options: FilterOptions) -> None:
        self.options = options

    @cached_property
    def cel(self) -> "Compiler":
        from tetragon.event.cel import Compiler  # heavy, and seldom used

        return Compiler()


class _Compiled(NamedTuple):
    """
    One filter.

    Args:
        kinds: events it could match.
        tests: that must all hold, the cheapest first.
        expressions: of which one must hold after them; None when there is no such field.
    """

    kinds: frozenset[int]
    tests: tuple[Test, ...]
    expressions: "tuple[Expression, ...] | None"
    pid_set: PidSet | None


class _Lists(NamedTuple):
    """Both lists; ``limited`` when only what ``allow`` matches passes."""

    limited: bool
    allow: list[_Compiled]
    deny: list[_Compiled]

    @property
    def pid_sets(self) -> list[PidSet]:
        return [one.pid_set for one in (*self.allow, *self.deny) if one.pid_set is not None]

    @property
    def pass_all(self) -> bool:
        allowed = not self.limited or any(one == _EVERYTHING for one in self.allow)
        return allowed and not self.deny


_EVERYTHING: Final = _Compiled(frozenset(EventType), (), None, None)
"""A filter with no fields."""


def _compiled(one: Filter, context: _Context, path: str) -> _Compiled:
    options = context.options
    if one.capabilities is not None and not options.process_cred:
        raise FilterError(
            "capabilities are not enabled in process events, cannot configure capability filter "
            "(--enable-process-cred)",
            f"{path}.capabilities",
        )
    if one.ancestor_binary_regex is not None:
        check_ancestors(one, options, path)
    tests = [
        build(value, f"{path}.{name}")
        for name, build in TESTS.items()
        if (value := getattr(one, name)) is not None
    ]
    pid_set = None
    if one.pid_set is not None:
        pid_set = PidSet(one.pid_set, options.pid_set_budget)
        tests.insert(0, pid_set.matches)
    expressions = _expressions(one, context, f"{path}.cel_expression")
    return _Compiled(_kinds(one, expressions), tuple(tests), expressions, pid_set)


def _expressions(one: Filter, context: _Context, path: str) -> "tuple[Expression, ...] | None":
    if one.cel_expression is None:
        return None
    compiled: list[Expression] = []
    for index, text in enumerate(one.cel_expression):
        try:
            compiled.append(context.cel.compile(text))
        except FilterError as exc:
            raise FilterError(exc.reason, f"{path}[{index}]") from None
    return tuple(compiled)


def _kinds(one: Filter, expressions: "Sequence[Expression] | None") -> frozenset[int]:
    """Return the kinds of events a filter could match."""
    kinds = frozenset[int](EventType)
    if one.event_set is not None:
        kinds &= frozenset(one.event_set)
    if one.policy_names is not None:
        kinds &= POLICY_KINDS
    given = [name for name in TESTS if getattr(one, name) is not None]
    if one.pid_set is not None or any(name not in _WITHOUT_PROCESS for name in given):
        kinds &= PROCESS_KINDS
    if expressions is not None:
        kinds &= frozenset(kind for expression in expressions for kind in expression.kinds)
    return kinds


class _Answers(dict[type[Event], _Answer]):
    """What to do with each class of events, found out when the first of a class comes."""

    def __init__(self, lists: _Lists, report: Callable[[str], None]) -> None:
        super().__init__()
        self._lists = lists
        self._pid_sets = lists.pid_sets
        self._report = report

    def prepare(self, event: type[Event]) -> None:
        """Find out now."""
        self.__missing__(event)

    def __missing__(self, event: type[Event]) -> _Answer:
        answer = self._answer(kind_of(event), issubclass(event, JsonEvent))
        self[event] = answer = self._observing(answer) if self._pid_sets else answer
        return answer

    def _answer(self, kind: int, json: bool) -> _Answer:
        denied = self._any(self._lists.deny, kind, json)
        allowed = not self._lists.limited or self._any(self._lists.allow, kind, json)
        if denied is True or allowed is False:
            return False
        if denied is False:
            return allowed
        if allowed is True:
            return lambda event: not denied(event)
        return lambda event: allowed(event) and not denied(event)

    def _any(self, filters: Sequence[_Compiled], kind: int, json: bool) -> _Answer:
        """Return whether any of ``filters`` matches."""
        found = [self._all(one, kind, json) for one in filters if kind in one.kinds]
        if True in found:
            return True
        tests = [one for one in found if not isinstance(one, bool)]
        if not tests:
            return False
        if len(tests) == 1:
            return tests[0]
        return _any_of(tests)

    def _all(self, one: _Compiled, kind: int, json: bool) -> _Answer:
        """Return whether one filter matches."""
        tests = list(one.tests)
        if one.expressions is not None:
            tests.append(self._one_of(one.expressions, kind, json))
        match tests:
            case []:
                return True
            case [test]:
                return test
            case [first, second]:
                return lambda event: first(event) and second(event)
            case _:
                return _all_of(tests)

    def _one_of(self, expressions: "Sequence[Expression]", kind: int, json: bool) -> Test:
        """Return whether any expression holds; one without a value ends the search."""
        tests = [
            expression.test(kind, json=json, report=self._report)
            for expression in expressions
            if kind in expression.kinds
        ]

        def test(event: Event) -> bool:
            for holds in tests:
                answer = holds(event)
                if answer is not False:
                    return answer is True
            return False

        return test

    def _observing(self, answer: _Answer) -> Test:
        """Return ``answer`` as a test that first shows each event to the pid sets."""
        pid_sets = self._pid_sets

        def test(event: Event) -> bool:
            for one in pid_sets:
                one.observe(event)
            return answer if isinstance(answer, bool) else answer(event)

        return test


def _any_of(tests: Sequence[Test]) -> Test:
    def test(event: Event) -> bool:
        for holds in tests:  # noqa: SIM110 half the time of any()
            if holds(event):
                return True
        return False

    return test


def _all_of(tests: Sequence[Test]) -> Test:
    def test(event: Event) -> bool:
        for holds in tests:  # noqa: SIM110 half the time of all()
            if not holds(event):
                return False
        return True

    return test
