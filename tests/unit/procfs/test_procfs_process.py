"""Processes read from the real /proc, against ps, system calls and what was started."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tetragon.errors import DecodeError, KernelError
from tetragon.model.ledger import Ledger
from tetragon.model.process import Capabilities, Credentials
from tetragon.procfs.namespaces import NsInodes, describe
from tetragon.procfs.process import (
    CMDLINE_MAX,
    UNSET_AUID,
    ProcProcess,
    Want,
    parse_stat,
    parse_status,
    read_process,
    scan,
)

PROC = "/proc/"
NS_NAMES = NsInodes._fields
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def read(pid: int, want: Want = Want.ALL) -> ProcProcess:
    """Read a process that is there."""
    process = read_process(PROC, pid, want)
    assert process is not None
    return process


def wait_until(condition, seconds: float = 10) -> None:
    """Poll until true; fail at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition never came true"
        os.sched_yield()


def kernel_caps() -> tuple[int, int, int]:
    """Ask capget(2) for this process's effective, permitted and inheritable sets."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capget(header, data) == 0
    return tuple(data[i] | data[i + 3] << 32 for i in range(3))  # type: ignore[return-value]


@pytest.mark.usefixtures("open_files")
def test_own_process_is_what_system_calls_say() -> None:
    """Every group of our own process equals what an independent call returns."""
    own = read(os.getpid())
    effective, permitted, inheritable = kernel_caps()
    uid, euid, suid = os.getresuid()
    gid, egid, sgid = os.getresgid()
    assert (own.pid, own.ppid) == (os.getpid(), os.getppid())
    assert own.credentials == Credentials(uid, gid, euid, egid, suid, sgid, euid, egid)
    assert own.capabilities == Capabilities(permitted, effective, inheritable)
    assert own.cmdline == b"".join(os.fsencode(word) + b"\0" for word in sys.orig_argv)
    assert own.exe == os.fsencode(os.path.realpath(sys.executable))
    assert own.cwd == os.fsencode(Path.cwd())
    assert own.cgroup == Path("/proc/self/cgroup").read_bytes()
    assert not own.kernel_thread
    assert not own.exited
    assert not own.cmdline_cut


def test_namespaces_are_the_inodes_stat_gives() -> None:
    """The ten numbers equal the inode numbers of the files behind the links."""
    own = read(os.getpid(), Want.NS).ns
    assert own is not None
    for name, inode in own._asdict().items():
        assert inode == Path("/proc/self/ns", name).stat().st_ino


def test_start_is_between_the_clock_before_and_after(start_python) -> None:
    """ktime is ns of CLOCK_BOOTTIME, rounded down to 10 ms."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    child = start_python("")
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before - 10_000_000 <= read(child.pid).ktime <= after


@needs_root
def test_ids_are_those_the_process_set(start_python) -> None:
    """Real, effective, saved and file system ids of users and groups keep their places."""
    child = start_python(
        "import os, ctypes\nlibc = ctypes.CDLL(None)\nos.setgroups(range(100, 6000))\n"
        "os.setresgid(21, 22, 23); libc.setfsgid(24)\n"
        "os.setresuid(11, 12, 13); libc.setfsuid(13)"
    )
    credentials = read(child.pid).credentials
    assert credentials == Credentials(11, 21, 12, 22, 13, 23, 13, 24)


@needs_root
def test_login_uid_is_the_one_set(start_python) -> None:
    """A login uid is read; a process that never had a login has the unset value."""
    logged_in = start_python("open('/proc/self/loginuid', 'w').write('1234')")
    no_login = start_python("")
    assert read(logged_in.pid).auid == 1234
    inherited = Path("/proc/self/loginuid").read_text()
    assert read(no_login.pid).auid == int(inherited)


def set_name(name: bytes) -> str:
    """Program text that gives the process a name of any bytes."""
    return f"import ctypes; ctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0)"


@pytest.mark.parametrize(
    "name", [b") (", b") R 1 2 3", b"a\nUid:\t9\t9\t9", b"\\\xff\x01\t ", b"(", b""]
)
def test_name_is_kept_whatever_it_holds(start_python, name: bytes) -> None:
    """Parentheses, newlines, forged lines and invalid UTF-8 shift no field and forge no id."""
    process = read(start_python(set_name(name)).pid)
    assert process.comm == name[:15]
    assert process.ppid == os.getpid()
    assert process.credentials == read(os.getpid()).credentials


