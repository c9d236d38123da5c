"""Decode exec, exit and clone records: each field means what the documentation says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_bytes import FORKED, clone_record, exec_record, exit_record

from tetragon.abi import records as abi
from tetragon.abi.records import Announcement, PrivilegeChange, ProcessFlag
from tetragon.event.decode import Decoder
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Namespace,
    Process,
)
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord

HOST = {name: 100 + n for n, name in enumerate(abi.NAMESPACES_FIELDS) if "_for_" not in name}


def no_container(_cgroup: str, _cut: bool) -> str:
    """Stand for a host without containers."""
    return ""


@pytest.fixture
def decoder() -> Decoder:
    """Return a decoder of a host without containers."""
    return Decoder(no_container, HOST)


def decode_exec(decoder: Decoder, record: bytes) -> ExecRecord:
    """Decode one exec record."""
    found = decoder.decode(record, 0, len(record))
    assert isinstance(found, ExecRecord)
    return found


def process_of(decoder: Decoder, **fields: object) -> Process:
    """Decode an exec record with these fields; return its process."""
    return decode_exec(decoder, exec_record(**fields)).process  # type: ignore[arg-type]


def test_exec_carries_all_its_fields(decoder: Decoder) -> None:
    """Ids, flags and texts of the record are those of the process."""
    record = exec_record(
        (7, 70), (6, 60), (7, 65), uid=5, auid=6, nspid=3, cgroup_id=99, args=b"p\0--x\0y\0"
    )
    found = decode_exec(decoder, record)
    assert (found.key, found.cleanup, found.cgroup_id) == ((7, 70), (7, 65), 99)
    assert found.properties is None
    assert found.process == Process(
        7,
        70,
        "",
        parent_key=(6, 60),
        tid=7,
        nspid=3,
        uid=5,
        auid=6,
        cwd="/work",
        binary="/usr/bin/prog",
        arguments="--x y",
        flags="execve clone",
        start_time=70,
    )


def test_exec_of_a_process_nobody_knew_ends_none(decoder: Decoder) -> None:
    """Without a former identity there is nothing to clean up."""
    assert decode_exec(decoder, exec_record()).cleanup is None


@pytest.mark.parametrize(
    ("filename", "cwd", "binary"),
    [
        (b"/bin/a", b"/w", "/bin/a"),
        (b"./a", b"/w", "/w/a"),
        (b"../a//b/./c", b"/w/x", "/w/a/b/c"),
        (b"a", b"/", "/a"),
        (b"a", b"", "a"),
        (b"", b"/w", ""),
        (b"//x", b"/w", "//x"),
        (b"\xff\xfea", b"/\xff", "/\ufffd/\ufffda"),
    ],
)
def test_binary_is_absolute_where_the_cwd_is_known(
    decoder: Decoder, filename: bytes, cwd: bytes, binary: str
) -> None:
    """A relative name is joined to the working directory and cleaned."""
    assert process_of(decoder, filename=filename, cwd=cwd).binary == binary


@pytest.mark.parametrize(
    ("flags", "cwd"),
    [
        (ProcessFlag.ROOT_CWD, "/"),
        (ProcessFlag.ERROR_CWD, ""),
        (ProcessFlag.NO_CWD, ""),
        (ProcessFlag.ROOT_CWD | ProcessFlag.ERROR_CWD, ""),
        (ProcessFlag.ROOT_CWD | ProcessFlag.NO_CWD, ""),
        (0, ""),
    ],
)
def test_flags_say_why_there_is_no_cwd(decoder: Decoder, flags: int, cwd: str) -> None:
    """Only the root directory is shown without being in the record; nocwd and errors win."""
    for _ in range(2):  # the second from the memo
        process_of(decoder, cwd=b"", flags=FORKED | ProcessFlag.ROOT_CWD)
        assert process_of(decoder, cwd=b"", flags=FORKED | flags).cwd == cwd


def test_empty_arguments_at_the_end_vanish_only_without_a_cwd(decoder: Decoder) -> None:
    """What stands behind argv in the buffer decides whether trailing NULs are trimmed."""
    assert process_of(decoder, args=b"p\0a\0\0").arguments == "a "
    root = process_of(decoder, args=b"p\0a\0\0", cwd=b"", flags=ProcessFlag.ROOT_CWD)
    assert root.arguments == "a"


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_any_argv_becomes_valid_text(argv: list[bytes]) -> None:
    """Quotes, newlines, NULs and bytes that are not UTF-8: the text is there and can be sent."""
    args = b"".join(one + b"\0" for one in argv)
    arguments = process_of(Decoder(no_container), args=args).arguments
    arguments.encode()
    printable = [one for one in argv[1:] if one.isascii() and b"\0" not in one]
    assert all(one.decode() in arguments for one in printable)


def test_environment_is_split_at_the_first_equals_sign(decoder: Decoder) -> None:
    """A value may hold more of them; text without one is named invalid."""
    process = process_of(decoder, envs=b"A=1\0B=x=y\0odd\0C=\0")
    assert process.environment == (("A", "1"), ("B", "x=y"), ("invalid", "odd"), ("C", ""))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"inode": 9}, BinaryProperties(inode=9)),
        (
            {"privileges": PrivilegeChange.SETUID | PrivilegeChange.SETUID_ROOT, "euid": 0},
            BinaryProperties(setuid=0, privileges_changed=(2,)),
        ),
        (
            {"privileges": PrivilegeChange.SETUID, "euid": 5},
            BinaryProperties(setuid=5),
        ),
        (
            {
                "privileges": PrivilegeChange.FILE_CAPS
                | PrivilegeChange.SETGID
                | PrivilegeChange.SETGID_ROOT,
                "egid": 0,
            },
            BinaryProperties(setgid=0, privileges_changed=(1, 3)),
        ),
    ],
)
def test_privilege_changes_become_binary_properties(
    decoder: Decoder, fields: dict[str, int], expected: BinaryProperties
) -> None:
    """Set-id and file capability bits are told in the API's numbers, ascending."""
    assert decode_exec(decoder, exec_record(**fields)).properties == expected


