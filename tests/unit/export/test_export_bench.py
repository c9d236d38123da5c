"""The benches of the outputs, run tiny, so that they cannot rot."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_udp_bench_runs() -> None:
    """It prints one line for each kind of event, with its ratio to a bare sendto."""
    command = [sys.executable, "bench/udp.py", "--rounds", "1", "--events", "8", "--batch", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    head, titles, *rows, rest = done.stdout.splitlines()
    assert head.startswith("batches of 4; medians of 2 batches")
    assert titles.split()[-2:] == ["ratio", "limit"]
    assert [row[:24].strip() for row in rows] == [
        "binary and arguments",
        "100 arguments of 47",
        "500 arguments of 56",
        "exec of a host process",
        "exec in a pod",
    ]
    assert all(float(row.split()[-2]) > 0 for row in rows)
    assert rest.startswith("kprobe of a known process: not measured")
