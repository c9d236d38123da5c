"""The BTF reader: types from bytes made here, with headers as old and new kernels write them."""

import struct
from collections.abc import Sequence

import pytest

from tetragon.errors import DecodeError
from tetragon.kernel import btf

# Types of the example, in order; ids count from 1.
INT, LONG, ARRAY, INNER, OUTER, COLOUR, WIDE, ALIAS, CONST, POINTER = range(1, 11)


class Writer:
    """Collects types and strings, and writes them as BTF."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""

    def name(self, text: str) -> int:
        """Return where a string lies."""
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(
        self,
        kind: int,
        name: str,
        size: int,
        tail: bytes = b"",
        members: int = 0,
        *,
        flag: bool = False,
    ) -> None:
        """Append a type."""
        info = kind << 24 | members | flag << 31
        self.types += struct.pack("<3I", self.name(name), info, size) + tail

    def member(self, name: str, type_id: int, bits: int) -> bytes:
        """Return a struct member."""
        return struct.pack("<3I", self.name(name), type_id, bits)

    def bytes(self, header: int = 24, gap: int = 0) -> bytes:
        """Write it all, behind a header of so many bytes; gap: unused bytes between sections."""
        sizes = (0, len(self.types), len(self.types) + gap, len(self.strings))
        return (
            struct.pack("<HBBI4I", btf.MAGIC, 1, 0, header, *sizes).ljust(header, b"\xaa")
            + self.types
            + b"\xbb" * gap
            + self.strings
        )


def _example() -> Writer:
    writer = Writer()
    writer.add(btf.INT, "int", 4, struct.pack("<I", 0))
    writer.add(btf.INT, "long", 8, struct.pack("<I", 0))
    writer.add(btf.ARRAY, "", 0, struct.pack("<3I", INT, LONG, 5))
    members = [writer.member("low", INT, 0), writer.member("high", CONST, 32)]
    writer.add(btf.STRUCT, "inner", 8, b"".join(members), 2)
    members = [
        writer.member("inner", INNER, 0),
        writer.member("bit", INT, 1 << 24 | 64),
        writer.member("other", INT, 3 << 24 | 65),
        writer.member("array", ARRAY, 96),
        writer.member("pointer", POINTER, 256),
    ]
    writer.add(btf.STRUCT, "outer", 40, b"".join(members), 5, flag=True)
    values = struct.pack("<IiIi", writer.name("RED"), 0, writer.name("GONE"), -1)
    writer.add(btf.ENUM, "colour", 4, values, 2, flag=True)
    values = struct.pack("<3I", writer.name("FAR"), 7, 1)
    writer.add(btf.ENUM64, "wide", 8, values, 1)
    writer.add(btf.TYPEDEF, "alias", INT)
    writer.add(btf.CONST, "", ALIAS)
    writer.add(btf.PTR, "", OUTER)
    return writer


@pytest.mark.parametrize("gap", [0, 4])
@pytest.mark.parametrize("header", [24, 28, 32, 40])
def test_types_are_read_behind_any_header(header: int, gap: int) -> None:
    """Kernels from v7.2 on write 32 bytes of header; what is unknown there is skipped."""
    types = btf.Btf(_example().bytes(header, gap))
    assert types.find(btf.STRUCT, "outer") == OUTER
    assert types.names(btf.STRUCT) == ["inner", "outer"]
    assert types.size(OUTER) == 40


def test_members_have_offsets_in_bytes() -> None:
    """Bit fields give the byte they begin in."""
    types = btf.Btf(_example().bytes())
    assert [(one.name, one.type_id, one.offset) for one in types.members(OUTER)] == [
        ("inner", INNER, 0),
        ("bit", INT, 8),
        ("other", INT, 8),
        ("array", ARRAY, 12),
        ("pointer", POINTER, 32),
    ]
    assert [one.offset for one in types.members(INNER)] == [0, 4]


def test_sizes_follow_aliases_and_arrays() -> None:
    """typedef and const are looked through; an array is as large as its elements."""
    types = btf.Btf(_example().bytes())
    assert types.resolve(CONST) == types.resolve(ALIAS) == INT
    assert [types.size(one) for one in (INT, CONST, ARRAY, POINTER)] == [4, 4, 20, 8]


def test_enum_values_are_signed_and_wide() -> None:
    """Negative values where the enum is signed; 64-bit values whole."""
    types = btf.Btf(_example().bytes())
    assert types.enum_values(COLOUR) == {"RED": 0, "GONE": -1}
    assert types.enum_values(WIDE) == {"FAR": 7 | 1 << 32}


def test_absent_names_are_none() -> None:
    """A name of another kind is not found either."""
    types = btf.Btf(_example().bytes())
    assert types.find(btf.STRUCT, "colour") is None
    assert types.find(btf.ENUM, "nothing") is None


def _cuts() -> Sequence[int]:
    return range(0, len(_example().bytes()) - 1, 7)


@pytest.mark.parametrize("length", _cuts())
def test_error_when_cut_short(length: int) -> None:
    """However much is missing: the project's own error, which says how much there was."""
    with pytest.raises(DecodeError, match=f"BTF of {length} bytes"):
        btf.Btf(_example().bytes()[:length])


def test_error_when_not_btf() -> None:
    """Another magic number, or bytes in the other order."""
    data = _example().bytes()
    for wrong in (b"\x7fELF" + data, data[1::-1] + data[2:]):
        with pytest.raises(DecodeError, match="magic"):
            btf.Btf(wrong)


def test_error_when_the_object_has_no_btf() -> None:
    """An ELF file without the section, and no ELF file at all."""
    with pytest.raises(DecodeError):
        btf.object_btf(b"\x7fELF" + bytes(200))
    with pytest.raises(DecodeError):
        btf.object_btf(b"")
