"""Every filter shown in docs/filters.md is one the agent takes."""

import re
from pathlib import Path

import pytest

from tetragon.event.cel import Compiler
from tetragon.event.fields import compile_field_filter_text, unknown_paths
from tetragon.event.filter import compile_filter_texts
from tetragon.event.filter_text import parse_field_filters
from tetragon.event.redact import compile_redaction_text
from tetragon.event.shape import enum
from tetragon.model.event import EventType
from tetragon.model.filters import FieldFilter, Filter, FilterOptions

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "filters.md").read_text()
BLOCKS = re.findall(
    r"^```(json filters|json fields|json redaction|cel)\n(.*?)^```", TEXT, re.M | re.S
)


def blocks(kind: str) -> list[str]:
    """Return the examples of one kind."""
    found = [text for label, text in BLOCKS if label == kind]
    assert found, kind
    return found


@pytest.mark.parametrize("text", blocks("json filters"))
def test_event_filters_compile(text: str) -> None:
    """They are taken, and they filter."""
    assert compile_filter_texts(text, options=FilterOptions(process_cred=True)) is not None


@pytest.mark.parametrize("text", blocks("json fields"))
def test_field_filters_compile(text: str) -> None:
    """They are taken, and every path leads somewhere."""
    assert compile_field_filter_text(text) is not None
    assert unknown_paths(parse_field_filters(text)) == ()


@pytest.mark.parametrize("text", blocks("json redaction"))
def test_redaction_filters_hide_what_they_say(text: str) -> None:
    """They are taken, and hide passwords, tokens and curl's user."""
    redactor = compile_redaction_text(text)
    assert redactor is not None
    shown = redactor.redact_arguments("/usr/bin/curl", "--password=s -u me:s --password s x")
    assert shown == "--password=***** -u me:***** --password ***** x"
    assert redactor.redact_environment("/bin/x", [("API_TOKEN", "s")]) == (("API_TOKEN", "*****"),)


@pytest.mark.parametrize("text", "".join(blocks("cel")).splitlines())
def test_expressions_compile(text: str) -> None:
    """They are taken, and are about some event."""
    assert Compiler().compile(text).kinds


def test_every_field_and_type_is_documented() -> None:
    """The tables miss no field of a filter and no event type."""
    for name in (*Filter.__struct_fields__, *FieldFilter.__struct_fields__):
        assert f"`{name}`" in TEXT, name
    for kind in EventType:
        assert f"`{kind.name}` ({kind.value})" in TEXT, kind
    assert "DAC_OVERRIDE" in enum("CapabilitiesType")
