"""Texts of values: what users see, and that C and Python give the same."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from record_bytes import exec_record

from tetragon.abi.records import ProcessFlag
from tetragon.event import record_plain
from tetragon.model import _fast, text, text_plain

PLAIN = SimpleNamespace(**vars(text_plain), exec_fields=record_plain.exec_fields)
BOTH = pytest.mark.parametrize("made", [PLAIN, _fast], ids=["python", "c"])
U64 = st.integers(0, 2**64 - 1)
ARGV = st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b" ")), max_size=6)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def shown(argv: list[bytes], trim: bool) -> str:
    """Return the documented form of argv, word for word."""
    tokens = argv[1:]
    while trim and tokens and not tokens[-1]:
        tokens.pop()
    line = b""
    for token in tokens:
        if b" " in token:
            line += b' "' + token + b'"'
        elif line:
            line += b" " + token
        else:
            line = token
    return text.clean(line)


def outcome(function: Callable[..., object], *args: object) -> object:
    """Return what a function returns, or the class of what it raises."""
    try:
        return function(*args)
    except (ValueError, TypeError, OverflowError) as error:
        return type(error)


def test_the_c_functions_are_in_use_where_they_were_built() -> None:
    """Nobody falls back to the slow ones unknowingly."""
    assert text.timestamp is _fast.timestamp
    assert text.json_object is _fast.json_object


@BOTH
@pytest.mark.parametrize(
    ("unix_ns", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_706_702_400_000_000_000, "2024-01-31T12:00:00Z"),
        (1_706_702_400_120_000_000, "2024-01-31T12:00:00.120Z"),
        (1_706_702_400_000_001_000, "2024-01-31T12:00:00.000001Z"),
        (1_706_702_400_000_000_001, "2024-01-31T12:00:00.000000001Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (2**64 + 2 * 10**18, "2617-12-07T03:07:53.709551616Z"),
        (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999999Z"),
        (-62_135_596_800_000_000_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_timestamp_has_0_3_6_or_9_digits(made: ModuleType, unix_ns: int, expected: str) -> None:
    """Times are RFC 3339 in UTC, with as many digits as protojson shows."""
    assert made.timestamp(unix_ns) == expected


@BOTH
@pytest.mark.parametrize("unix_ns", [253_402_300_800 * 10**9, -(10**20), 10**40, -(10**40)])
def test_timestamp_refuses_years_it_cannot_show(made: ModuleType, unix_ns: int) -> None:
    """What RFC 3339 has no form for is an error, not nonsense."""
    with pytest.raises((ValueError, OverflowError)):
        made.timestamp(unix_ns)


@BOTH
@given(st.integers(-62_135_596_800 * 10**6, 253_402_300_799 * 10**6))
def test_timestamp_is_the_calendar_s(made: ModuleType, unix_us: int) -> None:
    """Every microsecond of years 1 to 9999 reads back as itself."""
    found = datetime.fromisoformat(made.timestamp(unix_us * 1000))
    assert found == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_us)


@BOTH
@given(TEXT, U64, U64)
@example("n" * 5000, 2**64 - 1, 2**64 - 1)
@example("", 0, 0)
def test_exec_id_is_base64_of_node_ktime_and_pid(
    made: ModuleType, node: str, ktime: int, pid: int
) -> None:
    """An exec_id decodes to NODE:KTIME:PID, whatever the node is called."""
    decoded = base64.b64decode(made.exec_id(node, ktime, pid), validate=True)
    assert decoded.decode() == f"{node}:{ktime}:{pid}"


@BOTH
@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([b"echo"], ""),
        ([b"echo", b"a", b"b"], "a b"),
        ([b"echo", b"a b", b"c"], ' "a b" c'),
        ([b"sh", b"-c", b'echo "hi"'], '-c "echo "hi""'),
        ([b"x", b"", b"", b"a", b"", b"b"], "a  b"),
        ([b"x", b"new\nline", b"tab\t"], "new\nline tab\t"),
        ([b"x", b"\xff\xfe!", b"caf\xc3\xa9"], "\ufffd! caf\xe9"),
        ([], ""),
    ],
)
def test_arguments_are_joined_as_documented(
    made: ModuleType, argv: list[bytes], expected: str
) -> None:
    """Spaces quote, quotes stay, leading empty arguments vanish, bad bytes are one mark a run."""
    args = b"".join(one + b"\0" for one in argv)
    assert made.join_arguments(args) == expected


@BOTH
def test_trailing_empty_arguments_stay_unless_trimmed(made: ModuleType) -> None:
    """An empty last argument shows as a space when something stood behind argv in the record."""
    assert made.join_arguments(b"x\0a\0\0\0", False) == "a  "
    assert made.join_arguments(b"x\0a\0\0\0", True) == "a"


@BOTH
@given(ARGV, st.booleans())
def test_arguments_follow_the_rule_for_any_bytes(
    made: ModuleType, argv: list[bytes], trim: bool
) -> None:
    """Whatever argv holds, its text is what the rule says, and valid UTF-8."""
    found = made.join_arguments(b"".join(one + b"\0" for one in argv), trim)
    assert found == shown(argv, trim)
    found.encode()


@BOTH
def test_many_arguments_take_time_in_proportion(made: ModuleType) -> None:
    """A third of a megabyte of arguments with spaces is joined at once."""
    argv = b"x\0" + b"a b\0" * 85_000
    assert made.join_arguments(argv) == ' "a b"' * 85_000


VALUES = st.none() | TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1)


@BOTH
@given(st.lists(VALUES, max_size=48))
@example(['"\\\b\f\n\r\t\x00\x1f\x7f/<>&\u2028\u00e9\U0001f680'])
@example(["\x01" * 100, "a" * 1000 + '"', "x" * 7 + "\\"])
def test_json_object_reads_back_as_its_values(made: ModuleType, values: list[object]) -> None:
    """Every text, number and truth value survives; None and empty text are left out."""
    names = [f"k{n}" for n in range(len(values))]
    line = made.json_object(tuple(f'"{name}":'.encode() for name in names), *values)
    expected = {n: v for n, v in zip(names, values, strict=True) if v is not None and v != ""}
    found = json.loads(line)
    assert found == expected
    assert [type(value) for value in found.values()] == [type(v) for v in expected.values()]
    assert list(found) == list(expected)


@BOTH
def test_json_object_copies_bytes_and_escapes_as_little_as_it_may(made: ModuleType) -> None:
    """Ready JSON is taken as it is; only quotes, backslashes and controls are escaped."""
    keys = (b'"a":', b'"b":', b'"c":')
    found = made.json_object(keys, b'{"x":[1]}', '</\u2028\x7f\x1f"', 0)
    assert found == '{"a":{"x":[1]},"b":"</\u2028\x7f\\u001f\\"","c":0}'.encode()


@given(TEXT)
def test_json_object_of_c_and_python_are_equal_to_the_byte(value: str) -> None:
    """Both escape alike."""
    keys = (b'"k":',)
    assert _fast.json_object(keys, value) == text_plain.json_object(keys, value)


@BOTH
@pytest.mark.parametrize("values", [(1.5,), ([],), (), ("a", "b")])
def test_json_object_refuses_what_it_has_no_form_for(
    made: ModuleType, values: tuple[object, ...]
) -> None:
    """A wrong type or number of values is an error of the caller."""
    with pytest.raises((TypeError, ValueError)):
        made.json_object((b'"k":',), *values)


@BOTH
def test_json_object_refuses_text_without_a_utf8_form(made: ModuleType) -> None:
    """A lone surrogate, which no decoder lets in, raises as str.encode does."""
    with pytest.raises(UnicodeEncodeError):
        made.json_object((b'"a":', b'"b":'), "fine\xe9", "\udc80")


@BOTH
@given(st.lists(st.binary(max_size=40) | st.integers(0, 2**65), max_size=16))
def test_join_line_joins_bytes_and_times(made: ModuleType, parts: list[bytes | int]) -> None:
    """Parts come out in their order; a number is a time."""
    expected = b"".join(
        part if isinstance(part, bytes) else made.timestamp(part).encode() for part in parts
    )
    assert made.join_line(*parts) == expected


@BOTH
@pytest.mark.parametrize("parts", [("text",), (b"", None), (b"a", 10**30), (b"a", -(10**20))])
def test_join_line_refuses_what_is_no_part(made: ModuleType, parts: tuple[object, ...]) -> None:
    """Text, and times that cannot be shown, are errors of the caller."""
    with pytest.raises((TypeError, ValueError, OverflowError)):
        made.join_line(*parts)


@given(st.binary(max_size=40), st.integers(0, 250), st.integers(0, 60))
def test_exec_fields_of_c_and_python_agree_on_any_bytes(noise: bytes, cut: int, at: int) -> None:
    """Both read the same fields out of a record, and refuse the same broken ones."""
    record = exec_record(args=b"prog\0" + noise + b"\0", envs=noise, cleanup=(7, 8), inode=5)
    broken = record[: at * 2] + noise + record[at * 2 + len(noise) :]
    for data, end in ((record, len(record)), (broken, len(broken)), (record[:cut], cut)):
        assert outcome(_fast.exec_fields, data, 0, end) == outcome(
            record_plain.exec_fields, data, 0, end
        )


@BOTH
def test_exec_fields_stays_inside_its_record_and_batch(made: ModuleType) -> None:
    """A record may not reach behind its end, nor that behind the batch."""
    record = exec_record()
    data = b"\0" * 8 + record + b"more"
    assert made.exec_fields(data, 8, 8 + len(record))[0] == (100, 10_000)
    for start, end in ((8, 7 + len(record)), (8, len(data) + 1), (-8, len(data)), (200, 100)):
        with pytest.raises(ValueError):
            made.exec_fields(data, start, end)


def test_flag_words_come_in_the_schema_s_order() -> None:
    """Words are those of the schema; bits without a word add none."""
    assert text.flag_words(0x4001) == "execve clone"
    assert text.flag_words(ProcessFlag.PROCFS | ProcessFlag.ROOT_CWD) == "procFS rootcwd"
    assert text.flag_words(0x2 | 0x400 | 0x8000) == ""
    assert text.flag_words(0x3FFFFFF).split()[-1] == "inInitTree"
    assert text.flag_words(0x300000) == "errorCgroupID errorCgroups"


def test_add_flag_keeps_the_order() -> None:
    """A word added later stands where it would have stood."""
    assert text.add_flag("execve clone", ProcessFlag.TRUNC_ARGS) == "execve truncArgs clone"
    assert text.add_flag("execve truncArgs", ProcessFlag.TRUNC_ARGS) == "execve truncArgs"


@pytest.mark.parametrize(
    ("number", "name"), [(9, "SIGKILL"), (6, "SIGABRT"), (0, ""), (40, ""), (127, "")]
)
def test_signal_names_are_the_kernel_s(number: int, name: str) -> None:
    """A number without a name, such as a real-time signal, has none."""
    assert text.signal_name(number) == name


@given(st.binary(max_size=30))
def test_clean_gives_one_mark_for_each_run_of_bad_bytes(raw: bytes) -> None:
    """Any bytes become text; what was UTF-8 stays."""
    found = text.clean(raw)
    found.encode()
    if "\ufffd".encode() not in raw:
        assert "\ufffd\ufffd" not in found
        assert found.replace("\ufffd", "") == raw.decode(errors="ignore")
