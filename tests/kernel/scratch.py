"""Scratch: reach into the kernel half's maps, to bring about what no test could wait for.

hold_heap     the scratch buffer is taken, as by a program that was interrupted
forget_state  the spare map has lost a process, as when it is full
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tetragon.abi import records as abi
from tetragon.kernel import _libbpf
from tetragon.sensor.base import BaseSensor

_ffi: Any = _libbpf.ffi
_lib: Any = _libbpf.lib
_HEAP = 32768
_USERS = _HEAP - 8


def _write_users(sensor: BaseSensor, users: int) -> None:
    """Set how many programs hold the buffer, on every CPU."""
    cpus = int(_lib.libbpf_num_possible_cpus())
    value = bytearray(_HEAP * cpus)
    for cpu in range(cpus):
        start = cpu * _HEAP + _USERS
        value[start : start + 8] = users.to_bytes(8, "little")
    key = _ffi.new("uint32_t *", 0)
    data = _ffi.from_buffer(value)
    assert not _lib.bpf_map_update_elem(sensor._object.map_fd("record_heap"), key, data, 0)


@contextmanager
def hold_heap(sensor: BaseSensor) -> Iterator[None]:
    """Keep the buffer taken for a while."""
    _write_users(sensor, 1)
    try:
        yield
    finally:
        _write_users(sensor, 0)


def forget_state(sensor: BaseSensor, pid: int) -> None:
    """Make the spare map's entry of a process an empty one."""
    key, empty = _ffi.new("uint32_t *", pid), bytes(abi.PROCESS_STATE.size)
    assert not _lib.bpf_map_update_elem(sensor._object.map_fd("spare_map"), key, empty, 0)
