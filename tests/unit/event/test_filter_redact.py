"""Redaction hides the groups of an expression and nothing else."""

from typing import Any

import pytest
from filter_events import UPSTREAM

from tetragon.errors import FilterError
from tetragon.event.redact import Redactor, compile_redaction, compile_redaction_text
from tetragon.model.filters import RedactionFilter


def redactor(*filters: RedactionFilter) -> Redactor:
    """Return the redactor of ``filters``."""
    found = compile_redaction(filters)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("redact", "text", "shown"),
    [
        ([r"--password(?:\s+|=)(\S*)"], "-u x --password=abc -p", "-u x --password=***** -p"),
        ([r"--password(?:\s+|=)(\S*)"], "--password a --password b",
         "--password ***** --password *****"),
        (["secret"], "secret", "secret"),
        (["(a)(b)?"], "a ab", "***** **********"),
        (["(a(b))c"], "abc", "*****c"),
        (["^(a)"], "ab ab", "*****b ab"),
        (["(x)y"], "é xy 日", "é *****y 日"),
        (["(a)", r"(\*)"], "a", "*****" * 5),
        (["()"], "ab", "*****a*****b*****"),
        (["(b)"], "a", "a"),
    ],
)  # fmt: skip
def test_groups_are_hidden(redact: list[str], text: str, shown: str) -> None:
    """Each group of each match becomes five stars; what is outside groups stays."""
    found = redactor(RedactionFilter(redact=tuple(redact)))
    assert found.redact_arguments("/bin/x", text) == shown


@pytest.mark.parametrize("case", UPSTREAM["redact"], ids=lambda case: repr(case[0])[:60])
def test_redaction_agrees_with_upstream(case: tuple[str, str, list[str], Any]) -> None:
    """Odd expressions on odd texts give what was recorded, or are refused where those were."""
    filters, arguments, environment, recorded = case
    try:
        found = compile_redaction_text(filters)
    except FilterError:
        assert recorded == "error"
        return
    assert found is not None
    pairs = [(name, value) for name, _, value in (text.partition("=") for text in environment)]
    shown = found.redact_environment("/bin/a", pairs)
    texts = [value if name == "invalid" else f"{name}={value}" for name, value in shown]
    assert [found.redact_arguments("/bin/a", arguments), texts] == recorded


def test_binary_regex_limits_a_filter() -> None:
    """A filter is for the binaries it matches, for all when it names none."""
    found = redactor(
        RedactionFilter(redact=("(a)",), binary_regex=("^/usr", "curl$")),
        RedactionFilter(redact=("(b)",)),
    )
    assert found.redact_arguments("/usr/bin/x", "ab") == "**********"
    assert found.redact_arguments("/opt/curl", "ab") == "**********"
    assert found.redact_arguments("/opt/x", "ab") == "a*****"


def test_environment_is_matched_as_key_and_value() -> None:
    """A variable is one text; what is hidden may be its name."""
    found = redactor(RedactionFilter(redact=("^PASS=(.*)$", "^(KEY)=", "^(gone=.*)$")))
    pairs = [("PASS", "abc"), ("HOME", "/"), ("KEY", "v=w"), ("gone", "x")]
    assert found.redact_environment("/bin/x", pairs) == (
        ("PASS", "*****"), ("HOME", "/"), ("*****", "v=w"), ("invalid", "*****"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('{"redact":["a"]}\n{"redact":["ok","["]}', (2, 17),
         "redaction_filters[1].redact[1]: failed to compile redaction regex `[`: error parsing "),
        ('{"binary_regex":["("]}', (1, 18),
         "redaction_filters[0].binary_regex[0]: failed to compile binary regex `(`: error parsing"),
        ('{"redact":"a"}', (1, 11), "failed to parse redaction filter list: expected a list"),
    ],
)  # fmt: skip
def test_bad_redaction_filter_is_refused(text: str, place: tuple[int, int], message: str) -> None:
    """The error has place, field, expression and reason."""
    with pytest.raises(FilterError) as caught:
        compile_redaction_text(text)
    assert caught.value.position == place
    assert message in str(caught.value)


def test_no_filters_no_redactor() -> None:
    """Nothing to do is None, so that the caller need not call."""
    assert compile_redaction_text(" ") is None
    assert compile_redaction(()) is None
