"""The filters' bench runs, so that it cannot rot."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[3] / "bench" / "filters.py"


def test_bench_measures_every_case() -> None:
    """A tiny run prints a ratio for each filter, for both kinds of events."""
    done = subprocess.run(
        [sys.executable, BENCH, "--rounds", "1", "--events", "4"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert sum(line.startswith("yardstick") for line in lines) == 2
    assert sum(line.startswith("CEL, pid ") for line in lines) == 2
    assert all(float(line.split()[-1]) > 0 for line in lines if line.startswith("INCLUDE"))
