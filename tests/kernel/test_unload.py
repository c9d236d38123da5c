"""Unloading leaves nothing in the kernel; two sensors at once do not disturb each other."""

import ctypes
import errno
import os
import platform
from pathlib import Path

import pytest

from kernel.children import run
from kernel.watch import DEADLINE, Watch, everything
from tetragon.errors import KernelError
from tetragon.sensor import base
from tetragon.sensor.base import BaseSensor

_SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
_NEXT_ID = {"program": 11, "map": 12, "link": 31}  # enum bpf_cmd
_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """union bpf_attr of the commands that walk ids; as large as kernels may read."""

    _fields_ = (
        ("start_id", ctypes.c_uint32),
        ("next_id", ctypes.c_uint32),
        ("open_flags", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 116),
    )


def _ids(kind: str) -> set[int]:
    """Return the ids of all programs, maps or links of this kernel, as bpf(2) lists them."""
    found: set[int] = set()
    attributes = _Attributes()
    while not _libc.syscall(_SYS_BPF, _NEXT_ID[kind], ctypes.byref(attributes), 12):
        found.add(attributes.next_id)
        attributes.start_id = attributes.next_id
    assert ctypes.get_errno() == errno.ENOENT
    return found


def _all_ids() -> dict[str, set[int]]:
    return {kind: _ids(kind) for kind in _NEXT_ID}


def _new(before: dict[str, set[int]]) -> dict[str, set[int]]:
    return {kind: ids - before[kind] for kind, ids in _all_ids().items() if ids - before[kind]}


def _descriptors() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}")
    }


def _mapped() -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if "bpf" in line]


def _await_freed(watch: Watch, before: dict[str, set[int]], ours: dict[str, set[int]]) -> None:
    """The kernel frees what nobody holds when it is sure that nobody runs it: soon."""
    watch.wait(
        f"gone: {ours}",
        lambda: not any(ids & ours.get(kind, set()) for kind, ids in _new(before).items()),
        DEADLINE,
    )


def test_nothing_is_left_when_closed(watch: Watch, actor: str) -> None:
    """Programs, maps, links, mappings and descriptors: as before."""
    before, mapped, open_before = _all_ids(), _mapped(), _descriptors()
    sensor = BaseSensor(everything())
    sensor.scan()
    sensor.announce_silent()
    ours = _new(before)
    assert len(ours["program"]) >= 6
    assert len(ours["map"]) >= 5
    assert len(ours["link"]) >= 5
    assert run(actor).code == 0
    sensor.close()
    sensor.close()
    _await_freed(watch, before, ours)
    assert _mapped() == mapped
    assert _descriptors() == open_before


def test_nothing_is_left_when_loading_fails(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of attaching takes back what was done."""
    before, open_before = _all_ids(), _descriptors()
    seen: dict[str, set[int]] = {}

    def attach(self: base.Object, program: str) -> None:
        if program == "process_exec":
            seen.update(_new(before))
            raise KernelError("attach", program, errno.EIO)
        original(self, program)

    original = base.Object.attach
    monkeypatch.setattr(base.Object, "attach", attach)
    with pytest.raises(KernelError, match="attach process_exec: Input/output error"):
        BaseSensor(everything())
    assert seen["program"]
    _await_freed(watch, before, seen)
    assert _descriptors() == open_before


def test_two_at_once_see_the_same(watch: Watch, actor: str) -> None:
    """Each keeps its own state: both tell of the process, one goes on when the other ends."""
    second = Watch(everything())
    try:
        done = run(actor, "fork", "3")
        mine, theirs = watch.wait_exit(done.pid), second.wait_exit(done.pid)
        assert mine.process.binary == theirs.process.binary == actor
        assert mine.told["status"] == theirs.told["status"] == 3
    finally:
        second.close()
    done = run(actor, "exit", "4")
    assert watch.wait_exit(done.pid).told["status"] == 4


def test_records_stay_readable_when_detached(actor: str) -> None:
    """After detach nothing new comes; what was there can still be drained."""
    watch = Watch(everything())
    try:
        watch.start_test()
        kept = run(actor, "exit", "1")
        watch.sensor.detach()
        missed = run(actor, "exit", "2")
        watch.drain()
        assert len(watch.exits(kept.pid)) == 1
        assert watch.execs(missed.pid) == watch.exits(missed.pid) == []
    finally:
        watch.close()
