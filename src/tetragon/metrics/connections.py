"""Connections: a bound socket in, every connection made to it handed to a function.

Flow    accept thread -> a thread a connection: handle(socket) -> close
Owns    the listening socket, the accept thread, the threads and sockets of open connections
Bounds  LIMIT connections: one more cuts the oldest off. Twice LIMIT threads: while those cut off
        have not ended, a new connection is closed at once, and counted in ``refused``.
"""

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from tetragon.log import get_log

LIMIT: Final = 16
PATIENCE: Final = 10.0
"""Seconds a client may take to send, or to take, something."""

Handle = Callable[[socket.socket], None]
"""Serves one connection on a thread of its own; what it raises is logged and ends it."""

log = get_log(__name__)


class Connections:
    """
    Everything behind one listening address.

    Args:
        listener: bound, not yet listening; closed by ``stop``.
        handle: serves a connection; the socket's time-out is PATIENCE.
        name: of the threads.
    """

    def __init__(self, listener: socket.socket, handle: Handle, name: str) -> None:
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Host and port in use."""
        self.refused = 0
        self.stopping = threading.Event()
        """Set when ``stop`` begins: what takes long should end then."""
        self._listener = listener
        self._handle = handle
        self._name = name
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)

    def start(self) -> None:
        """Accept connections from now on."""
        self._listener.setblocking(False)
        self._listener.listen(4 * LIMIT)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Let what runs end in ``timeout`` seconds, then cut it off; a second call does nothing."""
        if self.stopping.is_set():
            return
        deadline = time.monotonic() + timeout
        self.stopping.set()
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()  # it never waits for anything else
        self._listener.close()
        os.close(self._wake)
        with self._lock:
            left = dict(self._open)
        for thread in left.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        for connection in left:
            _cut(connection)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                try:
                    connection, _ = self._listener.accept()
                except BlockingIOError:
                    continue  # the client has gone again, or it is time to stop
                except OSError as exc:
                    log.debug("no connection accepted", server=self._name, error=exc)
                    self.stopping.wait(0.1)  # out of descriptors, say: there will be some
                    continue
                self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        thread = threading.Thread(
            target=self._serve, args=(connection,), name=f"{self._name}-client", daemon=True
        )
        with self._lock:
            if len(self._open) >= LIMIT:
                oldest = next(iter(self._open))
                self._open[oldest] = self._open.pop(oldest)  # the next time, cut another one
                _cut(oldest)
            room = len(self._open) < 2 * LIMIT
            if room:
                self._open[connection] = thread
        try:
            if room:
                thread.start()
                return
        except RuntimeError as exc:
            log.warning("no thread for a connection", server=self._name, error=exc)
            del self._open[connection]
        self.refused += 1
        connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._handle(connection)
            connection.shutdown(socket.SHUT_WR)
        except OSError as exc:
            log.debug("connection ended early", server=self._name, error=exc)
        except Exception:
            log.exception("connection failed", server=self._name)
        finally:
            connection.close()
            with self._lock:
                del self._open[connection]


def _cut(connection: socket.socket) -> None:
    """End a connection in use: its thread finds out at its next read or write."""
    with contextlib.suppress(OSError):  # its thread may be closing it at this moment
        connection.shutdown(socket.SHUT_RDWR)