def test_blocks_become_credentials_capabilities_and_namespaces(decoder: Decoder) -> None:
    """Optional blocks come between the fixed part and the texts, and are told from the host's."""
    credentials = abi.CREDENTIALS.pack(*range(1, 10), 0, 0x3F, 0x1, 0x0)
    numbers = [HOST.get(name, 0) for name in abi.NAMESPACES_FIELDS]
    numbers[2] += 1000  # mnt
    namespaces = abi.NAMESPACES.pack(*numbers)
    for _ in range(2):  # the second from the memo
        process = process_of(decoder, credentials=credentials, namespaces=namespaces)
        assert process.credentials == Credentials(*range(1, 10))
        assert process.cap == Capabilities(0x3F, 0x1, 0x0)
        assert process.ns is not None
        assert process.ns.uts == Namespace(HOST["uts"], True)
        assert process.ns.mnt == Namespace(HOST["mnt"] + 1000, False)
        assert process.ns.time == Namespace(HOST["time"], True)
        assert process.ns.time_for_children is None
        assert process.binary == "/usr/bin/prog"


def test_container_is_told_from_the_cgroup() -> None:
    """The cgroup's name is asked for a container, once for all processes that share it."""
    asked: list[tuple[str, bool]] = []

    def container(cgroup: str, cut: bool) -> str:
        asked.append((cgroup, cut))
        return "abc"

    decoder = Decoder(container)
    for name in (b"/bin/a", b"/bin/b", b"/bin/a"):
        assert process_of(decoder, filename=name, cgroup=b"docker/id").docker == "abc"
    assert process_of(decoder, cgroup=b"docker/" + b"x" * 127).docker == "abc"
    assert process_of(decoder, cgroup=b"y" * 127 + b"/id").docker == "abc"
    assert [cut for _, cut in asked] == [False, True, False]
    assert asked[0][0] == "docker/id"


def test_flags_are_words_and_in_init_tree(decoder: Decoder) -> None:
    """The record's bits are shown as words; one of them is a field too."""
    process = process_of(decoder, flags=FORKED | ProcessFlag.IN_INIT_TREE)
    assert process.flags == "execve clone inInitTree"
    assert process.in_init_tree


@pytest.mark.parametrize(
    ("announced", "told"),
    [(Announcement.NO, False), (Announcement.YES, True), (Announcement.LOST, False)],
)
def test_exit_carries_all_its_fields(decoder: Decoder, announced: int, told: bool) -> None:
    """Who, when, how, and whether anybody was told of it before."""
    record = exit_record((7, 70), (6, 60), ktime=99, code=0x300, announced=announced, flags=2)
    found = decoder.decode(record, 0, len(record))
    assert found == ExitRecord((7, 70), (6, 60), 2, 0, 99, 0x300, told)


def test_clone_carries_all_its_fields(decoder: Decoder) -> None:
    """Who, by whom, and its flags."""
    record = clone_record((7, 70), (6, 60), flags=ProcessFlag.IN_INIT_TREE)
    found = decoder.decode(record, 0, len(record))
    assert found == CloneRecord((7, 70), (6, 60), ProcessFlag.IN_INIT_TREE, 0)


def test_memos_stay_bounded(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs with names of their own, however many, do not fill the memory."""
    monkeypatch.setattr("tetragon.event.decode._MEMO_MAX", 16)
    for number in range(100):
        name = b"/bin/%d" % number
        credentials = abi.CREDENTIALS.pack(number, *range(12))
        namespaces = abi.NAMESPACES.pack(number, *range(9))
        process = process_of(decoder, filename=name, credentials=credentials, namespaces=namespaces)
        assert process.binary == name.decode()
        assert process.credentials is not None
        assert process.credentials.uid == number
    assert process_of(decoder, filename=b"/" + b"x" * 600).binary == "/" + "x" * 600
    memos = (
        decoder._places,
        decoder._containers,
        decoder._credentials,
        decoder._namespaces,
    )
    assert all(len(memo) <= 16 for memo in memos)
    assert all(len(texts) <= 512 for texts, *_ in decoder._places)
