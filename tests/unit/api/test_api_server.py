"""Listeners come up whole or not at all, and leave nothing behind."""

import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import h2.connection
import h2.events
import pytest
from api_support import SENSORS, Call, Running, make_execs, wait_until

from tetragon.api import messages as api
from tetragon.api import wire
from tetragon.api.encode import ProtoEncoder
from tetragon.api.listen import Addresses, UnixListener, bind_tcp, parse_addresses
from tetragon.api.server import GrpcServer, HealthCheck
from tetragon.api.stream import GrpcSink
from tetragon.errors import ConfigError, ExportError

RUN = "/run/x/tetragon.sock"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", None),
        ("unix:///a/b.sock", Addresses(unix="/a/b.sock")),
        ("/a/b.sock", Addresses(unix="/a/b.sock")),
        ("localhost:54321", Addresses(("localhost", 54321), RUN)),
        ("localhost", Addresses(("localhost", 54321), RUN)),
        (":1234", Addresses(("", 1234), RUN)),
        ("[::1]:1234", Addresses(("::1", 1234), RUN)),
        ("10.0.0.1:0", Addresses(("10.0.0.1", 0), RUN)),
    ],
)
def test_server_address_forms(text: str, addresses: Addresses | None) -> None:
    """TCP always has the socket file beside it; a socket file stands alone; empty is off."""
    assert parse_addresses(text, RUN) == addresses


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unix://a/b", "path a/b (unix://a/b) is not absolute"),
        ("host:port", "'port' is not a port"),
        ("host:", "'' is not a port"),
        ("host:65536", "'65536' is not a port"),
        ("host:-1", "'-1' is not a port"),
        ("host:²", "is not a port"),
    ],
)
def test_malformed_server_address_is_a_config_error(text: str, words: str) -> None:
    """Which names flag, value and fix."""
    with pytest.raises(ConfigError) as raised:
        parse_addresses(text, RUN)
    assert "--server-address" in str(raised.value)
    assert words in str(raised.value)


