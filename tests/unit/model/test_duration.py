"""Durations read and print as Go's do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetragon.model.duration import format_duration, parse_duration


@given(st.integers(-(2**62), 2**62))
def test_what_is_printed_reads_back(duration: int) -> None:
    """Every number of nanoseconds."""
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration", "printed"),
    [
        ("0", 0, "0s"),
        ("+5s", 5_000_000_000, "5s"),
        ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
        ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
        ("90s", 90_000_000_000, "1m30s"),
        (".5s", 500_000_000, "500ms"),
        ("1.5ms", 1_500_000, "1.5ms"),
        ("1us", 1_000, "1µs"),
        ("1µs", 1_000, "1µs"),
        ("1500ns", 1_500, "1.5µs"),
        ("3ns", 3, "3ns"),
        ("1000h", 3_600_000_000_000_000, "1000h0m0s"),
    ],
)
def test_forms(text: str, duration: int, printed: str) -> None:
    """All units, signs and fractions."""
    assert parse_duration(text) == duration
    assert format_duration(duration) == printed


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        ("3", 'time: missing unit in duration "3"'),
        ("3x", 'time: unknown unit "x" in duration "3x"'),
        ("1h3", 'time: missing unit in duration "1h3"'),
        (".s", 'time: invalid duration ".s"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
        ("١s", 'time: invalid duration "١s"'),
    ],
)
def test_complaints(text: str, complaint: str) -> None:
    """In Go's words."""
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        parse_duration(text)
