"""Regular expressions are RE2's, and their errors speak the Go agent's words."""

import subprocess
import sys

import pytest

from tetragon.errors import FilterError
from tetragon.event.pattern import MEMO_ENTRIES, Pattern, any_of


@pytest.mark.parametrize(
    ("patterns", "text", "matches"),
    [
        (["bin"], "/usr/bin/x", True),
        (["^bin"], "/usr/bin/x", False),
        (["x$"], "/usr/bin/x", True),
        (["^/a", "^/usr"], "/usr/bin/x", True),
        (["^/a", "^/b"], "/usr/bin/x", False),
        (["(?i)BIN"], "/usr/bin/x", True),
        (["(?i)A", "BIN"], "/usr/bin/x", False),
        (["a|/usr", "^q"], "/usr/bin/x", True),
        ([r"\Q/usr", "zz"], "/usr/bin/x", True),
        ([r"\Qa", r"\Qb\E"], "xax", True),
        ([r"\p{Greek}+"], "λ", True),
        (["é"], "café", True),
        ([""], "", True),
        ([], "", False),
    ],
)
def test_any_of_matches_when_one_does(patterns: list[str], text: str, matches: bool) -> None:
    """Unanchored, each on its own terms, whether tried together or one by one."""
    assert any_of(patterns, "f")(text) is matches


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[a", "missing closing ]: `[a`"),
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("\ud800", "invalid UTF-8"),
    ],
)
def test_bad_expression_names_place_and_reason(pattern: str, reason: str) -> None:
    """The error names the expression by its place in the list and the part that is wrong."""
    with pytest.raises(FilterError) as caught:
        any_of(["ok", pattern], "list[0].binary_regex")
    assert caught.value.field == "list[0].binary_regex[1]"
    assert caught.value.reason == f"failed to compile regexp: error parsing regexp: {reason}"


def test_search_takes_linear_time() -> None:
    """What sends a backtracking matcher into an hour's work is answered at once."""
    assert not Pattern("(a*)*b").search("a" * 100_000)


def test_memo_stays_within_its_budget_and_does_not_change_answers() -> None:
    """More texts than the memo holds, twice over, get the same answers."""
    search = any_of(["7$"], "f")
    texts = [str(number) for number in range(3 * MEMO_ENTRIES)]
    first = [search(text) for text in texts]
    assert first == [text.endswith("7") for text in texts]
    assert [search(text) for text in texts] == first


def test_bad_expression_writes_nothing_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """The library's own complaints are off: the error says it all."""
    with pytest.raises(FilterError):
        Pattern("[")
    assert capfd.readouterr() == ("", "")


def test_lone_surrogate_in_a_text_is_no_error() -> None:
    """A text that is not valid Unicode matches like one with a replacement in it."""
    assert Pattern("^a.b$").search("a\udc80b")


@pytest.mark.parametrize(
    "module", ["filter", "filter_text", "fields", "fields_json", "redact", "from_json"]
)
def test_import_loads_no_library_that_is_not_needed(module: str) -> None:
    """RE2, CEL, protobuf and ipaddress are loaded by the first filter that needs them."""
    code = (
        f"import sys, tetragon.event.{module}; print([m for m in "
        "('re2', 'cel_expr_python', 'google', 'ipaddress', 'difflib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
