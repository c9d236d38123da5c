"""Mounts and namespaces for children: thin calls that raise OSError."""

import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET, NEWTIME = 0x10000000, 0x20000000, 0x40000000, 0x00000080


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that flags name for new ones."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: Path, kind: str, flags: int = 0) -> None:
    """Mount a file system."""
    arguments = (source.encode(), os.fsencode(target), kind.encode())
    _check(_libc.mount(*arguments, flags, None), f"mount {kind} on {target}")


def new_mounts() -> None:
    """Leave the mount namespace for a copy whose changes stay inside."""
    unshare(NEWNS)
    mount("none", Path("/"), "none", _MS_REC | _MS_PRIVATE)


def tmpfs(target: Path) -> None:
    """Mount an empty tmpfs."""
    mount("tmpfs", target, "tmpfs")


def bind(source: Path, target: Path) -> None:
    """Mount a directory a second time."""
    mount(str(source), target, "none", _MS_BIND)


def proc(target: Path) -> None:
    """Mount the /proc of the pid namespace one is in."""
    mount("proc", target, "proc")
