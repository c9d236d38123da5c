"""Facts of the host and our rights on it, against system calls, pwd and dropped rights."""

import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetragon.errors import ConfigError, DecodeError, KernelError
from tetragon.model.process import Capabilities
from tetragon.procfs.host import (
    KERNEL_BTF,
    boot_time,
    find_btf,
    host_namespaces,
    kernel_release,
    kubernetes_node_name,
    node_name,
    own_pid,
    parse_lockdown,
    parse_release,
    procfs_problem,
    read_lockdown,
)
from tetragon.procfs.namespaces import NsInodes
from tetragon.procfs.privileges import (
    Cap,
    capability_problem,
    own_privilege_problem,
    privilege_problem,
)
from tetragon.procfs.users import UserNames, parse_passwd

ALL_CAPS = (1 << 41) - 1
INITIAL_USER_NS = 4026531837
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run_python(*command: str) -> str:
    """Run a program that ends in Python code; return what it printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def python(code: str) -> list[str]:
    """Command for a line of code, this interpreter and its packages."""
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6.1.0-27-amd64", (6, 1, 0)),
        ("5.15.0-1051-aws", (5, 15, 0)),
        ("6.18.44-fc-v595", (6, 18, 44)),
        ("7.2", (7, 2, 0)),
        ("6.12-rc3", (6, 12, 0)),
        ("5.14.0-427.el9.x86_64", (5, 14, 0)),
    ],
)
def test_release_numbers(text: str, numbers: tuple[int, int, int]) -> None:
    """Distributions' releases compare by their leading numbers."""
    assert parse_release(text) == numbers


@given(st.text(max_size=40))
def test_release_of_any_text_is_numbers_or_config_error(text: str) -> None:
    """Whatever --kernel is given, the error is ours and shows it."""
    try:
        assert len(parse_release(text)) == 3
    except ConfigError as exc:
        message = str(exc)
    else:
        return
    assert repr(text)[:80] in message


def test_release_is_what_uname_prints() -> None:
    """The running kernel's release, and it parses."""
    assert kernel_release() == run_python("uname", "-r")
    assert parse_release(kernel_release()) >= (5, 10, 0)


HUBBLE, NODE = "HUBBLE_NODE_NAME", "NODE_NAME"


@pytest.mark.parametrize(
    ("environ", "events", "look_up"),
    [
        ({HUBBLE: "a", NODE: "b"}, "a", "b"),
        ({HUBBLE: "a"}, "a", "a"),
        ({NODE: "b"}, "b", "b"),
        ({HUBBLE: "", NODE: "b"}, "b", "b"),
    ],
)
def test_node_name_by_environment(environ: dict[str, str], events: str, look_up: str) -> None:
    """Events prefer the one variable, Kubernetes the other; empty is unset."""
    assert (node_name(environ), kubernetes_node_name(environ)) == (events, look_up)


def test_node_name_is_the_host_name_otherwise() -> None:
    """Without variables it is what uname prints."""
    name = run_python("uname", "-n")
    assert (node_name({}), kubernetes_node_name({})) == (name, name)


def test_boot_time_agrees_with_the_clocks() -> None:
    """Now minus the time since boot, to the second."""
    expected = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert abs(boot_time() - expected) < 2_000_000_000


def test_boot_time_of_no_procfs_is_an_error(tmp_path: Path) -> None:
    """A missing file and one without the line are told apart."""
    with pytest.raises(KernelError, match="No such file"):
        boot_time(str(tmp_path))
    (tmp_path / "stat").write_text("cpu 1 2 3\n")
    with pytest.raises(DecodeError, match="btime"):
        boot_time(str(tmp_path))


def test_own_pid_is_getpid() -> None:
    """In our own procfs it is our pid."""
    assert own_pid() == os.getpid()


def test_own_pid_is_the_outer_one_when_the_procfs_is() -> None:
    """In a pid namespace that still sees the outer procfs, the outer number is returned."""
    code = "import os; from tetragon.procfs.host import own_pid; print(os.getpid(), own_pid())"
    inner, outer = run_python("unshare", "-Ur", "-p", "-f", *python(code)).split()
    assert int(inner) == 1
    assert int(outer) > os.getpid()


def test_no_procfs_names_the_flag(tmp_path: Path) -> None:
    """An ordinary directory as --procfs is refused with the value and the fix."""
    with pytest.raises(ConfigError, match=rf"--procfs={tmp_path}.*No such file.*host's /proc"):
        procfs_problem(str(tmp_path))


def test_container_procfs_is_a_problem_and_the_hosts_is_none() -> None:
    """A procfs of another pid namespace shows no kernel thread; this machine's does."""
    assert procfs_problem() is None
    code = "from tetragon.procfs.host import procfs_problem; print(procfs_problem())"
    told = run_python("unshare", "-Ur", "-p", "-f", "--mount-proc", *python(code))
    assert "shows the processes of a container only" in told


