"""Decode: the bytes of one ring record in, one typed Record out.

Flow    ring reader -> [Decoder.decode] -> process cache -> filters -> sinks
Owns    texts of data records until their exec record comes, and memos of repeated paths; used by
        the reader thread alone. Both are bounded: the oldest go first, and losses are counted.
Layout  bpf/abi/process.h, through the generated ``abi``
"""

import posixpath
from collections.abc import Callable, Mapping
from struct import error as StructError
from types import MappingProxyType
from typing import Final

from tetragon.abi import records as abi
from tetragon.abi.records import DataKind, EventOp, PrivilegeChange, ProcessFlag, RecordBlock
from tetragon.errors import DecodeError
from tetragon.model.text import clean
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Key,
    Namespace,
    Namespaces,
)
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Record

_EXEC: Final = abi.EXEC_EVENT.unpack_from
_EXEC_SIZE: Final = abi.EXEC_EVENT.size
_EXIT: Final = abi.EXIT_EVENT.unpack_from
_CLONE: Final = abi.CLONE_EVENT.unpack_from
_DATA: Final = abi.DATA_EVENT.unpack_from
_MEMO_MAX: Final = 8192
_PENDING_MAX: Final = 4 << 20  # bytes of argument text that wait for their exec record

# Bit of exec_event.privileges -> number of the API's ProcessPrivilegesChanged.
_PRIVILEGES: Final = (
    (PrivilegeChange.FILE_CAPS, 1),
    (PrivilegeChange.SETUID_ROOT, 2),
    (PrivilegeChange.SETGID_ROOT, 3),
)


