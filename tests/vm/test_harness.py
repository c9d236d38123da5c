"""scripts/vm.py with real guests: what the command does, and what becomes of it, is told truly."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from guest.errors import BootError, DeadlineError, LostError, PanicError
from guest.kernels import SERIES

pytestmark = pytest.mark.vm

_ROOT = Path(__file__).resolve().parents[2]
_KERNEL = "6.12"  # where the kernel makes no difference

_LOOK_AROUND = """
echo release $(uname -r)
echo host $(hostname) $PWD $VM_KERNEL $GREETING
echo lsm $(cat /sys/kernel/security/lsm)
for directory in /proc /sys /sys/fs/bpf /sys/fs/cgroup /sys/kernel/tracing /sys/kernel/debug \
    /dev/pts /dev/shm /run; do
    echo mounted $directory $(stat -fc %T $directory)
done
mkdir /sys/fs/bpf/pins && echo pins made
.venv/bin/python - <<'END'
import socket, time, msgspec
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname()).close()
print("python", msgspec.__name__, "clock", int(time.time()))
END
exit 42
"""


def _vm(*words: str | Path, kernel: str = _KERNEL) -> list[str]:
    return [str(_ROOT / "scripts/vm.py"), "--kernel", kernel, *map(str, words)]


def _run(*words: str | Path, kernel: str = _KERNEL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _vm(*words, kernel=kernel), cwd=_ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kernel", SERIES)
def test_guest_is_a_whole_system_when_booted(kernel: str) -> None:
    """The wanted kernel, BPF LSM on, what a system mounts, the host's Python, the exit status."""
    done = _run("--env", "GREETING=hello", "--", "sh", "-c", _LOOK_AROUND, kernel=kernel)
    assert done.returncode == 42, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    facts = {words[0]: words[1:] for words in said if words[0] != "mounted"}
    assert facts["release"][0].startswith(f"{kernel}.")
    assert facts["host"] == ["vm", str(_ROOT), kernel, "hello"]
    assert "bpf" in facts["lsm"][0].split(",")
    assert facts["pins"] == ["made"]
    assert facts["python"][0] == "msgspec"
    assert abs(int(facts["python"][2]) - time.time()) < 60
    assert dict(words[1:3] for words in said if words[0] == "mounted") == {
        "/proc": "proc",
        "/sys": "sysfs",
        "/sys/fs/bpf": "bpf_fs",
        "/sys/fs/cgroup": "cgroup2fs",
        "/sys/kernel/tracing": "tracefs",
        "/sys/kernel/debug": "debugfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/run": "tmpfs",
    }


def test_output_comes_while_the_command_runs(tmp_path: Path) -> None:
    """The first line is read here before the command may end: nothing waits for its end."""
    wait = f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo second >&2; exit 7"
    command = _vm("--write", tmp_path, "--", "sh", "-c", wait)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        (tmp_path / "go").touch()
        assert process.stdout.read() == "second\n"
    assert process.returncode == 7


def test_only_writable_directories_change(tmp_path: Path) -> None:
    """What the guest writes below --write is here afterwards, all of it; the rest is gone."""
    kept, left = tmp_path / "kept here", tmp_path / "left"
    left.mkdir()
    (left / "old").write_text("old")
    write = f"head -c 9000000 /dev/zero >'{kept}/new'; echo new >{left}/old; rm -r {left}; ls /tmp"
    done = _run("--write", kept, "--", "sh", "-c", write)
    assert done.returncode == 0, done.stderr
    assert (kept / "new").stat().st_size == 9_000_000
    assert (left / "old").read_text() == "old"


def test_output_is_whole_when_large_and_a_child_stays_behind() -> None:
    """Ten million bytes arrive in order; a daemon that keeps the output open holds up nothing."""
    script = "setsid sleep 1000 & seq 1500000 >/dev/stdout; exit 255"
    done = _run("--", "sh", "-c", script)
    assert done.returncode == 255, done.stderr
    assert done.stdout.split() == [str(number) for number in range(1, 1_500_001)]


def test_command_is_ended_when_time_is_up() -> None:
    """A command that hangs fails the run, says so, and keeps what it printed."""
    began = time.monotonic()
    done = _run("--timeout", "1", "--", "sh", "-c", "echo begun; sleep 1000")
    assert done.returncode == DeadlineError.exit_status
    assert done.stdout == "begun\n"
    assert "longer than 1 s (--timeout)" in done.stderr
    assert time.monotonic() - began < 300


def test_panic_is_told_apart() -> None:
    """A kernel that goes down under a test is no failed test, and its last words are shown."""
    done = _run("--", "sh", "-c", "echo begun; sleep 0.5; echo c >/proc/sysrq-trigger; sleep 1000")
    assert done.returncode == PanicError.exit_status
    assert done.stdout == "begun\n"
    assert "Kernel panic - not syncing: sysrq triggered crash" in done.stderr


def test_guest_that_ends_early_is_told_apart() -> None:
    """Power off in the middle of a command is no success."""
    done = _run("--", "/run/vm/busybox", "poweroff", "-f")
    assert done.returncode == LostError.exit_status, done.stderr


def test_boot_is_tried_again_when_it_failed() -> None:
    """A boot that fails thrice ends with a status of its own and the kernel's last words."""
    done = _run("--append", "rdinit=/none", "--", "true")
    assert done.returncode == BootError.exit_status
    assert done.stderr.count("trying again") == 2
    assert "Unable to mount root fs" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_stays_when_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C ends QEMU and virtiofsd and removes the temporary files."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = _vm("--", "sh", "-c", "echo begun; sleep 1000")
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        assert list(tmp_path.iterdir())
        process.send_signal(number)
    assert process.returncode == 128 + number
    assert not [child for child in children if Path("/proc", child).exists()]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kernel", "4.19", "--fetch"], "4.19"),
        (["--kernel", _KERNEL], "--fetch"),
        (["--kernel", _KERNEL, "--fetch", "--", "true"], "--fetch"),
        (["--kernel", _KERNEL, "--env", "NAME", "--", "true"], "NAME=VALUE"),
    ],
)
def test_command_line_mistakes_are_named(words: list[str], said: str) -> None:
    """A mistake ends with 2, as argparse has it, and a message that names the flag."""
    done = subprocess.run(
        [_ROOT / "scripts/vm.py", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
