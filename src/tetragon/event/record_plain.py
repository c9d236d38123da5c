"""Ring record in, its fields out, in plain Python: the reference of the C function in model/fast.

Both have one test suite. Layout: bpf/abi/process.h, through the generated ``abi``.
"""

from typing import Final

from tetragon.abi import records as abi
from tetragon.abi.records import RecordBlock
from tetragon.model.record import ExecFields
from tetragon.model.text import join_arguments

_EXEC: Final = abi.EXEC_EVENT.unpack_from
_EXEC_SIZE: Final = abi.EXEC_EVENT.size
_CREDENTIALS_SIZE: Final = abi.CREDENTIALS.size
_NAMESPACES_SIZE: Final = abi.NAMESPACES.size
# Plain ints: looking an enum's member up costs more than the test it serves.
_HAS_CREDENTIALS: Final = int(RecordBlock.CREDENTIALS)
_HAS_NAMESPACES: Final = int(RecordBlock.NAMESPACES)


def exec_fields(data: bytes, start: int, end: int) -> ExecFields:
    """
    Return what an exec record says.

    Args:
        data: a batch of records, of which this one lies between ``start`` and ``end``.

    Raises:
        ValueError: it is shorter than its layout, or than its texts.
    """
    texts = start + _EXEC_SIZE
    if start < 0 or end > len(data) or texts > end:
        raise ValueError(f"exec record of {end - start} bytes, layout has {_EXEC_SIZE}")
    # fmt: off
    (
        _, blocks, _, _, pid, ktime, parent_pid, parent_ktime, old_pid, old_ktime,
        flags, nspid, uid, auid, privileges, euid, egid, filename_size, inode, cgroup_id,
        cwd_size, cgroup_size, args_size, envs_size, _, _,
    ) = _EXEC(data, start)
    # fmt: on
    if blocks & _HAS_CREDENTIALS:
        texts += _CREDENTIALS_SIZE
    if blocks & _HAS_NAMESPACES:
        texts += _NAMESPACES_SIZE
    args = texts + filename_size + cwd_size + cgroup_size
    envs = args + args_size
    if envs + envs_size > end:
        raise ValueError(f"exec record of {end - start} bytes: its texts are cut")
    return (
        (pid, ktime),
        (parent_pid, parent_ktime),
        (old_pid, old_ktime) if old_pid else None,
        blocks,
        nspid,
        uid,
        auid,
        (privileges, euid, egid, inode) if privileges or inode else None,
        cgroup_id,
        (data[texts:args], filename_size, cwd_size, flags),
        join_arguments(data[args:envs], cwd_size == 0),
        data[envs : envs + envs_size],
    )