@needs_root
def test_host_namespaces_are_the_kernel_threads() -> None:
    """They are those of a kernel thread, also where init's may not be read."""
    host = host_namespaces()
    for name, inode in host._asdict().items():
        assert inode == Path("/proc/2/ns", name).stat().st_ino
    assert host.user == INITIAL_USER_NS


def make_process(root: Path, pid: int, flags: int, first_inode: int | None) -> None:
    """Add a process to a made-up tree; without an inode its namespaces may not be read."""
    names = ("uts", "ipc", "mnt", "pid", "net", "cgroup", "user")
    (root / str(pid) / "ns").mkdir(parents=True)
    numbers = b"0 0 0 0 -1 %d" % flags + b" 0" * 11 + b" 1 0 9 0"
    (root / str(pid) / "stat").write_bytes(b"%d (p) S " % pid + numbers)
    for number, name in enumerate(names if first_inode else (), first_inode or 0):
        (root / str(pid) / "ns" / name).symlink_to(f"{name}:[{number}]")


KERNEL_THREAD = 0x00200040


@pytest.mark.parametrize(
    ("init", "second", "flags", "expected"),
    [(100, 200, KERNEL_THREAD, 100), (None, 200, KERNEL_THREAD, 200), (100, None, 0, 100)],
)
def test_host_namespaces_prefer_init(tmp_path: Path, init, second, flags, expected) -> None:
    """Init's are taken where they may be read, kthreadd's where not."""
    make_process(tmp_path, 1, 0x40, init)
    make_process(tmp_path, 2, flags, second)
    assert host_namespaces(str(tmp_path)) == NsInodes(
        *(expected + n if n is not None else 0 for n in (0, 1, 2, 3, None, 4, None, None, 5, 6))
    )


@pytest.mark.parametrize(("second", "flags"), [(200, 0x40), (None, KERNEL_THREAD)])
def test_host_namespaces_are_never_guessed(tmp_path: Path, second, flags: int) -> None:
    """With init's hidden, pid 2 counts only as a kernel thread; else it is an error with a fix."""
    make_process(tmp_path, 1, 0x40, None)
    make_process(tmp_path, 2, flags, second)
    with pytest.raises(KernelError, match=r"1/ns: run as root with CAP_SYS_PTRACE"):
        host_namespaces(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("none [integrity] confidentiality\n", "integrity"),
        ("[none] integrity confidentiality\n", "none"),
        ("none integrity [confidentiality]", "confidentiality"),
        ("", ""),
    ],
)
def test_lockdown_mode_is_the_one_in_brackets(tmp_path: Path, text: str, mode: str) -> None:
    """Text and file give the same."""
    assert parse_lockdown(text) == mode
    (tmp_path / "lockdown").write_text(text)
    assert read_lockdown(str(tmp_path / "lockdown")) == mode


def test_lockdown_is_unknown_without_securityfs(tmp_path: Path) -> None:
    """No file, no mode."""
    assert read_lockdown(str(tmp_path / "lockdown")) == ""


def test_btf_is_the_kernels_own(tmp_path: Path) -> None:
    """Nothing given: the running kernel's file."""
    assert find_btf("", str(tmp_path), kernel_release()) == KERNEL_BTF


