"""Ring records for benches: an exec of a typical service, and its exit, as the kernel half writes
them.
"""

from collections.abc import Iterator, Sequence

from tetragon.abi import records as abi
from tetragon.abi.records import Announcement, EventOp, ProcessFlag

Key = tuple[int, int]
Batch = tuple[bytes, list[int]]

SHELL: Key = (500, 100_000_000_000)
START = 1_000_000_000_000
FILENAME = b"/usr/bin/prog%d"
ARGS = b"prog\0--config\0/etc/prog/prog.conf\0--verbose\0run\0"
CWD = b"/home/user/work"
HOST_CGROUP = b"system.slice/cron.service"
POD_CGROUP = b"kubepods-burstable.slice/cri-containerd-%b.scope" % (b"0123456789abcdef" * 4)
_UNSET = 4294967295


def key(number: int) -> Key:
    """Return who the process of this number is."""
    return 1000 + number % 4_000_000, START + number * 1000 + 1


def exec_record(
    number: int,
    *,
    filename: bytes = b"",
    args: bytes = ARGS,
    cgroup: bytes = HOST_CGROUP,
    nspid: int = 0,
) -> bytes:
    """Return the exec record of a process the shell forked; 64 programs take turns."""
    name = filename or FILENAME % (number % 64)
    texts = name + CWD + cgroup + args
    pid, ktime = key(number)
    values = {
        "header_op": EventOp.EXEC,
        "header_size": abi.EXEC_EVENT.size + len(texts),
        "header_ktime": ktime,
        "key_pid": pid,
        "key_ktime": ktime,
        "parent_pid": SHELL[0],
        "parent_ktime": SHELL[1],
        "flags": ProcessFlag.EXECVE | ProcessFlag.CLONE,
        "nspid": nspid,
        "uid": 1000,
        "auid": _UNSET,
        "filename_size": len(name),
        "cgroup_id": 1234,
        "cwd_size": len(CWD),
        "cgroup_size": len(cgroup),
        "args_size": len(args),
        "args_total": len(args),
        "envs_total": 800,
    }
    return abi.EXEC_EVENT.pack(*(values.get(name, 0) for name in abi.EXEC_EVENT_FIELDS)) + texts


def exit_record(number: int) -> bytes:
    """Return the exit record of the same process, half a millisecond later."""
    pid, ktime = key(number)
    values = {
        "header_op": EventOp.EXIT,
        "header_size": abi.EXIT_EVENT.size,
        "header_ktime": ktime + 500_000,
        "key_pid": pid,
        "key_ktime": ktime,
        "parent_pid": SHELL[0],
        "parent_ktime": SHELL[1],
        "tid": pid,
        "announced": Announcement.YES,
    }
    return abi.EXIT_EVENT.pack(*(values.get(name, 0) for name in abi.EXIT_EVENT_FIELDS))


def batches(records: Sequence[bytes], size: int) -> Iterator[Batch]:
    """Group records as the ring reader does: each starts at a multiple of 8."""
    for first in range(0, len(records), size):
        parts: list[bytes] = []
        table: list[int] = []
        offset = 0
        for record in records[first : first + size]:
            table += (offset, len(record))
            parts.append(record + bytes(-len(record) % 8))
            offset += len(parts[-1])
        yield b"".join(parts), table
