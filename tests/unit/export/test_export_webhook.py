"""The webhook output against real HTTP servers: nothing is lost while they fail."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from export_support import balance, exec_events, make_front, reasons, wait_until

from tetragon.errors import ExportError
from tetragon.export.webhook import WebhookSink


class Server:
    """An HTTP server that takes lines, after the answers a test plans for it."""

    def __init__(self) -> None:
        self.plan: list[int] = []
        self.bodies: list[bytes] = []
        self.requests: list[tuple[str, dict[str, str], int]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.plan.pop(0) if outer.plan else 204
                outer.requests.append((self.path, dict(self.headers), status))
                if status == 0:
                    self.close_connection = True
                    return
                if status < 300:
                    outer.bodies.append(body)
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]  # it prints
        self.port = self.http.server_address[1]
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def pids(self) -> list[int]:
        """Return the pids of the events taken, in order."""
        events = map(json.loads, b"".join(self.bodies).splitlines())
        return [event["process_exec"]["process"]["pid"] for event in events]

    def stop(self) -> None:
        """End it; again, do nothing."""
        if not self._thread.is_alive():
            return
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on 127.0.0.1."""
    server = Server()
    yield server
    server.stop()


def sink_to(server: Server, **options: object) -> WebhookSink:
    """Open an output to a server that does not wait long."""
    url = f"http://127.0.0.1:{server.port}/events?source=test"
    quick: dict[str, object] = {"linger": 0.0, "first_pause": 0.001}
    return WebhookSink(make_front("webhook"), url, **(quick | options))


def test_events_arrive_as_lines_of_json(server: Server) -> None:
    """Path, query, headers and content are what a receiver expects; connections are reused."""
    sink = sink_to(server, headers={"Authorization": "Bearer secret"}, batch=4)
    sink.write(exec_events(10))
    sink.close(5)
    assert server.pids == list(range(1, 11))
    assert [body.count(b"\n") for body in server.bodies] == [4, 4, 2]
    path, headers, _ = server.requests[0]
    assert path == "/events?source=test"
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Authorization"] == "Bearer secret"
    assert server.connections == 1
    assert sink.ledger.delivered == 10
    assert balance(sink.ledger) == 0


@pytest.mark.parametrize("failures", [[500, 503, 429], [0, 0], [408, 0, 502]])
def test_what_was_not_taken_is_sent_again(server: Server, failures: list[int]) -> None:
    """Server errors, too many requests and lost connections cost time, not events."""
    server.plan = list(failures)
    sink = sink_to(server)
    sink.write(exec_events(3))
    sink.write(exec_events(2))
    wait_until(lambda: len(server.pids) == 5)
    sink.close(5)
    assert server.pids == [1, 2, 3, 1, 2]
    assert sink.retries == len(failures)
    assert sink.ledger.delivered == 5
    assert sink.ledger.lost_total == 0


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413])
def test_a_refusal_is_final_and_counted(server: Server, status: int) -> None:
    """Sending the same again would not help: the batch is counted, the next one goes out."""
    server.plan = [status]
    sink = sink_to(server, batch=2)
    sink.write(exec_events(4))
    sink.close(5)
    assert server.pids == [3, 4]
    assert reasons(sink.ledger) == {f"webhook_http_{status}": 2}
    assert balance(sink.ledger) == 0


def test_while_nobody_answers_the_spool_fills(server: Server) -> None:
    """Its bound holds; what finds no room is counted; what is spooled arrives later."""
    server.plan = [503] * 10_000
    sink = sink_to(server, max_events=50)
    for _ in range(10):
        sink.write(exec_events(10))
    assert reasons(sink.ledger) == {"webhook_queue_full": 50}
    server.plan = []
    wait_until(lambda: len(server.pids) == 50)
    sink.close(5)
    assert sink.ledger.delivered == 50
    assert balance(sink.ledger) == 0


def test_closing_tries_once_more_and_then_counts(server: Server) -> None:
    """Without a server the agent still ends, and knows what it could not send."""
    server.stop()
    sink = sink_to(server, first_pause=60.0)
    sink.write(exec_events(3))
    wait_until(lambda: sink.retries == 1)
    sink.close(5)
    assert reasons(sink.ledger) == {"webhook_unreachable": 3}
    assert balance(sink.ledger) == 0


def test_over_tls(server: Server, tmp_path: Path) -> None:
    """The certificate is checked against the file given; without it nothing is sent."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.http.socket = context.wrap_socket(
        server.http.socket, server_side=True, do_handshake_on_connect=False
    )
    url = f"https://localhost:{server.port}/"
    trusting = WebhookSink(make_front("webhook"), url, ca_file=str(cert), linger=0)
    trusting.write(exec_events(2))
    wait_until(lambda: len(server.pids) == 2)
    trusting.close(5)
    wary = WebhookSink(make_front("webhook"), url, linger=0)
    wary.write(exec_events(1))
    wary.close(5)
    assert reasons(wary.ledger) == {"webhook_unreachable": 1}
    assert len(server.pids) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "ftp://host/"}, "--webhook-url: 'ftp://host/' is not http"),
        ({"url": "http://"}, "--webhook-url: 'http://' is not http"),
        ({"url": "http://host:99999/"}, "--webhook-url: .*: Port out of range"),
        ({"url": "http://me:pw@host/"}, "give credentials by --webhook-header"),
        ({"url": "http://h/", "headers": {"a b": "c"}}, "--webhook-header: 'a b' is not"),
        ({"url": "http://h/", "headers": {"a": "b\r\nc: d"}}, "--webhook-header: 'a' is not"),
        ({"url": "https://h/", "ca_file": "/nothing"}, "--webhook-ca-file: .*No such file"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, object], text: str) -> None:
    """At start, naming the flag and the value."""
    with pytest.raises(ExportError, match=text):
        WebhookSink(make_front("webhook"), **options)
