"""What --help, --version and --generate-docs print."""

import io
import re

import pytest
import yaml

from tetragon import __version__
from tetragon.config.argv import Action
from tetragon.config.help import answer, fit
from tetragon.config.options import OPTIONS, Group


@pytest.mark.parametrize("width", [1, 50, 72, 80, 100, 300])
def test_help_fits_its_width(width: int) -> None:
    """From 50 to 100 columns; only a single word, such as a filter, may be longer than a line."""
    lines = answer(Action.HELP, width).splitlines()

    limit = min(max(width, 50), 100)
    wide = [line.strip() for line in lines if len(line) > limit]
    assert [line for line in wide if " " in line] == []
    assert len(wide) <= (2 if limit < 80 else 0)
    assert max(map(len, lines)) > limit - 10
    assert all(line == line.rstrip() for line in lines)


def test_help_lists_each_option_once_below_its_heading() -> None:
    """All but the hidden ones, grouped in the order of the groups."""
    text = answer(Action.HELP)
    names = re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+)", text, re.M)

    shown = [
        option.name
        for group in Group
        for option in OPTIONS
        if option.group is group and not option.hidden
    ]
    assert [name for name in names if name not in ("help", "version")] == shown
    assert "cpuprofile" not in text
    for group in Group:
        assert f"\n{group.value}:\n" in text
    assert text.endswith("\n")


def test_help_tells_defaults_and_what_is_planned() -> None:
    """On the option's own entry."""
    text = " ".join(answer(Action.HELP).split())

    assert "-d, --debug Log at level debug. --log-level" in text
    assert (
        "--udp-buffer-size size Send buffer of the socket; 0 or less leaves the system's default. "
        "(default 64K)" in text
    )
    assert "Act as on this kernel version instead of the running one. [planned]" in text
    assert "(default true)" in text
    assert "(default false)" not in text


def test_help_has_colour_only_when_asked() -> None:
    """The text under the colours is the same."""
    plain, coloured = answer(Action.HELP, 80), answer(Action.HELP, 80, colour=True)

    assert "\x1b" not in plain
    assert "\x1b" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_output_that_is_no_terminal_is_plain_and_wide() -> None:
    """A pipe or file."""
    assert fit(io.StringIO(), {"TERM": "xterm"}) == (100, False)


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_terminal_has_colour_unless_told_otherwise(environ: dict[str, str], colour: bool) -> None:
    """A real terminal device; NO_COLOR counts when it is not empty."""
    import os
    import pty

    master, slave = pty.openpty()
    try:
        with os.fdopen(slave, "w") as terminal:
            assert fit(terminal, environ)[1] is colour
    finally:
        os.close(master)


def test_version() -> None:
    """One line."""
    assert answer(Action.VERSION) == f"tetragon v{__version__}\n"


def test_running_prints_nothing() -> None:
    """No action, no text."""
    assert answer(Action.RUN) == ""


def test_generated_docs_are_yaml_with_every_option() -> None:
    """A real YAML parser reads them back."""
    document = yaml.safe_load(answer(Action.DOCS))

    assert document["name"] == "tetragon"
    by_name = {entry["name"]: entry for entry in document["options"]}
    assert sorted(by_name) == [entry["name"] for entry in document["options"]]
    assert set(by_name) == {option.name for option in OPTIONS}
    assert by_name["debug"]["shorthand"] == "d"
    assert by_name["export-file-perm"]["default_value"] == "600"
    assert "default_value" not in by_name["export-filename"]
    assert by_name["redaction-filters"]["usage"].count("*****") == 1
    assert by_name["kernel"]["implemented"] is False
