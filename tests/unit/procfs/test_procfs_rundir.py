"""Run directory, info file and pid file, with processes that race for it and are killed."""

import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tetragon.errors import ConfigError
from tetragon.procfs.pidfile import claim
from tetragon.procfs.rundir import AgentInfo, make_run_dir, write_info

KEYS = (
    "export_fname lib_dir btf_fname server_address metrics_address gops_address map_dir "
    "bpftool_path gops_path max_recv_size pid"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

HOLD = """
import sys
from tetragon.procfs.pidfile import claim
held = claim(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
held.close()
"""

RACE = """
import os, sys
from tetragon.errors import ConfigError
from tetragon.procfs.pidfile import claim
path, alone = sys.argv[1], sys.argv[1] + ".alone"
print("ready", flush=True)
sys.stdin.read()
won = 0
while won < 50:
    try:
        held = claim(path)
    except ConfigError as exc:
        assert "already running" in str(exc), exc
        continue
    os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
    won += 1
    assert open(path).read() == str(os.getpid())
    os.unlink(alone)
    held.close()
print(won)
"""

FIRST = """
import sys
from tetragon.errors import ConfigError
from tetragon.procfs.pidfile import claim
print("ready", flush=True)
sys.stdin.readline()
try:
    held = claim(sys.argv[1])
except ConfigError as exc:
    print(exc, flush=True)
else:
    print("won", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pid_path(tmp_path: Path) -> Path:
    """Where the pid file goes."""
    return tmp_path / "tetragon.pid"


def mode_of(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_files")
def test_pid_file_holds_our_pid_until_closed(pid_path: Path) -> None:
    """Number and mode are there while we run; nothing after, and closing twice is harmless."""
    old_umask = os.umask(0o077)
    try:
        with claim(str(pid_path)) as held:
            assert pid_path.read_text() == str(os.getpid())
            assert mode_of(pid_path) == 0o644
        held.close()
    finally:
        os.umask(old_umask)
    assert not pid_path.exists()


def test_second_agent_is_told_who_runs(start, pid_path: Path) -> None:
    """The error names pid and file; the first agent's file stays whole."""
    first = start(sys.executable, "-c", HOLD, str(pid_path))
    expected = rf"already running: pid {first.pid} holds {pid_path}; stop it first"
    for _ in range(2):
        with pytest.raises(ConfigError, match=expected):
            claim(str(pid_path))
    assert pid_path.read_text() == str(first.pid)
    first.stdin.close()
    first.wait()
    claim(str(pid_path)).close()


def test_killed_agents_file_is_taken_over(start, pid_path: Path) -> None:
    """After SIGKILL the file remains and is no obstacle."""
    first = start(sys.executable, "-c", HOLD, str(pid_path))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert pid_path.read_text() == str(first.pid)
    with claim(str(pid_path)):
        assert pid_path.read_text() == str(os.getpid())


def test_live_pid_of_an_agent_that_does_not_lock_is_respected(start, pid_path: Path) -> None:
    """A file written by a running process of another make is an agent's."""
    other = start("sh", "-c", "echo ready; read x")
    pid_path.write_text(f"{other.pid}\n")
    with pytest.raises(ConfigError, match=f"already running: pid {other.pid} "):
        claim(str(pid_path))
    assert pid_path.read_text() == f"{other.pid}\n"


def test_reused_pid_is_no_agent(start, pid_path: Path) -> None:
    """A process that started long after the file was written only got the number."""
    other = start("sh", "-c", "echo ready; read x")
    pid_path.write_text(str(other.pid))
    an_hour_ago = pid_path.stat().st_mtime - 3600
    os.utime(pid_path, (an_hour_ago, an_hour_ago))
    claim(str(pid_path)).close()


def test_process_named_as_an_agent_is_one_whatever_the_clock(start, pid_path: Path) -> None:
    """After a step of the clock a running agent's file looks older than it: the name counts."""
    program = pid_path.parent / "tetragon"
    program.write_bytes(Path("/bin/sh").resolve().read_bytes())
    program.chmod(0o755)
    other = start(str(program), "-c", "echo ready; read x")
    pid_path.write_text(str(other.pid))
    os.utime(pid_path, (0, 0))
    with pytest.raises(ConfigError, match="already running"):
        claim(str(pid_path))


def test_zombie_is_no_agent(start, pid_path: Path) -> None:
    """A process that ended and was not waited for runs no more."""
    ended = start("sh", "-c", "echo ready")
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    pid_path.write_text(str(ended.pid))
    claim(str(pid_path)).close()


@pytest.mark.parametrize(
    "text", [b"", b"abc", b"-5", b"0", b"4194305", b"99999999999999", b"12\x003", b"\xff", b"1 2"]
)
def test_corrupt_or_dead_file_is_replaced(pid_path: Path, text: bytes) -> None:
    """What is no number of a living process is written over, whole."""
    pid_path.write_bytes(text)
    with claim(str(pid_path)):
        assert pid_path.read_bytes() == b"%d" % os.getpid()


def test_of_many_starting_at_once_one_wins(start, pid_path: Path) -> None:
    """Eight agents find the file of a dead one at the same moment: one takes it over."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    pid_path.write_text(str(dead.pid))
    agents = [start(sys.executable, "-c", FIRST, str(pid_path)) for _ in range(8)]
    for agent in agents:
        agent.stdin.write(b"go\n")
        agent.stdin.flush()
    said = [agent.stdout.readline() for agent in agents]
    assert said.count(b"won\n") == 1
    assert sum(b"already running" in line for line in said) == 7
    assert pid_path.read_text() == str(agents[said.index(b"won\n")].pid)


def test_never_two_at_once(start, pid_path: Path) -> None:
    """Agents that start and end without pause are never two, however they interleave."""
    agents = [start(sys.executable, "-c", RACE, str(pid_path)) for _ in range(4)]
    for agent in agents:
        agent.stdin.close()
    wins = [int(agent.stdout.read()) for agent in agents]
    assert [agent.wait() for agent in agents] == [0] * 4
    assert wins == [50] * 4
    assert not pid_path.exists()


@pytest.mark.usefixtures("open_files")
def test_lock_of_a_removed_file_does_not_count(pid_path: Path, monkeypatch) -> None:
    """When the owner ends between our open and our lock, the file it removed is not taken."""
    owner = claim(str(pid_path))
    lock = fcntl.flock

    def owner_ends_first(fd: int, operation: int) -> None:
        owner.close()
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", owner_ends_first)
    with claim(str(pid_path)):
        assert pid_path.read_text() == str(os.getpid())
        with pytest.raises(ConfigError, match="already running"):
            claim(str(pid_path))


def test_file_of_somebody_else_is_not_removed(pid_path: Path) -> None:
    """When another file took the path's place, closing leaves it alone."""
    held = claim(str(pid_path))
    other = pid_path.with_suffix(".new")
    other.write_text("1")
    other.replace(pid_path)
    held.close()
    assert pid_path.read_text() == "1"


def test_pid_file_is_no_link(pid_path: Path) -> None:
    """A planted link is refused and what it points to stays as it was."""
    victim = pid_path.with_suffix(".victim")
    victim.write_text("precious")
    pid_path.symlink_to(victim)
    with pytest.raises(ConfigError, match=rf"pid file {pid_path}: Too many levels of symbolic"):
        claim(str(pid_path))
    assert victim.read_text() == "precious"


@pytest.mark.usefixtures("open_files")
def test_pid_file_that_cannot_be_made_is_an_error(pid_path: Path) -> None:
    """Missing directory, and a --procfs that is none: named, nothing left behind open."""
    with pytest.raises(ConfigError, match=r"pid file .*: No such file"):
        claim(str(pid_path.parent / "missing" / "tetragon.pid"))
    with pytest.raises(ConfigError, match=r"--procfs="):
        claim(str(pid_path), str(pid_path.parent))


def test_run_dir_is_made_with_its_parents(tmp_path: Path) -> None:
    """Mode 0755 whatever the umask; a second call changes nothing."""
    path = tmp_path / "run" / "tetragon"
    old_umask = os.umask(0o077)
    try:
        make_run_dir(str(path))
        make_run_dir(str(path))
    finally:
        os.umask(old_umask)
    assert mode_of(path) == 0o755


@pytest.mark.parametrize(("before", "after"), [(0o777, 0o755), (0o1775, 0o1755), (0o700, 0o700)])
def test_existing_run_dir_is_only_tightened(tmp_path: Path, before: int, after: int) -> None:
    """Others lose write permission; an administrator's stricter mode stays."""
    tmp_path.chmod(before)
    make_run_dir(str(tmp_path))
    assert mode_of(tmp_path) == after


@needs_root
def test_run_dir_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner could replace our files."""
    os.chown(tmp_path, 12345, 0)
    with pytest.raises(ConfigError, match=f"{tmp_path} belongs to user 12345"):
        make_run_dir(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("file", "something else is there"), ("file/x", "Not a directory|File exists")],
)
def test_run_dir_that_is_a_file_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """The path is named."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"run directory {tmp_path}/{name}: ({reason})"):
        make_run_dir(str(tmp_path / name))


def test_info_file_has_every_key(tmp_path: Path) -> None:
    """All keys in their order, empty ones too, in a file everybody may read."""
    path = tmp_path / "tetragon-info.json"
    write_info(str(path), AgentInfo(server_address="unix:///run/x.sock", pid=7))
    info = json.loads(path.read_bytes())
    assert list(info) == KEYS.split()
    assert (info["server_address"], info["pid"], info["max_recv_size"]) == (
        "unix:///run/x.sock",
        7,
        0,
    )
    assert mode_of(path) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_info_file_is_replaced_whole(tmp_path: Path) -> None:
    """Who has the old one open reads the old one; names that are no UTF-8 make valid JSON."""
    path = tmp_path / "tetragon-info.json"
    write_info(str(path), AgentInfo(pid=1))
    with path.open() as old:
        write_info(str(path), AgentInfo(pid=2, export_fname=os.fsdecode(b"/x\xff\n")))
        assert json.load(old)["pid"] == 1
    assert json.loads(path.read_bytes())["pid"] == 2


def test_info_file_survives_a_full_disk(tmp_path: Path) -> None:
    """On a full file system the error says so, the earlier file stays, no draft is left."""
    code = (
        "import os, sys\n"
        "from tetragon.errors import ConfigError\n"
        "from tetragon.procfs.rundir import AgentInfo, write_info\n"
        "write_info('info', AgentInfo(pid=1))\n"
        "with open('fill', 'wb', 0) as f:\n"
        "    try:\n"
        "        while True: f.write(b'x' * 4096)\n"
        "    except OSError: pass\n"
        "try: write_info('info', AgentInfo(pid=2))\n"
        "except ConfigError as exc: print(exc)\n"
        "print(open('info').read().strip()[-9:], sorted(os.listdir()))\n"
    )
    script = f'mount -t tmpfs -o size=64k t {tmp_path} && cd {tmp_path} && exec "$0" -c "$1"'
    command = ["unshare", "-Ur", "-m", "sh", "-c", script, sys.executable, code]
    said = subprocess.check_output(command, text=True).splitlines()
    assert said == [f"info file info: {os.strerror(errno.ENOSPC)}", "\"pid\": 1} ['fill', 'info']"]


def test_info_file_without_directory_is_an_error(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(ConfigError, match=rf"info file {tmp_path}/x/info: No such file"):
        write_info(f"{tmp_path}/x/info", AgentInfo())
