"""Decode: the bytes of one ring record in, one typed Record out.

Flow    ring reader -> [Decoder.decode] -> process cache -> filters -> sinks
Owns    texts of data records until their exec record comes, and memos of repeated paths; used by
        the reader thread alone. All are bounded, and what is dropped is counted.
Layout  bpf/abi/process.h, through the generated ``abi``
"""

import posixpath
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tetragon.abi import records as abi
from tetragon.abi.records import (
    Announcement,
    DataKind,
    EventOp,
    ExecLimit,
    PrivilegeChange,
    ProcessFlag,
    RecordBlock,
)
from tetragon.errors import DecodeError
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Key,
    Namespace,
    Namespaces,
    Process,
)
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Place, Record
from tetragon.model.text import clean, flag_words, join_arguments

try:
    from tetragon.model._fast import exec_fields
except ImportError:  # not built: the same in Python
    from tetragon.event.record_plain import exec_fields


_EXIT: Final = abi.EXIT_EVENT.unpack_from
_CLONE: Final = abi.CLONE_EVENT.unpack_from
_DATA: Final = abi.DATA_EVENT.unpack_from
_EXEC_SIZE: Final = abi.EXEC_EVENT.size
_EXIT_SIZE: Final = abi.EXIT_EVENT.size
_CLONE_SIZE: Final = abi.CLONE_EVENT.size
_DATA_SIZE: Final = abi.DATA_EVENT.size
_CREDENTIALS_SIZE: Final = abi.CREDENTIALS.size
_NAMESPACES_SIZE: Final = abi.NAMESPACES.size
# Plain ints: looking an enum's member up costs more than the test it serves.
_IN_INIT_TREE: Final = int(ProcessFlag.IN_INIT_TREE)
_ROOT_CWD: Final = int(ProcessFlag.ROOT_CWD)
_NO_CWD: Final = int(ProcessFlag.ROOT_CWD | ProcessFlag.ERROR_CWD | ProcessFlag.NO_CWD)
_ANNOUNCED: Final = int(Announcement.YES)
_HAS_CREDENTIALS: Final = int(RecordBlock.CREDENTIALS)
_HAS_NAMESPACES: Final = int(RecordBlock.NAMESPACES)

_MEMO_MAX: Final = 8192
_MEMO_TEXT: Final = 512  # bytes; longer paths are rare and would make the memo large
_CGROUP_NAME_MAX: Final = 127  # bytes of a name in the record; one as long may be cut
_PENDING_MAX: Final = 4 << 20  # bytes of argument text that wait for their exec record
_PENDING_EXECS: Final = 1024  # exec records after which a text's own will not come any more

# Bit of exec_event.privileges -> number of the API's ProcessPrivilegesChanged.
_PRIVILEGES: Final = (
    (PrivilegeChange.FILE_CAPS, 1),
    (PrivilegeChange.SETUID_ROOT, 2),
    (PrivilegeChange.SETGID_ROOT, 3),
)


_Described = tuple[str, str, str, str, bool]
"""What most execs repeat: binary, cwd, container, flag words, whether in an init's tree."""


class _Pending:
    """The pieces of one text that came so far, and how many exec records had come before."""

    __slots__ = ("chunks", "since", "size")

    def __init__(self, since: int) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.since = since


