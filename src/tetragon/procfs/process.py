"""Process: one /proc/<pid> directory in, what it says of the process out; or all of them.

Flow    /proc -> [scan] -> process cache and the kernel half's process map
Owns    nothing between calls; during one, descriptors of what it reads, closed on every way out
Source  proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5), proc_pid_cgroup(5)

A directory is opened once and its files relative to it: the descriptor stays with that one
process, so a reused pid can never mix two. An exec between two reads can: then the exec's own
event follows and corrects it. All texts of the process (comm, cmdline, links, cgroup) stay raw
bytes, as they may hold any byte but NUL (cmdline: any byte).
"""

import os
import re
from collections.abc import Iterator
from enum import IntFlag
from errno import ENOENT, ESRCH, errorcode
from typing import Final, NamedTuple

import msgspec

from tetragon.errors import DecodeError, KernelError
from tetragon.model.ledger import Ledger
from tetragon.model.process import Capabilities, Credentials
from tetragon.procfs.namespaces import NsInodes, read_namespaces

UNSET_AUID: Final = 4294967295
CMDLINE_MAX: Final = 327_360
"""Bytes of cmdline kept: as much as the kernel half sends of an exec's arguments."""
_TICK_NS: Final = 10_000_000
"""One clock tick of /proc: USER_HZ is 100 on every architecture we run on."""
_PF_KTHREAD: Final = 0x00200000
_CHUNK: Final = 16384
_FILE_MAX: Final = 1 << 20
"""More than any status file: 65536 supplementary groups of 10 digits are 720 kB."""
_OPEN_DIR: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE: Final = os.O_RDONLY | os.O_CLOEXEC
_GONE: Final = frozenset({ENOENT, ESRCH})


_IDS: Final = re.compile(rb"\nUid:%b\nGid:%b\n" % ((rb"\t(\d{1,10})" * 4,) * 2))
_CAPS: Final = re.compile(rb"\nCapInh:%b\nCapPrm:%b\nCapEff:%b\n" % ((rb"\t([0-9a-f]{1,16})",) * 3))
_NSPIDS: Final = re.compile(rb"\nNSpid:((?:\t\d{1,10})+)\n")
"""Lines of a status file. The kernel escapes newlines in the name, so none can be forged."""


class Want(IntFlag):
    """Groups of fields to read; what the stat file has is always there."""

    CMDLINE = 1
    CREDS = 2
    AUID = 4
    CGROUP = 8
    EXE = 16
    CWD = 32
    NS = 64
    ALL = 127


_CMDLINE, _CREDS, _AUID, _CGROUP, _EXE, _CWD, _NS = map(int, Want)
"""The same as plain numbers: testing an enum's bit takes ten times as long."""


class Stat(NamedTuple):
    """The fields we use of /proc/<pid>/stat; ``start_ticks`` are clock ticks since boot."""

    pid: int
    comm: bytes
    state: str
    ppid: int
    flags: int
    threads: int
    start_ticks: int

    @property
    def exited(self) -> bool:
        """Whether all its threads have ended; a leader may end before the others."""
        return self.state in "ZX" and self.threads < 2


class Status(NamedTuple):
    """The fields we use of /proc/<pid>/status; ``nspids`` from the outermost namespace inward."""

    credentials: Credentials
    capabilities: Capabilities
    nspids: tuple[int, ...]


