"""Label selectors mean what they mean to Kubernetes."""

import pytest
from filter_events import UPSTREAM

from tetragon.errors import FilterError
from tetragon.event.labels import parse_selector

LABELS = {"app": "web", "tier": "front", "release": "7", "example.com/team": "x"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app == web", True),
        ("app=api", False),
        ("app!=api", True),
        ("app!=web", False),
        ("missing!=web", True),
        ("app in (api, web)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("missing notin (web)", True),
        ("missing in (web)", False),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("release>6", True),
        ("release<7", False),
        ("app>1", False),
        ("example.com/team=x", True),
        ("missing=", False),
        ("app in (in, web)", True),
    ],
)
def test_selector_matches(selector: str, matches: bool) -> None:
    """Every operator holds for, and only for, the labels it should."""
    assert parse_selector(selector)(LABELS) is matches


@pytest.mark.parametrize("case", UPSTREAM["labels"]["cases"], ids=lambda case: repr(case[0]))
def test_selector_agrees_with_upstream(case: tuple[str, str]) -> None:
    """Selectors taken and refused, and the labels they select, are those recorded."""
    selector, recorded = case
    try:
        holds = parse_selector(selector)
    except FilterError:
        assert recorded == "error"
    else:
        sets = UPSTREAM["labels"]["sets"]
        assert "".join("1" if holds(labels) else "0" for labels in sets) == recorded


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("=x", 'column 1, at "=": expected a label name'),
        ("a=b,", "column 5, at the end: expected a label name"),
        ("a b", 'column 4, at the end: expected an operator after "a"'),
        ("a in b", 'column 6, at "b": expected "("'),
        ("a in (b", 'column 8, at the end: expected ")"'),
        ("a=b c", 'column 5, at "c": expected ","'),
        ("a>x", 'column 3, at "x": "x" after > is no whole number'),
        ("-a=b", 'column 1, at "-a": invalid label name "-a"'),
        ("a=-b", 'column 3, at "-b": invalid label value "-b"'),
        ("A_/b=c", 'column 1, at "A_/b": "A_" before the slash is no domain name'),
        ("a=" + "x" * 64, "invalid label value"),
    ],
)
def test_selector_is_refused_with_column_and_reason(selector: str, message: str) -> None:
    """A malformed selector says where reading stopped and what was expected there."""
    with pytest.raises(FilterError) as caught:
        parse_selector(selector)
    assert message in caught.value.reason
