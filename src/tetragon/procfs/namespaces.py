"""Namespaces: the ns links of an open /proc/<pid> in, ten inode numbers out.

Owns    nothing: every call reads anew
Source  namespaces(7), proc_pid_ns(5)
"""

import os
from typing import Final, NamedTuple

from tetragon.errors import DecodeError
from tetragon.model.process import Namespace, Namespaces


class NsInodes(NamedTuple):
    """Inode numbers of a process's ten namespaces; 0 for one the kernel lacks or hides."""

    uts: int = 0
    ipc: int = 0
    mnt: int = 0
    pid: int = 0
    pid_for_children: int = 0
    net: int = 0
    time: int = 0
    time_for_children: int = 0
    cgroup: int = 0
    user: int = 0


_LINKS: Final = tuple(
    (b"ns/" + name.encode(), len(name.removesuffix("_for_children")) + len(":["))
    for name in NsInodes._fields
)
"""Link below /proc/<pid>, and where the number starts in its text, such as mnt:[4026531832]."""


def read_namespaces(process_fd: int) -> NsInodes:
    """
    Read the ten links below an open /proc/<pid> directory.

    Raises:
        DecodeError: a link is not what the kernel writes.
    """
    inodes: list[int] = []
    for link, start in _LINKS:
        try:
            inodes.append(int(os.readlink(link, dir_fd=process_fd)[start:-1]))
        except OSError:
            inodes.append(0)  # absent on this kernel, or not ours to see: documented as 0
        except ValueError as exc:
            raise DecodeError(f"namespace link {link.decode()}: {exc}") from exc
    return NsInodes(*inodes)


def describe(inodes: NsInodes, host: NsInodes) -> Namespaces:
    """Mark each namespace as the host's or not; a time one of inode 0 becomes None."""
    own = zip(NsInodes._fields, inodes, host, strict=True)
    named = {name: Namespace(inum, inum == hosts) for name, inum, hosts in own}
    return Namespaces(
        uts=named["uts"],
        ipc=named["ipc"],
        mnt=named["mnt"],
        pid=named["pid"],
        pid_for_children=named["pid_for_children"],
        net=named["net"],
        time=named["time"] if inodes.time else None,
        time_for_children=named["time_for_children"] if inodes.time_for_children else None,
        cgroup=named["cgroup"],
        user=named["user"],
    )
