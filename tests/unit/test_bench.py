"""The benches of the user half, run tiny, so that they cannot rot."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--rounds", "1", "--events", "8", "--batch", "4")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a bench; return what came of it."""
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("flags", [(), ("--plain",)], ids=["c", "plain"])
def test_the_pipeline_bench_measures_every_case(flags: tuple[str, ...]) -> None:
    """A time, a goal and a ratio for each case; yardsticks; and each function in C by itself."""
    done = run("bench/pipeline.py", *TINY, *flags)
    assert done.stderr == ""
    head, titles, *rows = done.stdout.splitlines()
    assert ("plain Python" in head) == bool(flags)
    assert titles.split()[-3:] == ["x", "dumps", "events/s"]
    cases = rows[:7]
    assert [row[:26].strip() for row in cases] == [
        "exec, host",
        "exec, pod",
        "exec + exit, host",
        "exec + exit, pod",
        "exec, program never seen",
        "exec, 4 KB of arguments",
        "exec + exit, host, UDP",
    ]
    assert all(float(number) > 0 for row in cases for number in row[26:].split())
    size = {row[:26].strip(): float(row[26:].split()[0]) for row in cases}
    assert 700 < size["exec, host"] < 850
    assert 2000 < size["exec, pod"] < 2250
    assert [row.split()[1] for row in rows[7:9]] == ["json.dumps", "sendto"]
    functions = [row.split()[0] for row in rows[11:]]
    assert functions == (
        []
        if flags
        else ["exec_fields", "exec_id", "join_arguments", "join_line", "json_object", "timestamp"]
    )


def test_all_benches_run_by_one_command() -> None:
    """Each under its name; one that is not there is refused with the names there are."""
    done = run("bench/run.py", "--quick", "pipeline")
    assert done.returncode == 0
    assert done.stdout.startswith("\n== pipeline\n")
    assert "exec + exit, host" in done.stdout
    wrong = run("bench/run.py", "pipelines")
    assert wrong.returncode == 2
    assert "no bench called pipelines; there are pipeline, udp" in wrong.stderr


def test_every_bench_is_in_the_list() -> None:
    """A file that measures is run by `make bench`."""
    listed = (ROOT / "bench" / "run.py").read_text()
    for file in (ROOT / "bench").glob("*.py"):
        if "def main(" in file.read_text() and file.name != "run.py":
            assert f'Bench("{file.stem}"' in listed, file.name
