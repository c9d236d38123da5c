"""The base sensor's programs load and attach under every option."""

import itertools
import os
from pathlib import Path

import pytest

from tetragon.errors import KernelError, UnsupportedError
from tetragon.sensor import base
from tetragon.sensor.base import BaseOptions, BaseSensor

SWITCHES = ("credentials", "namespaces", "environment", "without_bpf_loop", "without_storage")


def _sets() -> list[tuple[bool, ...]]:
    """Return all sets of switches; in an emulated guest, where a load takes seconds, a few."""
    count = len(SWITCHES)
    if not os.environ.get("VM_KERNEL"):
        return list(itertools.product((False, True), repeat=count))
    single = [tuple(at == chosen for at in range(count)) for chosen in range(count)]
    return [(False,) * count, *single, (True,) * count]


@pytest.mark.parametrize("chosen", _sets())
def test_every_set_of_switches_loads(chosen: tuple[bool, ...]) -> None:
    """Each is a constant for the verifier, so each set is another program to it."""
    sensor = BaseSensor(BaseOptions(4096, **dict(zip(SWITCHES, chosen, strict=True))))
    try:
        assert {"process_exec", "process_fork", "process_exit"} <= set(
            sensor.verified_instructions()
        )
        assert sensor.scan()
    finally:
        sensor.close()


@pytest.mark.parametrize("controller", ["", "memory", "pids", "cpuset"])
def test_every_cgroup_controller_loads(controller: str) -> None:
    """Its place among a task's cgroups is looked up in the kernel's own BTF."""
    BaseSensor(BaseOptions(4096, cgroup_controller=controller)).close()


@pytest.mark.parametrize(("given", "size"), [(1, 4096), (4096, 4096), (4097, 8192), (1 << 24,) * 2])
def test_ring_is_as_large_as_asked_for(given: int, size: int) -> None:
    """Sizes are rounded up to what the kernel takes."""
    sensor = BaseSensor(BaseOptions(given))
    try:
        assert sensor._object.map_size("lifecycle_ring") == size
    finally:
        sensor.close()


def test_options_reach_the_programs() -> None:
    """Every option stands where the programs read it: none overwrites another."""
    plain = _instructions(BaseOptions(4096))
    for name in SWITCHES:
        changed = _instructions(BaseOptions(4096, **{name: True}))
        assert changed["process_exec"] != plain["process_exec"], name


def _instructions(options: BaseOptions) -> dict[str, int]:
    sensor = BaseSensor(options)
    try:
        return sensor.verified_instructions()
    finally:
        sensor.close()


def test_error_tells_what_is_missing_without_btf(tmp_path: Path) -> None:
    """No BTF: which file, and which kernel option makes it."""
    with pytest.raises(UnsupportedError, match=r"vmlinux: .*CONFIG_DEBUG_INFO_BTF"):
        BaseSensor(BaseOptions(4096), tmp_path / "vmlinux")


def test_error_tells_which_kernel_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel from before task storage refuses to load: the message names the release needed."""
    old = tmp_path / "vmlinux"
    old.write_bytes(b"\0BPF_FUNC_ringbuf_output\0")

    def refuse(*_: object) -> None:
        raise KernelError("load", "process", 22, "map 'process_map': failed to create")

    monkeypatch.setattr(base, "_load", refuse)
    with pytest.raises(UnsupportedError, match=r"load process: Invalid argument: .*5\.15"):
        BaseSensor(BaseOptions(4096), old)
