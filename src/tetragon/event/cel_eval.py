"""CEL evaluation: a checked expression in, a closure from event to value out.

Each node becomes one closure over the closures of its parts, made before the first event; what the
checker knows about types is used then and costs nothing later.

Layout  A closure takes the frame: a list whose item 0 is the event's message, the others the
        variables of comprehensions. int and uint are both int, times and durations ns.
Source  CEL language definition, "Evaluation" and "Standard definitions"
"""

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from tetragon.errors import FilterError
from tetragon.event import cel_time, shape
from tetragon.event.cel_ast import (
    Call,
    Comprehension,
    Const,
    Ident,
    ListOf,
    MapOf,
    Message,
    Node,
    Select,
    Type,
)
from tetragon.event.cel_bind import Binding, default
from tetragon.event.cel_functions import FUNCTIONS
from tetragon.event.pattern import Pattern, memoized
from tetragon.event.schema import MESSAGES
from tetragon.event.shape import Kind

Frame = list[Any]
Eval = Callable[[Frame], Any]

EVALUATION_ERRORS: Final = (ValueError, TypeError, ArithmeticError, LookupError)
"""What a closure raises when an expression has no value, such as ``1 / 0``."""

PACKAGE: Final = "tetragon."


class Part(NamedTuple):
    """A compiled node."""

    run: Eval
    type: Type


class Program(NamedTuple):
    """A compiled expression: run it with the event's message and ``slots`` times None behind."""

    run: Eval
    slots: int


class _Failed(NamedTuple):
    """The value of an accumulator whose last step had no value."""

    error: Exception


def build(node: Node, event: str, binding: Binding) -> Program:
    """
    Return the program for an expression.

    Args:
        node: the checked expression.
        event: the name of the event it will run on; the variables of all others are not there.
        binding: how that event is read.

    Raises:
        FilterError: it uses what event filters do not offer; without a field.
    """
    builder = _Builder(event, binding)
    part = builder.part(node)
    return Program(part.run, builder.slots)