class ProcProcess(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    One process as /proc showed it; a group that was not wanted has its defaults.

    Args:
        state: letter of the main thread, such as S; see ``exited`` for Z.
        start_ticks: start of the process (not of its last exec), clock ticks since boot as this
            process's time namespace counts.
        kernel_thread: the kernel's own flag, not "has no cmdline", which any process can fake.
        cmdline: NUL after each argument; empty for kernel threads and zombies. At most
            ``CMDLINE_MAX`` bytes, then ``cmdline_cut`` is set.
        credentials: securebits are not shown by /proc and stay 0.
        nspids: pid in each pid namespace, outermost first, innermost last.
        exe: link text, empty when there is none or it may not be read. The kernel appends
            `` (deleted)`` when the name it was run by is gone (removed, replaced by an upgrade,
            memfd), and so it stays here. A living file whose name ends so looks the same.
        cwd: link text, empty likewise; seen from its own root when that is not below ours.
        cgroup: whole text of the cgroup file.
    """

    pid: int
    ppid: int
    comm: bytes
    state: str
    threads: int
    start_ticks: int
    kernel_thread: bool
    exited: bool = False
    cmdline: bytes = b""
    cmdline_cut: bool = False
    credentials: Credentials | None = None
    capabilities: Capabilities | None = None
    nspids: tuple[int, ...] = ()
    auid: int = UNSET_AUID
    cgroup: bytes = b""
    exe: bytes = b""
    cwd: bytes = b""
    ns: NsInodes | None = None

    @property
    def ktime(self) -> int:
        """Start in ns of CLOCK_BOOTTIME, rounded down to 10 ms."""
        return self.start_ticks * _TICK_NS

    @property
    def nspid(self) -> int:
        """Pid inside its own pid namespace; 0 when that is the outermost one shown."""
        return self.nspids[-1] if len(self.nspids) > 1 else 0


def parse_stat(text: bytes) -> Stat:
    """
    Parse a stat file. The name in parentheses may hold anything, ``) (`` and newlines too.

    Raises:
        DecodeError: not the layout of proc_pid_stat(5).
    """
    opening, closing = text.find(b" ("), text.rfind(b") ")
    try:
        if not 0 < opening < closing:
            raise ValueError("no name in parentheses")
        fields = text[closing + 2 :].split(b" ", 20)
        return Stat(
            int(text[:opening]),
            text[opening + 2 : closing],
            fields[0].decode("ascii"),
            int(fields[1]),
            int(fields[6]),
            int(fields[17]),
            int(fields[19]),
        )
    except (ValueError, IndexError) as exc:
        raise DecodeError(f"stat file {text[:80]!r}: {exc}") from exc


def parse_status(text: bytes) -> Status:
    """
    Parse a status file. Kernels without pid namespaces give no ``NSpid``: empty then.

    Raises:
        DecodeError: a line of ids or capabilities is missing or malformed.
    """
    ids = _IDS.search(text)
    caps = _CAPS.search(text, ids.end()) if ids else None
    if ids is None or caps is None:
        missing = "capabilities" if ids else "user and group ids"
        raise DecodeError(f"status file {text[:80]!r}: no lines of {missing}")
    uid, euid, suid, fsuid, gid, egid, sgid, fsgid = map(int, ids.groups())
    inheritable, permitted, effective = caps.groups()
    nspids = _NSPIDS.search(text, ids.end() - 1)
    return Status(
        Credentials(uid, gid, euid, egid, suid, sgid, fsuid, fsgid),
        Capabilities(int(permitted, 16), int(effective, 16), int(inheritable, 16)),
        tuple(map(int, nspids[1].split())) if nspids else (),
    )


def read_process(root: str, pid: int, want: Want = Want.ALL) -> ProcProcess | None:
    """
    Read one process below ``root``; None when it is gone, also in the middle of reading.

    Raises:
        DecodeError: a file there is not what the kernel writes.
        KernelError: a file could not be read for another reason than the end of the process.
    """
    try:
        process_fd = os.open(f"{root}/{pid}", _OPEN_DIR)
        try:
            return _read(process_fd, int(want))
        finally:
            os.close(process_fd)
    except OSError as exc:
        if exc.errno in _GONE:
            return None
        raise KernelError("read", f"process {pid} below {root}", exc.errno or 0) from exc


def scan(root: str, want: Want = Want.ALL, ledger: Ledger | None = None) -> Iterator[ProcProcess]:
    """
    Read every process below ``root``, in the order /proc lists them (by pid).

    What cannot be read never ends the scan. The ledger's books: produced is every pid listed,
    delivered what was yielded, filtered those that ended before they could be read (their life
    is over), lost the rest by reason (``DecodeError`` or the errno's name).

    Raises:
        KernelError: ``root`` itself cannot be listed.
    """
    ledger = ledger or Ledger("procfs")
    for pid in list_pids(root):
        ledger.produced += 1
        try:
            process = read_process(root, pid, want)
        except DecodeError:
            ledger.lose("DecodeError")
        except KernelError as exc:
            ledger.lose(errorcode.get(exc.errno, "unknown"))
        else:
            if process is None:
                ledger.filtered += 1
                continue
            ledger.delivered += 1
            yield process


def list_pids(root: str) -> list[int]:
    """
    List the process ids below ``root``.

    Raises:
        KernelError: it cannot be listed.
    """
    try:
        names = os.listdir(root)  # noqa: PTH208 (names, not paths)
    except OSError as exc:
        hint = "--procfs must name a mounted procfs, the host's"
        raise KernelError("list", root, exc.errno or 0, hint) from exc
    return [int(name) for name in names if name.isascii() and name.isdigit() and len(name) <= 10]


def _read(process_fd: int, want: int) -> ProcProcess:
    stat = parse_stat(_read_file(process_fd, b"stat"))
    status = parse_status(_read_file(process_fd, b"status")) if want & _CREDS else None
    auid = _read_auid(process_fd) if want & _AUID else UNSET_AUID
    cgroup = _read_optional(process_fd, b"cgroup") if want & _CGROUP else b""
    cmdline, exe, cwd, ns = _read_image(process_fd, stat, want)
    if want & _EXE and not exe and not stat.flags & _PF_KTHREAD:
        stat = parse_stat(_read_file(process_fd, b"stat"))  # did it end in the meantime?
    return ProcProcess(
        pid=stat.pid,
        ppid=stat.ppid,
        comm=stat.comm,
        state=stat.state,
        threads=stat.threads,
        start_ticks=stat.start_ticks,
        kernel_thread=stat.flags & _PF_KTHREAD != 0,
        exited=stat.exited,
        cmdline=cmdline[:CMDLINE_MAX],
        cmdline_cut=len(cmdline) > CMDLINE_MAX,
        credentials=status.credentials if status else None,
        capabilities=status.capabilities if status else None,
        nspids=status.nspids if status else (),
        auid=auid,
        cgroup=cgroup,
        exe=exe,
        cwd=cwd,
        ns=ns,
    )


_Image = tuple[bytes, bytes, bytes, NsInodes | None]


def _read_image(process_fd: int, stat: Stat, want: int) -> _Image:
    """Read what hangs on memory, files and namespaces; kernel threads have no memory to ask."""
    if stat.flags & _PF_KTHREAD:
        want &= ~(_CMDLINE | _EXE)
    if stat.state == "Z" and stat.threads > 1:
        return _read_image_of_others(process_fd, stat, want)
    return _read_image_of(process_fd, want)


def _read_image_of(task_fd: int, want: int) -> _Image:
    return (
        _read_file(task_fd, b"cmdline", CMDLINE_MAX) if want & _CMDLINE else b"",
        _read_link(task_fd, b"exe") if want & _EXE else b"",
        _read_link(task_fd, b"cwd") if want & _CWD else b"",
        read_namespaces(task_fd) if want & _NS else None,
    )


def _read_image_of_others(process_fd: int, stat: Stat, want: int) -> _Image:
    """
    Read the same through a living thread, as the main thread has ended before the others.

    The main thread's own entries are empty then, by which a process could hide its binary.
    """
    for tid in _list_threads(process_fd):
        if tid == str(stat.pid):
            continue
        try:
            thread_fd = os.open(f"task/{tid}", _OPEN_DIR, dir_fd=process_fd)
        except OSError:
            continue  # that thread has ended too: the next one
        try:
            image = _read_image_of(thread_fd, want)
        except OSError:
            continue
        finally:
            os.close(thread_fd)
        if any(image):
            return image
    return _read_image_of(process_fd, want)


def _list_threads(process_fd: int) -> list[str]:
    tasks_fd = os.open(b"task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process_fd)
    try:
        return os.listdir(tasks_fd)  # noqa: PTH208 (of a descriptor)
    finally:
        os.close(tasks_fd)


def _read_auid(process_fd: int) -> int:
    """Return the login uid, or the unset value also where the kernel has no audit."""
    text = _read_optional(process_fd, b"loginuid")
    return int(text) if text.isdigit() and len(text) <= 10 else UNSET_AUID


def _read_optional(process_fd: int, name: bytes) -> bytes:
    """Read a file that some kernels do not have: empty then."""
    try:
        return _read_file(process_fd, name)
    except OSError as exc:
        if exc.errno in _GONE:
            return b""
        raise


def _read_link(task_fd: int, name: bytes) -> bytes:
    try:
        return os.readlink(name, dir_fd=task_fd)
    except OSError:
        return b""  # kernel thread, zombie, or not ours to see: documented as empty


def _read_file(task_fd: int, name: bytes, limit: int = _FILE_MAX) -> bytes:
    """Read a file whole, or so much that it is longer than ``limit``."""
    file_fd = os.open(name, _OPEN_FILE, dir_fd=task_fd)
    try:
        data = os.read(file_fd, _CHUNK)
        return data if len(data) < _CHUNK else data + _read_on(file_fd, limit - _CHUNK)
    finally:
        os.close(file_fd)


def _read_on(file_fd: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while size <= limit:
        chunk = os.read(file_fd, _CHUNK)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
