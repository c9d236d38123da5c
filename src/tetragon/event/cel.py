"""CEL: the text of an expression in, a test of events out.

The library (cel-expr-python, which is Google's C++ implementation) reads the text and checks its
types; `cel_eval.py` makes closures of the result, which run some twenty times quicker than the
library does on events, as it would have to serialize and parse each of them. It is loaded with the
first expression.

Owns    nothing but the library's environment; a test may run on any one thread at a time
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import Any, Final, NamedTuple

from tetragon.errors import FilterError
from tetragon.event import shape
from tetragon.event.cel_ast import Node, Type, parse_checked, types
from tetragon.event.cel_bind import Binding, JsonBinding, ModelBinding
from tetragon.event.cel_eval import EVALUATION_ERRORS, build
from tetragon.event.cel_net import CIDR, FUNCTIONS, IP
from tetragon.event.descriptor import PACKAGE, file_descriptor
from tetragon.model.event import Event

Report = Callable[[str], None]
"""Is told why an expression had no value for an event."""

_FILE: Final = "tetragon/event_filter.proto"
_LENGTH: Final = 16_384
_MODEL: Final = ModelBinding()
_JSON: Final = JsonBinding()
_PLAIN: Final = ("string", "bytes", "bool", "int", "uint", "double", "timestamp", "duration")
_STANDARD_WITHOUT_STRING: Final = "stdlib:\n  exclude_functions:\n    - name: string\n"


class Expression(NamedTuple):
    """
    A checked expression.

    Args:
        kinds: numbers of the events it mentions: it is never true for others.
    """

    text: str
    node: Node
    kinds: frozenset[int]

    def test(self, kind: int, *, json: bool, report: Report) -> Callable[[Event], bool | None]:
        """
        Return the test of events of one kind; it gives None where the expression has no value.

        Args:
            kind: their EventType.
            json: they are JsonEvents rather than the agent's own.
        """
        binding: Binding = _JSON if json else _MODEL
        run, slots = build(self.node, shape.events()[kind].name, binding)
        root, variables, text = binding.root, [None] * slots, self.text

        def test(event: Event) -> bool | None:
            try:
                return run([root(event), *variables]) is True
            except EVALUATION_ERRORS as exc:
                report(f"error running CEL program {text!r}: {type(exc).__name__}: {exc}")
                return None

        return test


class Compiler:
    """Compiles expressions; keep one for all of a configuration, and not longer."""

    def compile(self, text: str) -> Expression:
        """
        Return a checked expression.

        Raises:
            FilterError: a syntax or type error with its place in the text; without a field.
        """
        if len(text) > _LENGTH:
            raise _error(f"longer than {_LENGTH} characters")
        if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
            raise _error("invalid UTF-8")
        try:
            checked = self._environment.compile(text)
            node = parse_checked(checked.serialize())
        except RecursionError:
            raise _error("nested too deeply") from None
        except RuntimeError as exc:
            raise _error(_bare(str(exc))) from None
        if node.type != Type("bool"):
            raise _error(f'got "{node.type}", wanted "bool" result type')
        expression = Expression(text, node, _kinds(node))
        self._try(expression)
        return expression

    @staticmethod
    def _try(expression: Expression) -> None:
        """Build it once, so that what cannot be built is an error now."""
        try:
            build(expression.node, "", _JSON)
        except RecursionError:
            raise _error("nested too deeply") from None

    @cached_property
    def _environment(self) -> Any:
        """The library's environment: one variable per event, and the address functions."""
        try:
            library: Any = import_module("cel_expr_python.cel")
        except ImportError:
            reason = "CEL expressions need the package cel-expr-python: pip install cel-expr-python"
            raise FilterError(reason) from None
        return library.NewEnv(
            _Pool(),
            config=library.NewEnvConfigFromYaml(_STANDARD_WITHOUT_STRING),
            variables={
                event.name: library.Type(f"{PACKAGE}.{event.type}")
                for event in shape.events().values()
            },
            functions=[_declaration(library, *one) for one in _functions().items()],
            container=PACKAGE,
        )


class _Pool:
    """What the library asks for descriptors: a pool with one file, `descriptor.py`'s."""

    def __init__(self) -> None:
        self.serialized_pb = file_descriptor(_FILE)

    def FindFileByName(self, name: str) -> "_Pool":
        """Return the file called ``name``."""
        if name != _FILE:
            raise KeyError(name)
        return self

    def FindFileContainingSymbol(self, name: str) -> "_Pool":
        """Return the file that declares ``name``."""
        if not name.startswith(f"{PACKAGE}."):
            raise KeyError(name)
        return self

    def FindMessageTypeByName(self, name: str) -> "_Pool":
        """Only asked for extensions, which there are none of."""
        raise KeyError(name)


class _Overload(NamedTuple):
    arguments: tuple[str, ...]
    result: str
    member: bool


def _functions() -> Mapping[str, list[_Overload]]:
    """
    Return the functions to declare by name.

    The library cannot add an overload to ``string``, so the standard one is left out and declared
    again together with ours.
    """
    found = {"string": [_Overload((name,), "string", False) for name in _PLAIN]}
    for (name, *arguments), (result, member, _) in FUNCTIONS.items():
        found.setdefault(name, []).append(_Overload(tuple(arguments), result, member))
    return found


def _declaration(library: Any, name: str, overloads: list[_Overload]) -> Any:
    def type_(text: str) -> Any:
        abstract = text in (IP, CIDR)
        return library.Type.AbstractType(text) if abstract else getattr(library.Type, text.upper())

    return library.FunctionDecl(
        name,
        [
            library.Overload(
                f"{name}_{'_'.join(one.arguments)}",
                return_type=type_(one.result),
                parameters=[type_(argument) for argument in one.arguments],
                is_member=one.member,
            )
            for one in overloads
        ],
    )


def _kinds(node: Node) -> frozenset[int]:
    """Return the events whose message type an expression handles."""
    names = {type_.name for type_ in types(node)}
    return frozenset(_matching(names))


def _matching(names: set[str]) -> Iterator[int]:
    for number, event in shape.events().items():
        if f"{PACKAGE}.{event.type}" in names:
            yield number


def _error(reason: str) -> FilterError:
    return FilterError(f"error compiling CEL expression: {reason}")


def _bare(text: str) -> str:
    """Return the library's error without its status code around it."""
    match = re.fullmatch(r"[A-Z_]+: (.*) \[[A-Z_]+\]", text, re.DOTALL)
    return match[1] if match else text
