"""The agent as its users run it: a process started with flags, watched from outside."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
RUN_DIR = Path("/var/run/tetragon")
DEADLINE = 60.0 if os.environ.get("VM_KERNEL") else 15.0


def wait_until(what: str, check: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Return what ``check`` returns once it is true; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.01)
    pytest.fail(f"after {seconds:.0f} s still not: {what}")


class Agent:
    """One running agent; what it printed is in ``log()`` and ``output()``."""

    def __init__(self, folder: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [BIN / "tetragon", *flags],
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
            )
        self.pid = self.process.pid

    def ready(self) -> "Agent":
        """Wait until it listens for events."""

        def listening() -> bool:
            assert self.process.poll() is None, self.log()
            return "Listening for events" in self.log()

        wait_until("agent listening", listening)
        return self

    def log(self) -> str:
        """Return its log so far."""
        return self.stderr.read_text()

    def output(self) -> str:
        """Return its standard output so far."""
        return self.stdout.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit status."""
        self.process.send_signal(how)
        return self.process.wait(DEADLINE)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Start agents; those still running are ended."""
    started: list[Agent] = []

    def start(*flags: str, env: dict[str, str] | None = None) -> Agent:
        folder = tmp_path / f"agent{len(started)}"
        folder.mkdir()
        started.append(Agent(folder, *flags, env=env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A bound UDP socket of this machine's loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(DEADLINE)
        yield sock


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a JSON file so far."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def process_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the process of an exec or exit event, empty for others."""
    inner = event.get("process_exec") or event.get("process_exit") or {}
    found: dict[str, Any] = inner.get("process", {})
    return found


def run_tetra(*args: str) -> subprocess.CompletedProcess[str]:
    """Run ``tetra`` to its end, with a terminal-less standard input that is no pipe."""
    return subprocess.run(
        [BIN / "tetra", *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
