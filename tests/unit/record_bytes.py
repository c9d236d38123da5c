"""Ring records as the kernel half writes them, and a batch as the ring reader gives it."""

from collections.abc import Sequence
from struct import Struct

from tetragon.abi import records as abi
from tetragon.abi.records import Announcement, DataKind, EventOp, ProcessFlag, RecordBlock

Key = tuple[int, int]
FORKED = ProcessFlag.EXECVE | ProcessFlag.CLONE
UNSET = 4294967295


def pack(layout: Struct, fields: Sequence[str], **values: int) -> bytes:
    """Pack a layout of the ABI; fields not given are 0."""
    unknown = values.keys() - set(fields)
    assert not unknown, unknown
    return layout.pack(*(values.get(name, 0) for name in fields))


def keys(**named: Key) -> dict[str, int]:
    """Return the fields of process keys: ``parent=(1, 2)`` is parent_pid=1, parent_ktime=2."""
    found = {}
    for name, (pid, ktime) in named.items():
        found |= {f"{name}_pid": pid, f"{name}_ktime": ktime}
    return found


def exec_record(
    key: Key = (100, 10_000),
    parent: Key = (50, 5_000),
    cleanup: Key = (0, 0),
    *,
    flags: int = FORKED,
    filename: bytes = b"/usr/bin/prog",
    cwd: bytes = b"/work",
    cgroup: bytes = b"system.slice/cron.service",
    args: bytes = b"prog\0a\0",
    envs: bytes = b"",
    credentials: bytes = b"",
    namespaces: bytes = b"",
    **rest: int,
) -> bytes:
    """Build an exec record; ``args`` and ``envs`` are NUL-terminated texts."""
    blocks = RecordBlock.CREDENTIALS if credentials else 0
    blocks |= RecordBlock.NAMESPACES if namespaces else 0
    tail = credentials + namespaces + filename + cwd + cgroup + args + envs
    fixed = pack(
        abi.EXEC_EVENT,
        abi.EXEC_EVENT_FIELDS,
        header_op=EventOp.EXEC,
        header_blocks=blocks,
        header_size=abi.EXEC_EVENT.size + len(tail),
        header_ktime=key[1],
        flags=flags,
        filename_size=len(filename),
        cwd_size=len(cwd),
        cgroup_size=len(cgroup),
        args_size=len(args),
        envs_size=len(envs),
        **({"uid": 1000, "auid": UNSET} | keys(key=key, parent=parent, cleanup=cleanup) | rest),
    )
    return fixed + tail


def exit_record(
    key: Key = (100, 10_000),
    parent: Key = (50, 5_000),
    *,
    ktime: int = 20_000,
    code: int = 0,
    announced: int = Announcement.YES,
    flags: int = 0,
) -> bytes:
    """Build an exit record; ``code`` is the wait status."""
    return pack(
        abi.EXIT_EVENT,
        abi.EXIT_EVENT_FIELDS,
        header_op=EventOp.EXIT,
        header_size=abi.EXIT_EVENT.size,
        header_ktime=ktime,
        code=code,
        tid=key[0],
        announced=announced,
        flags=flags,
        **keys(key=key, parent=parent),
    )


def clone_record(key: Key, parent: Key, *, flags: int = ProcessFlag.CLONE) -> bytes:
    """Build a clone record."""
    return pack(
        abi.CLONE_EVENT,
        abi.CLONE_EVENT_FIELDS,
        header_op=EventOp.CLONE,
        header_size=abi.CLONE_EVENT.size,
        header_ktime=key[1],
        flags=flags,
        **keys(key=key, parent=parent),
    )


def data_records(
    text: bytes, key: Key = (100, 10_000), kind: int = DataKind.ARGS, piece: int = 16336
) -> list[bytes]:
    """Build the data records of one text."""
    return [
        pack(
            abi.DATA_EVENT,
            abi.DATA_EVENT_FIELDS,
            header_op=EventOp.DATA,
            header_size=abi.DATA_EVENT.size + len(text[at : at + piece]),
            header_ktime=key[1],
            kind=kind,
            chunk=at // piece,
            **keys(key=key),
        )
        + text[at : at + piece]
        for at in range(0, len(text), piece)
    ]


def batch(*records: bytes) -> tuple[bytes, list[int]]:
    """Return (data, table) as Ring.drain gives them: records start at multiples of 8."""
    data, table = b"", []
    for record in records:
        table += [len(data), len(record)]
        data += record + bytes(-len(record) % 8)
    return data, table
