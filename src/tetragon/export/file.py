"""FileSink: batches of events in, JSON lines in a file or on standard output out.

Flow    reader thread: Front -> [bounded queue] -> writer thread: LogFile
Owns    the writer thread. The reader thread only encodes and queues; it never waits for a disk.

Loss reasons, after the stage's name ``file``: ``file_queue_full`` (the disk is slower than the
events), ``file_write_error_`` and the error's name (``enospc`` is a full disk),
``file_line_too_large`` (longer than the largest file), ``file_line_broken`` (begun, and the file
was cut or replaced before it could be finished); ``rate_limit``, ``encode_error``,
``close_timeout``.
"""

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.errors import ExportError
from tetragon.export.every import Every
from tetragon.export.logfile import LogFile, Rotation
from tetragon.export.stage import Front
from tetragon.export.worker import QUEUE_BYTES, Delivery, Worker
from tetragon.log import get_log
from tetragon.model.event import Event

log = get_log(__name__)

STDOUT: Final = "-"
"""The file name that means standard output."""

MEBIBYTE: Final = 1 << 20
DEFAULT_MEBIBYTES: Final = 100
"""Largest file where the option is 0."""


class LogParams(NamedTuple):
    """What can be changed while running: size in MiB, time between rotations in ns, backups."""

    max_size_mb: int
    interval: int
    max_backups: int


DEFAULT_PARAMS: Final = LogParams(max_size_mb=10, interval=0, max_backups=5)


class FileStats(NamedTuple):
    """Counters of a file output that are not in its books."""

    bytes_written: int
    queued: int
    queued_bytes: int
    rotations: int
    rate_limited: int
    last_event_time: int


