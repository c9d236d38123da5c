"""Base sensor: loads the programs that see every exec, fork and exit, and owns their ring.

Flow    objects/process.bpf.o -> kernel -> lifecycle_ring -> reader thread
Owns    the loaded object and the mapped ring; opened and closed by the agent, read by one thread.
"""

import os
import time
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from tetragon.abi import records as abi
from tetragon.abi.records import CgroupController, Counter, OpSlot
from tetragon.errors import KernelError, UnsupportedError
from tetragon.kernel.object import Object, RunTime, release_memory
from tetragon.kernel.ring import Ring, page_aligned_size

KERNEL_BTF: Final = Path("/sys/kernel/btf/vmlinux")
_SCAN: Final = "process_scan"
_ANNOUNCE: Final = "process_announce"
# Ways to see a process before its exec changes it, best first; commit 5c5fad46e48c
# ("tracing: Add sched_prepare_exec tracepoint", v6.10).
_BEFORE: Final = ("exec_prepare", "exec_caps_fentry", "exec_caps_kprobe")
_RECORD: Final = abi.TASK_RECORD.size


class BaseOptions(msgspec.Struct, frozen=True):
    """
    What the kernel half collects, and two ways that a test takes on any kernel.

    Args:
        ring_size: bytes of the lifecycle ring; rounded up to a size the kernel takes.
        cgroup_controller: the version 1 controller whose cgroups name containers: ``memory``,
            ``pids`` or ``cpuset``; empty for version 2.
        without_bpf_loop: walk paths as on kernels that lack this helper.
        without_storage: keep processes as if task storage were always refused.
    """

    ring_size: int
    credentials: bool = False
    namespaces: bool = False
    environment: bool = False
    cgroup_controller: str = ""
    without_bpf_loop: bool = False
    without_storage: bool = False


class BaseSensor:
    """
    The base sensor, loaded and attached.

    ``caps_hook`` is the program that sees a process before its exec; empty when none could attach.
    ``hooked`` is since when it sees all, ns of CLOCK_BOOTTIME.

    Raises:
        UnsupportedError: this kernel lacks something it needs.
        KernelError: the kernel refuses a program; nothing stays loaded.
    """

    def __init__(self, options: BaseOptions, btf: Path = KERNEL_BTF) -> None:
        elf = resources.files("tetragon.sensor").joinpath("objects", "process.bpf.o").read_bytes()
        self._object, self.caps_hook = _load_best(elf, options, _read_btf(btf))
        self.hooked = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        try:
            self.ring = Ring(
                self._object.map_fd("lifecycle_ring"), self._object.map_size("lifecycle_ring")
            )
            self._asleep = self._object.variable("reader_asleep").cast("I")
            self._scanned = self._object.variable("scanned").cast("I")
            with self._object.variable("hooked_ktime").cast("Q") as hooked:
                hooked[0] = self.hooked
        except KernelError:
            self._object.close()
            raise
        release_memory()

    def set_asleep(self, asleep: bool) -> None:
        """Tell the kernel half whether the reader wants to be woken by the next record."""
        self._asleep[0] = asleep

    def scan(self) -> list[dict[str, int | bytes]]:
        """
        Return the kernel's own list of processes: ``task_record`` fields by name.

        From now on the hooks take it that all who ran before are known.
        """
        data = self._iterate(_SCAN)
        self._scanned[0] = True
        return [
            dict(zip(abi.TASK_RECORD_FIELDS, abi.TASK_RECORD.unpack_from(data, at), strict=True))
            for at in range(0, len(data) - _RECORD + 1, _RECORD)
        ]

    def announce_silent(self) -> None:
        """
        Name, in the ring, the children that neither exec nor exit; call it every few seconds.

        Who forked them is kept only for a while after its own end.
        """
        self._iterate(_ANNOUNCE)

    def _iterate(self, program: str) -> bytes:
        fd = self._object.open_iterator(program)
        try:
            return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
        finally:
            os.close(fd)

    def counters(self) -> dict[tuple[str, str], int]:
        """Return what the kernel half counted, by (operation, counter), in lower case."""
        sums = self._object.sum_per_cpu("counter_map", OpSlot.MAX * Counter.MAX)
        return {
            (op.name.lower(), what.name.lower()): sums[op * Counter.MAX + what]
            for op in OpSlot
            for what in Counter
            if op is not OpSlot.MAX and what is not Counter.MAX
        }

    def verified_instructions(self) -> dict[str, int]:
        """Return how many instructions the verifier walked for each loaded program."""
        return self._object.verified_instructions()

    def run_times(self) -> dict[str, RunTime]:
        """Return what each program cost while sysctl kernel.bpf_stats_enabled was 1."""
        return self._object.run_times()

    def detach(self) -> None:
        """Stop producing; what the ring holds can still be drained."""
        self._object.detach()

    def close(self) -> None:
        """Unload everything; a second call does nothing."""
        self._asleep.release()
        self._scanned.release()
        self.ring.close()
        self._object.close()


