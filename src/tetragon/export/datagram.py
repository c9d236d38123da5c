"""Datagrams: lines and one target in, one datagram each on the wire, the failures out.

Owns    one unconnected, non-blocking socket; one thread uses it. Being unconnected, it never hears
        that nobody listens, so a closed port costs no event and stops nothing.

Several lines leave by one ``sendmmsg``, called without giving up the interpreter lock: the call
cannot wait, and giving up the lock for every datagram lets any busy thread delay each of them
(docs/performance.md has the figures). A few lines leave by ``sendto``, whose set-up is cheaper.
"""

import ctypes
import errno
import select
import socket
import struct
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from tetragon.export.address import Target

LARGEST: Final = 65507
"""Most bytes of a datagram over IPv4: 65535 less the IP and UDP headers."""

MANY: Final = 4
"""From this number of lines on, one ``sendmmsg`` takes less time than as many ``sendto``."""

AT_ONCE: Final = 64
"""Most lines given to one ``sendmmsg``: the call holds the interpreter lock, about 0.3 ms."""

_SO_SNDBUFFORCE: Final = 32


class Failure(NamedTuple):
    """A line that was not sent: which one, and the errno."""

    number: int
    errno: int


class _MessageHeader(ctypes.Structure):
    """struct msghdr of sendmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""

    _fields_ = (("header", _MessageHeader), ("sent", ctypes.c_uint))


class _Batch:
    """
    Messages of one piece each to one address, prepared once; sending fills in pointer and length.

    Args:
        name: the address as struct sockaddr.
    """

    def __init__(self, name: bytes) -> None:
        self._send = ctypes.PyDLL(None, use_errno=True).sendmmsg
        self._send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._name = ctypes.create_string_buffer(name, len(name))
        # struct iovec is two words: a pointer, then a length.
        self._vectors = array("Q", bytes(16 * AT_ONCE))
        vectors = memoryview(self._vectors)
        self._pointers, self._lengths = vectors[0::2], vectors[1::2]
        self._lines = (ctypes.c_char_p * AT_ONCE)()
        self._line_pointers = memoryview(self._lines).cast("B").cast("Q")
        self._messages = (_Message * AT_ONCE)()
        first = self._vectors.buffer_info()[0]
        for index, message in enumerate(self._messages):
            header = message.header
            header.name, header.name_length = ctypes.addressof(self._name), len(name)
            header.vectors, header.vector_count = first + 16 * index, 1
        self._address = ctypes.addressof(self._messages)

    def send(self, descriptor: int, lines: Sequence[bytes]) -> list[Failure]:
        """Send at most ``AT_ONCE`` lines; one that fails does not keep the next from trying."""
        count = len(lines)
        self._lines[:count] = [*lines]
        self._pointers[:count] = self._line_pointers[:count]
        self._lengths[:count] = array("Q", map(len, lines))
        failures: list[Failure] = []
        done = 0
        while done < count:
            address = self._address + done * ctypes.sizeof(_Message)
            sent = self._send(descriptor, address, count - done, socket.MSG_DONTWAIT)
            if sent < 0:
                failures.append(Failure(done, ctypes.get_errno()))
                sent = 1
            done += sent
        return failures


class DatagramSocket:
    """
    Sends lines to one target.

    Args:
        target: where to.
        buffer_size: send buffer in bytes; 0 or less leaves the system's default. The attribute of
            that name is what the kernel really gave.

    Raises:
        OSError: no socket of that family can be had.
    """

    def __init__(self, target: Target, buffer_size: int = 0) -> None:
        self._address = target.address
        self._socket = socket.socket(target.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.buffer_size = self._set_buffer(buffer_size)
        self._batch: _Batch | None = _Batch(_sockaddr(target))

    def send(self, lines: Sequence[bytes]) -> list[Failure]:
        """Send each line as one datagram, in order; return those that failed. Never waits."""
        if len(lines) < MANY or self._batch is None:
            return self._send_each(lines)
        failures = self._send_many(self._batch, lines)
        if failures and failures[0] == (0, errno.ENOSYS):  # a sandbox without this system call
            self._batch = None
            return self._send_each(lines)
        return failures

    def send_last(self, line: bytes, timeout: float) -> int:
        """Send one line, waiting up to ``timeout`` seconds for room; return 0 or the errno."""
        failures = self._send_each((line,))
        if failures and failures[0].errno in (errno.EAGAIN, errno.ENOBUFS):
            select.select((), (self._socket,), (), timeout)
            failures = self._send_each((line,))
        return failures[0].errno if failures else 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send_many(self, batch: _Batch, lines: Sequence[bytes]) -> list[Failure]:
        descriptor = self._socket.fileno()
        failures: list[Failure] = []
        for start in range(0, len(lines), AT_ONCE):
            failed = batch.send(descriptor, lines[start : start + AT_ONCE])
            if failed:
                failures += [Failure(start + number, error) for number, error in failed]
        return failures

    def _send_each(self, lines: Sequence[bytes]) -> list[Failure]:
        send, address = self._socket.sendto, self._address
        failures: list[Failure] = []
        for index, line in enumerate(lines):
            try:
                send(line, address)
            except OSError as error:
                failures.append(Failure(index, error.errno or errno.EIO))
        return failures

    def _set_buffer(self, size: int) -> int:
        """Ask for ``size`` bytes, beyond the system's limit if privileged; return what it is."""
        if size > 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            if self._buffer() < size:
                with suppress(OSError):  # not privileged: the limit stays
                    self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)
        return self._buffer()

    def _buffer(self) -> int:
        # The kernel doubles the size for its own overhead, and tells the double.
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2


def _sockaddr(target: Target) -> bytes:
    """Return struct sockaddr_in or sockaddr_in6 of a target; ports and addresses big endian."""
    host, port, *rest = target.address
    raw = socket.inet_pton(target.family, str(host).partition("%")[0])
    if target.family == socket.AF_INET:
        return struct.pack("=H2s4s8x", target.family, struct.pack("!H", port), raw)
    flow, scope = rest
    ends = struct.pack("!HI", port, flow)
    return struct.pack("=H6s16sI", target.family, ends, raw, scope)
