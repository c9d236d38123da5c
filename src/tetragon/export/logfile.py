"""LogFile: whole lines in, a file that grows, rotates and survives what happens to it.

Owns    the file descriptor and the rotated files beside it; one thread uses it at a time.

However a write fails, the file never has part of a line before another line: a line that a full
disk cut short is finished before anything else is written. Nothing is taken back, so a reader that
follows the file never sees it shrink.
"""

import os
import select
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.export.backups import Janitor, copy_owner, free_name
from tetragon.log import get_log

log = get_log(__name__)

CHUNK: Final = 1 << 20
"""Bytes that are joined and written at once."""

_NEWLINE: Final = ord("\n")
_FLAGS: Final = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY


class Rotation(NamedTuple):
    """
    When a file is rotated and what is kept.

    Args:
        max_size: bytes beyond which the file does not grow.
        max_backups: rotated files that are kept, 0 keeps all.
        compress: gzip rotated files.
    """

    max_size: int = 10 << 20
    max_backups: int = 5
    compress: bool = False


DEFAULT_ROTATION: Final = Rotation()


class Appended(NamedTuple):
    """
    What became of lines.

    Args:
        written: how many of the lines are in the file, counted from the first.
        error: why the line after those was not written, None when it was only too long.
        begun: part of that line is in the file; ``finish`` writes the rest.
    """

    written: int
    error: OSError | None = None
    begun: bool = False


