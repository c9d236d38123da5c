"""Profile: stacks with values in, a gzipped pprof profile out, as ``go tool pprof`` reads it.

Flow    sample, stacks, heap -> [ProfileBuilder] -> pprof, gops
Owns    nothing beyond the profile being built
Source  profile.proto of github.com/google/pprof; the field numbers below are its own
"""

import gzip
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

_GZIP_LEVEL: Final = 1
_VARINT, _BYTES = 0, 2

# Fields of message Profile.
_SAMPLE_TYPE, _SAMPLE, _MAPPING, _LOCATION, _FUNCTION, _STRING = 1, 2, 3, 4, 5, 6
_TIME, _DURATION, _PERIOD_TYPE, _PERIOD, _COMMENT = 9, 10, 11, 12, 13


class Frame(NamedTuple):
    """A place in a stack; ``first_line`` is where the function begins, 0 when unknown."""

    function: str
    file: str
    line: int
    first_line: int = 0


class ValueType(NamedTuple):
    """What a value is, such as ``cpu`` in ``nanoseconds``."""

    type: str
    unit: str


class ProfileBuilder:
    """
    A profile that grows by samples.

    Args:
        types: what the values of each sample are, in order; the last is what tools show first.
        period: values between two samples, of the last type; 0 for none.
    """

    def __init__(self, types: Sequence[ValueType], period: int = 0) -> None:
        self._types = types
        self._period = period
        self._strings: dict[str, int] = {"": 0}
        self._functions: dict[tuple[str, str, int], int] = {}
        self._locations: dict[tuple[int, int], int] = {}
        self._samples: list[bytes] = []

    def add(
        self,
        stack: Iterable[Frame],
        values: Sequence[int],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Add a sample: frames from the innermost outward, a value for each type."""
        self._samples.append(
            _packed(1, [self._location(frame) for frame in stack])
            + _packed(2, values)
            + b"".join(
                _message(3, _number(1, self._string(key)) + _number(2, self._string(value)))
                for key, value in (labels or {}).items()
            )
        )

    def encode(self, time: int = 0, duration: int = 0, comments: Iterable[str] = ()) -> bytes:
        """Return the profile: ``time`` it began, Unix ns, and ``duration`` in ns."""
        parts = [_message(_SAMPLE_TYPE, self._type(kind)) for kind in self._types]
        parts += [_message(_SAMPLE, sample) for sample in self._samples]
        parts.append(_message(_MAPPING, self._mapping()))
        parts += [
            _message(_LOCATION, _location(number, function, line))
            for (function, line), number in self._locations.items()
        ]
        parts += [
            _message(_FUNCTION, self._function(number, *function))
            for function, number in list(self._functions.items())
        ]
        parts += [_number(_TIME, time), _number(_DURATION, duration)]
        if self._period:
            parts += [_message(_PERIOD_TYPE, self._type(self._types[-1]))]
            parts += [_number(_PERIOD, self._period)]
        parts += [_packed(_COMMENT, [self._string(comment) for comment in comments])]
        # Last, as the parts before may add strings.
        parts += [_message(_STRING, text.encode(errors="replace")) for text in self._strings]
        return gzip.compress(b"".join(parts), _GZIP_LEVEL)

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _location(self, frame: Frame) -> int:
        key = (frame.function, frame.file, frame.first_line)
        function = self._functions.setdefault(key, len(self._functions) + 1)
        return self._locations.setdefault((function, frame.line), len(self._locations) + 1)

    def _type(self, kind: ValueType) -> bytes:
        return _number(1, self._string(kind.type)) + _number(2, self._string(kind.unit))

    def _mapping(self) -> bytes:
        """Return the one mapping; it says that names are there, so that none are looked for."""
        parts = [_number(1, 1), _number(5, self._string(sys.executable))]
        return b"".join([*parts, _number(7, 1), _number(8, 1), _number(9, 1)])

    def _function(self, number: int, name: str, file: str, first_line: int) -> bytes:
        text = self._string(name)
        parts = [_number(1, number), _number(2, text), _number(3, text)]
        return b"".join([*parts, _number(4, self._string(file)), _number(5, first_line)])


def _location(number: int, function: int, line: int) -> bytes:
    where = _message(4, _number(1, function) + _number(2, line))
    return _number(1, number) + _number(2, 1) + where


def _varint(value: int) -> bytes:
    """Return a number as protobuf has it; negative ones as 64 bits in two's complement."""
    value &= (1 << 64) - 1
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _packed(field: int, values: Sequence[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values))) if values else b""
