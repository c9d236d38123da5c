"""Server: addresses and services in, a thread that answers gRPC out.

Flow    start: bind (in the caller, so that it gets the error) -> thread: accept, serve -> stop
Owns    one thread with its own asyncio loop, the listening sockets and every connection
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Final, NamedTuple

from tetragon.api.health import HealthService
from tetragon.api.http2 import Connection, Method
from tetragon.api.listen import Addresses, UnixListener, bind_tcp
from tetragon.api.stream import GrpcSink
from tetragon.api.tls import ServerTls, TlsFiles

log = logging.getLogger(__name__)

_GOODBYE: Final = 0.5


class _Listener(NamedTuple):
    """A bound socket and what is served on it."""

    socket: socket.socket
    methods: Mapping[str, Method]
    tls: ssl.SSLContext | None = None


class HealthCheck(NamedTuple):
    """
    The health service.

    Args:
        address: host and port to listen on.
        healthy: asked every ``interval`` seconds; safe on any thread.
    """

    address: tuple[str, int]
    healthy: Callable[[], bool]
    interval: float = 10.0


class GrpcServer:
    """
    All gRPC listeners of an agent.

    Args:
        addresses: where the API listens, None for nowhere.
        methods: what it answers.
        sink: the output whose streams the API serves; closed by `stop`.
        tls: certificates of the TCP listener; the socket file is always plain.
        health: the health service, on a server of its own; None for none.
    """

    def __init__(
        self,
        addresses: Addresses | None,
        methods: Mapping[str, Method],
        sink: GrpcSink,
        *,
        tls: TlsFiles = TlsFiles(),  # noqa: B008 (a tuple of constants)
        health: HealthCheck | None = None,
    ) -> None:
        self._addresses = addresses or Addresses()
        self._methods = methods
        self._sink = sink
        self._tls = ServerTls(tls) if tls.check() else None
        self._health = health
        self._health_service = HealthService()
        self._connections: set[Connection] = set()
        self._unix: UnixListener | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self.tcp: tuple[str, int] | None = None
        """Host and port in use, once started."""
        self.health: tuple[str, int] | None = None
        """The same for the health service."""

    def start(self) -> None:
        """
        Bind, and serve on a thread of its own.

        Raises:
            ExportError: an address cannot be bound; nothing is left bound then.
        """
        listeners = self._bind()
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=_run, args=(self._main(listeners, started), started), name="grpc", daemon=True
        )
        self._thread.start()
        started.result()

    def stop(self, timeout: float) -> None:
        """End the streams after what waits for them, within ``timeout`` seconds; then the rest."""
        self._sink.close(timeout)
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._stopping.set)
            thread.join(timeout + 2 * _GOODBYE)
        if self._unix is not None:
            self._unix.close()

    def _bind(self) -> list[_Listener]:
        listeners: list[_Listener] = []
        with ExitStack() as undo:
            if self._addresses.unix is not None:
                self._unix = UnixListener(self._addresses.unix)
                undo.callback(self._unix.close)
                listeners.append(_Listener(self._unix.socket, self._methods))
            if self._addresses.tcp is not None:
                bound = undo.enter_context(bind_tcp(self._addresses.tcp, "--server-address"))
                context = self._tls.context if self._tls is not None else None
                listeners.append(_Listener(bound, self._methods, context))
                self.tcp = bound.getsockname()[:2]
                if context is None and not _is_local(self._addresses.tcp[0]):
                    log.warning("gRPC listens without TLS", extra={"address": self.tcp})
            if self._health is not None:
                address = self._health.address
                bound = undo.enter_context(bind_tcp(address, "--health-server-address"))
                listeners.append(_Listener(bound, self._health_service.methods()))
                self.health = bound.getsockname()[:2]
            undo.pop_all()
        return listeners

    # --- loop thread ----------------------------------------------------------------------

    async def _main(self, listeners: Sequence[_Listener], started: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._sink.attach(self._loop)
        servers = [await self._listen(listener) for listener in listeners]
        started.set_result(None)
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_health())
            await self._stopping.wait()
            watch.cancel()
        for server in servers:
            server.close()
        await self._say_goodbye()

    async def _listen(self, listener: _Listener) -> asyncio.Server:
        methods, loop = listener.methods, asyncio.get_running_loop()
        if listener.socket.family == socket.AF_UNIX:
            return await loop.create_unix_server(
                lambda: Connection(methods, self._connections), sock=listener.socket
            )
        return await loop.create_server(
            lambda: Connection(methods, self._connections),
            sock=listener.socket,
            ssl=listener.tls,
        )

    async def _watch_health(self) -> None:
        while self._health is not None:
            await asyncio.sleep(self._health.interval)
            try:
                self._health_service.set(self._health.healthy())
            except Exception:
                log.exception("The health of the agent is unknown")
                self._health_service.set(False)

    async def _say_goodbye(self) -> None:
        """Close every connection, politely first."""
        self._health_service.set(False)
        for connection in list(self._connections):
            connection.close()
        leaving = [asyncio.create_task(c.lost.wait()) for c in self._connections]
        if leaving:
            await asyncio.wait(leaving, timeout=_GOODBYE)
        for connection in list(self._connections):
            connection.abort()


def _run(main: Coroutine[None, None, None], started: "Future[None]") -> None:
    """Run the loop; what ends it before it started is for the one who waits for the start."""
    try:
        asyncio.run(main)
    except BaseException as exc:
        if started.done():
            log.exception("The gRPC server failed")
        else:
            started.set_exception(exc)


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