class _Builder:
    """Turns nodes into closures; knows the variables in scope."""

    def __init__(self, event: str, binding: Binding) -> None:
        self.slots = 0
        self._event = event
        self._binding = binding
        self._scope: dict[str, tuple[int, Type]] = {}

    def part(self, node: Node) -> Part:
        match node:
            case Const():
                return Part(_constant(node.value), node.type)
            case Ident():
                return self._ident(node)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case ListOf():
                return self._list(node)
            case MapOf():
                return self._map(node)
            case Comprehension():
                return self._comprehension(node)
            case Message():
                raise _refused(node, "message literals are not supported")

    def _ident(self, node: Ident) -> Part:
        if node.name in self._scope:
            slot, type_ = self._scope[node.name]
            return Part(_variable(slot), type_)
        if not node.type.name.startswith(PACKAGE):
            raise _refused(node, f'the type "{node.name}" as a value is not supported')
        if node.name == self._event:
            return Part(operator.itemgetter(0), node.type)
        return Part(_constant(None), node.type)

    def _select(self, node: Select) -> Part:
        operand = self.part(node.operand)
        type_ = Type("bool") if node.test else node.type
        if operand.type.name == "map":
            return Part(_entry(operand.run, node.field, node.test), type_)
        message = operand.type.name.removeprefix(PACKAGE)
        if message not in MESSAGES:
            raise _refused(node, f"values of type {operand.type} have no fields here")
        field = shape.field(message, node.field)
        if node.test:
            return Part(_member(operand.run, self._binding.has(message, field), False), type_)
        run = _member(operand.run, self._binding.field(message, field), default(field))
        if field.kind is Kind.ENUM:  # the checker calls the items of a list of enums dyn
            type_ = Type("list", (Type("int"),)) if field.repeated else Type("int")
        return Part(run, type_)

    def _call(self, node: Call) -> Part:
        args = [self.part(arg) for arg in node.args]
        run = self._logical(node.function, args)
        if run is None:
            run = self._function(node, args)
        type_ = node.type
        if node.function == "_?_:_" and type_.name == "dyn":
            type_ = args[1].type
        return Part(run, type_)

    def _logical(self, function: str, args: Sequence[Part]) -> Eval | None:
        """Return the operators that do not need all their arguments, None for any other."""
        match function:
            case "_&&_":
                return _and(_bool(args[0]), _bool(args[1]))
            case "_||_":
                return _or(_bool(args[0]), _bool(args[1]))
            case "_?_:_":
                test, yes, no = _bool(args[0]), args[1].run, args[2].run
                return lambda frame: yes(frame) if test(frame) else no(frame)
            case "@not_strictly_false":
                return _not_strictly_false(args[0].run)
            case _:
                return None

    def _function(self, node: Call, args: Sequence[Part]) -> Eval:
        """Return an operator or function of the values of all its arguments."""
        runs = [arg.run for arg in args]
        if node.function in ("_==_", "_!=_", "@in"):
            self._check_comparable(node, args)
            return _comparison(node, args)
        if node.function == "matches":
            return self._matches(node, runs)
        if node.function in cel_time.CALENDAR and len(args) > 1:
            self._check_zone(node.args[1])
        names = [_plain(arg.type) for arg in args]
        function = FUNCTIONS.get((node.function, *names))
        if function is None:
            raise _no_overload(node, args)
        runs = [_given(arg) for arg in args]
        match runs:
            case [one]:
                return lambda frame: function(one(frame))
            case [one, two]:
                return lambda frame: function(one(frame), two(frame))
            case _:
                return lambda frame: function(*(run(frame) for run in runs))

    def _check_comparable(self, node: Call, args: Sequence[Part]) -> None:
        """Refuse what this evaluator cannot compare as the language says."""
        one, two = args[0].type, args[1].type
        if node.function == "@in":
            two = two.params[0] if two.params else one
        if _has_message(one) and _has_message(two):
            raise _refused(node, "messages cannot be compared; compare their fields")
        if len({_plain(one), _plain(two)} - {"dyn", "null_type"}) > 1 and "null_type" not in (
            one.name,
            two.name,
        ):
            raise _no_overload(node, args)

    def _check_zone(self, zone: Node) -> None:
        """Refuse a literal time zone that no event could make good."""
        if isinstance(zone, Const) and isinstance(zone.value, str):
            try:
                cel_time.zone_offset(zone.value)
            except ValueError as exc:
                raise _refused(zone, str(exc)) from None

    def _matches(self, node: Call, runs: Sequence[Eval]) -> Eval:
        """Return the test of a text against an expression, compiled now when it is a literal."""
        text, pattern = runs
        literal = node.args[1]
        if not isinstance(literal, Const) or not isinstance(literal.value, str):
            return lambda frame: _pattern(pattern(frame)).search(text(frame))
        try:
            search = memoized(Pattern(literal.value).search)
        except FilterError as exc:
            raise _refused(literal, exc.reason) from None
        return lambda frame: search(text(frame))

    def _list(self, node: ListOf) -> Part:
        items = [self.part(item) for item in node.items]
        self._check_alike(node, items)
        runs = [item.run for item in items]
        if all(isinstance(item, Const) for item in node.items):
            return Part(_constant([run([]) for run in runs]), node.type)
        return Part(_list_of(runs), node.type)

    def _map(self, node: MapOf) -> Part:
        entries = [(self.part(key), self.part(value)) for key, value in node.entries]
        self._check_alike(node, [key for key, _ in entries])
        self._check_alike(node, [value for _, value in entries])
        runs = [(key.run, value.run) for key, value in entries]
        return Part(_map_of(runs), node.type)

    def _check_alike(self, node: Node, parts: Sequence[Part]) -> None:
        names = {_plain(part.type) for part in parts} - {"null_type"}
        if len(names) > 1:
            raise _refused(
                node, f"values of different types ({', '.join(sorted(names))}) in one list"
            )

    def _comprehension(self, node: Comprehension) -> Part:
        range_ = self.part(node.range)
        item_type = range_.type.params[0] if range_.type.params else Type("dyn")
        init = self.part(node.init)
        before = dict(self._scope)
        accu = self._declare(node.accu, node.init.type)
        item = self._declare(node.item, item_type)
        condition = self.part(node.condition).run
        step = self.part(node.step)
        self._scope[node.accu] = (accu, step.type)
        result = self.part(node.result)
        self._scope = before
        accumulate = _Accumulate(init.run, condition, step.run, result.run)
        run = _loop(range_.run, item, accu, accumulate)
        return Part(run, result.type)

    def _declare(self, name: str, type_: Type) -> int:
        self.slots += 1
        self._scope[name] = (self.slots, type_)
        return self.slots


def _refused(node: Node, reason: str) -> FilterError:
    return FilterError(f"error building CEL program: {reason} (at character {node.at + 1})")


def _no_overload(node: Call, args: Sequence[Part]) -> FilterError:
    if node.function in ("dyn", "type"):
        return _refused(node, f"{node.function}() is not supported in event filters")
    shown = ", ".join(str(arg.type) for arg in args)
    return _refused(
        node, f"found no matching overload for '{node.function}' applied to '({shown})'"
    )


