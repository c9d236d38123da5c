"""Privileges: capability mask and user namespace in, one line on what is missing out.

Owns    nothing
Source  capabilities(7), user_namespaces(7)
"""

from enum import IntEnum
from typing import Final

from tetragon.errors import KernelError
from tetragon.model.process import Capabilities
from tetragon.procfs.host import own_pid
from tetragon.procfs.process import Want, read_process

_INITIAL_USER_NS: Final = 0xEFFFFFFD
"""Inode number of the initial user namespace, fixed in the kernel since 3.8."""


class Cap(IntEnum):
    """Numbers of the capabilities the agent can use."""

    SYS_PTRACE = 19
    SYS_ADMIN = 21
    SYS_RESOURCE = 24
    PERFMON = 38
    BPF = 39


def has_cap(mask: int, cap: Cap) -> bool:
    """Tell whether the mask holds the capability."""
    return bool(mask >> cap & 1)


def capability_problem(effective: int, memlock: bool = False, mount: bool = False) -> str | None:
    """
    Say in one line which needed capabilities the mask lacks; None when it has all.

    Args:
        effective: the effective set.
        memlock: BPF memory counts against RLIMIT_MEMLOCK here, as before Linux 5.11.
        mount: a file system has to be mounted.
    """
    missing: list[str] = []
    if not has_cap(effective, Cap.SYS_ADMIN):
        bpf = [cap for cap in (Cap.BPF, Cap.PERFMON) if not has_cap(effective, cap)]
        missing += [f"CAP_{cap.name} (or CAP_SYS_ADMIN) to load BPF programs" for cap in bpf]
        missing += ["CAP_SYS_ADMIN to mount bpffs or tracefs"] if mount else []
    if not has_cap(effective, Cap.SYS_PTRACE):
        missing.append("CAP_SYS_PTRACE to read other processes in /proc")
    if memlock and not has_cap(effective, Cap.SYS_RESOURCE):
        missing.append("CAP_SYS_RESOURCE to lift the memory lock limit")
    if not missing:
        return None
    return f"missing {', '.join(missing)}: run as root, or add them to the service or container"


def own_privilege_problem(
    root: str = "/proc/", memlock: bool = False, mount: bool = False
) -> str | None:
    """
    Say in one line why this process may not do the agent's work; None when it may.

    A user namespace is looked at first: inside one every capability shows, and none counts.

    Raises:
        ConfigError: ``root`` is no procfs that shows this process.
        KernelError, DecodeError: what it shows cannot be read or is nonsense.
    """
    own = read_process(root, own_pid(root), Want.CREDS | Want.NS)
    if own is None or own.capabilities is None or own.ns is None:
        raise KernelError("read", "own process", log=f"--procfs={root} does not show it")
    return privilege_problem(own.capabilities, own.ns.user, memlock, mount)


def privilege_problem(
    capabilities: Capabilities, user_ns: int, memlock: bool = False, mount: bool = False
) -> str | None:
    """Say the same of given capabilities held in the user namespace with that inode number."""
    if user_ns not in (0, _INITIAL_USER_NS):
        return (
            "runs in a user namespace, where root may not load BPF programs: start it as the "
            "host's root, without user namespace remapping or rootless containers"
        )
    return capability_problem(capabilities.effective, memlock, mount)