class Decoder:
    """
    Turns records into values; keeps what chained records need.

    Args:
        container_id: cgroup name ("parent/leaf" or "leaf"), and whether it may have been cut, to
            container id, empty for none.
        host_namespaces: inode numbers of the host's namespaces by name, for ``is_host``.
    """

    def __init__(
        self,
        container_id: Callable[[str, bool], str],
        host_namespaces: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._container_id = container_id
        self._host = host_namespaces
        self._places: dict[Place, _Described] = {}
        self._containers: dict[bytes, str] = {}
        self._namespaces: dict[bytes, Namespaces] = {}
        self._credentials: dict[bytes, tuple[Credentials, Capabilities]] = {}
        self._pending: dict[tuple[Key, int], _Pending] = {}
        self._pending_bytes = 0
        self._pending_execs = 0
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
        records: list[Record] = []
        for _, reason in self.decode_batch(data, (start, size), records):
            raise DecodeError(reason)
        return records[0] if records else None

    def decode_batch(
        self, data: bytes, table: Iterable[int], records: list[Record]
    ) -> list[tuple[int, str]]:
        """
        Turn a batch of ring records into values.

        Args:
            data: the records.
            table: offset and size of each in ``data``, alternating.
            records: the values are appended here, in order.

        Returns:
            Op (-1 for none) and reason of each record that could not be decoded.
        """
        failures: list[tuple[int, str]] = []
        decoders, add = self._decoders, records.append
        places = iter(table)
        for start in places:
            end = start + next(places)
            try:
                record = decoders[data[start]](data, start, end)
                if record is not None:
                    add(record)
            except (ValueError, LookupError) as exc:
                failures.append(self._failure(data, start, end, exc))
        return failures

    def _failure(self, data: bytes, start: int, end: int, error: Exception) -> tuple[int, str]:
        op = data[start] if start < min(end, len(data)) else -1
        if op not in self._decoders:
            return op, f"no decoder for op {op}" if op >= 0 else "empty record"
        return op, str(error)

    def _exec(self, data: bytes, start: int, end: int) -> ExecRecord:
        # fmt: off
        (
            key, parent, cleanup, blocks, nspid, uid, auid,
            changes, cgroup_id, place, arguments, envs,
        ) = exec_fields(data, start, end)
        # fmt: on
        binary, cwd, container, words, in_tree = self._places.get(place) or self._place(place)
        pid, ktime = key
        process = Process(
            pid,
            ktime,
            "",
            "",
            parent,
            pid,
            nspid,
            uid,
            auid,
            cwd,
            binary,
            arguments,
            words,
            ktime,
            container,
            in_tree,
        )
        if blocks:
            self._add_blocks(process, blocks, data, start + _EXEC_SIZE)
        if envs or self._pending:
            self._add_long_texts(key, process, place[2] == 0, envs)
        return ExecRecord(
            key, process, cleanup, _properties(*changes) if changes else None, cgroup_id
        )

    def _exit(self, data: bytes, start: int, end: int) -> ExitRecord:
        if start + _EXIT_SIZE > end or end > len(data):
            raise ValueError(f"exit record of {end - start} bytes, layout has {_EXIT_SIZE}")
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
            announced == _ANNOUNCED,
        )

    def _clone(self, data: bytes, start: int, end: int) -> CloneRecord:
        if start + _CLONE_SIZE > end or end > len(data):
            raise ValueError(f"clone record of {end - start} bytes, layout has {_CLONE_SIZE}")
        _, _, _, _, pid, ktime, parent_pid, parent_ktime, flags, nspid = _CLONE(data, start)
        return CloneRecord((pid, ktime), (parent_pid, parent_ktime), flags, nspid)

    # -- texts that came in pieces ---------------------------------------------------------------

    def _data(self, data: bytes, start: int, end: int) -> None:
        if start + _DATA_SIZE > end or end > len(data):
            raise ValueError(f"data record of {end - start} bytes, layout has {_DATA_SIZE}")
        _, _, _, _, pid, ktime, kind, chunk = _DATA(data, start)
        where = ((pid, ktime), kind)
        pending = self._pending.get(where)
        if chunk != (len(pending.chunks) if pending else 0) or chunk >= ExecLimit.DATA_CHUNKS_MAX:
            raise ValueError(f"data record {chunk} of a text is not the next")
        if pending is None:
            pending = self._pending[where] = _Pending(self._pending_execs)
        pending.chunks.append(data[start + _DATA_SIZE : end])
        pending.size += end - start
        self._pending_bytes += end - start
        while self._pending_bytes > _PENDING_MAX:
            self._drop_oldest()

    def _add_long_texts(self, key: Key, process: Process, trim: bool, envs: bytes) -> None:
        """Give a process the environment, and the texts that data records brought."""
        args = self._take_pending(key, DataKind.ARGS)
        if args is not None:
            process.arguments = join_arguments(args, trim)
        chained = self._take_pending(key, DataKind.ENVS)
        process.environment = split_environment(envs if chained is None else chained)
        # Texts are sent right before their exec record: one still here after many was lost.
        self._pending_execs += 1
        while self._pending:
            oldest = next(iter(self._pending.values()))
            if self._pending_execs - oldest.since < _PENDING_EXECS:
                break
            self._drop_oldest()

    def _take_pending(self, key: Key, kind: DataKind) -> bytes | None:
        pending = self._pending.pop((key, kind), None)
        if pending is None:
            return None
        self._pending_bytes -= pending.size
        return b"".join(pending.chunks)

    def _drop_oldest(self) -> None:
        dropped = self._pending.pop(next(iter(self._pending)))
        self._pending_bytes -= dropped.size
        self.data_lost += len(dropped.chunks)

    # -- what execs repeat -----------------------------------------------------------------------

    def _place(self, place: Place) -> _Described:
        """Decode filename, cwd and cgroup; remembered, as most execs repeat them."""
        texts, filename, cwd, flags = place
        after = filename + cwd
        directory = clean(texts[filename:after])
        if not cwd and flags & _NO_CWD == _ROOT_CWD:
            directory = "/"
        found = (
            absolute(clean(texts[:filename]), directory),
            directory,
            self._container(texts[after:]),
            flag_words(flags),
            flags & _IN_INIT_TREE != 0,
        )
        if len(texts) <= _MEMO_TEXT:
            if len(self._places) >= _MEMO_MAX:
                self._places.clear()
            self._places[place] = found
        return found

    def _container(self, cgroup: bytes) -> str:
        found = self._containers.get(cgroup)
        if found is None:
            if len(self._containers) >= _MEMO_MAX:
                self._containers.clear()
            cut = len(cgroup) - cgroup.rfind(b"/") - 1 >= _CGROUP_NAME_MAX
            found = self._containers[cgroup] = self._container_id(clean(cgroup), cut)
        return found

    def _add_blocks(self, process: Process, blocks: int, data: bytes, at: int) -> None:
        if blocks & _HAS_CREDENTIALS:
            raw = data[at : at + _CREDENTIALS_SIZE]
            found = self._credentials.get(raw)
            if found is None:
                if len(self._credentials) >= _MEMO_MAX:
                    self._credentials.clear()
                found = self._credentials[raw] = read_credentials(raw)
            process.credentials, process.cap = found
            at += _CREDENTIALS_SIZE
        if blocks & _HAS_NAMESPACES:
            process.ns = self._read_namespaces(data[at : at + _NAMESPACES_SIZE])

    def _read_namespaces(self, raw: bytes) -> Namespaces:
        known = self._namespaces.get(raw)
        if known is None:
            numbers = abi.NAMESPACES.unpack(raw)
            known = make_namespaces(numbers, self._host)
            if len(self._namespaces) >= _MEMO_MAX:
                self._namespaces.clear()
            self._namespaces[raw] = known
        return known


def make_namespaces(numbers: Iterable[int], host: Mapping[str, int]) -> Namespaces:
    """Return Namespaces of inode numbers in the ABI's order; 0 time namespaces are left out."""
    found = {
        name: Namespace(
            number, host.get(name, host.get(name.removesuffix("_for_children"))) == number
        )
        if number or not name.startswith("time")
        else None
        for name, number in zip(abi.NAMESPACES_FIELDS, numbers, strict=True)
    }
    return Namespaces(**found)  # type: ignore[arg-type]  # the names are the ABI's


def read_credentials(raw: bytes) -> tuple[Credentials, Capabilities]:
    """Return the ids and capability sets of a credentials block."""
    values = abi.CREDENTIALS.unpack(raw)
    return Credentials(*values[:9]), Capabilities(*values[10:13])


def split_environment(envs: bytes) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of each ``NAME=VALUE``; text without ``=`` is named ``invalid``."""
    pairs: list[tuple[str, str]] = []
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
