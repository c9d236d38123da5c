"""Sockets: what is sent arrives, what is not is told, nothing waits."""

import errno
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from export_support import Receiver

from tetragon.export.address import Target
from tetragon.export.datagram import AT_ONCE, LARGEST, MANY, DatagramSocket

COUNTS = [1, MANY - 1, MANY, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + MANY]


def lines(count: int) -> list[bytes]:
    """Return lines of different lengths."""
    return [b"%d:" % number + b"x" * (number * 37 % 1500) for number in range(count)]


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[DatagramSocket]:
    """A socket that sends to the receiver."""
    opened = DatagramSocket(Target(socket.AF_INET, (receiver.host, receiver.port)))
    yield opened
    opened.close()


@pytest.mark.parametrize("count", COUNTS)
def test_each_line_is_one_datagram(receiver: Receiver, sender: DatagramSocket, count: int) -> None:
    """Whichever system call sends them: same content, same order."""
    assert sender.send(lines(count)) == []
    assert receiver.take(count) == lines(count)


@pytest.mark.parametrize("count", [1, MANY])
def test_ipv6(count: int) -> None:
    """The same over IPv6."""
    receiver = Receiver(socket.AF_INET6, "::1")
    sender = DatagramSocket(Target(socket.AF_INET6, ("::1", receiver.port, 0, 0)))
    assert sender.send(lines(count)) == []
    assert receiver.take(count) == lines(count)
    sender.close()
    receiver.socket.close()


@pytest.mark.parametrize("count", [1, MANY])
def test_the_largest_datagram(receiver: Receiver, sender: DatagramSocket, count: int) -> None:
    """65507 bytes go over IPv4."""
    big = [os.urandom(LARGEST)] * count
    assert sender.send(big) == []
    assert receiver.take(count) == big


@pytest.mark.parametrize("count", COUNTS)
def test_one_that_fails_takes_no_other_with_it(
    receiver: Receiver, sender: DatagramSocket, count: int
) -> None:
    """A line too long is told by its place; those around it arrive."""
    batch = lines(count)
    bad = sorted({0, count // 2, count - 1})
    for place in bad:
        batch[place] = b"x" * (LARGEST + 1)
    assert sender.send(batch) == [(place, errno.EMSGSIZE) for place in bad]
    assert receiver.take(count - len(bad)) == [
        line for place, line in enumerate(batch) if place not in bad
    ]


@pytest.mark.parametrize("count", [1, MANY, AT_ONCE + 1])
def test_a_closed_port_is_no_error(count: int) -> None:
    """Nobody listens, nothing fails, however often it is tried."""
    closed = Receiver(socket.AF_INET, "127.0.0.1")
    closed.socket.close()
    sender = DatagramSocket(Target(socket.AF_INET, ("127.0.0.1", closed.port)))
    for _ in range(5):
        assert sender.send(lines(count)) == []
    sender.close()


def test_the_send_buffer_is_as_large_as_asked_for() -> None:
    """What the kernel gave is what is told, not twice that."""
    sender = DatagramSocket(Target(socket.AF_INET, ("127.0.0.1", 9)), 131072)
    assert sender.buffer_size == 131072
    sender.close()
    default = DatagramSocket(Target(socket.AF_INET, ("127.0.0.1", 9)), 0)
    assert default.buffer_size > 0
    default.close()


def test_no_socket_is_an_error_at_once() -> None:
    """Without a free descriptor the constructor says so."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, old[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            DatagramSocket(Target(socket.AF_INET, ("127.0.0.1", 9)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def in_own_network(program: str) -> str:
    """Run Python in a network of its own, where nothing is up, and return what it prints."""
    if os.geteuid() != 0:
        pytest.skip("a network of one's own needs root")
    program = (
        "import socket, subprocess\n"
        "from tetragon.export.address import Target\n"
        f"from tetragon.export.datagram import DatagramSocket\n{program}"
    )
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("count", [1, MANY])
def test_an_unreachable_network_is_told(count: int) -> None:
    """Without a route each line fails, with the reason."""
    program = (
        'sender = DatagramSocket(Target(socket.AF_INET, ("192.0.2.1", 514)))\n'
        f'print([tuple(failure) for failure in sender.send([b"x"] * {count})])\n'
    )
    expected = [(number, errno.ENETUNREACH) for number in range(count)]
    assert in_own_network(program) == str(expected)


@pytest.mark.parametrize("count", [1, 8])
def test_a_full_send_buffer_never_blocks(count: int) -> None:
    """Where the network is slower than the events, the rest fails with EAGAIN, at once."""
    program = f"""
for command in ("ip link set lo up",
                "tc qdisc add dev lo root tbf rate 8kbit burst 2000 limit 1000000"):
    subprocess.run(command.split(), check=True)
sender = DatagramSocket(Target(socket.AF_INET, ("127.0.0.1", 514)), 10000)
failures = []
for _ in range(200 // {count}):
    failures += sender.send([b"x" * 1000] * {count})
print({{failure.errno for failure in failures}}, 100 < len(failures) < 200)
"""
    assert in_own_network(program) == f"{{{errno.EAGAIN}}} True"
