"""Real sockets, requests and events for the tests of metrics and profiles."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

from tetragon.model.event import ExecEvent, ExitEvent
from tetragon.model.process import Pod, Process

SECOND = 1_000_000_000


class Answer(NamedTuple):
    """What a server said; ``headers`` by lower-case name."""

    status: int
    body: bytes
    headers: dict[str, str]


def bound() -> socket.socket:
    """Return a socket bound to a free port of 127.0.0.1."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def get(address: tuple[str, int], path: str, method: str = "GET", **headers: str) -> Answer:
    """Ask over HTTP with urllib, which is not ours."""
    url = "http://{}:{}{}".format(*address, path)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            status, body, said = response.status, response.read(), response.headers
    except urllib.error.HTTPError as exc:
        with exc:
            status, body, said = exc.code, exc.read(), exc.headers
    return Answer(status, body, {name.lower(): value for name, value in said.items()})


def send(address: tuple[str, int], request: bytes) -> bytes:
    """Send bytes on a connection of its own; return all that comes back."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)


def wait_until(what: str, check: Callable[[], object]) -> None:
    """Wait until ``check`` is true; fail after five seconds."""
    end = time.monotonic() + 5
    while not check():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.002)


def process(binary: str = "/usr/bin/true", pod: Pod | None = None, **changes: object) -> Process:
    """Build a process."""
    values: dict[str, object] = {"flags": "execve clone", "start_time": SECOND}
    return Process(7, 7, "bm9kZTo3", binary=binary, pod=pod, **(values | changes))


def exec_event(binary: str = "/usr/bin/true", **changes: object) -> ExecEvent:
    """Build the start of a process."""
    return ExecEvent(time=5 * SECOND, process=process(binary, **changes))


def exit_event(binary: str = "/usr/bin/true", **changes: object) -> ExitEvent:
    """Build the end of a process."""
    return ExitEvent(time=6 * SECOND, process=process(binary, **changes))
