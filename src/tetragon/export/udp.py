"""UdpSink: batches of events in, one datagram an event out.

Flow    reader thread: Front -> shorten -> [syslog frame] -> DatagramSocket
Owns    the socket. Everything happens on the thread that feeds it, and nothing there waits;
        only a host name is resolved again on a thread of its own.

Fire and forget: no listener is needed, and an error costs the datagrams it hit, never the output.
Loss reasons: ``udp_`` and the error's name (``udp_enobufs``, ``udp_enetunreach``, ...),
``udp_too_large`` (cannot be shortened), ``rate_limit``, ``encode_error``.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from tetragon.errors import ExportError
from tetragon.export import metadata
from tetragon.export.address import INTERVAL, Resolve, Resolver, system_resolve
from tetragon.export.datagram import LARGEST, DatagramSocket, Failure
from tetragon.export.every import Every
from tetragon.export.metadata import AgentInfo
from tetragon.export.shorten import SMALLEST, shorten
from tetragon.export.stage import Admitted, Front, lose
from tetragon.export.syslog import SyslogFrame
from tetragon.log import get_log
from tetragon.model.event import Event
from tetragon.model.ledger import Ledger

log = get_log(__name__)


class Announcement(NamedTuple):
    """
    When and what the agent tells of itself over UDP.

    Args:
        info: who it is.
        ledgers: the books to send along, of every stage.
        interval: ns between repetitions, 0 for none.
    """

    info: AgentInfo
    ledgers: Callable[[], Iterable[Ledger]]
    interval: int = 0


class UdpStats(NamedTuple):
    """Counters of a UDP output that are not in its books."""

    bytes_sent: int
    shortened: int
    announcements: int
    announcements_failed: int
    resolve_failures: int
    buffer_size: int
    rate_limited: int
    last_event_time: int


class UdpSink:
    """
    An output to a host and port.

    Args:
        front: the stages before the socket, and the books.
        host: name or address, an IPv6 address with or without brackets.
        buffer_size: send buffer in bytes, 0 or less for the system's default.
        max_size: largest datagram in bytes, 0 for 65507.
        frame: puts lines into syslog messages, None to send them as they are.
        announcement: agent metadata, sent before any event; None for none.
        resolve: how host names are resolved.
        clock: Unix ns.

    Raises:
        ExportError: the host cannot be resolved, ``max_size`` cannot hold an event, or there is
            no socket to be had.
    """

    def __init__(
        self,
        front: Front,
        host: str,
        port: int,
        *,
        buffer_size: int = 65536,
        max_size: int = 0,
        frame: SyslogFrame | None = None,
        announcement: Announcement | None = None,
        resolve: Resolve = system_resolve,
        resolve_interval: int = INTERVAL,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ledger = front.ledger
        self._front = front
        self._buffer_size = buffer_size
        self._frame = frame
        self._limit = _line_limit(max_size, frame)
        self._announcement = announcement
        self._repeat = Every(announcement.interval if announcement is not None else 0)
        self._clock = clock
        self._failing: set[int] = set()
        self._bytes = self._shortened = self._announced = self._announce_failed = 0
        self._resolver = Resolver(host, port, resolve, resolve_interval)
        try:
            self._socket = self._open()
        except OSError as error:
            raise ExportError(f"--udp-output-enabled: no UDP socket: {error.strerror}") from error
        if announcement is not None:
            self._announce(announcement, metadata.INIT, clock())

    def write(self, batch: Sequence[Event]) -> None:
        """Send a batch, one datagram an event."""
        admitted = self._front.admit(batch)
        if admitted.lines:
            self._send(admitted)

    def tick(self, now: int) -> None:
        """Send what is due: merged events, reports, metadata; follow a name to a new address."""
        if self._resolver.tick(now):
            self._reopen()
        if self._announcement is not None:
            self._announce_if_due(self._announcement, now)
        admitted = self._front.tick(now)
        if admitted.lines:
            self._send(admitted)

    def close(self, timeout: float) -> None:
        """Send what waits, and metadata with the books as the last datagram."""
        admitted = self._front.drain()
        if admitted.lines:
            self._send(admitted)
        if self._announcement is not None:
            self._announce(self._announcement, metadata.SHUTDOWN, self._clock(), timeout)
        self._socket.close()

    def stats(self) -> UdpStats:
        """Return the counters, from any thread."""
        return UdpStats(
            self._bytes,
            self._shortened,
            self._announced,
            self._announce_failed,
            self._resolver.failures,
            self._socket.buffer_size,
            self._front.rate_limited,
            self._front.last_event_time,
        )

    def _send(self, admitted: Admitted) -> None:
        if max(map(len, admitted.lines)) > self._limit:
            admitted = self._fitting(admitted)
        events, lines = admitted
        if self._frame is not None:
            lines = list(map(self._frame.event, events, lines))
        failures = self._socket.send(lines)
        self._bytes += sum(map(len, lines))
        self.ledger.delivered += len(lines) - len(failures)
        if failures:
            self._count_failures(failures, events, lines)
        elif self._failing:
            self._failing.clear()
            log.info("Sending events over UDP again")

    def _fitting(self, admitted: Admitted) -> Admitted:
        """Shorten the lines that are too long; leave out and count what cannot be."""
        events: list[Event] = []
        lines: list[bytes] = []
        for event, line in zip(*admitted, strict=True):
            try:
                short = shorten(line, self._limit)
            except (msgspec.MsgspecError, ValueError, TypeError):
                lose(self.ledger, "udp_too_large", (event,))
                continue
            self._shortened += short is not line
            events.append(event)
            lines.append(short)
        return Admitted(events, lines)

    def _count_failures(
        self, failures: Sequence[Failure], events: Sequence[Event], lines: Sequence[bytes]
    ) -> None:
        for number, error in failures:
            self._bytes -= len(lines[number])
            name = errno.errorcode.get(error, str(error)).lower()
            lose(self.ledger, f"udp_{name}", (events[number],))
            if error not in self._failing:
                self._failing.add(error)
                size = len(lines[number])
                log.warning("Failed to send event over UDP", error=os.strerror(error), size=size)

    def _announce_if_due(self, announcement: Announcement, now: int) -> None:
        over = self._repeat.over(now)
        if not self._announced:
            self._announce(announcement, metadata.INIT, now)
        elif over:
            self._announce(announcement, metadata.STATUS, now)

    def _announce(
        self, announcement: Announcement, event: str, now: int, timeout: float = 0.0
    ) -> None:
        info = announcement.info
        totals = None if event == metadata.INIT else metadata.books(announcement.ledgers())
        line = metadata.line(metadata.fields(info, event, now), totals, self._limit)
        if self._frame is not None:
            line = self._frame.notice(event, now, line)
        error = self._socket.send_last(line, timeout)
        if error:
            self._announce_failed += 1
            reason = os.strerror(error)
            log.warning("Failed to send metadata event over UDP", event=event, error=reason)
            return
        self._announced += 1
        if event == metadata.INIT:
            log.info(
                "Cached metadata event sent over UDP",
                event=event,
                hostname=info.hostname,
                udp_destination=info.udp_destination,
            )

    def _open(self) -> DatagramSocket:
        opened = DatagramSocket(self._resolver.target, self._buffer_size)
        address, port = self._resolver.target.address[:2]
        size, wanted = opened.buffer_size, self._buffer_size
        log.info("UDP output opened", address=address, port=port, buffer_size=size)
        if 0 < wanted != size:
            log.warning(
                "Failed to set UDP socket write buffer size", buffer_size=size, wanted=wanted
            )
        return opened

    def _reopen(self) -> None:
        try:
            opened = self._open()
        except OSError as error:
            log.warning("Failed to create unbound UDP socket", error=error)
            return
        self._socket.close()
        self._socket = opened


def _line_limit(max_size: int, frame: SyslogFrame | None) -> int:
    """Return the longest line that fits into a datagram of ``max_size``, frame included."""
    overhead = frame.overhead if frame is not None else 0
    size = max_size or LARGEST
    if size > LARGEST:
        raise ExportError(f"--udp-max-size: {size} is more than a datagram holds, {LARGEST}")
    if size - overhead < SMALLEST:
        raise ExportError(
            f"--udp-max-size: {size} bytes cannot hold an event; give {SMALLEST + overhead} or more"
        )
    return size - overhead
