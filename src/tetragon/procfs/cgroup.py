"""Cgroup: texts of /proc in; cgroup mode, controllers, a process's cgroup, container id out.

Owns    nothing: pure functions of text
Source  cgroups(7), proc_pid_cgroup(5), the kernel's Documentation/admin-guide/cgroup-v2.rst

A cgroup's name is chosen by a runtime: bytes but NUL, ``/`` and newline. Paths stay bytes.
"""

import re
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from tetragon.errors import DecodeError

ID_LENGTH: Final = 31
"""Characters kept of a container id, as the event schema has it."""
KERNEL_NAME_MAX: Final = 127
"""Longest cgroup name in a kernel record; one as long may have been cut."""
PREFERRED: Final = ("memory", "pids", "cpuset")
"""Version 1 controllers whose hierarchy tells containers apart, best first."""
_UNIFIED_HIERARCHY: Final = 0
_DELETED: Final = b" (deleted)"
_WHOLE_ID: Final = re.compile(r"([0-9a-f]{64})(?:\.scope)?")
_CUT_ID: Final = re.compile(r"([0-9a-f]{31,64})(?:\.|\.s|\.sc|\.sco|\.scop|\.scope)?")


class CgroupMode(Enum):
    """Which cgroup hierarchies manage processes here."""

    NONE = "none"
    """A kernel without cgroups."""
    LEGACY = "legacy"
    """Version 1 alone."""
    HYBRID = "hybrid"
    """Version 1 has the controllers, version 2 is mounted beside it."""
    UNIFIED = "unified"
    """Version 2 has the controllers."""


class Controller(msgspec.Struct, frozen=True, gc=False):
    """
    One line of /proc/cgroups.

    ``index`` is its position. Where the file lists every controller of the kernel that is the
    controller's number, and its place in a task's array of version 1 cgroups.
    ``hierarchy`` is 0 for one that version 2 has, or nobody.
    """

    name: str
    index: int
    hierarchy: int
    enabled: bool


class Membership(NamedTuple):
    """One line of /proc/<pid>/cgroup: the process's cgroup in one hierarchy, 0 for version 2."""

    hierarchy: int
    controllers: tuple[str, ...]
    path: bytes


def parse_controllers(cgroups: bytes) -> tuple[Controller, ...]:
    """
    Parse the text of /proc/cgroups; empty for a kernel without cgroups.

    Raises:
        DecodeError: a line has not its four columns.
    """
    lines = [line for line in cgroups.split(b"\n") if line and not line.startswith(b"#")]
    return tuple(_parse_controller(index, line) for index, line in enumerate(lines))


def _parse_controller(index: int, line: bytes) -> Controller:
    try:
        name, hierarchy, _, enabled = line.split()
        return Controller(name.decode("ascii"), index, int(hierarchy), int(enabled) != 0)
    except ValueError as exc:
        raise DecodeError(f"cgroups file, line {line[:80]!r}: {exc}") from exc


def pick_controller(controllers: tuple[Controller, ...]) -> Controller | None:
    """Choose the version 1 controller whose hierarchy to follow; None when none is in use."""
    in_use = {one.name: one for one in controllers if one.enabled and one.hierarchy}
    return next((in_use[name] for name in PREFERRED if name in in_use), None)


def detect_mode(mounts: bytes, cgroups: bytes, base: bytes = b"/sys/fs/cgroup") -> CgroupMode:
    """
    Tell the mode from the texts of /proc/mounts and /proc/cgroups.

    Controllers in use decide, not mounts: a lone version 1 mount such as net_cls on a unified
    host changes nothing, nor does a version 2 mount outside ``base``, as tools make for
    themselves.

    Raises:
        DecodeError: ``cgroups`` is malformed.
    """
    if not cgroups.strip():
        return CgroupMode.NONE
    if pick_controller(parse_controllers(cgroups)) is None:
        return CgroupMode.UNIFIED
    return CgroupMode.HYBRID if _has_cgroup2(mounts, base) else CgroupMode.LEGACY


def _has_cgroup2(mounts: bytes, base: bytes) -> bool:
    for line in mounts.split(b"\n"):
        fields = line.split(b" ")
        if (
            len(fields) > 2
            and fields[2] == b"cgroup2"
            and (fields[1] + b"/").startswith(base + b"/")
        ):
            return True
    return False


def parse_membership(cgroup: bytes) -> tuple[Membership, ...]:
    """
    Parse the text of /proc/<pid>/cgroup, in its order.

    Raises:
        DecodeError: a line is not ``number:controllers:path``.
    """
    return tuple(_parse_member(line) for line in cgroup.split(b"\n") if line)


def _parse_member(line: bytes) -> Membership:
    try:
        hierarchy, controllers, path = line.split(b":", 2)
        names = tuple(controllers.decode("utf-8", "replace").split(",")) if controllers else ()
        return Membership(int(hierarchy), names, path.removesuffix(_DELETED))
    except ValueError as exc:
        raise DecodeError(f"cgroup file, line {line[:80]!r}: {exc}") from exc


def find_path(cgroup: bytes, mode: CgroupMode) -> bytes | None:
    """
    Find a process's path in the hierarchy that matters; None when it is in none.

    Unified: version 2's. Legacy and hybrid: that of the first preferred controller, then
    version 2's.

    Raises:
        DecodeError: the text is malformed.
    """
    return _choose(parse_membership(cgroup), mode)


def _choose(members: tuple[Membership, ...], mode: CgroupMode) -> bytes | None:
    if mode in (CgroupMode.LEGACY, CgroupMode.HYBRID):
        by_name = {name: member.path for member in members for name in member.controllers}
        for name in PREFERRED:
            if name in by_name:
                return by_name[name]
    return next((one.path for one in members if one.hierarchy == _UNIFIED_HIERARCHY), None)


def find_container(cgroup: bytes, mode: CgroupMode) -> str:
    """
    Find a process's container id; empty when it is in none.

    The hierarchy that matters is asked first, then the others in the file's order: not every
    runtime uses every hierarchy.

    Raises:
        DecodeError: the text is malformed.
    """
    members = parse_membership(cgroup)
    paths = dict.fromkeys((_choose(members, mode) or b"", *(member.path for member in members)))
    names = (container_id(path.decode("utf-8", "replace")) for path in paths)
    return next((name for name in names if name), "")


def container_id(name: str, truncated: bool = False) -> str:
    """
    Take the container id out of a cgroup name or path: its first 31 characters, or nothing.

    The id is 64 hex digits after the last ``-`` or ``:`` of the last component, with or without
    ``.scope`` behind: ``docker-ID.scope``, ``pod.slice:cri-containerd:ID``, ``ID``. A name that
    ends in ``service`` is a service, whatever precedes. When a runtime put the processes in a
    ``container`` cgroup below its own, as crun does, the parent's name is read.

    Args:
        name: one component, or a path.
        truncated: the name was cut, so an id of 31 digits or more is one.
    """
    parent, _, last = name.rpartition("/")
    if last == "container":
        last = parent.rpartition("/")[2]
    last = last.rpartition(":")[2].rpartition("-")[2]
    found = (_CUT_ID if truncated else _WHOLE_ID).fullmatch(last)
    return found[1][:ID_LENGTH] if found else ""
