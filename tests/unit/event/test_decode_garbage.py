"""Decode what no kernel half wrote: an error each time, and nothing but that."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import batch, clone_record, data_records, exec_record, exit_record

from tetragon.abi.records import EventOp
from tetragon.errors import DecodeError
from tetragon.event.decode import Decoder
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Record

VALID = (
    exec_record(args=b"p\0a b\0", envs=b"A=1\0"),
    exit_record(),
    clone_record((1, 2), (3, 4)),
    data_records(b"text")[0],
)
SHAPES = (ExecRecord, ExitRecord, CloneRecord, type(None))


def decode_all(*parts: bytes) -> tuple[list[Record], list[tuple[int, str]]]:
    """Decode a batch; return what it held and what failed."""
    records: list[Record] = []
    failures = Decoder(lambda _cgroup, _cut: "").decode_batch(*batch(*parts), records)
    return records, failures


def outcome(data: bytes) -> Record | DecodeError | None:
    """Return what a record decodes to, or its error; anything else is raised."""
    try:
        return Decoder(lambda _cgroup, _cut: "").decode(data, 0, len(data))
    except DecodeError as error:
        return error


@given(st.binary(max_size=400))
def test_noise_is_a_record_or_a_decode_error(noise: bytes) -> None:
    """Any bytes at all: no other exception ever."""
    assert isinstance(outcome(noise), (*SHAPES, DecodeError))


@settings(max_examples=200)
@given(st.sampled_from(VALID), st.integers(1, 140), st.binary(min_size=1, max_size=12))
def test_a_damaged_record_is_a_record_or_a_decode_error(
    valid: bytes, at: int, noise: bytes
) -> None:
    """Wrong sizes, keys, times and flags: no other exception ever."""
    found = outcome(valid[:at] + noise + valid[at + len(noise) :])
    assert isinstance(found, (*SHAPES, DecodeError))


@pytest.mark.parametrize("valid", VALID[:3], ids=["exec", "exit", "clone"])
def test_every_cut_record_is_a_decode_error(valid: bytes) -> None:
    """A record short of any number of bytes is refused, though the batch goes on behind it."""
    decoder = Decoder(lambda _cgroup, _cut: "")
    for size in range(len(valid)):
        with pytest.raises(DecodeError):
            decoder.decode(valid, 0, size)
        with pytest.raises(DecodeError):
            decoder.decode(valid[:size], 0, len(valid))


def test_errors_name_the_record_and_its_size() -> None:
    """The reason tells what was wrong."""
    decoder = Decoder(lambda _cgroup, _cut: "")
    for record, reason in (
        (VALID[0][:50], "exec record of 50 bytes, layout has 136"),
        (VALID[0][:-1], "its texts are cut"),
        (VALID[1][:20], "exit record of 20 bytes"),
        (b"\xfe" * 40, "no decoder for op 254"),
        (b"", "empty record"),
    ):
        with pytest.raises(DecodeError, match=reason):
            decoder.decode(record, 0, len(record))


def test_one_bad_record_spoils_no_other() -> None:
    """A batch goes on behind a record that cannot be read."""
    records, failures = decode_all(VALID[0], b"\x00" * 16, VALID[1][:24], VALID[1], VALID[2])
    assert [type(record) for record in records] == [ExecRecord, ExitRecord, CloneRecord]
    assert [op for op, _ in failures] == [0, EventOp.EXIT]
