r"""Labels: the text of a Kubernetes label selector in, a test of a pod's labels out.

Grammar  requirements with commas between, all of which must hold: ``a=b``, ``a==b``, ``a!=b``,
         ``a in (b,c)``, ``a notin (b,c)``, ``a``, ``!a``, ``a>1``, ``a<1``; empty: everything.
Source   Kubernetes documentation, "Labels and Selectors"
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tetragon.errors import FilterError

Requirement = Callable[[Mapping[str, str]], bool]

_TOKEN: Final = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+|$)")
_PART: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DOMAIN: Final = re.compile(
    r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
_BOUND: Final = re.compile(r"[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_SYMBOLS: Final = frozenset(["==", "!=", "=", "!", ",", "(", ")", "<", ">", ""])


def parse_selector(text: str) -> Requirement:
    """
    Return the test a selector's text describes.

    Raises:
        FilterError: with the column in ``text`` and the reason, without a field.
    """
    requirements = _Parser(text).requirements()
    if len(requirements) == 1:
        return requirements[0]
    return lambda labels: all(holds(labels) for holds in requirements)


class _Parser:
    """Reads one selector from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._start = 0
        self._token = ""
        self._next()

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        if self._token == "":
            return found
        while True:
            found.append(self._requirement())
            if self._token == "":
                return found
            self._expect(",")

    def _requirement(self) -> Requirement:
        absent = self._token == "!"
        if absent:
            self._next()
        key = self._key()
        if absent:
            return lambda labels: key not in labels
        operator = self._token
        if operator in (",", ""):
            return lambda labels: key in labels
        self._next()
        match operator:
            case "=" | "==":
                return self._one_of(key, [self._value((",", ""))])
            case "!=":
                return _negated(self._one_of(key, [self._value((",", ""))]))
            case "in":
                return self._one_of(key, self._values())
            case "notin":
                return _negated(self._one_of(key, self._values()))
            case "<" | ">":
                return self._compare(key, operator)
            case _:
                raise self._error(
                    f'expected an operator after "{key}": =, ==, !=, in, notin, < or >'
                )

    def _key(self) -> str:
        """Read a label name: ``[domain/]name``."""
        key = self._word("a label name")
        domain, slash, name = key.rpartition("/")
        if slash and (len(domain) > 253 or not _DOMAIN.fullmatch(domain)):
            raise self._error(f'"{domain}" before the slash is no domain name')
        if len(name) > 63 or not _PART.fullmatch(name):
            raise self._error(
                f'invalid label name "{key}": at most 63 letters, digits, "-", "_" or ".", '
                "with a letter or digit first and last"
            )
        self._next()
        return key

    def _value(self, ends: tuple[str, ...]) -> str:
        """Read a label value; it may be empty."""
        if self._token in ends:
            return ""
        value = self._word("a value")
        if len(value) > 63 or not _PART.fullmatch(value):
            raise self._error(
                f'invalid label value "{value}": at most 63 letters, digits, "-", "_" or ".", '
                "with a letter or digit first and last"
            )
        self._next()
        return value

    def _values(self) -> list[str]:
        """Read ``(a, b, ...)``."""
        self._expect("(")
        values = [self._value((",", ")"))]
        while self._token == ",":
            self._next()
            values.append(self._value((",", ")")))
        self._expect(")")
        return values

    def _compare(self, key: str, operator: str) -> Requirement:
        word = self._word("a number")
        if not _BOUND.fullmatch(word):
            raise self._error(f'"{word}" after {operator} is no whole number')
        self._next()
        bound, larger = int(word), operator == ">"

        def holds(labels: Mapping[str, str]) -> bool:
            value = labels.get(key, "")
            if not _NUMBER.fullmatch(value):
                return False
            return int(value) > bound if larger else int(value) < bound

        return holds

    @staticmethod
    def _one_of(key: str, values: list[str]) -> Requirement:
        allowed = frozenset(values)
        return lambda labels: key in labels and labels[key] in allowed

    def _word(self, what: str) -> str:
        if self._token in _SYMBOLS:
            raise self._error(f"expected {what}")
        return self._token

    def _expect(self, token: str) -> None:
        if self._token != token:
            raise self._error(f'expected "{token}"')
        self._next()

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        assert match is not None
        self._at, self._start, self._token = match.end(), match.start(1), match[1]

    def _error(self, reason: str) -> FilterError:
        found = f'"{self._token}"' if self._token else "the end"
        return FilterError(f"column {self._start + 1}, at {found}: {reason}")


def _negated(holds: Requirement) -> Requirement:
    return lambda labels: not holds(labels)
