"""BTF bytes in, structs and enums out: sizes, offsets, values.

Source  Documentation/bpf/btf.rst. The header's own length is honoured: newer kernels extend it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tetragon.errors import DecodeError

MAGIC: Final = 0xEB9F
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)

# kind -> bytes after the common 12, as (fixed, per member)
_TAILS: Final = {
    INT: (4, 0),
    ARRAY: (12, 0),
    STRUCT: (0, 12),
    UNION: (0, 12),
    ENUM: (0, 8),
    FUNC_PROTO: (0, 8),
    VAR: (4, 0),
    DATASEC: (0, 12),
    DECL_TAG: (4, 0),
    ENUM64: (0, 12),
}
_ALIASES: Final = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})


@dataclass(frozen=True, slots=True)
class Type:
    """One type record; ``size`` doubles as the referred type's id for reference kinds."""

    kind: int
    name: str
    size: int
    members: int
    flag: bool
    tail: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """One struct member: ``offset`` in bytes from the start of the struct."""

    name: str
    type_id: int
    offset: int


class Btf:
    """Parsed BTF of an object or kernel."""

    def __init__(self, data: bytes) -> None:
        """
        Parse raw BTF.

        Raises:
            DecodeError: not BTF, or cut short.
        """
        try:
            types, self._strings = _sections(data)
            self._types = [Type(0, "void", 0, 0, False, b""), *self._read(types)]
        except (struct.error, ValueError, IndexError) as exc:
            raise DecodeError(f"BTF of {len(data)} bytes: {exc}") from exc
        self._named = {(t.kind, t.name): i for i, t in enumerate(self._types) if t.name}

    def _read(self, data: bytes) -> Iterator[Type]:
        at = 0
        while at < len(data):
            name, info, size = struct.unpack_from("<3I", data, at)
            kind, members, flag = info >> 24 & 0x1F, info & 0xFFFF, bool(info >> 31)
            fixed, each = _TAILS.get(kind, (0, 0))
            end = at + 12 + fixed + each * members
            yield Type(kind, self.string(name), size, members, flag, data[at + 12 : end])
            at = end

    def type(self, type_id: int) -> Type:
        """Return a type by its id."""
        return self._types[type_id]

    def names(self, kind: int) -> list[str]:
        """Return the names of all types of one kind, sorted."""
        return sorted(name for found, name in self._named if found == kind)

    def find(self, kind: int, name: str) -> int | None:
        """Return the id of a named type, or None."""
        return self._named.get((kind, name))

    def resolve(self, type_id: int) -> int:
        """Follow typedefs and qualifiers to the type itself."""
        while self._types[type_id].kind in _ALIASES:
            type_id = self._types[type_id].size
        return type_id

    def size(self, type_id: int) -> int:
        """Return the size of a type in bytes."""
        kind = self._types[resolved := self.resolve(type_id)]
        if kind.kind == ARRAY:
            element, _, count = struct.unpack("<3I", kind.tail)
            return self.size(element) * int(count)
        return 8 if kind.kind == PTR else self._types[resolved].size

    def members(self, type_id: int) -> list[Member]:
        """Return the members of a struct or union, in order. Bit fields give their byte."""
        kind = self._types[type_id]
        found: list[Member] = []
        for at in range(0, 12 * kind.members, 12):
            name, member_type, offset = struct.unpack_from("<3I", kind.tail, at)
            bits = offset & 0xFFFFFF if kind.flag else offset
            found.append(Member(self.string(name), member_type, bits // 8))
        return found

    def enum_values(self, type_id: int) -> dict[str, int]:
        """Return the names and values of an enum, in order."""
        kind = self._types[type_id]
        values: dict[str, int] = {}
        for at in range(0, len(kind.tail), 8 if kind.kind == ENUM else 12):
            if kind.kind == ENUM:
                name, value = struct.unpack_from("<Ii" if kind.flag else "<II", kind.tail, at)
            else:
                name, low, high = struct.unpack_from("<3I", kind.tail, at)
                value = low | high << 32
            values[self.string(name)] = value
        return values

    def string(self, offset: int) -> str:
        """Return a string of the string section."""
        strings = self._strings
        return strings[offset : strings.index(b"\0", offset)].decode()


def _sections(data: bytes) -> tuple[bytes, bytes]:
    magic, _, _, header = struct.unpack_from("<HBBI", data)
    if magic != MAGIC:
        raise ValueError(f"magic {magic:#x}, not {MAGIC:#x}")
    types, types_size, strings, strings_size = struct.unpack_from("<4I", data, 8)
    types += header
    strings += header
    return data[types : types + types_size], data[strings : strings + strings_size]


def read_object(path: Path) -> Btf:
    """Return the BTF of a compiled BPF object file."""
    return object_btf(path.read_bytes())


def object_btf(elf: bytes) -> Btf:
    """Return the BTF of a compiled BPF object."""
    return Btf(_elf_section(elf, b".BTF"))


def _elf_section(elf: bytes, name: bytes) -> bytes:
    try:
        (table,) = struct.unpack_from("<Q", elf, 0x28)
        entry, count, names_index = struct.unpack_from("<3H", elf, 0x3A)
        headers = [struct.unpack_from("<IIQQQQ", elf, table + entry * i) for i in range(count)]
        names = headers[names_index][4]
        for header in headers:
            start = names + header[0]
            if elf[start : elf.index(b"\0", start)] == name:
                return elf[header[4] : header[4] + header[5]]
    except (struct.error, ValueError, IndexError) as exc:
        raise DecodeError(f"ELF object of {len(elf)} bytes: {exc}") from exc
    raise DecodeError(f"no section {name.decode()} in the ELF object")
