"""Record: what the kernel half said, decoded but not yet tied to the processes it names.

Flow    ring -> decode -> [Record] -> process cache -> Event
Layout  bpf/abi/process.h
"""

import msgspec

from tetragon.model.process import BinaryProperties, Key, Process

Changes = tuple[int, int, int, int]
"""PrivilegeChange bits, new effective uid and gid, inode of a file without links."""
Place = tuple[bytes, int, int, int]
"""Filename, cwd and cgroup in one; the lengths of the first two; ProcessFlag bits."""
ExecFields = tuple[Key, Key, Key | None, int, int, int, int, Changes | None, int, Place, str, bytes]
"""Key, parent, cleanup, RecordBlock bits, nspid, uid, auid, changes, cgroup id, place, arguments,
environment."""


class ExecRecord(msgspec.Struct, gc=False):
    """
    A new image runs.

    Args:
        process: all the record tells of it. ``parent_key`` is who forked it or ran before in the
            same pid, ktime 0 when the kernel did not know. The process cache, which takes this
            object, adds what it alone knows: ids, start time, references, the parent found.
        cleanup: the identity this exec ended, None if nobody was told of it.
    """

    key: Key
    process: Process
    cleanup: Key | None = None
    properties: BinaryProperties | None = None
    cgroup_id: int = 0


class CloneRecord(msgspec.Struct, gc=False):
    """A process that never ran an image of its own is named for the first time."""

    key: Key
    parent: Key
    flags: int
    nspid: int


class ExitRecord(msgspec.Struct, gc=False):
    """
    A process ended.

    Args:
        parent: who forked it; used when the process is not known.
        ktime: when, ns of CLOCK_BOOTTIME.
        code: wait status.
        announced: a record told of this process before; False also when that one was lost.
    """

    key: Key
    parent: Key
    flags: int
    nspid: int
    ktime: int
    code: int
    announced: bool


Record = ExecRecord | CloneRecord | ExitRecord