class LogFile:
    """
    An append-only file.

    Args:
        path: where; missing directories are made. None writes to standard output.
        mode: permission bits of a file that is created here.
        rotation: when to rotate; devices, pipes and standard output never are.
        clock: Unix ns, for the names of rotated files.
        write: the system call, for tests of what disks do.
    """

    def __init__(
        self,
        path: Path | None,
        mode: int = 0o600,
        rotation: Rotation = DEFAULT_ROTATION,
        *,
        clock: Callable[[], int] = time.time_ns,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self.rotation = rotation
        self.size = 0
        self.rotations = 0
        self._path = path
        self._mode = mode
        self._clock = clock
        self._write = write
        self._fd = -1
        self._regular = False
        self._owed = b""
        self._may_rotate = True
        self._janitor = Janitor(path, rotation.compress) if path is not None else None

    def open(self) -> None:
        """
        Open the file for appending, and make it where it does not exist.

        Raises:
            OSError: it cannot be opened for writing.
        """
        if self._path is None:
            self._fd = os.dup(1)
        else:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._fd = self._open_path(self._path)
        status = os.fstat(self._fd)
        self._regular = self._path is not None and stat.S_ISREG(status.st_mode)
        self.size = status.st_size if self._regular else 0
        if self._regular:
            self._end_last_line()

    def append(self, lines: Sequence[bytes]) -> Appended:
        """
        Write lines in order, rotating on the way; stop at the first that cannot be written.

        A line that was begun must be finished first.
        """
        done = 0
        try:
            if self._fd < 0:
                self.open()
            while done < len(lines):
                if self._regular and self.size + len(lines[done]) > self.rotation.max_size:
                    if len(lines[done]) > self.rotation.max_size:
                        return Appended(done)
                    self._rotate_for_size()
                end = self._chunk_end(lines, done)
                done += self._write_lines(lines[done:end])
        except _PartialWriteError as error:
            return Appended(done + error.lines, error.cause, bool(self._owed))
        except OSError as error:
            return Appended(done, error)
        return Appended(done)

    def finish(self) -> bool:
        """
        Write the rest of the line that was begun; tell whether the line is whole now.

        It is not when the file was cut or replaced meanwhile; then there is nothing to finish.

        Raises:
            OSError: it still cannot be written.
        """
        if not self._owed or self._fd < 0:
            return False
        if self._regular and os.fstat(self._fd).st_size != self.size:
            self._owed = b""
            return False
        while self._owed:
            done = self._write(self._fd, self._owed)
            self._owed = self._owed[done:]
            self.size += done
        return True

    def check(self) -> None:
        """
        Follow the path: reopen when the file was moved or removed, see that it was cut.

        Raises:
            OSError: it cannot be opened again.
        """
        self._may_rotate = True
        if self._fd < 0 or not self._regular or self._path is None:
            return
        if _is_at(self._path, self._fd):
            size = os.fstat(self._fd).st_size
            if size != self.size:
                self.size, self._owed = size, b""
        else:
            self._close_descriptor()
            self.open()

    def rotate(self) -> None:
        """
        Move what was written to a backup and start an empty file.

        An empty file stays, and one whose last line is not whole.

        Raises:
            OSError: the file cannot be moved, or no new one made.
        """
        if self._fd < 0 or not self._regular or self._path is None:
            return
        if not self.size or self._owed:
            return
        owner = os.fstat(self._fd)
        if _is_at(self._path, self._fd):  # else somebody else moved it already
            self._path.rename(free_name(self._path, self._clock()))
        self._close_descriptor()
        self.open()
        copy_owner(self._fd, owner)
        self.rotations += 1
        self.clean()

    def clean(self) -> None:
        """Remove and compress backups as the rotation asks, in the background."""
        if self._regular and self._janitor is not None:
            self._janitor.clean(self.rotation.max_backups)

    def close(self, timeout: float = 0.0) -> None:
        """Close, and wait at most ``timeout`` seconds for backups to be compressed."""
        self._close_descriptor()
        if self._janitor is not None:
            self._janitor.join(timeout)

    def _open_path(self, path: Path) -> int:
        # A pipe without a reader would block here; opened for both it does not.
        pipe = path.is_fifo()
        existed = path.exists()
        fd = os.open(path, _FLAGS | (os.O_RDWR if pipe else os.O_WRONLY), self._mode)
        if not existed:
            os.fchmod(fd, self._mode)  # whatever the umask
        return fd

    def _end_last_line(self) -> None:
        """End a line that a crash left unfinished, so that it does not swallow the next one."""
        if self.size and self._path is not None:
            with self._path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    self.size += self._write(self._fd, b"\n")

    def _rotate_for_size(self) -> None:
        """Rotate; when that fails, go on with the file as it is until the next check."""
        if not self._may_rotate:
            return
        try:
            self.rotate()
        except OSError as error:
            self._may_rotate = False
            log.warning("Failed to rotate the export file", file=self._path, error=error)
            if self._fd < 0:
                raise

    def _chunk_end(self, lines: Sequence[bytes], start: int) -> int:
        """Return the end of the lines from ``start`` that are written at once; one at least."""
        room = CHUNK
        if self._regular and self._may_rotate:
            room = min(room, self.rotation.max_size - self.size)
        room -= len(lines[start])
        end = start + 1
        while end < len(lines) and len(lines[end]) <= room:
            room -= len(lines[end])
            end += 1
        return end

    def _write_lines(self, lines: Sequence[bytes]) -> int:
        """Write all of ``lines`` or raise."""
        data = b"".join(lines)
        done = 0
        while done < len(data):
            try:
                done += self._write(self._fd, data[done:] if done else data)
            except BlockingIOError:
                _wait_writable(self._fd)
            except OSError as error:
                raise _PartialWriteError(self._repair(data, done), error) from error
        self.size += len(data)
        return len(lines)

    def _repair(self, data: bytes, done: int) -> int:
        """After ``done`` bytes of ``data`` and an error, see what is owed; return whole lines."""
        self.size += done
        if done and data[done - 1] != _NEWLINE:
            self._owed = data[done : data.index(b"\n", done) + 1]
        return data.count(b"\n", 0, done)

    def _close_descriptor(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._owed = b""


def _is_at(path: Path, fd: int) -> bool:
    """Tell whether ``path`` still leads to the open file."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(1000)


class _PartialWriteError(Exception):
    """A write failed after ``lines`` whole lines of its chunk."""

    def __init__(self, lines: int, cause: OSError) -> None:
        super().__init__(lines, cause)
        self.lines = lines
        self.cause = cause