def test_arguments_are_raw_bytes(start) -> None:
    """Any byte, empty arguments and newlines come back as they were given."""
    argv = [b"sh", b"-c", b"echo ready; read x", b"", b"\xff\xfe", b"a b\n\"'\\", b""]
    child = start(*argv, executable="/bin/sh")
    assert read(child.pid, Want.CMDLINE).cmdline == b"".join(word + b"\0" for word in argv)


@pytest.mark.parametrize(("size", "cut"), [(100_000, False), (CMDLINE_MAX, True)])
def test_long_arguments_are_whole_or_marked(start, size: int, cut: bool) -> None:
    """Arguments above one read are whole; above the limit they end there and are marked."""
    words = [b"x" * 60_000] * (size // 60_000) + [b"y" * (size % 60_000)]
    child = start("/bin/sh", "-c", "echo ready; read x", *words)
    process = read(child.pid, Want.CMDLINE)
    whole = b"/bin/sh\0-c\0echo ready; read x\0" + b"".join(word + b"\0" for word in words)
    assert process.cmdline == whole[:CMDLINE_MAX]
    assert process.cmdline_cut is cut is (len(whole) > CMDLINE_MAX)


def test_deleted_binary_keeps_the_kernels_mark(start, tmp_path: Path) -> None:
    """A binary whose file was removed is named with ' (deleted)' behind."""
    binary = tmp_path / "gone"
    binary.write_bytes(Path("/bin/sh").resolve().read_bytes())
    binary.chmod(0o755)
    child = start(str(binary), "-c", "echo ready; read x", cwd=tmp_path)
    assert read(child.pid).exe == os.fsencode(binary)
    binary.unlink()
    process = read(child.pid)
    assert process.exe == os.fsencode(binary) + b" (deleted)"
    assert process.cwd == os.fsencode(tmp_path)


def test_unshared_namespaces_and_inner_pid_are_seen(start) -> None:
    """A process in ten new namespaces differs from us in each; its inner pid is 1."""
    child = start(
        *("unshare", "-Ur", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--mount"),
        *("--time", "sh", "-c", "echo ready; read x"),
    )
    inner_pid = int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text())
    inner, own = read(inner_pid), read(os.getpid())
    assert inner.ns is not None
    assert own.ns is not None
    for name in NS_NAMES:
        inode = Path(f"/proc/{inner_pid}/ns/{name}").stat().st_ino
        assert getattr(inner.ns, name) == inode != getattr(own.ns, name)
    assert inner.nspids == (*own.nspids[:-1], inner_pid, 1)
    assert inner.nspid == 1
    marks = describe(inner.ns, own.ns)
    assert not any(getattr(marks, name).is_host for name in NS_NAMES)


def test_inner_pid_is_0_in_the_outermost_namespace(fake_process: Path) -> None:
    """A process with one pid only has no inner one."""
    status = (fake_process / "status").read_bytes()
    (fake_process / "status").write_bytes(status.replace(b"FDSize", b"NSpid:\t7\nFDSize"))
    process = read_process(str(fake_process.parent), 7)
    assert process is not None
    assert process.nspids == (7,)
    assert process.nspid == 0


def test_ended_process_not_yet_waited_for_is_marked(start) -> None:
    """A zombie is read, with what is left of it, and is no kernel thread."""
    child = start("sh", "-c", "echo ready")
    wait_until(lambda: read(child.pid).state == "Z")
    process = read(child.pid)
    assert process.exited
    assert not process.kernel_thread
    assert (process.cmdline, process.exe, process.ppid) == (b"", b"", os.getpid())


LEADER_EXITS = """
import ctypes, os, threading
threading.Thread(target=lambda: (os.write(1, b"ready\\n"), os.read(0, 1))).start()
ctypes.CDLL(None).syscall(60, 0)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="number of the exit system call")
def test_process_whose_main_thread_ended_cannot_hide(start) -> None:
    """Binary, arguments, directory and namespaces come from a thread that lives on."""
    child = start(sys.executable, "-I", "-S", "-c", LEADER_EXITS)
    wait_until(lambda: read(child.pid).state == "Z")
    process = read(child.pid)
    assert Path(f"/proc/{child.pid}/cmdline").read_bytes() == b""
    assert not process.exited
    assert process.exe == os.fsencode(os.path.realpath(sys.executable))
    assert process.cmdline.endswith(os.fsencode(LEADER_EXITS) + b"\0")
    assert process.cwd == os.fsencode(Path.cwd())
    assert process.ns == read(os.getpid()).ns


@pytest.mark.usefixtures("open_files")
def test_gone_process_is_none() -> None:
    """A pid nobody has gives None and leaves nothing open."""
    child = subprocess.Popen(["true"])
    child.wait()
    assert read_process(PROC, child.pid) is None


@pytest.mark.usefixtures("open_files")
@pytest.mark.parametrize(
    ("call", "number"), [*(("read", n) for n in range(5)), *(("readlink", n) for n in (0, 1, 11))]
)
def test_process_that_ends_in_mid_read(start, monkeypatch, call: str, number: int) -> None:
    """
    Ended and waited for before the binary is known, it is gone; after that it is as it was.

    Only the moment is ours: the errors are the kernel's.
    """
    child = start("sh", "-c", "echo ready; read x")
    original, countdown = getattr(os, call), iter(range(number, -1, -1))

    def end_it_first(*args: object, **options: object) -> object:
        if next(countdown, None) == 0:
            child.kill()
            child.wait()
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, end_it_first)
        process = read_process(PROC, child.pid)
    assert child.returncode == -signal.SIGKILL
    assert (process is None) is (call == "read" or number == 0)


def test_scan_agrees_with_ps() -> None:
    """Parent, user, threads and name of every process that lives on equal what ps prints."""
    command = ["ps", "-e", "-o", "pid=,ppid=,euid=,suid=,egid=,nlwp=,comm="]
    before = subprocess.check_output(command, text=True)
    found = {process.pid: process for process in scan(PROC)}
    after = subprocess.check_output(command, text=True)
    stable = set(before.splitlines()) & set(after.splitlines())
    assert len(stable) > 2
    for line in stable:
        pid, ppid, euid, suid, egid, threads, comm = line.split(maxsplit=6)
        process = found[int(pid)]
        ids = process.credentials
        assert ids is not None
        assert (process.ppid, process.threads) == (int(ppid), int(threads))
        assert (ids.euid, ids.suid, ids.egid) == (int(euid), int(suid), int(egid))
        assert process.comm.startswith(os.fsencode(comm)[:10])


def test_kernel_threads_are_children_of_kthreadd() -> None:
    """The kernel's flag and the family of pid 2 name the same processes."""
    for process in scan(PROC, Want(0)):
        assert process.kernel_thread is (2 in (process.pid, process.ppid))


CHURN = "while :; do for i in 1 2 3 4 5 6 7 8; do /bin/true & done; wait; done"


@pytest.mark.usefixtures("open_files")
def test_scan_survives_processes_that_end_under_it(start) -> None:
    """With processes coming and going all the time nothing raises and the books balance."""
    churn = start("sh", "-c", CHURN, ready=False, start_new_session=True)
    ledger = Ledger("procfs")
    try:
        deadline = time.monotonic() + 30
        while ledger.filtered < 3:
            assert time.monotonic() < deadline, "no process ended in the middle of a scan"
            assert os.getpid() in {process.pid for process in scan(PROC, ledger=ledger)}
    finally:
        os.killpg(churn.pid, signal.SIGKILL)
        churn.wait()
    assert not ledger.lost
    assert ledger.produced == ledger.delivered + ledger.filtered


def test_scan_of_no_procfs_says_what_to_set(tmp_path: Path) -> None:
    """A directory that cannot be listed is an error that names the flag."""
    with pytest.raises(KernelError, match=r"No such file.*--procfs"):
        next(scan(str(tmp_path / "missing")))


@pytest.mark.usefixtures("open_files")
def test_scan_counts_what_it_cannot_read(fake_process: Path) -> None:
    """One process with a nonsense file and one that fails to be read are lost, not the scan."""
    root = fake_process.parent
    for pid in ("8", "9"):
        (root / pid).mkdir()
    (root / "8" / "stat").write_bytes(b"nonsense")
    (root / "9" / "stat").mkdir()
    (root / "self").symlink_to("7")
    ledger = Ledger("procfs")
    assert [process.pid for process in scan(str(root), ledger=ledger)] == [7]
    assert {loss.reason: count for loss, count in ledger.lost.items()} == {
        "DecodeError": 1,
        "EISDIR": 1,
    }
    assert (ledger.produced, ledger.delivered) == (3, 1)


def test_kernel_without_optional_features_gives_defaults(fake_process: Path) -> None:
    """No audit, no cgroups, no time or cgroup namespaces, no NSpid: unset, empty, 0."""
    process = read_process(str(fake_process.parent), 7)
    assert process is not None
    assert (process.auid, process.cgroup, process.nspids) == (UNSET_AUID, b"", ())
    assert process.ns == NsInodes(uts=11, ipc=12, mnt=13, pid=14, net=15, user=16)
    assert process.credentials == Credentials(1, 5, 2, 6, 3, 7, 4, 8)
    assert process.capabilities == Capabilities(permitted=2, effective=4, inheritable=1)
    assert (process.cmdline, process.exe, process.cwd) == (b"old\0-x\0", b"/usr/bin/old", b"/")
    assert process.ktime == 990_000_000
    assert describe(process.ns, process.ns).time is None


@pytest.mark.parametrize("link", ["mnt", "mnt:[x]", "mnt:[]", "mnt:[1", ":[12]extra"])
def test_nonsense_namespace_link_is_a_decode_error(fake_process: Path, link: str) -> None:
    """A link that is not name:[inode] is refused, not read as another number."""
    (fake_process / "ns" / "mnt").unlink()
    (fake_process / "ns" / "mnt").symlink_to(link)
    with pytest.raises(DecodeError, match="ns/mnt"):
        read_process(str(fake_process.parent), 7)


def test_only_wanted_groups_are_read(fake_process: Path) -> None:
    """Files of a group nobody wants are not opened: their absence goes unnoticed."""
    (fake_process / "status").unlink()
    (fake_process / "cmdline").unlink()
    process = read_process(str(fake_process.parent), 7, Want.EXE | Want.NS)
    assert process is not None
    assert process.exe == b"/usr/bin/old"
    assert process.credentials is None
    assert process.cwd == b""
    assert read_process(str(fake_process.parent), 7, Want.CREDS) is None


STAT = b"7 (%b) S 1 7 7 0 -1 2097216 " + b"0 " * 8 + b"20 0 3 0 99 0\n"


@given(st.binary(max_size=64))
@example(b") S 9 9 9")
@example(b"\n")
def test_stat_of_any_name_is_parsed(name: bytes) -> None:
    """Whatever the name, it and the fields behind it come out whole."""
    stat = parse_stat(STAT % name)
    assert stat.comm == name
    assert (stat.pid, stat.ppid, stat.threads, stat.start_ticks) == (7, 1, 3, 99)


@given(st.one_of(st.binary(max_size=400), st.text(alphabet="() 0123456789-S\n").map(str.encode)))
def test_stat_parser_raises_nothing_else(text: bytes) -> None:
    """Any bytes parse or are a DecodeError."""
    with contextlib.suppress(DecodeError):
        parse_stat(text)


KEYS = st.sampled_from([b"Uid:", b"Gid:", b"NSpid:", b"CapInh:", b"CapPrm:", b"CapEff:"])
VALUES = st.binary(max_size=30) | st.just(b"\t1\t2\t3\t4") | st.just(b"\t00000000000000ff")


@given(st.lists(st.tuples(KEYS, VALUES), max_size=8))
def test_status_parser_raises_nothing_else(lines: list[tuple[bytes, bytes]]) -> None:
    """Any bytes parse or are a DecodeError."""
    text = b"Name:\tx\n" + b"\n".join(key + value for key, value in lines) + b"\n"
    with contextlib.suppress(DecodeError):
        parse_status(text)