def test_port_in_use_is_an_export_error_and_leaves_nothing(tmp_path: Path) -> None:
    """Not even the socket file that was made first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path / "t.sock"
        addresses = Addresses(("127.0.0.1", port), str(path))
        server = GrpcServer(addresses, {}, GrpcSink(ProtoEncoder("n").frame))
        with pytest.raises(ExportError, match=f"--server-address 127.0.0.1:{port}: port is in use"):
            server.start()
        server.stop(0.1)
    assert list(tmp_path.iterdir()) == []


def test_addresses_that_cannot_be_bound_are_named() -> None:
    """A name nobody knows, an address that is not ours."""
    with pytest.raises(ExportError, match=r"--x no.such.host.invalid:1: .* does not resolve"):
        bind_tcp(("no.such.host.invalid", 1), "--x")
    with pytest.raises(ExportError, match="does not have that address"):
        bind_tcp(("203.0.113.1", 1), "--x")


def test_empty_host_takes_both_families() -> None:
    """As `:6789` is expected to."""
    with bind_tcp(("", 0), "--x") as bound:
        bound.listen()
        port = bound.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), 2).close()


def test_localhost_is_bound_as_ipv4() -> None:
    """Where clients look first."""
    with bind_tcp(("localhost", 0), "--x") as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_socket_file_has_mode_0660_and_goes_at_stop(running: Running) -> None:
    """It replaces what a dead agent left, and no scratch file stays."""
    path = Path(running.path)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert [entry.name for entry in path.parent.iterdir()] == ["tetragon.sock"]
    running.server.stop(1)
    assert not path.exists()


def test_socket_file_replaces_a_stale_one_and_respects_a_new_one(tmp_path: Path) -> None:
    """The file of an agent that came after us is not ours to remove."""
    path = tmp_path / "t.sock"
    first = UnixListener(str(path))
    second = UnixListener(str(path))
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "words"), [("missing/t.sock", "No such file"), ("x" * 120, "path is too long")]
)
def test_socket_file_that_cannot_be_made(tmp_path: Path, name: str, words: str) -> None:
    """Says why."""
    with pytest.raises(ExportError, match=words):
        UnixListener(str(tmp_path / name))


def test_stop_is_quick_with_idle_clients(running: Running) -> None:
    """A connection without a call is closed, not waited for."""
    with grpc.insecure_channel(running.tcp) as channel:
        grpc.channel_ready_future(channel).result(5)
        running.server.stop(1)
        thread: Any = running.server._thread
        assert not thread.is_alive()


def test_start_again_on_the_same_addresses(running: Running) -> None:
    """Nothing lingers in the way of the next agent."""
    assert running.server.tcp is not None
    running.server.stop(1)
    again = GrpcServer(
        Addresses(running.server.tcp, running.path), {}, GrpcSink(ProtoEncoder("n").frame)
    )
    again.start()
    assert again.tcp == running.server.tcp
    again.stop(1)


# --- what only a raw client can do --------------------------------------------------------------


class Raw:
    """A client that says what it likes over HTTP/2."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.h2 = h2.connection.H2Connection()
        self.h2.initiate_connection()

    def request(self, data: bytes, end: bool = True, **headers: str) -> int:
        """Send one request; ``headers`` replace those a client would send."""
        stream = self.h2.get_next_available_stream_id()
        full = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "x",
            ":path": SENSORS + "GetVersion",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        full |= {f":{k}" if k in ("path", "method") else k.replace("_", "-"): v
                 for k, v in headers.items()}  # fmt: skip
        self.h2.send_headers(stream, list(full.items()))
        for at in range(0, len(data) or 1, 16384):
            self.h2.send_data(stream, data[at : at + 16384])
        if end:
            self.h2.end_stream(stream)
        self.socket.sendall(self.h2.data_to_send())
        return stream

    def answer(self) -> tuple[dict[str, str], bytes]:
        """Return headers and trailers in one, and the data."""
        headers: dict[str, str] = {}
        body = b""
        while True:
            data = self.socket.recv(65536)
            assert data, "closed"
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    headers |= {k.decode(): v.decode() for k, v in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    return headers, body
            self.socket.sendall(self.h2.data_to_send())


@pytest.fixture
def raw(running: Running) -> Iterator[Raw]:
    """A raw client on the socket file."""
    made = Raw(running.path)
    yield made
    made.socket.close()


def test_good_raw_request_is_answered(raw: Raw) -> None:
    """The raw client itself is sound."""
    raw.request(wire.enclose(b""))
    headers, body = raw.answer()
    assert (headers[":status"], headers["grpc-status"]) == ("200", "0")
    assert api.GetVersionResponse.FromString(body[5:]).version == "v1.2.3"


@pytest.mark.parametrize(
    ("headers", "status"), [({"method": "GET"}, "405"), ({"content_type": "text/html"}, "415")]
)
def test_request_that_is_not_grpc(raw: Raw, headers: dict[str, str], status: str) -> None:
    """Gets an HTTP status: a browser has come to the wrong door."""
    raw.request(b"", **headers)
    assert raw.answer()[0][":status"] == status


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "13"),
        (b"\0\0\0", "13"),
        (wire.enclose(b"") * 2, "13"),
        (wire.enclose(b"\xff"), "13"),
        (b"\1\0\0\0\0", "12"),
    ],
)
def test_malformed_request_body(raw: Raw, data: bytes, code: str) -> None:
    """None, part of one, two, rubbish, compressed: a status each, and the connection lives on."""
    raw.request(data)
    assert raw.answer()[0]["grpc-status"] == code
    raw.request(wire.enclose(b""))
    assert raw.answer()[0]["grpc-status"] == "0"


