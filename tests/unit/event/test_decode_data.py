"""Decode texts that came in data records: whole, in order, and never more memory than promised."""

import pytest
from record_bytes import batch, data_records, exec_record

from tetragon.abi.records import DataKind, ProcessFlag
from tetragon.errors import DecodeError
from tetragon.event.decode import Decoder
from tetragon.model.process import Process
from tetragon.model.record import ExecRecord, Record

LONG = b"prog\0" + b"".join(b"argument %05d\0" % n for n in range(20_000))
assert len(LONG) > 300_000


@pytest.fixture
def decoder() -> Decoder:
    """Return a decoder of a host without containers."""
    return Decoder(lambda _cgroup, _cut: "")


def processes(decoder: Decoder, *parts: bytes) -> list[Process]:
    """Decode a batch; return the processes of its exec records."""
    records: list[Record] = []
    assert decoder.decode_batch(*batch(*parts), records) == []
    return [record.process for record in records if isinstance(record, ExecRecord)]


def test_long_arguments_are_joined_from_their_pieces(decoder: Decoder) -> None:
    """A third of a megabyte of argv comes out whole."""
    record = exec_record(args=b"", flags=ProcessFlag.DATA_ARGS)
    (process,) = processes(decoder, *data_records(LONG), record)
    assert process.arguments == "".join(f' "argument {n:05}"' for n in range(20_000))
    assert process.flags == "dataArgs"


def test_long_environment_beside_inline_arguments(decoder: Decoder) -> None:
    """Each text of an exec may come either way."""
    envs = b"".join(b"N%d=%d\0" % (n, n) for n in range(3000))
    pieces = data_records(envs, kind=DataKind.ENVS)
    (process,) = processes(decoder, *pieces, exec_record(args=b"p\0x\0"))
    assert process.arguments == "x"
    assert process.environment[2999] == ("N2999", "2999")


def test_both_texts_long(decoder: Decoder) -> None:
    """Arguments and environment of one exec do not mix."""
    parts = data_records(LONG) + data_records(b"A=1\0" * 5000, kind=DataKind.ENVS)
    (process,) = processes(decoder, *parts, exec_record(args=b""))
    assert process.arguments.endswith('"argument 19999"')
    assert process.environment == (("A", "1"),) * 5000


def test_pieces_of_several_execs_interleave(decoder: Decoder) -> None:
    """Two processors send at once; each exec gets its own text."""
    first = data_records(LONG, (1, 10))
    second = data_records(LONG.replace(b"argument", b"ARGUMENT"), (2, 20))
    parts = [part for pair in zip(first, second, strict=True) for part in pair]
    execs = [exec_record((2, 20), args=b""), exec_record((1, 10), args=b"")]
    upper, lower = processes(decoder, *parts, *execs)
    assert upper.arguments.startswith(' "ARGUMENT 00000"')
    assert lower.arguments.startswith(' "argument 00000"')


def test_others_are_not_disturbed_while_a_text_waits(decoder: Decoder) -> None:
    """An exec that comes between keeps its inline texts."""
    (process,) = processes(decoder, *data_records(LONG, (1, 10)), exec_record((2, 20)))
    assert process.arguments == "a"
    (process,) = processes(decoder, exec_record((1, 10), args=b""))
    assert len(process.arguments) > 300_000


def test_a_missing_piece_is_an_error_and_the_rest_stays_in_order(decoder: Decoder) -> None:
    """A text is never glued together around a hole."""
    first, second, third = data_records(LONG)[:3]
    assert decoder.decode(first, 0, len(first)) is None
    for wrong in (third, first):
        with pytest.raises(DecodeError, match="not the next"):
            decoder.decode(wrong, 0, len(wrong))
    assert decoder.decode(second, 0, len(second)) is None


def test_texts_whose_exec_never_comes_are_dropped_and_counted(decoder: Decoder) -> None:
    """The oldest go when 4 MiB wait; those left still find their exec."""
    per_text = len(data_records(LONG))
    for number in range(100):
        processes(decoder, *data_records(LONG, (number, number)))
    kept = 100 - decoder.data_lost // per_text
    assert decoder._pending_bytes <= 4 << 20
    assert 10 <= kept <= 13
    assert decoder.data_lost % per_text == 0
    (process,) = processes(decoder, exec_record((99, 99), args=b""))
    assert len(process.arguments) > 300_000


def test_a_lone_text_goes_after_a_thousand_execs(decoder: Decoder) -> None:
    """What waits in vain does not slow down execs for ever."""
    processes(decoder, *data_records(LONG, (1, 10)))
    execs = [exec_record((2, n)) for n in range(1024)]
    processes(decoder, *execs)
    assert decoder.data_lost == len(data_records(LONG))
    assert decoder._pending_bytes == 0
    assert not decoder._pending


def test_more_pieces_than_the_kernel_half_sends_are_refused(decoder: Decoder) -> None:
    """One text cannot take all the room."""
    pieces = data_records(b"x" * 23 * 16, piece=16)
    records: list[Record] = []
    failures = decoder.decode_batch(*batch(*pieces), records)
    assert len(failures) == 2
