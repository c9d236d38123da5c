"""Layouts and numbers of bpf/abi, which both halves read; by scripts/gen_abi.py."""

from enum import IntEnum
from struct import Struct
from typing import Final


class EventOp(IntEnum):
    """enum event_op."""

    EXEC = 5
    EXIT = 7
    CLONE = 23
    DATA = 24


class RecordBlock(IntEnum):
    """enum record_block."""

    CREDENTIALS = 1
    NAMESPACES = 2


class ProcessFlag(IntEnum):
    """enum process_flag."""

    EXECVE = 1
    PROCFS = 4
    ERROR_ENVS = 8
    TRUNC_ARGS = 16
    MISS = 64
    ERROR_FILENAME = 256
    ERROR_ARGS = 512
    NO_CWD = 2048
    ROOT_CWD = 4096
    ERROR_CWD = 8192
    CLONE = 16384
    ERROR_CGROUP_NAME = 65536
    ERROR_CGROUP_SUBSYS_CGRP = 262144
    ERROR_CGROUP_SUBSYS = 524288
    ERROR_CGROUPS = 1048576
    ERROR_CGROUP_ID = 2097152
    ERROR_PATH_CWD = 4194304
    DATA_FILENAME = 8388608
    DATA_ARGS = 16777216
    IN_INIT_TREE = 33554432


class ExecLimit(IntEnum):
    """enum exec_limit."""

    EXEC_TEXT_MAX = 4096
    EXEC_CGROUP_MAX = 256
    DATA_CHUNK_MAX = 16336
    DATA_CHUNKS_MAX = 21


class PrivilegeChange(IntEnum):
    """enum privilege_change."""

    SETUID = 1
    SETGID = 2
    FILE_CAPS = 4
    SETUID_ROOT = 8
    SETGID_ROOT = 16


class DataKind(IntEnum):
    """enum data_kind."""

    ARGS = 1
    ENVS = 2


class Counter(IntEnum):
    """enum counter."""

    PRODUCED = 0
    RING_FULL = 1
    HEAP_BUSY = 2
    STORAGE_BUSY = 3
    STATE_LOST = 4
    MAX = 5


class OpSlot(IntEnum):
    """enum op_slot."""

    EXEC = 0
    EXIT = 1
    CLONE = 2
    DATA = 3
    FORK = 4
    MAX = 5


class Announcement(IntEnum):
    """enum announcement."""

    NO = 0
    YES = 1
    LOST = 2


class CgroupController(IntEnum):
    """enum cgroup_controller."""

    UNIFIED = 0
    MEMORY = 1
    PIDS = 2
    CPUSET = 3


EVENT_HEADER: Final = Struct("<BB2xIQ")
EVENT_HEADER_FIELDS: Final = (
    "op",
    "blocks",
    "size",
    "ktime",
)
EVENT_HEADER_OFFSETS: Final = {
    "op": 0,
    "blocks": 1,
    "pad": 2,
    "size": 4,
    "ktime": 8,
}

PROCESS_KEY: Final = Struct("<I4xQ")
PROCESS_KEY_FIELDS: Final = (
    "pid",
    "ktime",
)
PROCESS_KEY_OFFSETS: Final = {
    "pid": 0,
    "pad": 4,
    "ktime": 8,
}

CREDENTIALS: Final = Struct("<IIIIIIIIIIQQQ")
CREDENTIALS_FIELDS: Final = (
    "uid",
    "gid",
    "euid",
    "egid",
    "suid",
    "sgid",
    "fsuid",
    "fsgid",
    "securebits",
    "user_ns_level",
    "permitted",
    "effective",
    "inheritable",
)
CREDENTIALS_OFFSETS: Final = {
    "uid": 0,
    "gid": 4,
    "euid": 8,
    "egid": 12,
    "suid": 16,
    "sgid": 20,
    "fsuid": 24,
    "fsgid": 28,
    "securebits": 32,
    "user_ns_level": 36,
    "permitted": 40,
    "effective": 48,
    "inheritable": 56,
}

NAMESPACES: Final = Struct("<IIIIIIIIII")
NAMESPACES_FIELDS: Final = (
    "uts",
    "ipc",
    "mnt",
    "pid",
    "pid_for_children",
    "net",
    "time",
    "time_for_children",
    "cgroup",
    "user",
)
NAMESPACES_OFFSETS: Final = {
    "uts": 0,
    "ipc": 4,
    "mnt": 8,
    "pid": 12,
    "pid_for_children": 16,
    "net": 20,
    "time": 24,
    "time_for_children": 28,
    "cgroup": 32,
    "user": 36,
}

