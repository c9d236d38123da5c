"""A real agent side for the client: the server of the API tests."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "api"))
from api_support import Running

from tetragon.cli.main import run

Tetra = Callable[..., tuple[int, str, str]]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A server."""
    started = Running(tmp_path)
    yield started
    started.server.stop(1)


@pytest.fixture
def tetra(capfd: pytest.CaptureFixture[str]) -> Tetra:
    """Run a command line in this process; returns exit code, output and error output."""

    def call(*words: str) -> tuple[int, str, str]:
        code = run(words)
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def ask(tetra: Tetra, running: Running) -> Tetra:
    """The same, with the address of the server and without a second attempt."""
    return lambda *words: tetra("--server-address", f"unix://{running.path}", "--retries=0", *words)
