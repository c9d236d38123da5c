"""WebhookSink: batches of events in, HTTP POST requests with a line an event out.

Flow    reader thread: Front -> [spool in memory] -> worker thread: POST, again until it is taken
Owns    the worker thread and its connection.

A request is ``application/x-ndjson``; any 2xx answer means all its lines have arrived. Where there
is no answer, or 408, 429 or 5xx, the same lines are sent again, after pauses that grow from half
a second to half a minute; meanwhile events wait in the spool. Any other answer is final.
Loss reasons: ``webhook_queue_full`` (the spool is), ``webhook_http_`` and the status,
``webhook_unreachable`` (closed while there was no answer), ``rate_limit``, ``encode_error``,
``close_timeout``.
"""

import http.client
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tetragon import __version__
from tetragon.errors import ExportError
from tetragon.export.stage import Front
from tetragon.export.worker import QUEUE_BYTES, Delivery, Worker
from tetragon.log import get_log
from tetragon.model.event import Event

log = get_log(__name__)

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
_AGAIN: Final = frozenset({408, 429, *range(500, 600)})
_NO_ANSWER: Final = (OSError, http.client.HTTPException)


class Place(NamedTuple):
    """Where requests go, and with which headers."""

    url: urllib.parse.SplitResult
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None


class _Answer(NamedTuple):
    """What became of a request: HTTP status (0: no answer), seconds to wait, words for the log."""

    status: int
    pause: float
    text: str

    @property
    def is_final(self) -> bool:
        """Whether the same request would be answered in the same way."""
        return self.status != 0 and self.status not in _AGAIN

    @property
    def reason(self) -> str:
        """Why the lines are lost, empty when they are not."""
        if 200 <= self.status < 300:
            return ""
        return f"webhook_http_{self.status}" if self.status else "webhook_unreachable"


class WebhookSink:
    """
    An output to an HTTP server.

    Args:
        front: the stages before the spool, and the books.
        url: ``http://`` or ``https://``.
        headers: added to every request, such as ``Authorization``.
        ca_file: PEM file with the certificates to trust, empty for the system's.
        batch: most events of a request.
        linger: seconds an event may wait for others to share its request.
        max_events, max_bytes: bounds of the spool.
        timeout: seconds to wait for an answer.
        first_pause: seconds before the second try.

    Raises:
        ExportError: the URL, a header or the certificate file cannot be used.
    """

    def __init__(
        self,
        front: Front,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ca_file: str = "",
        batch: int = 500,
        linger: float = 1.0,
        max_events: int = 100_000,
        max_bytes: int = QUEUE_BYTES,
        timeout: float = 10.0,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.ledger = front.ledger
        self._front = front
        self._place = _place(url, headers or {}, ca_file)
        self._batch = batch
        self._timeout = timeout
        self._first_pause = first_pause
        self._connection: http.client.HTTPConnection | None = None
        self._failing = False
        self.retries = 0
        self._worker = Worker(
            self.ledger,
            self._deliver,
            max_events=max_events,
            max_bytes=max_bytes,
            gather=batch,
            linger=linger,
        )

    def write(self, batch: Sequence[Event]) -> None:
        """Encode and spool a batch."""
        self._worker.put(self._front.admit(batch))
        self._worker.settle()

    def tick(self, now: int) -> None:
        """Spool what is due."""
        self._worker.put(self._front.tick(now))
        self._worker.settle()

    def close(self, timeout: float) -> None:
        """Send what is spooled, each batch once more at most."""
        self._worker.put(self._front.drain())
        self._worker.close(timeout)
        if not self._worker.alive:
            self._disconnect()

    # What follows runs on the worker thread.

    def _deliver(self, events: Sequence[Event], lines: Sequence[bytes]) -> Delivery:
        delivered = size = 0
        losses: list[tuple[str, Sequence[Event]]] = []
        for start in range(0, len(lines), self._batch):
            body = b"".join(lines[start : start + self._batch])
            reason = self._send_until_taken(body)
            if reason:
                losses.append((reason, events[start : start + self._batch]))
            else:
                delivered += len(lines[start : start + self._batch])
                size += len(body)
        return Delivery(delivered, size, losses)

    def _send_until_taken(self, body: bytes) -> str:
        """Send one request until it is answered for good; return why it was refused, or empty."""
        pause = self._first_pause
        while True:
            closing = self._worker.closing.is_set()
            answer = self._post(body)
            if not answer.reason:
                self._recovered()
                return ""
            self._complain(answer.text)
            if closing or answer.is_final:
                return answer.reason
            self.retries += 1
            self._worker.closing.wait(min(max(pause, answer.pause), LONGEST_PAUSE))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _post(self, body: bytes) -> _Answer:
        """Send one request and read its answer; the connection stays open for the next."""
        url = self._place.url
        target = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
        try:
            connection = self._connection or self._connect()
            connection.request("POST", target, body, dict(self._place.headers))
            response = connection.getresponse()
            response.read()
        except _NO_ANSWER as error:
            self._disconnect()
            return _Answer(0, 0.0, str(error) or type(error).__name__)
        if response.will_close:
            self._disconnect()
        wanted = response.headers.get("Retry-After", "")
        pause = float(wanted) if wanted.isdecimal() else 0.0
        return _Answer(response.status, pause, f"HTTP status {response.status}")

    def _connect(self) -> http.client.HTTPConnection:
        url = self._place.url
        host = url.hostname or ""
        if self._place.tls is not None:
            self._connection = http.client.HTTPSConnection(
                host, url.port, timeout=self._timeout, context=self._place.tls
            )
        else:
            self._connection = http.client.HTTPConnection(host, url.port, timeout=self._timeout)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning("Webhook does not take events", host=self._place.url.netloc, error=reason)

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            log.info("Webhook takes events again", host=self._place.url.netloc)


def _place(text: str, headers: Mapping[str, str], ca_file: str) -> Place:
    try:
        url = urllib.parse.urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ExportError(f"--webhook-url: {text!r}: {error}") from error
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise ExportError(f"--webhook-url: {text!r} is not http://HOST[:PORT]/PATH or https://...")
    if url.username or url.password:
        raise ExportError("--webhook-url: give credentials by --webhook-header, not in the URL")
    ours = {"Content-Type": "application/x-ndjson", "User-Agent": f"tetragon/{__version__}"}
    for name, value in headers.items():
        if not name.isascii() or not name.replace("-", "").isalnum() or not value.isprintable():
            raise ExportError(f"--webhook-header: {name!r} is not a header and its value")
    return Place(url, ours | dict(headers), _tls(ca_file) if url.scheme == "https" else None)


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ExportError(
            f"--webhook-ca-file: cannot use {ca_file!r}: {error.strerror or error}"
        ) from error
