"""What the verifier walks for each program stays what the committed table says, and small."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LIMITS = {"plain": 30_000, "everything": 30_000, "without_bpf_loop": 60_000}
"""Of one program; a kernel gives up at a million, and loading takes time with the count."""
TOLERANCE = 0.1


@pytest.fixture(scope="module")
def table() -> Iterator[ModuleType]:
    """Import the script that renews the table."""
    sys.path.insert(0, str(SCRIPTS))
    import verifier_table

    yield verifier_table
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def measured(table: ModuleType) -> dict[str, dict[str, int]]:
    """Load every option set once."""
    counts: dict[str, dict[str, int]] = table.measure()
    return counts


@pytest.mark.parametrize("options", LIMITS)
def test_counts_are_small(measured: dict[str, dict[str, int]], options: str) -> None:
    """On every kernel, whatever compiled the programs."""
    for program, count in measured[options].items():
        assert 0 < count < LIMITS[options], program


def test_counts_are_those_of_the_table(
    table: ModuleType, measured: dict[str, dict[str, int]]
) -> None:
    """A change that costs the verifier more, or less, shows in review: verifier_table.py renews."""
    known = json.loads(table.TABLE.read_text())
    expected = known["kernels"].get(table.series())
    if expected is None or known["compiler"] != table.compiler():
        assert measured  # nothing to compare with: another kernel, or another compiler's code
        return
    assert measured.keys() == expected.keys()
    for options, counts in expected.items():
        assert measured[options].keys() == counts.keys(), options
        for program, count in counts.items():
            found = measured[options][program]
            assert abs(found - count) <= TOLERANCE * count, f"{options} {program}: {found}"