def _read_btf(btf: Path) -> bytes:
    try:
        return btf.read_bytes()
    except OSError as exc:
        raise UnsupportedError(
            "read", str(btf), exc.errno or 0, "the kernel needs CONFIG_DEBUG_INFO_BTF"
        ) from exc


def _choices(btf: bytes) -> list[str]:
    """Return the hooks before an exec worth trying, and last none at all."""
    # A tracepoint leaves its name in the kernel's BTF strings; a search costs 2 ms, a parse 500.
    found = b"\0btf_trace_sched_prepare_exec\0" in btf
    return [_BEFORE[0], ""] if found else [*_BEFORE[1:], ""]


def _load_best(elf: bytes, options: BaseOptions, btf: bytes) -> tuple[Object, str]:
    """Load with the best hook before an exec that this kernel takes; return its name as well."""
    failures: list[KernelError] = []
    for choice in _choices(btf):
        try:
            return _load(elf, options, choice), choice
        except KernelError as exc:
            failures.append(exc)
    raise _explained(failures[-1], btf) from failures[-1]


def _explained(error: KernelError, btf: bytes) -> KernelError:
    """Say which kernel would do, where the reason is the kernel's age."""
    # commit bc235cdb423a ("bpf: Prevent deadlock from recursive bpf_task_storage_[get|delete]",
    # v5.12) came with the series that gave task storage to tracing programs; for_each_map_elem
    # is its neighbour by release, and the storage itself does not show in BTF.
    if b"\0BPF_FUNC_for_each_map_elem\0" in btf:
        return error
    text = "needs task storage in tracing programs: Linux 5.15 or newer"
    return UnsupportedError(error.operation, error.subject, error.errno, f"{error.log}\n{text}")


def _load(elf: bytes, options: BaseOptions, before: str) -> Object:
    loaded = Object("process", elf)
    try:
        for name in _BEFORE:
            loaded.set_autoload(name, name == before)
        loaded.set_map_size("lifecycle_ring", page_aligned_size(options.ring_size))
        loaded.set_option("collect_credentials", options.credentials)
        loaded.set_option("collect_namespaces", options.namespaces)
        loaded.set_option("collect_environment", options.environment)
        loaded.set_option("cgroup_controller", _controller(options.cgroup_controller))
        loaded.set_option("without_bpf_loop", options.without_bpf_loop)
        loaded.set_option("without_storage", options.without_storage)
        loaded.load()
        # Whoever ends or forks first is known when the exec hooks come.
        for name in ("process_exit", "process_fork", before, "process_exec"):
            if name:
                loaded.attach(name)
    except KernelError:
        loaded.close()
        raise
    return loaded


def _controller(name: str) -> CgroupController:
    return CgroupController[name.upper()] if name else CgroupController.UNIFIED
