"""Address: the host and port of a configuration in, the socket address that datagrams go to out.

Owns    a Resolver owns the short-lived thread on which it resolves a name again; everything else
        belongs to the thread that feeds the output.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tetragon.errors import ExportError
from tetragon.export.every import Every
from tetragon.log import get_log

log = get_log(__name__)

INTERVAL: Final = 60 * 1_000_000_000
"""How often a host name is resolved again, in ns."""

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


_NOT_RESOLVED: Final = (OSError, UnicodeError)
"""A name that cannot be a host name is a UnicodeError: it fails before it is looked up."""


class Target(NamedTuple):
    """Where a datagram goes: AF_INET or AF_INET6, and the address as sockets take it."""

    family: int
    address: SocketAddress


Resolve = Callable[[str, int], Sequence[Target]]
"""Host and port to targets, best first; raises OSError when there are none."""


def system_resolve(host: str, port: int) -> list[Target]:
    """Resolve by the system's means: hosts file, DNS."""
    targets: list[Target] = []
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        name, number, *rest = address
        if isinstance(name, str) and isinstance(number, int):
            if family == socket.AF_INET:
                targets.append(Target(family, (name, number)))
            elif family == socket.AF_INET6 and len(rest) == 2:
                targets.append(Target(family, (name, number, rest[0], rest[1])))
    return targets


def bare(host: str) -> str:
    """Return ``host`` without the brackets an IPv6 address may have."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def destination(host: str, port: int) -> str:
    """Return the text ``host:port``, an IPv6 address in brackets."""
    plain = bare(host)
    return f"[{plain}]:{port}" if ":" in plain else f"{plain}:{port}"


def is_literal(host: str) -> bool:
    """Tell whether ``host`` is an address rather than a name."""
    try:
        ipaddress.ip_address(bare(host).partition("%")[0])
    except ValueError:
        return False
    return True


class Resolver:
    """
    Knows where datagrams go, and notices when a name comes to mean another address.

    Args:
        host: name or address, an IPv6 address with or without brackets.
        resolve: how names are resolved.
        interval: ns between looks; an address is never looked up again.

    Raises:
        ExportError: the host cannot be resolved.
    """

    def __init__(
        self, host: str, port: int, resolve: Resolve = system_resolve, interval: int = INTERVAL
    ) -> None:
        self._host = bare(host)
        self._port = port
        self._resolve = resolve
        self._look_again = Every(0 if is_literal(host) else interval)
        self._thread: threading.Thread | None = None
        self._failing = False
        self.failures = 0
        try:
            self.target = self._choose(None)
        except _NOT_RESOLVED as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise ExportError(
                f"--udp-output-address: cannot resolve {host!r}: {reason or error}; "
                "give an IP address, or a host name this machine can resolve"
            ) from error
        self._found = self.target

    def tick(self, now: int) -> bool:
        """Start a look when it is due; tell whether ``target`` is another one than before."""
        looking = self._thread is not None and self._thread.is_alive()
        if self._look_again.over(now) and not looking:
            self._thread = threading.Thread(target=self._look, name="resolve", daemon=True)
            self._thread.start()
        changed = self._found != self.target
        if changed:
            old, self.target = self.target.address[0], self._found
            new = self.target.address[0]
            log.info("UDP output host has a new address", host=self._host, old=old, new=new)
        return changed

    def join(self, timeout: float) -> None:
        """Wait for a look under way, at most ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _look(self) -> None:
        try:
            self._found = self._choose(self.target)
            self._failing = False
        except _NOT_RESOLVED as error:
            self.failures += 1
            if not self._failing:
                self._failing = True
                log.warning("Failed to resolve UDP output host", host=self._host, error=error)

    def _choose(self, current: Target | None) -> Target:
        """Return ``current`` while the name still means it too, so that rotation does not flap."""
        targets = self._resolve(self._host, self._port)
        if not targets:
            raise OSError(f"no IPv4 or IPv6 address for {self._host}")
        return current if current in targets and current is not None else targets[0]
