"""MetricsServer: a bound socket and Sources in, ``/metrics`` for Prometheus out.

Flow    scrape -> MetricsServer -> collectors -> Sources, EventCounter
Owns    its threads (Connections). Nothing is read once ``stop`` returned.
"""

import gzip
import socket
import threading
import time
from typing import Final

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import CollectorRegistry

from tetragon.log import get_log
from tetragon.metrics.collect import AgentCollector, EventCollector
from tetragon.metrics.connections import Connections
from tetragon.metrics.events import EventCounter
from tetragon.metrics.resources import NetworkCollector
from tetragon.metrics.sources import Sources
from tetragon.metrics.web import Request, Response, serving, text

log = get_log(__name__)

STOP_TIMEOUT: Final = 0.2
_GZIP_LEVEL: Final = 1


class MetricsServer:
    """
    The endpoint that Prometheus scrapes.

    Args:
        listener: bound TCP socket.
        events: counts of the events that pass.
        all_events: show these, not only flags.
    """

    def __init__(
        self, listener: socket.socket, sources: Sources, events: EventCounter, all_events: bool
    ) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._registry.register(AgentCollector(sources))
        self._registry.register(EventCollector(events, all_events))
        self._registry.register(NetworkCollector())
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._reading = threading.Lock()
        self._stopped = False
        self._connections = Connections(listener, serving(self._answer), "metrics")
        self.address = self._connections.address
        """Host and port in use."""

    def start(self) -> None:
        """Serve from now on."""
        self._connections.start()
        log.info("Starting metrics server", addr="{}:{}".format(*self.address))

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop reading sources, then serving, within about ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        self._stopped = True
        # A scrape under way may still read what is closed next.
        if self._reading.acquire(timeout=timeout):
            self._reading.release()
        else:
            log.warning("a scrape of metrics did not end in time", seconds=timeout)
        self._connections.stop(max(0.0, deadline - time.monotonic()))

    def _answer(self, request: Request) -> Response:
        if request.path == "/":
            return text("metrics are at /metrics")
        if request.path != "/metrics":
            return text("not found; metrics are at /metrics", 404)
        # One at a time: more would only take the interpreter from the event path.
        with self._reading:
            if self._stopped:
                return text("the agent is stopping", 503)
            return self._scrape(request)

    def _scrape(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        names = request.query.get("name[]")
        registry = self._registry.restricted_registry(names) if names else self._registry
        body = encode(registry)
        if not gzip_accepted(request.headers.get("accept-encoding", "")):
            return Response(body, content_type)
        packed = gzip.compress(body, _GZIP_LEVEL)
        return Response(packed, content_type, headers=(("Content-Encoding", "gzip"),))