def test_request_beyond_the_limit_is_refused_while_it_comes(raw: Raw) -> None:
    """Its sender need not have finished; no more than the limit is kept."""
    raw.request(wire.PREFIX.pack(0, 1 << 30), end=False)
    sent, refused = 0, None
    while refused is None and sent < 16 << 20:
        room = min(raw.h2.local_flow_control_window(1), 16384)
        if room:
            raw.h2.send_data(1, b"x" * room)
            sent += room
            raw.socket.sendall(raw.h2.data_to_send())
            continue
        for event in raw.h2.receive_data(raw.socket.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                refused = dict(event.headers)[b"grpc-status"]
    assert refused == b"8"
    assert sent <= (4 << 20) + (128 << 10)


def test_rubbish_instead_of_http2_closes_that_socket(running: Running, google: Call) -> None:
    """And nothing else."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(running.path)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while client.recv(4096):
            pass
    assert google("GetVersion").version == "v1.2.3"


def test_client_that_asks_but_never_reads_is_not_read_either(running: Running) -> None:
    """Answers to its pings do not pile up in our memory; others are served."""
    ping = struct.pack(">I", 8)[1:] + b"\x06\x00" + b"\0\0\0\0" + b"12345678"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(running.path)
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):  # noqa: PT012 (any of many sends may be the one)
            while True:
                client.sendall(ping * 500)
        [connection] = running.server._connections
        assert connection._transport.get_write_buffer_size() < 1 << 20
        other = Raw(running.path)
        other.request(wire.enclose(b""))
        assert other.answer()[0]["grpc-status"] == "0"
        other.socket.close()


# --- health -----------------------------------------------------------------------------------


def health(channel: grpc.Channel, name: str = "liveness") -> int:
    """Ask Google's health question."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        lambda message: message.SerializeToString(),
        api.HealthCheckResponse.FromString,
    )
    status: int = check(api.HealthCheckRequest(service=name), timeout=5).status
    return status


def test_health_service_follows_the_agent(running: Running) -> None:
    """SERVING, NOT_SERVING, and every change to those who watch."""
    assert running.server.health is not None
    with grpc.insecure_channel("{}:{}".format(*running.server.health)) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            lambda message: message.SerializeToString(),
            api.HealthCheckResponse.FromString,
        )(api.HealthCheckRequest(service="liveness"))
        assert next(watch).status == 1
        assert health(channel) == health(channel, "") == 1
        running.healthy = False
        assert next(watch).status == 2
        assert health(channel) == 2
        running.healthy = True
        assert next(watch).status == 1
        watch.cancel()


def test_health_of_an_unknown_name(running: Running) -> None:
    """Check says NOT_FOUND, and the API is not served on this port."""
    assert running.server.health is not None
    with grpc.insecure_channel("{}:{}".format(*running.server.health)) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            health(channel, "other")
        error: Any = raised.value
        assert error.code() is grpc.StatusCode.NOT_FOUND
        call = channel.unary_unary(SENSORS + "GetVersion", None, None)
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=5)
        error = raised.value
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_health_check_that_fails_means_not_serving(tmp_path: Path) -> None:
    """A check that raises is no reason for the server to fall."""

    def broken() -> bool:
        raise RuntimeError("broken")

    server = GrpcServer(
        Addresses(unix=str(tmp_path / "t.sock")),
        {},
        GrpcSink(ProtoEncoder("n").frame),
        health=HealthCheck(("127.0.0.1", 0), broken, 0.01),
    )
    server.start()
    assert server.health is not None
    with grpc.insecure_channel("{}:{}".format(*server.health)) as channel:
        wait_until(lambda: health(channel) == 2)
    server.stop(1)


def test_writing_from_many_batches_wakes_the_loop_once_each(running: Running) -> None:
    """However many events and streams a batch has."""
    loop: Any = running.sink._loop
    woken: list[object] = []
    call_soon = loop.call_soon_threadsafe
    with grpc.insecure_channel(running.tcp) as channel:
        calls = [channel.unary_stream(SENSORS + "GetEvents", None, None)(b"") for _ in range(3)]
        wait_until(lambda: running.sink.streams == 3)
        loop.call_soon_threadsafe = lambda *args: (woken.append(args), call_soon(*args))[1]
        running.sink.write(make_execs(100))
        loop.call_soon_threadsafe = call_soon
        assert len(woken) == 1
        assert [len([next(call) for _ in range(100)]) for call in calls] == [100] * 3
        for call in calls:
            call.cancel()
