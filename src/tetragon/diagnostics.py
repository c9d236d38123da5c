"""Diagnostics: settings in, the servers for metrics, profiles and gops they ask for out.

Each is imported when it is on; what is off costs neither a thread nor memory.

Flow    pipeline -> EventCounter ... Prometheus, go tool pprof, gops
Owns    the counter of events, and the servers from ``start`` to ``stop``
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from tetragon.model.control import AgentControl
from tetragon.model.settings import Settings
from tetragon.model.sink import Sink
from tetragon.process.options import Stats

if TYPE_CHECKING:
    import socket

    from tetragon.metrics.events import EventCounter


class _Server(Protocol):
    address: tuple[str, int]

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Diagnostics:
    """
    All of them.

    Args:
        node_name: value of that label of metrics.
    """

    def __init__(self, settings: Settings, node_name: str) -> None:
        self._settings = settings
        self._servers: list[_Server] = []
        self._events = _counter(settings, node_name) if settings.metrics_server else None
        self.sinks: list[Sink] = [self._events] if self._events is not None else []
        """What wants to see events: the counter, where there are metrics."""

    def start(
        self,
        control: AgentControl,
        kernel: Callable[[], Mapping[tuple[str, str], int]],
        cache: Callable[[], Stats],
        sinks: Callable[[], Iterable[Sink]],
    ) -> None:
        """
        Start what is on; the arguments are what metrics read, until ``stop``.

        Args:
            kernel: what the kernel half counted, by (operation, counter).
            cache: counters of the process cache.
            sinks: the outputs.

        Raises:
            ConfigError, ExportError: an address is malformed or in use.
        """
        settings = self._settings
        if self._events is not None:
            from tetragon.metrics.server import MetricsServer
            from tetragon.metrics.sources import Sources

            build = control.info().build
            self._add(
                MetricsServer(
                    _bind(settings.metrics_server, "--metrics-server"),
                    Sources(control.version(), build, control.ledgers, kernel, cache, sinks),
                    self._events,
                    settings.enable_event_metrics,
                )
            )
        if settings.pprof_address or settings.gops_address:
            self._start_profiling()

    def _start_profiling(self) -> None:
        from tetragon.metrics.sample import CpuSampler

        settings = self._settings
        sampler = CpuSampler()
        if settings.pprof_address:
            from tetragon.metrics.pprof import ProfileServer

            self._add(ProfileServer(_bind(settings.pprof_address, "--pprof-address"), sampler))
        if settings.gops_address:
            from tetragon.metrics.gops import GopsServer

            self._add(GopsServer(_bind(settings.gops_address, "--gops-address"), sampler))

    def stop(self) -> None:
        """Stop every server; nothing is read any more."""
        while self._servers:
            self._servers.pop().stop()

    def _add(self, server: _Server) -> None:
        server.start()
        self._servers.append(server)


def _counter(settings: Settings, node_name: str) -> "EventCounter":
    from tetragon.metrics.events import EventCounter

    labels = settings.metrics_label_filter if settings.enable_event_metrics else None
    return EventCounter(labels, node_name)


def _bind(text: str, flag: str) -> "socket.socket":
    from tetragon.api.listen import bind_tcp, parse_tcp

    return bind_tcp(parse_tcp(text, flag), flag)