def test_btf_given_goes_first_and_must_be_one(tmp_path: Path) -> None:
    """A given file is taken when it is BTF; else the flag, the value and the fix are named."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(Path(KERNEL_BTF).read_bytes()[:64])
    bad.write_bytes(b"text")
    assert find_btf(str(good), "", "6.1.0") == str(good)
    with pytest.raises(ConfigError, match=r"--btf=.*bad: not a BTF file; .* kernel 6\.1\.0"):
        find_btf(str(bad), "", "6.1.0")
    with pytest.raises(ConfigError, match=r"--btf=.*none: No such file"):
        find_btf(str(tmp_path / "none"), "", "6.1.0")


@pytest.mark.parametrize("name", ["btf", "vmlinux-6.1.0", "metadata/vmlinux-6.1.0"])
def test_btf_is_looked_for_in_the_library(tmp_path: Path, name: str) -> None:
    """A kernel without its own file is helped by one of the library directory."""
    missing = str(tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"CONFIG_DEBUG_INFO_BTF.*--btf"):
        find_btf("", str(tmp_path), "6.1.0", missing)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"\x9f\xeb\x01\0")
    assert find_btf("", str(tmp_path), "6.1.0", missing) == str(tmp_path / name)


def without(*caps: Cap) -> int:
    """Every capability but these."""
    return ALL_CAPS & ~sum(1 << cap for cap in caps)


@pytest.mark.parametrize(
    ("effective", "memlock", "mount", "missing"),
    [
        (ALL_CAPS, True, True, None),
        (without(Cap.SYS_ADMIN), True, False, None),
        (without(Cap.BPF, Cap.PERFMON), True, True, None),
        (without(Cap.SYS_RESOURCE), False, True, None),
        (without(Cap.SYS_RESOURCE), True, True, ["SYS_RESOURCE"]),
        (without(Cap.SYS_ADMIN), False, True, ["SYS_ADMIN"]),
        (without(Cap.SYS_ADMIN, Cap.BPF), False, False, ["BPF"]),
        (without(Cap.SYS_PTRACE), False, False, ["SYS_PTRACE"]),
        (0, True, True, ["BPF", "PERFMON", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE"]),
    ],
)
def test_missing_capabilities_are_named(effective, memlock, mount, missing) -> None:
    """One line with each missing one and the fix; nothing where the old or new set suffices."""
    problem = capability_problem(effective, memlock, mount)
    if missing is None:
        assert problem is None
        return
    assert problem is not None
    assert "\n" not in problem
    assert "run as root" in problem
    assert all(f"CAP_{name}" in problem for name in missing)


def test_user_namespace_is_named_before_capabilities() -> None:
    """All capabilities inside a user namespace are worth nothing."""
    caps = Capabilities(ALL_CAPS, ALL_CAPS, 0)
    assert privilege_problem(caps, INITIAL_USER_NS) is None
    assert "user namespace" in (privilege_problem(caps, 4026532177) or "")


OWN_PROBLEM = (
    "from tetragon.procfs.privileges import own_privilege_problem as p; print(p(mount=True))"
)


def test_user_namespace_root_is_told_so() -> None:
    """The real thing: root of a new user namespace."""
    assert "user namespace" in run_python("unshare", "-Ur", *python(OWN_PROBLEM))


@needs_root
def test_dropped_capabilities_are_told() -> None:
    """The real thing: root enough for the work, and root with three of them taken away."""
    assert own_privilege_problem(mount=True) is None
    drop = "--bounding-set=-bpf,-perfmon,-sys_admin"
    problem = run_python("setpriv", "--inh-caps=-all", drop, *python(OWN_PROBLEM))
    assert problem.startswith(
        "missing CAP_BPF (or CAP_SYS_ADMIN) to load BPF programs, CAP_PERFMON"
    )
    assert "CAP_SYS_ADMIN to mount" in problem


def test_user_names_are_those_of_the_passwd_file() -> None:
    """Every user of this machine, the first name of a uid, and nobody else."""
    names = UserNames()
    first = {entry.pw_uid: entry.pw_name for entry in reversed(pwd.getpwall())}
    assert {uid: names.find(uid) for uid in first} == first
    assert names.find(max(first) + 1) is None


def test_user_names_follow_the_file(tmp_path: Path) -> None:
    """A changed file is read again, a removed one gives no names."""
    file = tmp_path / "passwd"
    names = UserNames(str(file))
    assert names.find(5) is None
    file.write_text("one:x:5:5::/:/bin/sh\n")
    assert names.find(5) == "one"
    (tmp_path / "new").write_text("two:x:5:5::/:/bin/sh\n")
    (tmp_path / "new").replace(file)
    assert names.find(5) == "two"
    file.unlink()
    assert names.find(5) is None


def test_passwd_table_is_bounded() -> None:
    """More lines than a host can have users, and a name of a megabyte, cost no more."""
    lines = (b"u%d:x:%d:0::/:" % (n, n) for n in range(70_000))
    table = parse_passwd(b"n" * 1_000_000 + b":x:70001:0::/:\n" + b"\n".join(lines))
    assert len(table) == 65_536
    assert table[70_001] == "n" * 256


PASSWD_TEXT = st.binary(max_size=200) | st.text(alphabet="ab:0123\n-+", max_size=200).map(
    str.encode
)


@given(PASSWD_TEXT)
def test_passwd_parser_raises_nothing(text: bytes) -> None:
    """Any bytes give a table of uids the kernel can have."""
    assert all(0 <= uid < 10**10 and name for uid, name in parse_passwd(text).items())


def test_importing_pulls_in_no_feature() -> None:
    """The readers cost neither ctypes nor anything of an output that may be off."""
    code = (
        "import sys, pkgutil, tetragon.procfs as package\n"
        "for module in pkgutil.iter_modules(package.__path__):\n"
        "    __import__(f'{package.__name__}.{module.name}')\n"
        "print(*sys.modules)"
    )
    loaded = set(run_python(*python(code)).split())
    assert "tetragon.procfs.pidfile" in loaded
    assert not loaded & {"ctypes", "grpc", "google.protobuf", "yaml", "click", "rich", "asyncio"}
