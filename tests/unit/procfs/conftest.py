"""Real processes for the readers of /proc: started ready, ended by their id."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[bytes]]

READY = "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()"
"""Last line of a child's program: say ready, then live until the pipe is closed."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program, wait for its first line of output, and end it after the test."""
    children: list[subprocess.Popen[bytes]] = []

    def start_one(
        *argv: str | bytes, ready: bool = True, **options: object
    ) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,  # type: ignore[call-overload]
        )
        children.append(child)
        if ready:
            assert child.stdout.readline() == b"ready\n"
        return child

    yield start_one
    for child in children:
        child.kill()
        child.stdin.close()
        child.stdout.close()
        child.wait()


@pytest.fixture
def start_python(start: Start) -> Callable[[str], subprocess.Popen[bytes]]:
    """Start a Python program that ends with READY."""
    return lambda code: start(sys.executable, "-I", "-S", "-c", f"{code}\n{READY}")


@pytest.fixture
def open_files() -> Iterator[None]:
    """Fail when the test leaves a descriptor open."""
    before = sorted(Path("/proc/self/fd").iterdir())
    yield
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.fixture
def fake_process(tmp_path: Path) -> Path:
    """A tree with one process, pid 7, as a kernel writes it that lacks optional features."""
    process = tmp_path / "7"
    process.mkdir()
    (process / "stat").write_bytes(
        b"7 (old) S 1 7 7 0 -1 4194560 " + b"0 " * 8 + b"20 0 1 0 99 0\n"
    )
    (process / "status").write_bytes(
        b"Name:\told\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\n"
        b"CapInh:\t0000000000000001\nCapPrm:\t0000000000000002\nCapEff:\t0000000000000004\n"
        b"Seccomp:\t0\n"
    )
    (process / "cmdline").write_bytes(b"old\0-x\0")
    (process / "exe").symlink_to("/usr/bin/old")
    (process / "cwd").symlink_to("/")
    (process / "ns").mkdir()
    for number, name in enumerate(("uts", "ipc", "mnt", "pid", "net", "user"), 11):
        (process / "ns" / name).symlink_to(f"{name}:[{number}]")
    return process