EXEC_EVENT: Final = Struct("<BB2xIQI4xQI4xQI4xQIIIIIIIIQQIIIIII")
EXEC_EVENT_FIELDS: Final = (
    "header_op",
    "header_blocks",
    "header_size",
    "header_ktime",
    "key_pid",
    "key_ktime",
    "parent_pid",
    "parent_ktime",
    "cleanup_pid",
    "cleanup_ktime",
    "flags",
    "nspid",
    "uid",
    "auid",
    "privileges",
    "euid",
    "egid",
    "filename_size",
    "inode",
    "cgroup_id",
    "cwd_size",
    "cgroup_size",
    "args_size",
    "envs_size",
    "args_total",
    "envs_total",
)
EXEC_EVENT_OFFSETS: Final = {
    "header": 0,
    "key": 16,
    "parent": 32,
    "cleanup": 48,
    "flags": 64,
    "nspid": 68,
    "uid": 72,
    "auid": 76,
    "privileges": 80,
    "euid": 84,
    "egid": 88,
    "filename_size": 92,
    "inode": 96,
    "cgroup_id": 104,
    "cwd_size": 112,
    "cgroup_size": 116,
    "args_size": 120,
    "envs_size": 124,
    "args_total": 128,
    "envs_total": 132,
}

CLONE_EVENT: Final = Struct("<BB2xIQI4xQI4xQII")
CLONE_EVENT_FIELDS: Final = (
    "header_op",
    "header_blocks",
    "header_size",
    "header_ktime",
    "key_pid",
    "key_ktime",
    "parent_pid",
    "parent_ktime",
    "flags",
    "nspid",
)
CLONE_EVENT_OFFSETS: Final = {
    "header": 0,
    "key": 16,
    "parent": 32,
    "flags": 48,
    "nspid": 52,
}

EXIT_EVENT: Final = Struct("<BB2xIQI4xQI4xQIIIII4x")
EXIT_EVENT_FIELDS: Final = (
    "header_op",
    "header_blocks",
    "header_size",
    "header_ktime",
    "key_pid",
    "key_ktime",
    "parent_pid",
    "parent_ktime",
    "flags",
    "nspid",
    "code",
    "tid",
    "announced",
)
EXIT_EVENT_OFFSETS: Final = {
    "header": 0,
    "key": 16,
    "parent": 32,
    "flags": 48,
    "nspid": 52,
    "code": 56,
    "tid": 60,
    "announced": 64,
    "pad": 68,
}

DATA_EVENT: Final = Struct("<BB2xIQI4xQII")
DATA_EVENT_FIELDS: Final = (
    "header_op",
    "header_blocks",
    "header_size",
    "header_ktime",
    "key_pid",
    "key_ktime",
    "kind",
    "chunk",
)
DATA_EVENT_OFFSETS: Final = {
    "header": 0,
    "key": 16,
    "kind": 32,
    "chunk": 36,
}

TASK_RECORD: Final = Struct("<I4xQI4xQIIIII4x16sIIIIIIIIIIQQQIIIIIIIIII")
TASK_RECORD_FIELDS: Final = (
    "key_pid",
    "key_ktime",
    "parent_pid",
    "parent_ktime",
    "flags",
    "nspid",
    "uid",
    "auid",
    "kthread",
    "comm",
    "credentials_uid",
    "credentials_gid",
    "credentials_euid",
    "credentials_egid",
    "credentials_suid",
    "credentials_sgid",
    "credentials_fsuid",
    "credentials_fsgid",
    "credentials_securebits",
    "credentials_user_ns_level",
    "credentials_permitted",
    "credentials_effective",
    "credentials_inheritable",
    "namespaces_uts",
    "namespaces_ipc",
    "namespaces_mnt",
    "namespaces_pid",
    "namespaces_pid_for_children",
    "namespaces_net",
    "namespaces_time",
    "namespaces_time_for_children",
    "namespaces_cgroup",
    "namespaces_user",
)
TASK_RECORD_OFFSETS: Final = {
    "key": 0,
    "parent": 16,
    "flags": 32,
    "nspid": 36,
    "uid": 40,
    "auid": 44,
    "kthread": 48,
    "pad": 52,
    "comm": 56,
    "credentials": 72,
    "namespaces": 136,
}

PROCESS_STATE: Final = Struct("<I4xQI4xQIIIIQI4x")
PROCESS_STATE_FIELDS: Final = (
    "key_pid",
    "key_ktime",
    "parent_pid",
    "parent_ktime",
    "flags",
    "nspid",
    "announced",
    "ended",
    "permitted",
    "has_permitted",
)
PROCESS_STATE_OFFSETS: Final = {
    "key": 0,
    "parent": 16,
    "flags": 32,
    "nspid": 36,
    "announced": 40,
    "ended": 44,
    "permitted": 48,
    "has_permitted": 56,
    "pad": 60,
}