def _plain(type_: Type) -> str:
    """Return the name of a type as functions are looked up by it: wrappers count as bare."""
    return type_.params[0].name if type_.name == "wrapper" else type_.name


def _has_message(type_: Type) -> bool:
    return type_.name.startswith(PACKAGE) or any(map(_has_message, type_.params))


def _given(part: Part) -> Eval:
    """Return a part's closure; of a wrapper one that fails when the value is not set."""
    run = part.run
    if part.type.name != "wrapper":
        return run

    def given(frame: Frame) -> Any:
        value = run(frame)
        if value is None:
            raise ValueError("no such overload: the value is null")
        return value

    return given


_bool = _given
"""A condition: bool, or a wrapper of it that must be set."""


def _constant(value: Any) -> Eval:
    return lambda _: value


def _list_of(items: Sequence[Eval]) -> Eval:
    return lambda frame: [item(frame) for item in items]


def _map_of(entries: Sequence[tuple[Eval, Eval]]) -> Eval:
    return lambda frame: {key(frame): value(frame) for key, value in entries}


def _variable(slot: int) -> Eval:
    def variable(frame: Frame) -> Any:
        value = frame[slot]
        if value.__class__ is _Failed:
            raise value.error
        return value

    return variable


def _member(operand: Eval, get: Callable[[Any], Any], unset: Any) -> Eval:
    """Return what reads from a message, or the default when the message is not there."""

    def member(frame: Frame) -> Any:
        message = operand(frame)
        return unset if message is None else get(message)

    return member


def _entry(operand: Eval, key: str, test: bool) -> Eval:
    if test:
        return lambda frame: key in operand(frame)
    return lambda frame: operand(frame)[key]


def _and(one: Eval, two: Eval) -> Eval:
    """Return the conjunction: a false side decides, whatever befalls the other."""

    def both(frame: Frame) -> Any:
        try:
            if not one(frame):
                return False
        except EVALUATION_ERRORS:
            if not two(frame):
                return False
            raise
        return two(frame)

    return both


def _or(one: Eval, two: Eval) -> Eval:
    """Return the disjunction: a true side decides, whatever befalls the other."""

    def either(frame: Frame) -> Any:
        try:
            if one(frame):
                return True
        except EVALUATION_ERRORS:
            if two(frame):
                return True
            raise
        return two(frame)

    return either


def _not_strictly_false(one: Eval) -> Eval:
    def holds(frame: Frame) -> bool:
        try:
            return one(frame) is not False
        except EVALUATION_ERRORS:
            return True

    return holds


def _comparison(node: Call, args: Sequence[Part]) -> Eval:
    """Return ``==``, ``!=`` or ``in``, with a literal on the right looked at only once."""
    if any(arg.type.name.startswith(PACKAGE) for arg in args):  # a message, which is never null
        return _constant(node.function == "_!=_")
    one, two = args[0].run, args[1].run
    literal = node.args[1]
    match node.function:
        case "_==_" if isinstance(literal, Const):
            value = literal.value
            return lambda frame: one(frame) == value
        case "_==_":
            return lambda frame: one(frame) == two(frame)
        case "_!=_":
            return lambda frame: one(frame) != two(frame)
        case _ if isinstance(literal, ListOf) and all(isinstance(i, Const) for i in literal.items):
            values = frozenset(two([]))
            return lambda frame: one(frame) in values
        case _:
            return lambda frame: one(frame) in two(frame)


class _Accumulate(NamedTuple):
    """What a comprehension does with its accumulator."""

    init: Eval
    condition: Eval
    step: Eval
    result: Eval


def _loop(items: Eval, item: int, accu: int, accumulate: _Accumulate) -> Eval:
    """Return a comprehension with its variables in the slots ``item`` and ``accu``."""
    init, condition, step, result = accumulate

    def loop(frame: Frame) -> Any:
        values = items(frame)
        frame[accu] = init(frame)
        for value in values:
            if not condition(frame):
                break
            frame[item] = value
            try:
                frame[accu] = step(frame)
            except EVALUATION_ERRORS as exc:
                frame[accu] = _Failed(exc)
        return result(frame)

    return loop


@lru_cache(maxsize=64)
def _pattern(text: str) -> Pattern:
    """Return a compiled expression that an event brought along."""
    try:
        return Pattern(text)
    except FilterError as exc:
        raise ValueError(exc.reason) from None
