"""The OTLP output against collectors that speak the real protocol."""

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from export_support import NOON, balance, exec_events, make_front, reasons
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as service

from tetragon.errors import ExportError
from tetragon.export.otlp import OtlpSink


class Collector(service.LogsServiceServicer):
    """Takes log records over gRPC, or refuses them."""

    def __init__(self) -> None:
        self.requests: list[logs.ExportLogsServiceRequest] = []
        self.refuse: grpc.StatusCode | None = None
        self.metadata: dict[str, str] = {}

    def Export(
        self, request: logs.ExportLogsServiceRequest, context: grpc.ServicerContext
    ) -> logs.ExportLogsServiceResponse:
        """Answer a request."""
        self.metadata = dict(context.invocation_metadata())
        if self.refuse is not None:
            context.abort(self.refuse, "no")
        self.requests.append(request)
        return logs.ExportLogsServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, int]]:
    """A collector and its port."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    service.add_LogsServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, port
    server.stop(None).wait()


def check(request: logs.ExportLogsServiceRequest, count: int) -> None:
    """Fail unless a request has the first ``count`` events as records."""
    (resource_logs,) = request.resource_logs
    attributes = {one.key: one.value.string_value for one in resource_logs.resource.attributes}
    assert attributes["service.name"] == "tetragon"
    assert attributes["host.name"] == "node-1"
    records = resource_logs.scope_logs[0].log_records
    assert [record.time_unix_nano for record in records] == [
        NOON + pid for pid in range(1, count + 1)
    ]
    assert {record.event_name for record in records} == {"process_exec"}
    bodies = [json.loads(record.body.string_value) for record in records]
    pids = [body["process_exec"]["process"]["pid"] for body in bodies]
    assert pids == list(range(1, count + 1))


def test_records_over_grpc(collector: tuple[Collector, int]) -> None:
    """A record an event, with its time, kind and line, under the agent's resource."""
    place, port = collector
    endpoint = f"grpc://127.0.0.1:{port}"
    sink = OtlpSink(make_front("otlp"), endpoint, "node-1", headers={"x-key": "k"}, linger=0)
    sink.write(exec_events(3))
    sink.close(5)
    check(place.requests[0], 3)
    assert place.metadata["x-key"] == "k"
    assert sink.ledger.delivered == 3
    assert balance(sink.ledger) == 0


def test_a_refusal_is_counted(collector: tuple[Collector, int]) -> None:
    """What the collector does not take is in the books; the next batch goes out."""
    place, port = collector
    place.refuse = grpc.StatusCode.UNAUTHENTICATED
    sink = OtlpSink(make_front("otlp"), f"grpc://127.0.0.1:{port}", "node-1", batch=2, linger=0)
    sink.write(exec_events(4))
    sink.close(5)
    assert reasons(sink.ledger) == {"otlp_export_failed": 4}
    assert balance(sink.ledger) == 0


@pytest.mark.parametrize("path", ["", "/", "/v1/logs"])
def test_records_over_http(path: str) -> None:
    """The same as protobuf by POST, to the path the protocol prescribes."""
    taken: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_address[1]}{path}"
        sink = OtlpSink(make_front("otlp"), endpoint, "node-1", linger=0)
        sink.write(exec_events(2))
        sink.close(5)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert taken[0][0] == "/v1/logs"
    check(logs.ExportLogsServiceRequest.FromString(taken[0][1]), 2)
    assert sink.ledger.delivered == 2


@pytest.mark.parametrize(
    "endpoint", ["", "host:4317", "ftp://host", "grpc://", "http://host:x/", "grpc://host:99999"]
)
def test_an_endpoint_that_makes_no_sense_is_refused(endpoint: str) -> None:
    """At start, naming the flag and the forms there are."""
    with pytest.raises(ExportError, match=r"--otlp-endpoint: .* is not grpc://HOST:PORT or http"):
        OtlpSink(make_front("otlp"), endpoint, "node-1")


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; its absence is a clear error and not a traceback."""
    monkeypatch.delitem(sys.modules, "tetragon.export.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs", None)
    with pytest.raises(ExportError, match=r"pip install 'tetragon\[otlp\]'"):
        import tetragon.export.otlp  # noqa: F401
