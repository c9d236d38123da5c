"""Pid file: one path in; the right to be the only agent of this host out, or who has it.

Owns    the open, locked file until ``close``
Source  flock(2), open(2)

The lock decides, the number is for people and for agents that do not lock: the kernel drops
a lock with its last descriptor, so SIGKILL leaves nothing but a number of a dead process. The
file is removed at a clean end, by its owner, under the lock. Whoever opened it before
that gets the lock of a file without a name: it sees so and starts over. Creating with O_EXCL
alone could not do this: who finds a stale file would have to remove it first, and two could.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tetragon.errors import ConfigError, DecodeError, KernelError
from tetragon.procfs.host import boot_time, own_pid
from tetragon.procfs.process import ProcProcess, Want, read_process

_MODE: Final = 0o644
_ATTEMPTS: Final = 1000
_SECOND: Final = 1_000_000_000
_CLOCK_SLACK: Final = 2 * _SECOND
"""/proc/stat gives the boot time in whole seconds; a little more for clock corrections."""


class PidFile:
    """
    The pid file of this process, locked. Made by ``claim``; a context manager, too.

    The lock lives as long as the descriptor, in a forked child as well: a child must exec or
    close it.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def close(self) -> None:
        """Remove the file and let the lock go; does nothing the second time."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if _is_at(self.path, fd):
                Path(self.path).unlink()
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def claim(path: str, root: str = "/proc/") -> PidFile:
    """
    Become the one agent: lock the file and put our pid in it.

    A file nobody locks is taken over when it holds no number, a dead pid, or the pid of a
    process that started after the file was written and so only got a used number.

    Args:
        root: procfs whose pids are meant: the host's, even when the agent is in a container.

    Raises:
        ConfigError: another agent is running, or the file cannot be written.
    """
    for _ in range(_ATTEMPTS):
        fd = _open(path)
        try:
            _lock(path, fd)
            if _is_at(path, fd):
                _check_stale(path, fd, root)
                _write(path, fd, own_pid(root))
                return PidFile(path, fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its owner removed it before we had the lock: start over
    raise ConfigError(f"pid file {path}: removed again and again while starting; who does so?")


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, _MODE)
    except OSError as exc:
        raise ConfigError(f"pid file {path}: {exc.strerror}; run as root") from exc


def _lock(path: str, fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise _already_running(path, _read_pid(fd)) from exc
    except OSError as exc:
        raise ConfigError(f"pid file {path}: cannot lock it: {exc.strerror}") from exc


def _is_at(path: str, fd: int) -> bool:
    """Tell whether the path still names the open file."""
    try:
        return os.path.samestat(Path(path).lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _check_stale(path: str, fd: int, root: str) -> None:
    pid = _read_pid(fd)
    if pid is None or pid == own_pid(root):
        return
    try:
        process = read_process(root, pid, Want(0))
        if process is None or process.exited or _is_younger(process, fd, root):
            return
    except (DecodeError, KernelError) as exc:
        raise ConfigError(f"pid file {path}: cannot tell whether {pid} runs: {exc}") from exc
    raise _already_running(path, pid)


def _is_younger(process: ProcProcess, fd: int, root: str) -> bool:
    """Tell whether the process started after the file was written, and is no agent by name."""
    started = boot_time(root) + process.ktime
    return process.comm != b"tetragon" and started > os.fstat(fd).st_mtime_ns + _CLOCK_SLACK


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() and len(text) <= 10 and int(text) else None


def _write(path: str, fd: int, pid: int) -> None:
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d" % pid, 0)
        os.fchmod(fd, _MODE)
    except OSError as exc:
        raise ConfigError(f"pid file {path}: {exc.strerror}") from exc


def _already_running(path: str, pid: int | None) -> ConfigError:
    who = f"pid {pid}" if pid else "a process starting now"
    return ConfigError(
        f"another agent is already running: {who} holds {path}; stop it first (one agent per host)"
    )
