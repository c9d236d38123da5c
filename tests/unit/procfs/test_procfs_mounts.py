"""Mounts: made for real in a mount namespace of their own, and asked of stat(1)."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetragon.errors import DecodeError
from tetragon.procfs.mounts import (
    BPFFS,
    CGROUP2,
    TRACEFS,
    Mount,
    find_mount,
    parse_mounts,
    read_mounts,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

ENSURE = """
from tetragon.errors import KernelError
from tetragon.procfs.mounts import *
try:
    print(ensure_mounted({name}))
except KernelError as exc:
    print(exc)
"""


def in_new_namespace(script: str, name: str, *unshare: str) -> list[str]:
    """Run a shell script in its own mount namespace; ``ensure`` in it is the call we test."""
    code = ENSURE.format(name=name)
    shell = f'set -e; ensure() {{ "{sys.executable}" -c "$CODE"; }}\n{script}'
    command = ["unshare", *(unshare or ("-m",)), "sh", "-c", shell]
    environ = {**os.environ, "CODE": code}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_root
@pytest.mark.parametrize(
    ("name", "point", "kind"),
    [("BPFFS", "/sys/fs/bpf", "bpf_fs"), ("TRACEFS", "/sys/kernel/tracing", "tracefs")],
)
def test_missing_file_system_is_mounted_once(name: str, point: str, kind: str) -> None:
    """It is there after the call, a second call mounts no second one."""
    count = f"grep -c ' {point} ' /proc/self/mounts"
    leave = f"umount {point} 2>/dev/null || true; ensure; stat -f -c %T {point}; ensure; {count}"
    assert in_new_namespace(leave, name) == [point, kind, point, "1"]


@needs_root
def test_bpffs_goes_elsewhere_when_its_place_is_taken() -> None:
    """With another file system at the first point, the second is made and used."""
    taken = (
        "mount -t tmpfs t /run; mount -t tmpfs t /sys/fs/bpf\n"
        "ensure; stat -f -c %T /run/cilium/bpffs"
    )
    assert in_new_namespace(taken, "BPFFS") == ["/run/cilium/bpffs", "bpf_fs"]


@needs_root
def test_both_places_taken_is_an_error() -> None:
    """The points are named."""
    taken = (
        "mount -t tmpfs t /run; mkdir -p /run/cilium/bpffs; mount -t tmpfs t /run/cilium/bpffs\n"
        "mount -t tmpfs t /sys/fs/bpf; ensure"
    )
    (error,) = in_new_namespace(taken, "BPFFS")
    assert error.endswith("something else is mounted at /sys/fs/bpf and /run/cilium/bpffs")


@needs_root
def test_cgroup2_mounted_anywhere_will_do() -> None:
    """No second mount where one exists at a place of its own; else at ours."""
    script = (
        "umount -a -t cgroup2; mount -t tmpfs t /run; mkdir /run/elsewhere\n"
        "ensure; umount /run/tetragon/cgroup2; mount -t cgroup2 c /run/elsewhere; ensure"
    )
    assert in_new_namespace(script, "CGROUP2") == ["/run/tetragon/cgroup2", "/run/elsewhere"]


def test_refused_mount_tells_the_command() -> None:
    """Root of a user namespace may not mount tracefs: errno and what to run instead."""
    script = "umount -l /sys/kernel/tracing 2>/dev/null || true; ensure"
    (error,) = in_new_namespace(script, "TRACEFS", "-Ur", "-m")
    assert error == (
        "mount tracefs at /sys/kernel/tracing: Operation not permitted: "
        "as root on the host: mount -t tracefs tracefs /sys/kernel/tracing"
    )


def test_table_of_this_machine_agrees_with_findmnt() -> None:
    """Every line, with spaces and all, is what the mount table of the tool has."""
    command = ["findmnt", "--raw", "--noheadings", "--output", "TARGET,FSTYPE"]
    expected = sorted(subprocess.check_output(command).decode().splitlines())
    found = sorted(f"{os.fsdecode(one.point)} {one.type}" for one in read_mounts())
    assert found == [line.replace("\\x20", " ") for line in expected]


def test_escapes_are_undone() -> None:
    """Space, tab, newline and backslash of a path come back."""
    (mount,) = parse_mounts(rb"a\040b /x\011\012\134y tmpfs rw,size=1k 0 0" + b"\n")
    assert mount == Mount(b"a b", b"/x\t\n\\y", "tmpfs", b"rw,size=1k")


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (b"b /sys/fs/bpf bpf rw 0 0\n", "/sys/fs/bpf"),
        (b"b /run/cilium/bpffs bpf rw 0 0\nb /sys/fs/bpf bpf rw 0 0\n", "/sys/fs/bpf"),
        (b"b /sys/fs/bpf bpf rw 0 0\nt /sys/fs/bpf tmpfs rw 0 0\n", None),
        (b"t /sys/fs/bpf tmpfs rw 0 0\nb /sys/fs/bpf bpf rw 0 0\n", "/sys/fs/bpf"),
        (b"b /mnt bpf rw 0 0\n", None),
        (b"", None),
    ],
)
def test_covered_mounts_do_not_count(table: bytes, found: str | None) -> None:
    """Of several mounts on one point the last is the one that is seen."""
    assert find_mount(parse_mounts(table), BPFFS) == found


def test_file_systems_are_told_apart() -> None:
    """Each looks for its own type only."""
    mounts = parse_mounts(b"b /sys/fs/bpf bpf rw 0 0\nc /x cgroup2 rw 0 0\n")
    assert (find_mount(mounts, TRACEFS), find_mount(mounts, CGROUP2)) == (None, "/x")


@given(st.binary(max_size=200))
def test_parser_raises_nothing_else(text: bytes) -> None:
    """Any bytes parse or are a DecodeError."""
    with contextlib.suppress(DecodeError):
        parse_mounts(text)


def test_short_line_is_a_decode_error() -> None:
    """The line is shown."""
    with pytest.raises(DecodeError, match="a /b tmpfs"):
        parse_mounts(b"a /b tmpfs\n")


def test_module_reads_our_own_table() -> None:
    """It is the table of this process, not of another mount namespace."""
    assert parse_mounts(Path("/proc/self/mounts").read_bytes()) == read_mounts()
