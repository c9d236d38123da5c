"""Values: the text of a flag in, its value out, with the complaints Go's flags have."""

import csv
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tetragon.model.duration import format_duration, parse_duration

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic in its type stubs only


class Value(_ParamType):
    """
    A kind of flag value.

    Args:
        name: what help calls it, such as ``string``; empty for switches.
        parse: text to value; a ValueError's text ends the complaint.
        show: default to help text.
    """

    def __init__(
        self, name: str, parse: Callable[[str], Any], show: Callable[[Any], str] = str
    ) -> None:
        self.name = name
        self._parse = parse
        self.show = show

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a text; anything else is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as exc:
            raise refusal(value, param, str(exc), ctx) from exc


def refusal(
    value: str, param: click.Parameter | None, reason: str, ctx: click.Context | None = None
) -> click.UsageError:
    """Return the error of a flag with a bad value."""
    names = ", ".join(sorted(param.opts, key=len)) if param is not None else ""
    return click.UsageError(f'invalid argument "{value}" for "{names}" flag: {reason}', ctx)


def _whole(bits: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text, 0)
        except ValueError:
            raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        if not -(1 << bits - 1) <= number < 1 << bits - 1:
            raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
        return number

    return parse


def parse_switch(text: str) -> bool:
    """
    Return the truth of Go's words for it.

    Raises:
        ValueError: another word.
    """
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _strings(text: str) -> tuple[str, ...]:
    """Split one use of a list flag at its commas; quotes keep a comma."""
    return tuple(next(csv.reader([text]))) if text else ()


def _quoted(text: str) -> str:
    return f'"{text}"'


TEXT = Value("string", str, _quoted)
INT = Value("int", _whole(64))
INT32 = Value("int32", _whole(32))
DURATION = Value("duration", parse_duration, format_duration)
STRINGS = Value("strings", _strings)


def choice(words: Sequence[str], name: str = "string") -> Value:
    """Return the kind of one of ``words``."""

    def parse(text: str) -> str:
        if text not in words:
            known = ", ".join(words)
            raise ValueError(f"invalid argument {text}, please provide one of ({known})")
        return text

    return Value(name, parse, _quoted)