class FileSink:
    """
    An output to a file.

    Args:
        filename: path, or ``-`` for standard output, which is never rotated.
        front: the stages before the file, and the books.
        mode: permission bits of files that are created.
        params: size, interval (0: by size only) and backups of rotation.
        compress: gzip rotated files.
        max_events, max_bytes: bounds of the queue.
        clock: Unix ns, names the rotated files.

    Raises:
        ExportError: the file cannot be opened for writing.
    """

    def __init__(
        self,
        filename: str,
        front: Front,
        *,
        mode: int = 0o600,
        params: LogParams = DEFAULT_PARAMS,
        compress: bool = False,
        max_events: int = 10_000,
        max_bytes: int = QUEUE_BYTES,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ledger = front.ledger
        self._filename = filename
        self._front = front
        self._params = params
        self._timer = Every(params.interval)
        self._failing = ""
        self._begun: tuple[Event, int] | None = None
        self._rotation_asked = self._look_asked = False
        path = None if filename == STDOUT else Path(filename)
        self._file = LogFile(path, mode, _rotation(params, compress), clock=clock)
        self._open()
        self._worker = Worker(
            self.ledger, self._deliver, max_events=max_events, max_bytes=max_bytes
        )
        self._worker.call(self._file.clean)

    def write(self, batch: Sequence[Event]) -> None:
        """Encode and queue a batch."""
        self._worker.put(self._front.admit(batch))
        self._worker.settle()

    def tick(self, now: int) -> None:
        """Queue what is due, look after the file, rotate when the interval is over."""
        self._worker.put(self._front.tick(now))
        # While the writer is stuck, one of each is enough.
        if self._timer.over(now) and not self._rotation_asked:
            self._rotation_asked = True
            self._worker.call(self._rotate)
        if not self._look_asked:
            self._look_asked = True
            self._worker.call(self._look)
        self._worker.settle()

    def close(self, timeout: float) -> None:
        """Write what is queued, close the file."""
        deadline = time.monotonic() + timeout
        self._worker.put(self._front.drain())
        self._worker.call(self._give_up)
        self._worker.close(timeout)
        if not self._worker.alive:
            self._file.close(max(deadline - time.monotonic(), 0.0))

    @property
    def params(self) -> LogParams:
        """What rotation goes by now."""
        return self._params

    def set_params(
        self,
        max_size_mb: int | None = None,
        interval: int | None = None,
        max_backups: int | None = None,
    ) -> None:
        """
        Change what rotation goes by, from the next write on; None leaves a value as it is.

        Raises:
            ExportError: this output is not rotated, or a value is negative.
        """
        if self._filename == STDOUT:
            raise ExportError("exporter does not support setting log params: it is standard output")
        old = self._params
        params = LogParams(
            old.max_size_mb if max_size_mb is None else max_size_mb,
            old.interval if interval is None else interval,
            old.max_backups if max_backups is None else max_backups,
        )
        for name, value in params._asdict().items():
            if value < 0:
                raise ExportError(f"{name} is {value}; it must be 0 or more")
        self._params = params
        if interval is not None:
            self._timer = Every(interval)
        rotation = _rotation(params, self._file.rotation.compress)
        self._worker.call(lambda: self._use(rotation))

    def stats(self) -> FileStats:
        """Return the counters, from any thread."""
        return FileStats(
            self._worker.size_delivered,
            self._worker.queued,
            self._worker.queued_bytes,
            self._file.rotations,
            self._front.rate_limited,
            self._front.last_event_time,
        )

    def _open(self) -> None:
        try:
            self._file.open()
        except OSError as error:
            raise ExportError(
                f"--export-filename: cannot write to {self._filename!r}: {error.strerror}; "
                "name a file in a directory where the agent may write, or - for standard output"
            ) from error

    # What follows runs on the writer thread.

    def _use(self, rotation: Rotation) -> None:
        self._file.rotation = rotation
        self._file.clean()

    def _rotate(self) -> None:
        self._rotation_asked = False
        try:
            self._file.rotate()
        except OSError as error:
            self._complain(error)

    def _look(self) -> None:
        """Follow the path; finish a line that was begun."""
        self._look_asked = False
        try:
            self._file.check()
        except OSError as error:
            self._complain(error)
        self._finish()

    def _finish(self) -> str:
        """Finish the line that was begun, if there is one; return why that is impossible still."""
        if self._begun is None:
            return ""
        event, size = self._begun
        try:
            whole = self._file.finish()
        except OSError as error:
            return self._complain(error)
        self._begun = None
        lost = () if whole else ((f"{self.ledger.stage}_line_broken", (event,)),)
        self._worker.report(Delivery(int(whole), size if whole else 0, lost))
        return ""

    def _give_up(self) -> None:
        """Count a line that could not be finished to the end."""
        if self._finish() and self._begun is not None:
            lost = ((f"{self.ledger.stage}_line_broken", self._begun[:1]),)
            self._worker.report(Delivery(0, 0, lost))
            self._begun = None

    def _deliver(self, events: Sequence[Event], lines: Sequence[bytes]) -> Delivery:
        if reason := self._finish():
            return Delivery(0, 0, ((reason, events),))
        losses: list[tuple[str, Sequence[Event]]] = []
        delivered = size = start = 0
        while start < len(lines):
            written, error, begun = self._file.append(lines[start:])
            delivered += written
            size += sum(map(len, lines[start : start + written]))
            start += written
            if error is not None:
                if begun:
                    self._begun = events[start], len(lines[start])
                losses.append((self._complain(error), events[start + begun :]))
                break
            if start < len(lines):
                losses.append((f"{self.ledger.stage}_line_too_large", events[start : start + 1]))
                start += 1
        else:
            self._recovered()
        return Delivery(delivered, size, losses)

    def _complain(self, error: OSError) -> str:
        """Log a failure once, until it goes away or changes; return it as a loss reason."""
        text = error.strerror or str(error)
        if text != self._failing:
            self._failing = text
            log.error("Failed to write the export file", file=self._filename, error=text)
        name = errno.errorcode.get(error.errno or 0, "unknown").lower()
        return f"{self.ledger.stage}_write_error_{name}"

    def _recovered(self) -> None:
        if self._failing:
            self._failing = ""
            log.info("Writing the export file again", file=self._filename)


def _rotation(params: LogParams, compress: bool) -> Rotation:
    size = (params.max_size_mb or DEFAULT_MEBIBYTES) * MEBIBYTE
    return Rotation(size, params.max_backups, compress)
