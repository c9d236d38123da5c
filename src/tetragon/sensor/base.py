"""Base sensor: loads the programs that see every exec, fork and exit, and owns their ring.

Flow    objects/process.bpf.o -> kernel -> lifecycle_ring -> reader thread
Owns    the loaded object and the mapped ring; opened and closed by the agent, read by one thread.
"""

import os
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from tetragon.abi import records as abi
from tetragon.abi.records import Counter, OpSlot
from tetragon.errors import KernelError
from tetragon.kernel.object import Object, release_memory
from tetragon.kernel.ring import Ring, page_aligned_size

_CORE: Final = ("process_exit", "process_fork", "process_exec")
_SCAN: Final = "process_scan"
# Ways to see capabilities before an exec, best first; commit 5c5fad46e48c
# ("tracing: Add sched_prepare_exec tracepoint", v6.10).
_CAPS: Final = ("exec_caps_tracepoint", "exec_caps_fentry", "exec_caps_kprobe")
_RECORD: Final = abi.TASK_RECORD.size


class BaseOptions(msgspec.Struct, frozen=True):
    """
    What the kernel half collects.

    Args:
        ring_size: bytes of the lifecycle ring; rounded up to a size the kernel takes.
        cgroup_subsys: css index of the cgroup v1 controller that names containers, -1 for v2.
    """

    ring_size: int
    credentials: bool = False
    namespaces: bool = False
    environment: bool = False
    cgroup_subsys: int = -1


class BaseSensor:
    """
    The base sensor, loaded and attached.

    Raises:
        KernelError: the kernel refuses a program; nothing stays loaded.
    """

    def __init__(self, options: BaseOptions, btf: Path = Path("/sys/kernel/btf/vmlinux")) -> None:
        self.caps_hook = ""
        """The program that sees capabilities before an exec; empty when none could attach."""
        elf = resources.files("tetragon.sensor").joinpath("objects", "process.bpf.o").read_bytes()
        error: KernelError | None = None
        for choice in _choices(btf):
            try:
                self._object = _load(elf, options, choice)
            except KernelError as exc:
                error = exc
                continue
            self.caps_hook = choice
            break
        else:
            assert error is not None
            raise error
        try:
            self.ring = Ring(
                self._object.map_fd("lifecycle_ring"), self._object.map_size("lifecycle_ring")
            )
        except KernelError:
            self._object.close()
            raise
        self._asleep = self._object.variable("reader_asleep").cast("B").cast("I")
        release_memory()

    def set_asleep(self, asleep: bool) -> None:
        """Tell the kernel half whether the reader wants to be woken by the next record."""
        self._asleep[0] = asleep

    def scan(self) -> list[dict[str, int | bytes]]:
        """Return the kernel's own list of processes: ``task_record`` fields by name."""
        self._object.attach(_SCAN)
        fd = self._object.open_iterator(_SCAN)
        try:
            data = b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
        finally:
            os.close(fd)
        return [
            dict(zip(abi.TASK_RECORD_FIELDS, abi.TASK_RECORD.unpack_from(data, at), strict=True))
            for at in range(0, len(data) - _RECORD + 1, _RECORD)
        ]

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

    def detach(self) -> None:
        """Stop producing; what the ring holds can still be drained."""
        self._object.detach()

    def close(self) -> None:
        """Unload everything; a second call does nothing."""
        self._asleep.release()
        self.ring.close()
        self._object.close()


def _choices(btf: Path) -> list[str]:
    """Return the hooks for capabilities worth trying, and last none at all."""
    # A tracepoint leaves its name in the kernel's BTF strings; a search costs 2 ms, a parse 500.
    found = b"\0btf_trace_sched_prepare_exec\0" in btf.read_bytes()
    return [_CAPS[0], ""] if found else [*_CAPS[1:], ""]


def _load(elf: bytes, options: BaseOptions, caps_hook: str) -> Object:
    loaded = Object("process", elf)
    try:
        for name in _CAPS:
            loaded.set_autoload(name, name == caps_hook)
        loaded.set_map_size("lifecycle_ring", page_aligned_size(options.ring_size))
        loaded.set_option("collect_credentials", options.credentials)
        loaded.set_option("collect_namespaces", options.namespaces)
        loaded.set_option("collect_environment", options.environment)
        loaded.set_option("cgroup_subsys", options.cgroup_subsys)
        loaded.load()
        for name in (*_CORE, caps_hook) if caps_hook else _CORE:
            loaded.attach(name)
    except KernelError:
        loaded.close()
        raise
    return loaded