class Decoder:
    """
    Turns records into values; keeps what chained records need.

    Args:
        container_id: cgroup name ("parent/leaf" or "leaf") to container id, empty for none.
        host_namespaces: inode numbers of the host's namespaces by name, for ``is_host``.
    """

    def __init__(
        self,
        container_id: Callable[[str], str],
        host_namespaces: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._container_id = container_id
        self._host = host_namespaces
        self._places: dict[tuple[bytes, int, int], tuple[str, str, str]] = {}
        self._namespaces: dict[bytes, Namespaces] = {}
        self._pending: dict[tuple[Key, int], list[bytes]] = {}
        self._pending_bytes = 0
        self.data_lost = 0
        """Data records dropped because their exec record never came."""
        # The whole dispatch: a new record adds its line here.
        self._decoders: Final[Mapping[int, Callable[[bytes, int, int], Record | None]]] = {
            EventOp.EXEC: self._exec,
            EventOp.EXIT: self._exit,
            EventOp.CLONE: self._clone,
            EventOp.DATA: self._data,
        }

    def decode(self, data: bytes, start: int, size: int) -> Record | None:
        """
        Turn one ring record into its value.

        Args:
            data: a batch of records.
            start, size: where the record lies in it.

        Returns:
            None for a record that only completes a later one.

        Raises:
            DecodeError: no decoder for the op, or fewer bytes than its layout.
        """
        if size <= 0:
            raise DecodeError("empty record")
        decoder = self._decoders.get(data[start])
        if decoder is None:
            raise DecodeError(f"no decoder for op {data[start]}")
        try:
            return decoder(data, start, start + size)
        except StructError as exc:
            raise DecodeError(f"op {data[start]}, {size} bytes: {exc}") from exc

    def _exec(self, data: bytes, start: int, end: int) -> ExecRecord:
        if end - start < _EXEC_SIZE:
            raise DecodeError(f"exec record of {end - start} bytes, layout has {_EXEC_SIZE}")
        # fmt: off
        (
            _, blocks, _, _, pid, ktime, parent_pid, parent_ktime, old_pid, old_ktime,
            flags, nspid, uid, auid, privileges, euid, egid, filename_size, inode, cgroup_id,
            cwd_size, cgroup_size, args_size, envs_size, _, _,
        ) = _EXEC(data, start)
        # fmt: on
        at = start + _EXEC_SIZE
        credentials = capabilities = namespaces = None
        if blocks:
            if blocks & RecordBlock.CREDENTIALS:
                credentials, capabilities = read_credentials(data, at)
                at += abi.CREDENTIALS.size
            if blocks & RecordBlock.NAMESPACES:
                namespaces = self._read_namespaces(data, at)
                at += abi.NAMESPACES.size
        middle = at + filename_size + cwd_size + cgroup_size
        last = middle + args_size
        if last + envs_size > end:
            raise DecodeError(f"exec record of {end - start} bytes: its texts are cut")
        place = self._places.get((data[at:middle], filename_size, cwd_size))
        if place is None:
            place = self._place(data[at:middle], filename_size, cwd_size, flags)
        key = (pid, ktime)
        environment: tuple[tuple[str, str], ...] = ()
        if self._pending or envs_size:
            args = self._text(key, DataKind.ARGS, data[middle:last])
            envs = self._text(key, DataKind.ENVS, data[last : last + envs_size])
            environment = split_environment(envs)
        else:
            args = data[middle:last]
        return ExecRecord(
            key,
            (parent_pid, parent_ktime),
            (old_pid, old_ktime) if old_pid else None,
            flags,
            nspid,
            uid,
            auid,
            place[0],
            place[1],
            join_arguments(args),
            place[2],
            cgroup_id,
            _properties(privileges, euid, egid, inode) if privileges or inode else None,
            credentials,
            capabilities,
            namespaces,
            environment,
        )

    def _exit(self, data: bytes, start: int, end: int) -> ExitRecord:
        if end - start < abi.EXIT_EVENT.size:
            raise DecodeError(f"exit record of {end - start} bytes")
        # fmt: off
        (
            _, _, _, ktime, pid, key_ktime, parent_pid, parent_ktime,
            flags, nspid, code, _, announced,
        ) = _EXIT(data, start)
        # fmt: on
        return ExitRecord(
            (pid, key_ktime),
            (parent_pid, parent_ktime),
            flags,
            nspid,
            ktime,
            code,
            announced != 0,
        )

    def _clone(self, data: bytes, start: int, end: int) -> CloneRecord:
        if end - start < abi.CLONE_EVENT.size:
            raise DecodeError(f"clone record of {end - start} bytes")
        _, _, _, _, pid, ktime, parent_pid, parent_ktime, flags, nspid = _CLONE(data, start)
        return CloneRecord((pid, ktime), (parent_pid, parent_ktime), flags, nspid)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if end - start < abi.DATA_EVENT.size:
            raise DecodeError(f"data record of {end - start} bytes")
        _, _, _, _, pid, ktime, kind, _ = _DATA(data, start)
        text = data[start + abi.DATA_EVENT.size : end]
        self._pending.setdefault(((pid, ktime), kind), []).append(text)
        self._pending_bytes += len(text)
        while self._pending_bytes > _PENDING_MAX:
            oldest = next(iter(self._pending))
            chunks = self._pending.pop(oldest)
            self._pending_bytes -= sum(map(len, chunks))
            self.data_lost += len(chunks)

    def _text(self, key: Key, kind: DataKind, inline: bytes) -> bytes:
        chunks = self._pending.pop((key, kind), None)
        if chunks is None:
            return inline
        self._pending_bytes -= sum(map(len, chunks))
        return b"".join(chunks)

    def _place(self, texts: bytes, filename: int, cwd: int, flags: int) -> tuple[str, str, str]:
        """Return (binary, cwd, container id); remembered, as most execs repeat."""
        directory = clean(texts[filename : filename + cwd])
        if not cwd and flags & ProcessFlag.ROOT_CWD:
            directory = "/"
        place = (
            absolute(clean(texts[:filename]), directory),
            directory,
            self._container_id(clean(texts[filename + cwd :])),
        )
        if not flags & (ProcessFlag.ERROR_CWD | ProcessFlag.ERROR_FILENAME):
            if len(self._places) >= _MEMO_MAX:
                self._places.clear()
            self._places[(texts, filename, cwd)] = place
        return place

    def _read_namespaces(self, data: bytes, at: int) -> Namespaces:
        raw = data[at : at + abi.NAMESPACES.size]
        known = self._namespaces.get(raw)
        if known is None:
            numbers = dict(zip(abi.NAMESPACES_FIELDS, abi.NAMESPACES.unpack(raw), strict=True))
            known = make_namespaces(numbers, self._host)
            if len(self._namespaces) >= _MEMO_MAX:
                self._namespaces.clear()
            self._namespaces[raw] = known
        return known


def make_namespaces(numbers: Mapping[str, int], host: Mapping[str, int]) -> Namespaces:
    """Return Namespaces of inode numbers by name; 0 time namespaces are left out."""
    found = {
        name: Namespace(number, host.get(name, host.get(name.removesuffix("_for_children"))) == number)
        if number or not name.startswith("time")
        else None
        for name, number in numbers.items()
    }
    return Namespaces(**found)  # type: ignore[arg-type]  # the names are the ABI's


def read_credentials(data: bytes, at: int) -> tuple[Credentials, Capabilities]:
    """Return the ids and capability sets of a credentials block."""
    values = abi.CREDENTIALS.unpack_from(data, at)
    return Credentials(*values[:9]), Capabilities(*values[10:13])


def join_arguments(args: bytes) -> str:
    """Return argv without its first, as the schema prints it: see docs/outputs.md."""
    first = args.find(0)
    rest = args[first + 1 :].rstrip(b"\0") if first >= 0 else b""
    if b" " in rest:
        joined = b""
        for token in rest.split(b"\0"):
            if b" " in token:
                joined += b' "' + token + b'"'
            else:
                joined += b" " + token if joined else token
        return clean(joined)
    return clean(rest.replace(b"\0", b" ").lstrip(b" "))


def split_environment(envs: bytes) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of each ``NAME=VALUE``; text without ``=`` is named ``invalid``."""
    pairs = []
    for token in envs.rstrip(b"\0").split(b"\0") if envs else ():
        name, equals, value = clean(token).partition("=")
        pairs.append((name, value) if equals else ("invalid", name))
    return tuple(pairs)


def absolute(filename: str, cwd: str) -> str:
    """Return the path an exec ran: as given when absolute, else cleaned below ``cwd``."""
    if filename.startswith("/") or not cwd or not filename:
        return filename
    return "/" + posixpath.normpath(posixpath.join(cwd, filename)).lstrip("/")


def _properties(privileges: int, euid: int, egid: int, inode: int) -> BinaryProperties:
    return BinaryProperties(
        euid if privileges & PrivilegeChange.SETUID else None,
        egid if privileges & PrivilegeChange.SETGID else None,
        tuple(number for bit, number in _PRIVILEGES if privileges & bit),
        inode or None,
    )
