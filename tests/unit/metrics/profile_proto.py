"""A pprof profile decoded by the protobuf library: a second opinion on our encoding."""

import gzip
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "ValueType": [(1, "type", "int64"), (2, "unit", "int64")],
    "Label": [(1, "key", "int64"), (2, "str", "int64")],
    "Sample": [(1, "location_id", "*uint64"), (2, "value", "*int64"), (3, "label", "*Label")],
    "Mapping": [
        (1, "id", "uint64"),
        (5, "filename", "int64"),
        (7, "has_functions", "bool"),
        (8, "has_filenames", "bool"),
        (9, "has_line_numbers", "bool"),
    ],
    "Line": [(1, "function_id", "uint64"), (2, "line", "int64")],
    "Location": [(1, "id", "uint64"), (2, "mapping_id", "uint64"), (4, "line", "*Line")],
    "Function": [
        (1, "id", "uint64"),
        (2, "name", "int64"),
        (3, "system_name", "int64"),
        (4, "filename", "int64"),
        (5, "start_line", "int64"),
    ],
    "Profile": [
        (1, "sample_type", "*ValueType"),
        (2, "sample", "*Sample"),
        (3, "mapping", "*Mapping"),
        (4, "location", "*Location"),
        (5, "function", "*Function"),
        (6, "string_table", "*string"),
        (9, "time_nanos", "int64"),
        (10, "duration_nanos", "int64"),
        (11, "period_type", "ValueType"),
        (12, "period", "int64"),
        (13, "comment", "*int64"),
    ],
}
_SCALARS = {"int64": 3, "uint64": 4, "bool": 8, "string": 9}


def _profile_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            bare = kind.removeprefix("*")
            added = message.field.add(name=field, number=number, label=3 if bare != kind else 1)
            if bare in _SCALARS:
                added.type = _SCALARS[bare]
            else:
                added.type, added.type_name = 11, f".p.{bare}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Profile"))


class Profile:
    """A decoded profile, its strings and ids resolved."""

    def __init__(self, packed: bytes) -> None:
        self.raw = _profile_class().FromString(gzip.decompress(packed))
        self._text = list(self.raw.string_table)
        functions = {one.id: one for one in self.raw.function}
        self._frames = {one.id: self._frame(functions, *one.line) for one in self.raw.location}

    def _frame(self, functions: dict[int, Any], line: Any) -> tuple[str, str, int]:
        function = functions[line.function_id]
        return self._text[function.name], self._text[function.filename], line.line

    @property
    def types(self) -> list[tuple[str, str]]:
        """What the values are."""
        return [(self._text[one.type], self._text[one.unit]) for one in self.raw.sample_type]

    @property
    def comments(self) -> list[str]:
        """Its comments."""
        return [self._text[number] for number in self.raw.comment]

    @property
    def samples(self) -> list[tuple[list[tuple[str, str, int]], list[int], dict[str, str]]]:
        """Frames, values and labels of each sample."""
        return [
            (
                [self._frames[number] for number in one.location_id],
                list(one.value),
                {self._text[label.key]: self._text[label.str] for label in one.label},
            )
            for one in self.raw.sample
        ]
