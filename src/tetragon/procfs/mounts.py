"""Mounts: mount table in; where bpffs, tracefs and cgroup2 are out, mounted where missing.

Owns    nothing; what it mounts stays mounted
Source  proc_pid_mounts(5), mount(2), fstab(5) for the escapes
"""

import os
import re
from errno import EBUSY
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.errors import DecodeError, KernelError

_MS_NOSUID_NODEV_NOEXEC: Final = 2 | 4 | 8
_ESCAPE: Final = re.compile(rb"\\([0-3][0-7]{2})")


class Mount(NamedTuple):
    """One line of the mount table; ``point`` is unescaped."""

    source: bytes
    point: bytes
    type: str
    options: bytes


class Filesystem(NamedTuple):
    """
    A kernel file system the agent needs.

    Args:
        type: as mount(2) and the mount table name it.
        points: where it belongs, best first; the next is taken when something else is there.
        anywhere: one mounted at any other point does as well.
        options: given to mount(2).
    """

    type: str
    points: tuple[str, ...]
    anywhere: bool = False
    options: str = ""


BPFFS: Final = Filesystem("bpf", ("/sys/fs/bpf", "/run/cilium/bpffs"), options="mode=0700")
TRACEFS: Final = Filesystem("tracefs", ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"))
CGROUP2: Final = Filesystem("cgroup2", ("/run/tetragon/cgroup2",), anywhere=True)


def parse_mounts(text: bytes) -> tuple[Mount, ...]:
    """
    Parse the text of /proc/<pid>/mounts, in its order: a later line covers an earlier one.

    Raises:
        DecodeError: a line has fewer than four columns.
    """
    return tuple(_parse_mount(line) for line in text.split(b"\n") if line)


def _parse_mount(line: bytes) -> Mount:
    fields = line.split(b" ")
    if len(fields) < 4:
        raise DecodeError(f"mounts file, line {line[:80]!r}: fewer than four columns")
    source, point, kind, options = fields[:4]
    return Mount(_unescape(source), _unescape(point), kind.decode("utf-8", "replace"), options)


def _unescape(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 8),)), field)


def find_mount(mounts: tuple[Mount, ...], filesystem: Filesystem) -> str | None:
    """Find where the file system is mounted and not covered by another; best point first."""
    top = {mount.point: mount.type for mount in mounts}
    points = [os.fsencode(os.path.realpath(point)) for point in filesystem.points]
    if filesystem.anywhere:
        points += top
    found = (point for point in points if top.get(point) == filesystem.type)
    return next(map(os.fsdecode, found), None)


def read_mounts(root: str = "/proc/") -> tuple[Mount, ...]:
    """
    Read the mount table as this process sees it.

    Raises:
        KernelError: ``root`` is no procfs.
        DecodeError: it shows nonsense.
    """
    path = Path(root, "self/mounts")
    try:
        return parse_mounts(path.read_bytes())
    except OSError as exc:
        raise KernelError("read", str(path), exc.errno or 0) from exc


def ensure_mounted(filesystem: Filesystem, root: str = "/proc/") -> str:
    """
    Return where the file system is mounted; mount it at its first free point when it is not.

    Raises:
        KernelError: the mount was refused, or every point has something else mounted.
        DecodeError: the mount table is nonsense.
    """
    mounts = read_mounts(root)
    point = find_mount(mounts, filesystem)
    if point is not None:
        return point
    taken = {mount.point for mount in mounts}
    for point in map(os.path.realpath, filesystem.points):
        if os.fsencode(point) not in taken:
            return _mount(filesystem, point, root)
    wanted = " and ".join(filesystem.points)
    raise KernelError("mount", filesystem.type, EBUSY, f"something else is mounted at {wanted}")


def _mount(filesystem: Filesystem, point: str, root: str) -> str:
    import ctypes

    kind = filesystem.type
    try:
        Path(point).mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as exc:
        hint = f"cannot create {point}; is the kernel built with it?"
        raise KernelError("mount", f"{kind} at {point}", exc.errno or 0, hint) from exc
    libc = ctypes.CDLL(None, use_errno=True)
    names = [text.encode() for text in (kind, os.fspath(point), kind)]
    if libc.mount(*names, _MS_NOSUID_NODEV_NOEXEC, filesystem.options.encode() or None) == 0:
        return point
    errno = ctypes.get_errno()
    if errno == EBUSY and find_mount(read_mounts(root), filesystem) == point:
        return point  # another process was faster
    hint = f"as root on the host: mount -t {kind} {kind} {point}"
    raise KernelError("mount", f"{kind} at {point}", errno, hint)
