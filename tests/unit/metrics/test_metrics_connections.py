"""Connections: many clients, bad clients, and a quick end."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from metrics_support import bound, send, wait_until

from tetragon.metrics.connections import LIMIT, Connections

Open = Callable[[Callable[[socket.socket], None]], Connections]


@pytest.fixture
def serve() -> Iterator[Open]:
    """Start Connections with a function; stopped at the end."""
    started: list[Connections] = []

    def start(handle: Callable[[socket.socket], None]) -> Connections:
        connections = Connections(bound(), handle, "test")
        started.append(connections)
        connections.start()
        return connections

    yield start
    for connections in started:
        connections.stop(1)


def echo(connection: socket.socket) -> None:
    """Send back what comes first."""
    connection.sendall(connection.recv(100))


def own_threads() -> set[threading.Thread]:
    """Return the threads of these tests."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("test")}


def test_every_client_gets_its_answer(serve: Open) -> None:
    """One after the other, and at the same time."""
    connections = serve(echo)
    assert [send(connections.address, b"a"), send(connections.address, b"b")] == [b"a", b"b"]
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(connections.address, timeout=5))
            for _ in range(LIMIT)
        ]
        for client in reversed(clients):
            client.sendall(b"c")
            assert client.recv(10) == b"c"


def test_a_handler_that_raises_ends_its_connection_alone(serve: Open) -> None:
    """The next client is served."""

    def moody(connection: socket.socket) -> None:
        if connection.recv(1) == b"!":
            raise RuntimeError("no")
        connection.sendall(b"yes")

    connections = serve(moody)
    assert send(connections.address, b"!") == b""
    assert send(connections.address, b"?") == b"yes"


def test_silent_clients_do_not_keep_others_out(serve: Open) -> None:
    """The oldest connection is cut when there are too many: a late client is still served."""
    connections = serve(echo)
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(connections.address, timeout=5))
            for _ in range(LIMIT)
        ]
        assert send(connections.address, b"late") == b"late"
        assert silent[0].recv(10) == b""
        silent[-1].sendall(b"still here")
        assert silent[-1].recv(100) == b"still here"


def test_threads_have_a_limit(serve: Open) -> None:
    """Connections whose work does not end when they are cut take no thread beyond twice LIMIT."""
    go_on = threading.Event()

    def work(_: socket.socket) -> None:
        go_on.wait(10)

    connections = serve(work)
    with contextlib.ExitStack() as stack:
        for _ in range(2 * LIMIT + 3):
            stack.enter_context(socket.create_connection(connections.address, timeout=5))
        wait_until("three refused", lambda: connections.refused == 3)
        assert len(own_threads()) == 2 * LIMIT + 1
        go_on.set()


def test_stop_ends_what_waits_for_clients(serve: Open) -> None:
    """A silent client is cut off, the port closed, and no thread left."""
    connections = serve(echo)
    with socket.create_connection(connections.address, timeout=5) as silent:
        wait_until("accepted", lambda: len(own_threads()) == 2)
        start = time.monotonic()
        connections.stop(0.05)
        assert time.monotonic() - start < 0.2
        assert silent.recv(1) == b""
    wait_until("threads ended", lambda: not own_threads())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(connections.address, timeout=1)


def test_stop_lets_an_answer_end(serve: Open) -> None:
    """What takes long is told, and its answer still arrives."""
    waiting = threading.Event()

    def slow(connection: socket.socket) -> None:
        waiting.set()
        connections.stopping.wait(10)
        connection.sendall(b"done")

    connections = serve(slow)
    with socket.create_connection(connections.address, timeout=5) as client:
        assert waiting.wait(5)
        connections.stop(2)
        assert client.recv(10) == b"done"


def test_stop_twice_or_before_start_does_nothing() -> None:
    """Ends are called from several places."""
    connections = Connections(bound(), echo, "test")
    connections.stop(0.1)
    connections.stop(0.1)
    assert not own_threads()
