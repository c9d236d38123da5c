"""Pattern: regular expressions of the RE2 dialect in, tests of a text out.

RE2 has no lookaround and no backreferences and takes time linear in the text, so no filter can
stall the agent. The library is loaded with the first expression.

Owns    a memo of answers per test, of bounded size; safe on any one thread at a time.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final, Protocol, cast

from tetragon.errors import FilterError

Span = tuple[int, int]
"""Start and end offset in bytes; (-1, -1) for a group that took no part."""

MEMO_ENTRIES: Final = 512
MEMO_LENGTH: Final = 1024
"""A memo keeps at most so many answers, for texts of at most so many characters."""

_NO_MATCH: Final = (-1, -1)

_WORDS: Final = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
}
"""The library's words for an error, and those users of the Go agent know."""


class _Raw(Protocol):
    """The binding below the library's `re` look-alike, which takes a third of its time."""

    def Match(self, anchor: object, text: bytes, start: int, end: int) -> list[Span]:
        """Return the spans of the match and its groups."""
        ...


class Pattern:
    """
    One compiled expression.

    Args:
        text: the expression.
        groups: whether `match` shall know its groups; a mere test is quicker without.

    Raises:
        FilterError: with the reason and the offending part, without a field.
    """

    __slots__ = ("_anchor", "_match", "text")

    def __init__(self, text: str, *, groups: bool = False) -> None:
        self.text = text
        library = _library()
        options = library.Options()
        options.log_errors = False
        options.never_capture = not groups
        try:
            raw = cast(_Raw, library.compile(text, options)._regexp)
        except UnicodeEncodeError:
            raise FilterError("error parsing regexp: invalid UTF-8") from None
        except library.error as exc:
            raise FilterError(_reason(exc.args[0])) from None
        self._match = raw.Match
        self._anchor = library._re2.RE2.Anchor.UNANCHORED

    def match(self, text: bytes, start: int = 0) -> list[Span] | None:
        """Return the spans of the first match from ``start`` on and of its groups, or None."""
        spans = self._match(self._anchor, text, start, len(text))
        return None if spans[0] == _NO_MATCH else spans

    def search(self, text: str) -> bool:
        """Tell whether the expression matches anywhere in ``text``."""
        data = text.encode("utf-8", "replace")
        return self._match(self._anchor, data, 0, len(data))[0] != _NO_MATCH


def any_of(patterns: Sequence[str], field: str) -> Callable[[str], bool]:
    """
    Return a test whether a text matches any of ``patterns``, with a memo of its last answers.

    Args:
        patterns: may be empty; then nothing matches.
        field: path of the list in errors.

    Raises:
        FilterError: names the expression by its place in the list.
    """
    compiled: list[Pattern] = []
    for index, text in enumerate(patterns):
        try:
            compiled.append(Pattern(text))
        except FilterError as exc:
            reason = f"failed to compile regexp: {exc.reason}"
            raise FilterError(reason, f"{field}[{index}]") from None
    return memoized(_alternatives(compiled))


def _alternatives(patterns: Sequence[Pattern]) -> Callable[[str], bool]:
    """Return one test for several patterns: one expression where the library takes it."""
    if len(patterns) > 1 and not any("\\Q" in one.text for one in patterns):  # may be unclosed
        with suppress(FilterError):  # too large together
            return Pattern("|".join(f"(?:{one.text})" for one in patterns)).search
    searches = [one.search for one in patterns]
    if len(searches) == 1:
        return searches[0]
    return lambda text: any(search(text) for search in searches)


def memoized(search: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return ``search`` with a memo: a process's texts come again with every event of it."""
    answers: dict[str, bool] = {}
    get = answers.get

    def remembered(text: str) -> bool:
        answer = get(text)
        if answer is None:
            answer = search(text)
            if len(text) <= MEMO_LENGTH:
                if len(answers) >= MEMO_ENTRIES:
                    answers.clear()
                answers[text] = answer
        return answer

    return remembered


@cache
def _library() -> Any:
    """Return google-re2, untyped: it has no stubs."""
    return import_module("re2")


def _reason(error: bytes | str) -> str:
    """Return the library's error in the words of the Go agent: ``reason: `part` ``."""
    text = error.decode("utf-8", "replace") if isinstance(error, bytes) else error
    reason, _, part = text.partition(": ")
    return f"error parsing regexp: {_WORDS.get(reason, reason)}: `{part}`"
