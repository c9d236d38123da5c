"""Make src/tetragon/abi/records.py from the BTF of build/abi.bpf.o (bpf/abi/*.h).

Usage: gen_abi.py [--check]. Writes the file, or with --check exits 1 when it is not fresh.

For a struct foo: FOO, a Struct of its fields in order with padding left out and nested
structs flattened; FOO_FIELDS, their names; FOO_OFFSETS, offset of every direct field. For an enum
bar: class Bar(IntEnum) without the common prefix of its names.
"""

import struct
import sys
from pathlib import Path

from tetragon.kernel import btf

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "src" / "tetragon" / "abi" / "records.py"
HEADER = '''"""Layouts and numbers of bpf/abi, which both halves read; by scripts/gen_abi.py."""

from enum import IntEnum
from struct import Struct
from typing import Final
'''
CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def camel(name: str) -> str:
    """Return the class name of an enum."""
    return "".join(part.capitalize() for part in name.split("_"))


def fields(types: btf.Btf, type_id: int, prefix: str = "") -> list[tuple[str, str]]:
    """Return (name, struct format) of every field; padding has an empty name."""
    found = []
    for member in types.members(types.resolve(type_id)):
        inner = types.type(types.resolve(member.type_id))
        name = f"{prefix}{member.name}"
        size = types.size(member.type_id)
        if member.name.startswith("pad"):
            found.append(("", f"{size}x"))
        elif inner.kind == btf.STRUCT:
            found += fields(types, member.type_id, f"{name}_")
        elif inner.kind == btf.ARRAY:
            found.append((name, f"{size}s"))
        else:
            found.append((name, CODES[size]))
    return found


def common_prefix(names: list[str]) -> str:
    """Return what all names begin with, whole words with their ``_`` only."""
    words = [name.split("_")[:-1] for name in names]
    shared = ""
    for column in zip(*words, strict=False):
        if len(set(column)) > 1:
            break
        shared += f"{column[0]}_"
    return shared


def struct_text(types: btf.Btf, name: str) -> str:
    """Return the Python of one struct."""
    type_id = types.find(btf.STRUCT, name)
    assert type_id is not None
    all_fields = fields(types, type_id)
    layout = "<" + "".join(code for _, code in all_fields)
    assert struct.calcsize(layout) == types.size(type_id), f"{name}: hidden padding"
    upper = name.upper()
    names = "".join(f"    {field!r},\n" for field, _ in all_fields if field)
    offsets = "".join(
        f"    {member.name!r}: {member.offset},\n" for member in types.members(type_id)
    )
    return (
        f"\n{upper}: Final = Struct({layout!r})\n"
        f"{upper}_FIELDS: Final = (\n{names})\n"
        f"{upper}_OFFSETS: Final = {{\n{offsets}}}\n"
    ).replace("'", '"')


def enum_text(types: btf.Btf, name: str) -> str:
    """Return the Python of one enum."""
    type_id = types.find(btf.ENUM, name)
    assert type_id is not None
    values = types.enum_values(type_id)
    prefix = common_prefix(list(values))
    lines = "".join(f"    {key.removeprefix(prefix)} = {value}\n" for key, value in values.items())
    return f'\n\nclass {camel(name)}(IntEnum):\n    """enum {name}."""\n\n{lines}'


def generate() -> str:
    """Return the whole module."""
    types = btf.read_object(ROOT / "build" / "abi.bpf.o")
    anchor = types.find(btf.STRUCT, "abi_anchor")
    assert anchor is not None
    members = types.members(anchor)
    structs = [m.name for m in members if types.type(m.type_id).kind == btf.STRUCT]
    enums = [m.name for m in members if types.type(m.type_id).kind == btf.ENUM]
    parts = [HEADER, *(enum_text(types, name) for name in enums), "\n"]
    return "".join([*parts, *(struct_text(types, name) for name in structs)])


def main() -> None:
    """Write the module, or check it."""
    text = generate()
    if "--check" in sys.argv:
        if not OUTPUT.exists() or OUTPUT.read_text() != text:
            sys.exit(f"gen_abi: {OUTPUT.relative_to(ROOT)} is not fresh: run scripts/gen_abi.py")
    elif not OUTPUT.exists() or OUTPUT.read_text() != text:
        OUTPUT.write_text(text)


if __name__ == "__main__":
    main()
