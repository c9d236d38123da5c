"""Object: one compiled BPF object, from its bytes to attached programs and back to nothing.

Flow    bytes -> open -> set options, sizes, programs -> load -> attach -> unload
Owns    the libbpf object, its maps, programs and links; one thread at a time.
"""

import mmap
import sys
from types import TracebackType
from typing import Any, NamedTuple, Self

from tetragon.errors import KernelError
from tetragon.kernel import _libbpf

_ffi: Any = _libbpf.ffi
_lib: Any = _libbpf.lib
_LOG_SIZE = 1 << 20


class RunTime(NamedTuple):
    """How often a program ran and how long in all; the kernel counts only where it is asked to."""

    runs: int
    ns: int


class Object:
    """
    An opened BPF object; use as a context manager, or call ``close``.

    Args:
        name: what messages and the kernel call it.
        elf: the whole object file.

    Raises:
        KernelError: not a BPF object.
    """

    def __init__(self, name: str, elf: bytes) -> None:
        self.name = name
        self._links: dict[str, Any] = {}
        self._memory: dict[str, mmap.mmap] = {}
        _lib.tg_log_start()
        self._object = _lib.tg_object_open(name.encode(), elf, len(elf))
        error = _errno() if self._object == _ffi.NULL else 0
        log = take_log()
        if error:
            raise KernelError("open", name, error, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def programs(self) -> list[str]:
        """Return the names of all programs in the object."""
        found: list[str] = []
        program = _ffi.NULL
        while (program := _lib.bpf_object__next_program(self._object, program)) != _ffi.NULL:
            found.append(_ffi.string(_lib.bpf_program__name(program)).decode())
        return found

    def set_autoload(self, program: str, load: bool) -> None:
        """Say whether ``load`` loads a program. Only before ``load``."""
        _check(_lib.bpf_program__set_autoload(self._program(program), load), "choose", program)

    def set_map_size(self, name: str, entries: int) -> None:
        """Set a map's max_entries (bytes for a ring). Only before ``load``."""
        _check(_lib.bpf_map__set_max_entries(self._map(name), entries), "size", name)

    def map_size(self, name: str) -> int:
        """Return a map's max_entries."""
        return int(_lib.bpf_map__max_entries(self._map(name)))

    def set_option(self, name: str, value: int) -> None:
        """
        Set a ``const volatile`` global, a constant for the verifier. Only before ``load``.

        Raises:
            KernelError: the object has no such variable.
        """
        section, offset, size = self._find_variable(name)
        whole = _ffi.new("size_t *")
        start = _lib.bpf_map__initial_value(self._find_section(section), whole)
        memory = _ffi.buffer(_ffi.cast("char *", start), whole[0])
        memory[offset : offset + size] = value.to_bytes(size, sys.byteorder, signed=value < 0)

    def variable(self, name: str) -> memoryview:
        """
        Return the live bytes of a global variable that is not constant. Only after ``load``.

        The caller releases it before ``close``.

        Raises:
            KernelError: the object has no such variable, or it cannot be mapped.
        """
        section, offset, size = self._find_variable(name)
        if section not in self._memory:
            self._memory[section] = self._map_section(section)
        return memoryview(self._memory[section])[offset : offset + size]

    def _find_variable(self, name: str) -> tuple[str, int, int]:
        """Return section, offset in it, and size."""
        found = _ffi.new("struct tg_variable *")
        if _lib.tg_find_variable(self._object, name.encode(), found):
            raise KernelError("find", f"variable {name} in {self.name}")
        return _ffi.string(found.section).decode(), int(found.offset), int(found.size)

    def _find_section(self, section: str) -> Any:
        """Return the map that holds a section of variables."""
        candidate = _ffi.NULL
        while (candidate := _lib.bpf_object__next_map(self._object, candidate)) != _ffi.NULL:
            if _ffi.string(_lib.bpf_map__name(candidate)).decode().endswith(section):
                return candidate
        raise KernelError("find", f"section {section} of {self.name}")

    def _map_section(self, section: str) -> mmap.mmap:
        found = self._find_section(section)
        size = -(-int(_lib.bpf_map__value_size(found)) // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            return mmap.mmap(int(_lib.bpf_map__fd(found)), size, mmap.MAP_SHARED)
        except OSError as exc:
            raise KernelError("map", f"section {section} of {self.name}", exc.errno or 0) from exc

    def load(self) -> None:
        """
        Load maps and the chosen programs.

        Raises:
            KernelError: with the verifier's log.
        """
        _lib.tg_log_start()
        result = _lib.bpf_object__load(self._object)
        log = take_log()
        if result:
            raise KernelError("load", self.name, -result, log)

    def attach(self, program: str) -> None:
        """
        Attach a loaded program where its section says.

        Raises:
            KernelError: the hook does not exist or refuses.
        """
        _lib.tg_log_start()
        link = _lib.bpf_program__attach(self._program(program))
        error = _errno() if link == _ffi.NULL else 0
        log = take_log()
        if error:
            raise KernelError("attach", f"{self.name}/{program}", error, log)
        self._links[program] = link

    def link_fd(self, program: str) -> int:
        """Return the descriptor of an attached program's link; it stays ours."""
        return int(_lib.bpf_link__fd(self._links[program]))

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a loaded map; it stays ours."""
        return int(_lib.bpf_map__fd(self._map(name)))

    def open_iterator(self, program: str) -> int:
        """Attach an iterator if it is not, and return a descriptor to read it; the caller's."""
        if program not in self._links:
            self.attach(program)
        fd = int(_lib.bpf_iter_create(self.link_fd(program)))
        if fd < 0:
            raise KernelError("read", f"iterator {program}", -fd)
        return fd

    def verified_instructions(self) -> dict[str, int]:
        """Return how many instructions the verifier walked for each loaded program."""
        return {name: int(info.verified_insns) for name, info in self._infos().items()}

    def run_times(self) -> dict[str, RunTime]:
        """Return what each loaded program cost while sysctl kernel.bpf_stats_enabled was 1."""
        return {
            name: RunTime(int(info.runs), int(info.run_ns)) for name, info in self._infos().items()
        }

    def _infos(self) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for name in self.programs():
            info = _ffi.new("struct tg_prog_info *")
            fd = _lib.bpf_program__fd(self._program(name))
            if fd >= 0 and not _lib.tg_program_info(fd, info):
                infos[name] = info
        return infos

    def sum_per_cpu(self, name: str, entries: int) -> list[int]:
        """Return the sums over all CPUs of a per-CPU array of u64."""
        cpus = int(_lib.libbpf_num_possible_cpus())
        values = _ffi.new("uint64_t[]", cpus)
        key = _ffi.new("uint32_t *")
        sums: list[int] = []
        fd = self.map_fd(name)
        for index in range(entries):
            key[0] = index
            _check(_lib.bpf_map_lookup_elem(fd, key, values), "read", name)
            sums.append(sum(values))
        return sums

    def detach(self) -> None:
        """Detach every program; maps and what they hold stay."""
        for link in self._links.values():
            _lib.bpf_link__destroy(link)
        self._links.clear()

    def close(self) -> None:
        """Detach and unload everything; a second call does nothing."""
        self.detach()
        while self._memory:
            self._memory.popitem()[1].close()
        if self._object != _ffi.NULL:
            _lib.bpf_object__close(self._object)
            self._object = _ffi.NULL

    def _program(self, name: str) -> Any:
        program = _lib.bpf_object__find_program_by_name(self._object, name.encode())
        if program == _ffi.NULL:
            raise KernelError("find", f"program {name} in {self.name}")
        return program

    def _map(self, name: str) -> Any:
        found = _lib.bpf_object__find_map_by_name(self._object, name.encode())
        if found == _ffi.NULL:
            raise KernelError("find", f"map {name} in {self.name}")
        return found


def take_log() -> str:
    """Return and forget what libbpf said on this thread since the last start."""
    text = _ffi.new("char[]", _LOG_SIZE)
    size = _lib.tg_log_take(text, _LOG_SIZE)
    return bytes(_ffi.buffer(text, size)).decode(errors="replace")


def release_memory() -> None:
    """Give back the memory that loading needed only for a moment."""
    _lib.tg_trim()


def _errno() -> int:
    return int(_ffi.errno)


def _check(result: int, operation: str, subject: str) -> None:
    if result:
        raise KernelError(operation, subject, abs(result))
