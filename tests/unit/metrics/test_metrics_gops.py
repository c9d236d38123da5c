"""GopsServer: one byte asks, the rest of the connection answers."""

import os
import platform
import socket
import threading
from collections.abc import Iterator

import pytest
from metrics_support import bound, send
from profile_proto import Profile

from tetragon.metrics.gops import GopsServer
from tetragon.metrics.sample import CpuSampler


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """A running server whose CPU profiles are short."""
    made: list[CpuSampler] = []
    maker = threading.Thread(target=lambda: made.append(CpuSampler()))
    maker.start()
    maker.join()
    server = GopsServer(bound(), made[0], seconds=0.05)
    server.start()
    yield server.address
    server.stop()


def rows(answer: bytes) -> dict[str, int]:
    """Return the ``name: number`` lines of an answer."""
    pairs = (line.split(": ") for line in answer.decode().splitlines())
    return {name: int(value) for name, value in pairs}


def test_commands_are_answered(address: tuple[str, int]) -> None:
    """Stacks, collection, version, statistics and memory."""
    assert b"test_commands_are_answered" in send(address, b"\x01")
    assert send(address, b"\x02") == b"ok"
    assert send(address, b"\x04").decode().split()[1] == platform.python_version()
    statistics = rows(send(address, b"\x07"))
    assert statistics["num CPU"] == os.cpu_count()
    assert statistics["OS threads"] >= 3
    assert rows(send(address, b"\x03"))["resident"] > 10 << 20


def test_profiles_are_pprof(address: tuple[str, int]) -> None:
    """CPU as a profile; memory too, where it is traced."""
    assert Profile(send(address, b"\x06")).types[1] == ("cpu", "nanoseconds")
    assert b"PYTHONTRACEMALLOC" in send(address, b"\x05")


@pytest.mark.parametrize("command", [b"\x08", b"\x09", b"\x10\x01", b"\xff", b"GET / HTTP/1.1"])
def test_other_commands_are_not_available(address: tuple[str, int], command: bytes) -> None:
    """Go's trace, binary and collector setting; and what is no command."""
    assert send(address, command).startswith(b"not available")


def test_client_that_asks_nothing_is_let_go(address: tuple[str, int]) -> None:
    """It gets nothing, and the next one its answer."""
    with socket.create_connection(address, timeout=5) as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""
    assert send(address, b"\x02") == b"ok"
