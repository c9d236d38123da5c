"""Web: requests well formed or not, and answers that fail."""

import json
import socket
from collections.abc import Iterator

import pytest
from metrics_support import bound, get, send

from tetragon.metrics.connections import Connections
from tetragon.metrics.web import Request, Response, serving, text


def answer(request: Request) -> Response:
    """Tell what was asked."""
    if request.path == "/fail":
        raise RuntimeError("a secret of ours")
    said = {"path": request.path, "query": request.query, "accept": request.headers.get("accept")}
    return Response(json.dumps(said).encode(), "application/json", headers=(("X-More", "1"),))


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """The address of a server that answers with ``answer``."""
    connections = Connections(bound(), serving(answer), "web")
    connections.start()
    yield connections.address
    connections.stop(1)


def test_request_arrives_and_response_returns(server: tuple[str, int]) -> None:
    """Path, query and headers one way; body, type and headers the other."""
    got = get(server, "/a%20b?x=1&x=2&y=", accept="text/x")
    assert got.status == 200
    assert json.loads(got.body) == {
        "path": "/a%20b",
        "query": {"x": ["1", "2"], "y": [""]},
        "accept": "text/x",
    }
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-more"] == "1"
    assert got.headers["connection"] == "close"


def test_head_has_no_body(server: tuple[str, int]) -> None:
    """But the length it would have."""
    got = get(server, "/", method="HEAD")
    assert (got.status, got.body) == (200, b"")
    assert int(got.headers["content-length"]) > 10


def test_failure_of_ours_is_not_told(server: tuple[str, int]) -> None:
    """The client gets 500 and no detail; the next request works."""
    got = get(server, "/fail")
    assert got.status == 500
    assert b"secret" not in got.body
    assert get(server, "/").status == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"501"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"\x16\x03\x01 hello\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /?" + b"a&" * 200 + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"GET http://[x HTTP/1.1\r\n\r\n", b"400"),
    ],
)
def test_bad_requests_are_refused(
    server: tuple[str, int], request_bytes: bytes, status: bytes
) -> None:
    """With a status that says so; the server goes on."""
    assert send(server, request_bytes).startswith(b"HTTP/1.1 " + status)
    assert get(server, "/").status == 200


def test_client_that_leaves_early_harms_nobody(server: tuple[str, int]) -> None:
    """In the middle of a request, or without reading the answer."""
    for start in (b"GET / HT", b"GET / HTTP/1.1\r\n\r\n", b""):
        with socket.create_connection(server, timeout=5) as client:
            client.sendall(start)
    assert get(server, "/").status == 200


def test_text_is_utf8_with_a_newline() -> None:
    """Whatever it holds: half a surrogate pair must not fail a dump of stacks."""
    assert text("é\ud800").body == "é?\n".encode()
