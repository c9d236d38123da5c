"""JSON stream: text with JSON objects one after another in, each value with its place out.

The standard parser forgets where a value stood; a filter's error must name line and column.
"""

import json
import re
from typing import Final, NamedTuple, NoReturn

from tetragon.errors import FilterError

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DEPTH: Final = 16


class Node(NamedTuple):
    """A JSON value and the offset of its first character."""

    value: "str | int | float | bool | list[Node] | dict[str, Member] | None"
    at: int


class Member(NamedTuple):
    """A member of an object: its value, and the offset of its key."""

    node: Node
    key_at: int


class Stream:
    """
    One text, read once.

    Args:
        text: objects separated by nothing or white space; no commas or brackets around them.
        name: what the list of objects is called in errors, such as ``allow_list``.
    """

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0

    def objects(self) -> list[Node]:
        """
        Return every object of the text.

        Raises:
            FilterError: at the first character that does not fit.
        """
        found: list[Node] = []
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] != "{":
                raise self.error(
                    "expected '{': filters are JSON objects one after another, "
                    "without brackets around or commas between them",
                    self._at,
                    f"{self._name}[{len(found)}]",
                )
            found.append(self._value(0))
            self._skip()
        return found

    def error(self, reason: str, at: int, field: str = "") -> FilterError:
        """Return the error for what stands at offset ``at``."""
        line = self._text.count("\n", 0, at) + 1
        return FilterError(reason, field or self._name, (line, at - self._text.rfind("\n", 0, at)))

    def _skip(self) -> None:
        """Go to the next character that is not white space."""
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _value(self, depth: int) -> Node:
        at = self._at
        start = self._text[at : at + 1]
        if depth > _DEPTH:
            raise self.error(f"nested deeper than {_DEPTH} levels", at)
        if start == "{":
            return Node(self._object(depth), at)
        if start == "[":
            return Node(self._array(depth), at)
        return Node(self._scalar(), at)

    def _object(self, depth: int) -> dict[str, Member]:
        members: dict[str, Member] = {}
        while not self._closed("}", bool(members)):
            key_at = self._at
            key = self._scalar() if self._text[key_at : key_at + 1] == '"' else None
            if not isinstance(key, str):
                raise self.error("expected a key in double quotes", key_at)
            if key in members:
                raise self.error(f'duplicate field "{key}"', key_at)
            self._skip()
            if self._text[self._at : self._at + 1] != ":":
                raise self.error(f"expected ':' after the key \"{key}\"", self._at)
            self._at += 1
            self._skip()
            members[key] = Member(self._value(depth + 1), key_at)
        return members

    def _array(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not self._closed("]", bool(items)):
            items.append(self._value(depth + 1))
        return items

    def _closed(self, end: str, comma: bool) -> bool:
        """Step over what opens or separates; True when ``end`` came instead, stepped over too."""
        if not comma:
            self._at += 1
            self._skip()
            if self._text[self._at : self._at + 1] != end:
                return False
            self._at += 1
            return True
        self._skip()
        found = self._text[self._at : self._at + 1]
        if found not in (",", end) or not found:
            raise self.error(
                f"expected ',' or '{end}'" + ("" if found else ", got the end"), self._at
            )
        self._at += 1
        if found == ",":
            self._skip()
        return found == end

    def _scalar(self) -> str | int | float | bool | None:
        value: str | int | float | bool | None
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as exc:
            ended = exc.pos >= len(self._text)
            raise self.error(
                "the text ends inside a value" if ended else exc.msg, exc.pos
            ) from None
        except ValueError as exc:
            raise self.error(str(exc), self._at) from None
        return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)
