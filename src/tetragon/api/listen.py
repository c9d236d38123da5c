"""Listen: an address as the user wrote it in, bound sockets out.

Owns    the socket files it made: `UnixListener.close` removes them.
"""

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.errors import ConfigError, ExportError

DEFAULT_PORT: Final = 54321
_PATH_MAX: Final = 107


class Addresses(NamedTuple):
    """
    Where to listen.

    Args:
        tcp: host and port, None for no TCP; an empty host is every address of the machine.
        unix: socket file, None for none.
    """

    tcp: tuple[str, int] | None = None
    unix: str | None = None


def parse_addresses(text: str, run_socket: str) -> Addresses | None:
    """
    Turn ``--server-address`` into addresses, None when it is empty: gRPC is off.

    Args:
        text: ``unix:///path``, ``/path``, ``host:port``, ``:port`` or ``host``.
        run_socket: socket file that a TCP listener has beside it.

    Raises:
        ConfigError: neither.
    """
    if not text:
        return None
    path = text.removeprefix("unix://")
    if path != text or text.startswith("/"):
        if not path.startswith("/"):
            raise ConfigError(
                f"--server-address: path {path} ({text}) is not absolute; write unix:///PATH"
            )
        return Addresses(unix=path)
    return Addresses(tcp=parse_tcp(text, "--server-address"), unix=run_socket)


def parse_tcp(text: str, flag: str) -> tuple[str, int]:
    """
    Split ``host:port``, ``[v6]:port``, ``:port`` or, with the default port, ``host``.

    Raises:
        ConfigError: the port is no number from 0 to 65535; names ``flag``.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"{flag} {text}: {port!r} is not a port; write HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind_tcp(address: tuple[str, int], flag: str) -> socket.socket:
    """
    Bind a TCP socket, IPv4 where a name has both; an empty host takes every address.

    Raises:
        ExportError: the name does not resolve, or the port is taken; names ``flag``.
    """
    host, port = address
    try:
        if not host:
            return _bind_all(port)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return _bind(family, where)
    except socket.gaierror as exc:
        raise ExportError(f"{flag} {host}:{port}: {host} does not resolve: {exc.strerror}") from exc
    except OSError as exc:
        raise ExportError(f"{flag} {host}:{port}: {_reason(exc)}") from exc


def _bind_all(port: int) -> socket.socket:
    try:
        return _bind(socket.AF_INET6, ("::", port), both=True)
    except OSError as exc:
        if exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return _bind(socket.AF_INET, ("0.0.0.0", port))


def _bind(family: int, where: tuple[object, ...], both: bool = False) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # connections inherit it
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    return bound


def _reason(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return "port is in use; stop what listens there or choose another port"
    if exc.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return os.strerror(exc.errno) if exc.errno else str(exc)


class UnixListener:
    """
    A listening socket file, mode 0660, which appears under its name only when it is ready.

    Args:
        path: absolute; what is there is replaced.

    Raises:
        ExportError: it cannot be made there.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        if len(os.fsencode(scratch)) > _PATH_MAX:
            limit = _PATH_MAX - len(os.fsencode(scratch)) + len(os.fsencode(path))
            raise ExportError(f"unix://{path}: path is too long; at most {limit} bytes")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            scratch.unlink(missing_ok=True)
            self.socket.bind(str(scratch))
            scratch.chmod(0o660)
            self.socket.listen(100)
            self._inode = scratch.stat().st_ino
            scratch.rename(self._path)
        except OSError as exc:
            self.socket.close()
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            raise ExportError(f"unix://{path}: {exc.strerror or exc}") from exc

    def close(self) -> None:
        """Close the socket and remove its file, unless another agent has put its own there."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
