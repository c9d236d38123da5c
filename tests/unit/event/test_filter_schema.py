"""The schema tables are those of the API's descriptors, and so is what is made of them."""

import runpy
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from tetragon.api import messages
from tetragon.event import schema, shape
from tetragon.event.descriptor import file_descriptor
from tetragon.model.event import EventType

ROOT = Path(__file__).resolve().parents[3]


def test_schema_is_fresh() -> None:
    """What the generator makes of the committed descriptors is what is committed."""
    generate = runpy.run_path(str(ROOT / "scripts" / "gen_schema.py"))["generate"]
    descriptors = ROOT / "src" / "tetragon" / "api" / "descriptors.binpb"
    assert Path(schema.__file__).read_text() == generate(descriptors.read_bytes())


def test_event_types_are_the_numbers_of_the_events() -> None:
    """EventType has exactly the events of the API, under their numbers."""
    numbers = {number: event.name.upper() for number, event in shape.events().items()}
    assert numbers == {kind.value: kind.name for kind in EventType}


def test_names_are_those_of_the_descriptors() -> None:
    """Every field has the name, JSON name and number protoc gave it, and no message lacks one."""
    for name in schema.MESSAGES:
        described: Any = messages.descriptor(f"tetragon.{name}")
        wanted = [(field.number, field.name, field.json_name) for field in described.fields]
        found = [(field.number, field.name, field.json_name) for field in shape.fields(name)]
        assert found == wanted, name


def test_file_descriptor_is_valid_and_complete() -> None:
    """A strict reader takes it, and finds every message as the API has it."""
    data = file_descriptor("filter_test.proto")
    pool: Any = DescriptorPool()
    for imported in ("wrappers", "timestamp"):
        module = __import__(f"google.protobuf.{imported}_pb2", fromlist=["DESCRIPTOR"])
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(data)
    assert {m.name for m in FileDescriptorProto.FromString(data).message_type} == set(
        schema.MESSAGES
    )
    for name in schema.MESSAGES:
        made = pool.FindMessageTypeByName(f"tetragon.{name}")
        wanted: Any = messages.descriptor(f"tetragon.{name}")
        for one, two in zip(made.fields, wanted.fields, strict=True):
            assert (one.name, one.number, one.type) == (two.name, two.number, two.type)
            assert one.is_repeated == two.is_repeated
            assert getattr(one.message_type, "full_name", "") == getattr(
                two.message_type, "full_name", ""
            )
            assert getattr(one.containing_oneof, "name", "") == getattr(
                two.containing_oneof, "name", ""
            )
