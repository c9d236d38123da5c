"""Fixtures of the kernel tests: one loaded sensor for all, and the actor program."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.watch import Watch, everything

_SOURCE = Path(__file__).with_name("actor.c")
_BUILD = Path(__file__).resolve().parents[2] / "build" / "tests"


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/kernel load BPF programs: run them as root", 1)


@pytest.fixture(scope="session")
def actor() -> str:
    """Return the path of the actor program, compiled once for its source: see actor.c."""
    source = _SOURCE.read_bytes()
    program = _BUILD / f"actor-{hashlib.sha256(source).hexdigest()[:12]}"
    if not program.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        scratch = program.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O2", "-static", "-Wall", "-Werror", "-o", str(scratch), str(_SOURCE)]
        subprocess.run(command, check=True)
        scratch.replace(program)
    return str(program)


@pytest.fixture(scope="session")
def loaded() -> Iterator[Watch]:
    """Load one sensor that collects everything, for all tests that need no other."""
    watch = Watch(everything())
    yield watch
    watch.close()


@pytest.fixture
def watch(loaded: Watch) -> Iterator[Watch]:
    """Return the loaded sensor; it must end each test without a loss."""
    loaded.start_test()
    before = loaded.losses()
    yield loaded
    loaded.drain()
    assert loaded.losses() == before
    # Other processes of the host may be in the middle of a fork; what waits must be freed soon.
    loaded.wait("no event to wait for its process", lambda: not loaded.cache.waiting)
