"""The generated layouts are those clang compiled: no struct or enum of bpf/abi is left out."""

import re
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tetragon.abi import records
from tetragon.kernel import btf

ROOT = Path(__file__).resolve().parents[3]
HEADERS = "".join(path.read_text() for path in sorted((ROOT / "bpf" / "abi").glob("*.h")))
STRUCTS = re.findall(r"^struct (\w+) \{", HEADERS, re.MULTILINE)
ENUMS = re.findall(r"^enum (\w+) \{", HEADERS, re.MULTILINE)


def _script(name: str) -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return __import__(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> btf.Btf:
    """Compile bpf/abi as it is now and return its BTF."""
    output = tmp_path_factory.mktemp("abi") / "abi.bpf.o"
    build = _script("build_bpf")
    source = ROOT / "bpf" / "abi" / "abi.bpf.c"
    command = build.compile_command(build.find_tool("clang", "CLANG"), "x86", source, output)
    subprocess.run(command, check=True)
    return btf.read_object(output)


def _leaves(types: btf.Btf, type_id: int, start: int, prefix: str) -> list[tuple[str, int]]:
    """Return name and offset of every field that is no struct, padding left out."""
    found: list[tuple[str, int]] = []
    for member in types.members(type_id):
        inner = types.resolve(member.type_id)
        name, offset = f"{prefix}{member.name}", start + member.offset
        if types.type(inner).kind == btf.STRUCT:
            found += _leaves(types, inner, offset, f"{name}_")
        elif not member.name.startswith("pad"):
            found.append((name, offset))
    return found


def _places(layout: struct.Struct) -> list[int]:
    """Return where each value of a layout lies."""
    places, at = [], 0
    for count, code in re.findall(r"(\d*)([a-zA-Z])", layout.format.lstrip("<")):
        if code != "x":
            places.append(at)
        at += struct.calcsize(f"<{count}{code}")
    return places


def test_headers_declare_what_this_test_expects() -> None:
    """The names are taken from the headers: a few that must be among them."""
    assert {"exec_event", "exit_event", "process_state"} <= set(STRUCTS)
    assert {"event_op", "process_flag", "counter"} <= set(ENUMS)


@pytest.mark.parametrize("name", STRUCTS)
def test_struct_is_the_compiled_one(compiled: btf.Btf, name: str) -> None:
    """Size, and name and place of every field, nested ones too."""
    type_id = compiled.find(btf.STRUCT, name)
    assert type_id is not None, f"{name}: abi.bpf.c does not keep it"
    layout: struct.Struct = getattr(records, name.upper())
    leaves = _leaves(compiled, type_id, 0, "")
    assert layout.size == compiled.size(type_id)
    assert getattr(records, f"{name.upper()}_FIELDS") == tuple(field for field, _ in leaves)
    assert _places(layout) == [offset for _, offset in leaves]
    assert getattr(records, f"{name.upper()}_OFFSETS") == {
        member.name: member.offset for member in compiled.members(type_id)
    }


@pytest.mark.parametrize("name", STRUCTS)
def test_struct_has_no_hidden_padding(compiled: btf.Btf, name: str) -> None:
    """Every byte belongs to a named field, and the size is a multiple of 4 or 8 as rules say."""
    type_id = compiled.find(btf.STRUCT, name)
    assert type_id is not None
    at = 0
    for member in compiled.members(type_id):
        assert member.offset == at, f"hole before {member.name}"
        at += compiled.size(member.type_id)
    assert at == compiled.size(type_id)
    assert at % 8 == 0


@pytest.mark.parametrize("name", ENUMS)
def test_enum_is_the_compiled_one(compiled: btf.Btf, name: str) -> None:
    """Every name, without the part all have in common, and its number."""
    type_id = compiled.find(btf.ENUM, name)
    assert type_id is not None, f"{name}: abi.bpf.c does not keep it"
    generated = getattr(records, "".join(part.capitalize() for part in name.split("_")))
    values = compiled.enum_values(type_id)
    assert [member.value for member in generated] == list(values.values())
    for long, member in zip(values, generated, strict=True):
        assert long.endswith(member.name)


def test_generated_module_is_fresh(compiled: btf.Btf, monkeypatch: pytest.MonkeyPatch) -> None:
    """What scripts/gen_abi.py would write now is what is committed."""
    script = _script("gen_abi")
    monkeypatch.setattr(script.btf, "read_object", lambda _path: compiled)
    assert script.generate() == script.OUTPUT.read_text()
