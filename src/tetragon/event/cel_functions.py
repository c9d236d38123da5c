"""CEL functions: the name of a function and the types of its arguments in, what does it out.

Only those that take all their arguments as values: the logical operators, comparisons and macros
are in `cel_eval.py`. An error is a ValueError, TypeError, ArithmeticError or LookupError.

Source   CEL language definition, "List of Standard Definitions"
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tetragon.event import cel_net, cel_time


def _within(function: Callable[..., Any], low: int, high: int) -> Callable[..., int]:
    """Return ``function`` with its result checked against the range of its type."""

    def checked(*args: Any) -> int:
        value: int = function(*args)
        if not low <= value <= high:
            raise ValueError("integer overflow")
        return value

    return checked


def _integer(function: Callable[..., Any]) -> Callable[..., int]:
    return _within(function, -(1 << 63), (1 << 63) - 1)


def _unsigned(function: Callable[..., Any]) -> Callable[..., int]:
    return _within(function, 0, (1 << 64) - 1)


def _divide(one: int, two: int) -> int:
    """Divide towards zero."""
    quotient = abs(one) // abs(two)
    return quotient if (one < 0) == (two < 0) else -quotient


def _divide_double(one: float, two: float) -> float:
    if two:
        return one / two
    return float("nan") if one == 0 or one != one else one * float("inf")  # noqa: PLR0124 NaN


def _item(items: Sequence[Any], index: float) -> Any:
    if index < 0 or index != int(index):
        raise ValueError(f"index out of bounds: {index}")
    return items[int(index)]


def _int_of_text(text: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,20}", text):
        raise ValueError(f'"{text}" is no integer')
    return int(text)


def _bool_of_text(text: str) -> bool:
    if text in ("1", "t", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "false", "FALSE", "False"):
        return False
    raise ValueError(f'"{text}" is no bool')


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _same(value: Any) -> Any:
    return value


def _modulo(one: int, two: int) -> int:
    return one - two * _divide(one, two)


def _later(one: int, two: int) -> int:
    return cel_time.check_time(one + two)


def _earlier(time: int, duration: int) -> int:
    return cel_time.check_time(time - duration)


def _seconds(time: int) -> int:
    return time // cel_time.SECOND


def _time_of_seconds(seconds: int) -> int:
    return cel_time.check_time(seconds * cel_time.SECOND)


def _concatenated(one: Sequence[Any], two: Sequence[Any]) -> list[Any]:
    return [*one, *two]


_Functions = dict[tuple[str, ...], Callable[..., Any]]


def _table() -> _Functions:
    """Return the functions of the language by name and argument types."""
    table: _Functions = {key: function for key, (_, _, function) in cel_net.FUNCTIONS.items()}
    for name in ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"):
        for sign, compare in _ORDER.items():
            table[sign, name, name] = compare
    for name in ("string", "bytes", "list", "map"):
        table["size", name] = len
    for name, read in cel_time.CALENDAR.items():
        table[name, "timestamp"] = table[name, "timestamp", "string"] = read
    for name, read in cel_time.SPANS.items():
        table[name, "duration"] = read
    for index in ("int", "uint", "double"):
        table["_[_]", "list", index] = _item
    for key in ("bool", "int", "uint", "string"):
        table["_[_]", "map", key] = operator.getitem
    table |= _ARITHMETIC | _CONVERSIONS | _TEXTS
    return table


_ORDER: Final[Mapping[str, Callable[..., bool]]] = {
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
}

_ARITHMETIC: Final[_Functions] = {
    ("!_", "bool"): operator.not_,
    ("-_", "int"): _integer(operator.neg),
    ("-_", "double"): operator.neg,
    ("_+_", "int", "int"): _integer(operator.add),
    ("_-_", "int", "int"): _integer(operator.sub),
    ("_*_", "int", "int"): _integer(operator.mul),
    ("_/_", "int", "int"): _integer(_divide),
    ("_%_", "int", "int"): _modulo,
    ("_+_", "uint", "uint"): _unsigned(operator.add),
    ("_-_", "uint", "uint"): _unsigned(operator.sub),
    ("_*_", "uint", "uint"): _unsigned(operator.mul),
    ("_/_", "uint", "uint"): _divide,
    ("_%_", "uint", "uint"): operator.mod,
    ("_+_", "double", "double"): operator.add,
    ("_-_", "double", "double"): operator.sub,
    ("_*_", "double", "double"): operator.mul,
    ("_/_", "double", "double"): _divide_double,
    ("_+_", "string", "string"): operator.add,
    ("_+_", "bytes", "bytes"): operator.add,
    ("_+_", "list", "list"): _concatenated,
    ("_+_", "duration", "duration"): _integer(operator.add),
    ("_-_", "duration", "duration"): _integer(operator.sub),
    ("_+_", "timestamp", "duration"): _later,
    ("_+_", "duration", "timestamp"): _later,
    ("_-_", "timestamp", "duration"): _earlier,
    ("_-_", "timestamp", "timestamp"): _integer(operator.sub),
}

_CONVERSIONS: Final[_Functions] = {
    **{(name, name): _same for name in ("bool", "int", "uint", "double", "string")},
    **{(name, name): _same for name in ("bytes", "timestamp", "duration")},
    ("int", "uint"): _integer(int),
    ("int", "double"): _integer(int),
    ("int", "string"): _integer(_int_of_text),
    ("int", "timestamp"): _seconds,
    ("int", "duration"): _same,
    ("uint", "int"): _unsigned(int),
    ("uint", "double"): _unsigned(int),
    ("uint", "string"): _unsigned(_int_of_text),
    ("double", "int"): float,
    ("double", "uint"): float,
    ("double", "string"): float,
    ("string", "int"): str,
    ("string", "uint"): str,
    ("string", "bool"): _bool_text,
    ("string", "bytes"): bytes.decode,
    ("string", "timestamp"): cel_time.format_timestamp,
    ("string", "duration"): cel_time.format_duration,
    ("bytes", "string"): str.encode,
    ("bool", "string"): _bool_of_text,
    ("timestamp", "string"): cel_time.parse_timestamp,
    ("timestamp", "int"): _time_of_seconds,
    ("duration", "string"): cel_time.parse_duration,
    ("duration", "int"): _same,
}

_TEXTS: Final[_Functions] = {
    ("contains", "string", "string"): operator.contains,
    ("startsWith", "string", "string"): str.startswith,
    ("endsWith", "string", "string"): str.endswith,
}

FUNCTIONS: Final = _table()
