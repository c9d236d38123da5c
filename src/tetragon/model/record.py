"""Record: what the kernel half said, decoded but not yet tied to the processes it names.

Flow    ring -> decode -> [Record] -> process cache -> Event
Layout  bpf/abi/process.h
"""

import msgspec

from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Key,
    Namespaces,
)


class ExecRecord(msgspec.Struct, gc=False):
    """
    A new image runs.

    Args:
        parent: who forked it or ran before in the same pid; ktime 0 when the kernel did not know.
        cleanup: the identity this exec ended, None if nobody was told of it.
        flags: ProcessFlag bits.
    """

    key: Key
    parent: Key
    cleanup: Key | None
    flags: int
    nspid: int
    uid: int
    auid: int
    binary: str
    cwd: str
    arguments: str
    docker: str
    cgroup_id: int = 0
    properties: BinaryProperties | None = None
    credentials: Credentials | None = None
    capabilities: Capabilities | None = None
    namespaces: Namespaces | None = None
    environment: tuple[tuple[str, str], ...] = ()


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
        parent: who forked it; used when it was never announced.
        ktime: when, ns of CLOCK_BOOTTIME.
        code: wait status.
    """

    key: Key
    parent: Key
    flags: int
    nspid: int
    ktime: int
    code: int
    announced: bool


Record = ExecRecord | CloneRecord | ExitRecord
