"""Redact: a process's arguments and environment in, the same without what must not be seen, out.

Flow    exec record -> [Redactor] -> Process, so that no output ever holds the secret
Owns    nothing but compiled expressions and a memo of binaries.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tetragon.errors import FilterError
from tetragon.event.filter_text import locate, parse_redaction_filters
from tetragon.event.pattern import Pattern, Span, memoized
from tetragon.model.filters import RedactionFilter

MARK: Final = b"*****"
"""What stands where something was."""


class _Rule(NamedTuple):
    """One filter: ``applies`` is None when it is for every binary."""

    applies: Callable[[str], bool] | None
    patterns: tuple[Pattern, ...]


class Redactor:
    """Applies redaction filters in their order, each to the result of the one before."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self._rules = tuple(rules)

    def redact_arguments(self, binary: str, arguments: str) -> str:
        """Return ``arguments`` of a run of ``binary`` (absolute path) as it may be shown."""
        return self._text(binary, arguments)

    def redact_environment(
        self, binary: str, environment: Sequence[tuple[str, str]]
    ) -> tuple[tuple[str, str], ...]:
        """Return the variables as they may be shown; each is matched as ``KEY=VALUE``."""
        found: list[tuple[str, str]] = []
        for variable in environment:
            text = "=".join(variable)
            shown = self._text(binary, text)
            if shown == text:
                found.append(variable)
            else:
                key, equals, value = shown.partition("=")
                found.append((key, value) if equals else ("invalid", shown))
        return tuple(found)

    def _text(self, binary: str, text: str) -> str:
        data: bytes | None = None
        for applies, patterns in self._rules:
            if applies is not None and not applies(binary):
                continue
            if data is None:
                data = text.encode("utf-8", "replace")
            for pattern in patterns:
                data = _redact(pattern, data)
        return text if data is None else data.decode("utf-8", "replace")


def compile_redaction(
    filters: Sequence[RedactionFilter], *, name: str = "redaction_filters"
) -> Redactor | None:
    """
    Return what applies ``filters``, None when there are none.

    Raises:
        FilterError: names the expression by its place in the list called ``name``.
    """
    rules = [_rule(one, f"{name}[{index}]") for index, one in enumerate(filters)]
    return Redactor(rules) if rules else None


def compile_redaction_text(text: str, *, name: str = "redaction_filters") -> Redactor | None:
    """
    Return what applies the filters of ``text`` (`parse_redaction_filters`), None for none.

    Raises:
        FilterError: with line and column.
    """
    filters = parse_redaction_filters(text, name=name)
    try:
        return compile_redaction(filters, name=name)
    except FilterError as exc:
        raise locate(exc, text, name=name) from None


def _rule(one: RedactionFilter, path: str) -> _Rule:
    binaries = _patterns(one.binary_regex, f"{path}.binary_regex", "binary")
    patterns = _patterns(one.redact, f"{path}.redact", "redaction")
    if not binaries:
        return _Rule(None, patterns)
    return _Rule(memoized(lambda binary: any(p.search(binary) for p in binaries)), patterns)


def _patterns(texts: Sequence[str], path: str, what: str) -> tuple[Pattern, ...]:
    compiled: list[Pattern] = []
    for index, text in enumerate(texts):
        try:
            compiled.append(Pattern(text, groups=True))
        except FilterError as exc:
            reason = f"failed to compile {what} regex `{text}`: {exc.reason}"
            raise FilterError(reason, f"{path}[{index}]") from None
    return tuple(compiled)


def _redact(pattern: Pattern, data: bytes) -> bytes:
    """Return ``data`` with the groups of every match of ``pattern`` marked."""
    spans = pattern.match(data)
    if spans is None:
        return data
    done: list[bytes] = []
    copied = searched = 0
    while spans is not None:
        start, end = spans[0]
        done.append(data[copied:start])
        if end > copied or start == 0:  # else empty, right behind the match before: skipped
            done.append(_marked(pattern, data[start:end]))
        copied = end
        searched = end if end > searched else _next_character(data, searched)
        spans = pattern.match(data, searched) if searched <= len(data) else None
    done.append(data[copied:])
    return b"".join(done)


def _marked(pattern: Pattern, matched: bytes) -> bytes:
    """
    Return ``matched`` with its groups marked.

    The expression is matched again, against this text alone, so that ``^``, ``$`` and ``\\b`` see
    it as the whole text: what users of the Go agent rely on.
    """
    spans: list[Span] | None = pattern.match(matched)
    if spans is None:
        return matched
    done: list[bytes] = []
    copied = 0
    for start, end in spans[1:]:
        if start >= copied:  # else it took no part, or lies inside the group before
            done += (matched[copied:start], MARK)
            copied = end
    done.append(matched[copied:])
    return b"".join(done)


def _next_character(data: bytes, at: int) -> int:
    """Return where the character after the one at ``at`` begins."""
    at += 1
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at
