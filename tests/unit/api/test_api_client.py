"""Our client against Google's server: answers, errors, limits, deadlines."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tetragon.api import messages as api
from tetragon.api.client import Channel, split_host, unix_path
from tetragon.api.wire import Code
from tetragon.errors import ConfigError, RpcError

ANSWER = api.GetVersionResponse(version="v9").SerializeToString()


class Servant(grpc.GenericRpcHandler):
    """Answers by path; streams count events until the client goes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.gone = threading.Event()

    def service(self, details: Any) -> Any:
        """Find the method."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return {
            "/t/Ok": unary(self.ok),
            "/t/Fail": unary(self.fail),
            "/t/Slow": unary(self.slow),
            "/t/Big": unary(lambda _, __: b"\x0a\x80\x80\x80\x01" + b"x" * (2 << 20)),
            "/t/Few": stream(self.few),
            "/t/Many": stream(self.many),
            "/t/Break": stream(self.break_off),
        }.get(details.method)

    def ok(self, request: bytes, _: Any) -> bytes:
        self.requests.append(request)
        return ANSWER

    def fail(self, _: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "nö: 100%\n")
        return b""

    def slow(self, _: bytes, context: Any) -> bytes:
        context.add_callback(self.gone.set)
        self.gone.wait(5)
        return ANSWER

    def few(self, _: bytes, __: Any) -> Iterator[bytes]:
        yield from (b"%d" % n for n in range(1000))

    def many(self, _: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.gone.set)
        while context.is_active():
            yield b"x" * 100_000

    def break_off(self, _: bytes, context: Any) -> Iterator[bytes]:
        yield b"one"
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


@pytest.fixture
def servant() -> Servant:
    """What the server does."""
    return Servant()


@pytest.fixture
def address(servant: Servant) -> Iterator[str]:
    """Google's server."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((servant,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(0).wait()


@pytest.fixture
def channel(address: str) -> Iterator[Channel]:
    """Our client."""
    made = Channel(address)
    yield made
    made.close()


def ask(channel: Channel, path: str, timeout: float | None = 5, size: int = 0) -> str:
    """Make a unary call."""
    request = api.AddTracingPolicyRequest(yaml="y" * size)
    return channel.unary(path, request, api.GetVersionResponse, timeout).version


def failing(call: Callable[[], object]) -> RpcError:
    """Return the error of a call."""
    with pytest.raises(RpcError) as raised:
        call()
    return raised.value


def test_calls_share_a_connection(channel: Channel, servant: Servant) -> None:
    """One after another, also after one that failed."""
    assert ask(channel, "/t/Ok") == "v9"
    error = failing(lambda: ask(channel, "/t/Fail"))
    assert (error.code, error.text) == (Code.NOT_FOUND, "nö: 100%\n")
    assert str(error) == "rpc error: code = NotFound desc = nö: 100%\n"
    assert ask(channel, "/t/Ok") == "v9"
    assert len(servant.requests) == 2


def test_large_request_fits_through_the_window(channel: Channel, servant: Servant) -> None:
    """A policy of two megabytes takes many frames and waits for the server."""
    assert ask(channel, "/t/Ok", size=2 << 20) == "v9"
    assert len(servant.requests[0]) > 2 << 20


def test_large_answer_is_read_up_to_the_limit(address: str) -> None:
    """Beyond it the call fails with both numbers."""
    wide, narrow = Channel(address, limit=4 << 20), Channel(address, limit=1 << 20)
    assert len(ask(wide, "/t/Big")) == 2 << 20
    error = failing(lambda: ask(narrow, "/t/Big"))
    assert error.code == Code.RESOURCE_EXHAUSTED
    assert f"vs. {1 << 20}" in error.text
    wide.close()
    narrow.close()


def test_unknown_method(channel: Channel) -> None:
    """An answer in headers alone."""
    assert failing(lambda: ask(channel, "/t/Nope")).code == Code.UNIMPLEMENTED


def test_deadline_ends_the_call_at_both_ends(channel: Channel, servant: Servant) -> None:
    """Here with DEADLINE_EXCEEDED, there by the timeout we sent."""
    start = time.monotonic()
    error = failing(lambda: ask(channel, "/t/Slow", timeout=0.1))
    assert error.code == Code.DEADLINE_EXCEEDED
    assert time.monotonic() - start < 2
    assert servant.gone.wait(5)


def test_stream_gives_every_message_once(channel: Channel) -> None:
    """In order, in batches, to its end."""
    batches = list(channel.stream("/t/Few", api.GetEventsRequest()))
    assert [m for batch in batches for m in batch] == [b"%d" % n for n in range(1000)]


def test_stream_keeps_the_server_sending(channel: Channel) -> None:
    """Windows are opened again: far more than they hold comes through."""
    size = 0
    for batch in channel.stream("/t/Many", api.GetEventsRequest()):
        size += sum(map(len, batch))
        if size > 24 << 20:
            break
    assert size > 24 << 20


def test_closing_ends_the_stream_at_the_server(channel: Channel, servant: Servant) -> None:
    """It need not find out by itself."""
    next(channel.stream("/t/Many", api.GetEventsRequest()))
    channel.close()
    assert servant.gone.wait(5)


def test_stream_that_fails_gives_what_came_before(channel: Channel) -> None:
    """Then the error."""
    found: list[bytes] = []
    with pytest.raises(RpcError, match="enough"):  # noqa: PT012 (after the first message)
        for batch in channel.stream("/t/Break", api.GetEventsRequest()):
            found += batch
    assert found == [b"one"]


def test_nobody_there_is_unavailable() -> None:
    """The text says what was dialed and why it failed."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        error = failing(lambda: Channel(f"127.0.0.1:{port}").connect(1))
    assert error.code == Code.UNAVAILABLE
    assert f"dial tcp 127.0.0.1:{port}: connect: connection refused" in error.text
    error = failing(lambda: Channel("unix:///no/such.sock").connect(1))
    assert "dial unix /no/such.sock: connect: no such file or directory" in error.text
    error = failing(lambda: Channel("no.such.host.invalid:1").connect(1))
    assert "lookup no.such.host.invalid" in error.text


def test_server_that_hangs_up_or_talks_nonsense_is_unavailable() -> None:
    """Not a traceback."""
    for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve(answer: bytes = answer, server: socket.socket = server) -> None:
                client, _ = server.accept()
                client.recv(10)
                client.sendall(answer)
                client.close()

            thread = threading.Thread(target=serve)
            thread.start()
            channel = Channel(f"127.0.0.1:{server.getsockname()[1]}")
            assert failing(lambda c=channel: ask(c, "/t/Ok")).code == Code.UNAVAILABLE  # type: ignore[misc]
            thread.join()


@pytest.mark.parametrize(
    ("address", "path"),
    [("unix:///a/b", "/a/b"), ("unix:/a/b", "/a/b"), ("unix:b", "b"), ("host:1", "")],
)
def test_socket_file_addresses(address: str, path: str) -> None:
    """All forms gRPC knows."""
    assert unix_path(address) == path


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("host:1", ("host", 1)),
        ("host", ("host", 54321)),
        ("[::1]:7", ("::1", 7)),
        ("[::1]", ("::1", 54321)),
        (":7", ("localhost", 7)),
        ("dns:///host:7", ("host", 7)),
    ],
)
def test_host_addresses(address: str, parts: tuple[str, int]) -> None:
    """The port is ours when there is none."""
    assert split_host(address) == parts


def test_port_that_is_no_number() -> None:
    """Is the user's mistake, and named."""
    with pytest.raises(ConfigError, match="--server-address host:x: 'x' is not a port"):
        split_host("host:x")
