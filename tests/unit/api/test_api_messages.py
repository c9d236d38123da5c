"""The compiled descriptors are the published contract, name for name and number for number."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tetragon.api import messages

FACTS = json.loads(Path(__file__).with_name("contract.json").read_text())
_TYPES = {
    1: "double", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string",
    11: "message", 12: "bytes", 13: "uint32", 14: "enum",
}  # fmt: skip


def _files() -> list[Any]:
    """Our six files as FileDescriptorProto, read by protobuf's own classes."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    path = Path(messages.__file__).with_name("descriptors.binpb")
    files = FileDescriptorSet.FromString(path.read_bytes()).file
    return [file for file in files if file.package == "tetragon"]


def _field(field: Any, message: Any) -> str:
    """One field in the notation of contract.json."""
    entries = {n.name: n for n in message.nested_type if n.options.map_entry}
    entry = entries.get(field.type_name.rsplit(".", 1)[-1])
    kind, label = _TYPES[field.type], "repeated" if field.label == 3 else "singular"
    if entry is not None:
        kind = label = "map"
    elif field.proto3_optional:
        label = "optional"
    words = [str(field.number), field.name, field.json_name, kind, label]
    if entry is not None:
        words.append("->".join(f.type_name.lstrip(".") or _TYPES[f.type] for f in entry.field))
    elif field.type_name:
        words.append(field.type_name.lstrip("."))
    if field.HasField("oneof_index") and not field.proto3_optional:
        words.append(f"oneof={message.oneof_decl[field.oneof_index].name}")
    scalar = kind not in ("string", "bytes", "message")
    if label == "repeated" and scalar and not field.options.HasField("packed"):
        words.append("packed")
    if field.options.deprecated:
        words.append("deprecated")
    return " ".join(words)


def _ranges(described: Any, past_end: int) -> list[str]:
    return [f"{r.start}-{r.end - past_end}" for r in described.reserved_range]


def _message(message: Any) -> dict[str, Any]:
    fields = sorted(message.field, key=lambda f: int(f.number))
    found: dict[str, Any] = {"fields": [_field(f, message) for f in fields]}
    synthetic = {f.oneof_index for f in message.field if f.proto3_optional}
    oneofs = [o.name for i, o in enumerate(message.oneof_decl) if i not in synthetic]
    if oneofs:
        found["oneofs"] = oneofs
    if message.reserved_range:
        found["reserved"] = _ranges(message, past_end=1)
    return found


def _messages() -> dict[str, Any]:
    found: dict[str, Any] = {}

    def add(message: Any, prefix: str) -> None:
        name = f"{prefix}.{message.name}"
        found[name] = _message(message)
        for nested in message.nested_type:
            if not nested.options.map_entry:
                add(nested, name)

    for file in _files():
        for message in file.message_type:
            add(message, file.package)
    return found


def test_messages_are_the_contract() -> None:
    """Every message: field numbers, names, JSON names, types, labels, oneofs, reserved numbers."""
    assert _messages() == FACTS["messages"]


def test_enums_are_the_contract() -> None:
    """Every enum: value names and numbers, in order, and reserved numbers."""
    found = {}
    for file in _files():
        for enum in file.enum_type:
            found[f"tetragon.{enum.name}"] = {
                "values": [f"{v.number} {v.name}" for v in enum.value]
            }
            if enum.reserved_range:
                found[f"tetragon.{enum.name}"]["reserved"] = _ranges(enum, past_end=0)
    assert found == FACTS["enums"]


def test_methods_are_the_contract() -> None:
    """Every RPC: path, request, response, streaming, deprecation."""
    found = {}
    for file in _files():
        for service in file.service:
            for m in service.method:
                request = "stream " * m.client_streaming + m.input_type.lstrip(".")
                response = "stream " * m.server_streaming + m.output_type.lstrip(".")
                path = f"/{file.package}.{service.name}/{m.name}"
                found[path] = f"{request} -> {response}" + " deprecated" * m.options.deprecated
    assert found == FACTS["methods"]


def test_files_are_the_contract() -> None:
    """Each name is declared in the file, and the file imports what, clients expect."""
    found = {}
    for file in _files():
        declared = [*file.message_type, *file.enum_type, *file.service]
        found[file.name] = {
            "declares": sorted(f"tetragon.{d.name}" for d in declared),
            "dependencies": sorted(file.dependency),
            "go_package": file.options.go_package,
        }
    assert found == FACTS["files"]


@pytest.mark.parametrize(
    "name", [n.split(".", 1)[1] for n in FACTS["messages"] if n.count(".") == 1]
)
def test_message_class_round_trips(name: str) -> None:
    """Every message has a class, always the same one, that reads what it wrote."""
    made = getattr(messages, name)
    assert made is messages.message_class(f"tetragon.{name}")
    assert made.FromString(made().SerializeToString()) == made()


def test_enum_names_and_numbers() -> None:
    """Enums are reached by bare name too."""
    assert messages.EventType.Value("PROCESS_LSM") == 28
    assert messages.EventType.Name(40001) == "RATE_LIMIT_INFO"


def test_unknown_name_is_attribute_error() -> None:
    """A misspelt name fails like any missing attribute."""
    with pytest.raises(AttributeError, match="Proces"):
        messages.Proces  # noqa: B018


def test_import_leaves_pure_python_protobuf_out() -> None:
    """Using a message imports neither protobuf's pure Python half nor grpc: start-up and memory."""
    code = (
        "import sys; from tetragon.api.messages import GetEventsResponse, LogLevel\n"
        "GetEventsResponse(node_name='n').SerializeToString()\n"
        "heavy = {'google.protobuf.internal.python_message', 'grpc'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
