"""OtlpSink: batches of events in, OpenTelemetry log records out.

Flow    reader thread: Front -> [bounded queue] -> worker thread: OTLP exporter
Owns    the worker thread and the exporter of the OpenTelemetry SDK (the extra ``tetragon[otlp]``),
        which tries again by itself for some seconds.

A record's body is the JSON line, its event name the kind of event (``process_exec``), its time the
event's; the resource is ``service.name=tetragon`` and ``host.name``, the name of the node.
Loss reasons: ``otlp_queue_full``, ``otlp_export_failed``, ``rate_limit``, ``encode_error``,
``close_timeout``.
"""

import time
import urllib.parse
from collections.abc import Mapping, Sequence

from tetragon import __version__
from tetragon.errors import ExportError
from tetragon.export.stage import Front
from tetragon.export.worker import QUEUE_BYTES, Delivery, Worker
from tetragon.model.event import Event

try:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError as error:
    raise ExportError(
        f"--otlp-endpoint: OpenTelemetry is not installed ({error}); pip install 'tetragon[otlp]'"
    ) from error


class OtlpSink:
    """
    An output to an OpenTelemetry collector.

    Args:
        front: the stages before the queue, and the books.
        endpoint: ``grpc://HOST:4317`` or ``grpcs://`` with TLS for OTLP over gRPC,
            ``http://HOST:4318`` or ``https://`` for OTLP over HTTP; without a path, ``/v1/logs``.
        node_name: the resource's host.
        headers: added to every request.
        batch: most records of a request.
        linger: seconds an event may wait for others to share its request.
        max_events, max_bytes: bounds of the queue.
        timeout: seconds in which a request, with its repetitions, must succeed.

    Raises:
        ExportError: the endpoint cannot be used, or the SDK is not installed.
    """

    def __init__(
        self,
        front: Front,
        endpoint: str,
        node_name: str,
        *,
        headers: Mapping[str, str] | None = None,
        batch: int = 512,
        linger: float = 1.0,
        max_events: int = 100_000,
        max_bytes: int = QUEUE_BYTES,
        timeout: float = 10.0,
    ) -> None:
        self.ledger = front.ledger
        self._front = front
        self._exporter = _exporter(endpoint, dict(headers or {}), timeout)
        self._resource = Resource(
            {"service.name": "tetragon", "service.version": __version__, "host.name": node_name}
        )
        self._scope = InstrumentationScope("tetragon", __version__)
        self._batch = batch
        self._worker = Worker(
            self.ledger,
            self._deliver,
            max_events=max_events,
            max_bytes=max_bytes,
            gather=batch,
            linger=linger,
        )

    def write(self, batch: Sequence[Event]) -> None:
        """Encode and queue a batch."""
        self._worker.put(self._front.admit(batch))
        self._worker.settle()

    def tick(self, now: int) -> None:
        """Queue what is due."""
        self._worker.put(self._front.tick(now))
        self._worker.settle()

    def close(self, timeout: float) -> None:
        """Send what is queued."""
        self._worker.put(self._front.drain())
        self._worker.close(timeout)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK does not annotate it

    # What follows runs on the worker thread.

    def _deliver(self, events: Sequence[Event], lines: Sequence[bytes]) -> Delivery:
        delivered = size = 0
        losses: list[tuple[str, Sequence[Event]]] = []
        for start in range(0, len(lines), self._batch):
            some, texts = events[start : start + self._batch], lines[start : start + self._batch]
            records = list(map(self._record, some, texts))
            if self._exporter.export(records) is LogRecordExportResult.SUCCESS:
                delivered += len(some)
                size += sum(map(len, texts))
            else:
                losses.append(("otlp_export_failed", some))
        return Delivery(delivered, size, losses)

    def _record(self, event: Event, line: bytes) -> ReadableLogRecord:
        record = LogRecord(
            timestamp=event.time,
            observed_timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=line[:-1].decode(),
            event_name=event.type.name.lower(),
        )
        return ReadableLogRecord(record, self._resource, self._scope)


def _exporter(endpoint: str, headers: dict[str, str], timeout: float) -> LogRecordExporter:
    url = urllib.parse.urlsplit(endpoint)
    try:
        valid = bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid or url.scheme not in ("grpc", "grpcs", "http", "https"):
        raise ExportError(
            f"--otlp-endpoint: {endpoint!r} is not grpc://HOST:PORT or http://HOST:PORT/PATH "
            "(grpcs:// and https:// with TLS)"
        )
    if url.scheme in ("grpc", "grpcs"):
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

        insecure = url.scheme == "grpc"
        return OTLPLogExporter(url.netloc, insecure=insecure, headers=headers, timeout=timeout)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import (
        OTLPLogExporter as HttpLogExporter,
    )

    full = endpoint if url.path not in ("", "/") else f"{url.scheme}://{url.netloc}/v1/logs"
    return HttpLogExporter(full, headers=headers, timeout=timeout)
