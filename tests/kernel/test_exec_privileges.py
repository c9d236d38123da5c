"""An exec that raises privileges says by which means, and as whom the program runs."""

import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.children import run
from kernel.mounts import mount, new_mounts
from kernel.watch import IN_VM, Watch, everything
from tetragon.errors import KernelError
from tetragon.sensor import base

NOBODY = 65534
OTHER = 4711
CAP_CHOWN, CAP_NET_RAW = 0, 13
MS_NOSUID = 2
FILE_CAP = "PRIVILEGES_RAISED_EXEC_FILE_CAP"
FILE_SETUID = "PRIVILEGES_RAISED_EXEC_FILE_SETUID"
FILE_SETGID = "PRIVILEGES_RAISED_EXEC_FILE_SETGID"

ROOT_BY_SETUID = {"setuid": 0, "privileges_changed": [FILE_SETUID]}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a directory that every user may read, unlike tmp_path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def program(actor: str, folder: Path) -> Callable[..., str]:
    """Make copies of the actor with the given owner, mode and file capabilities."""

    def make(mode: int, owner: int = 0, group: int = 0, capabilities: int = 0) -> str:
        path = folder / "program"
        path.write_bytes(Path(actor).read_bytes())
        os.chown(path, owner, group)
        path.chmod(mode)
        if capabilities:
            # struct vfs_cap_data, revision 2, effective: linux/capability.h
            value = struct.pack("<5I", 0x02000001, capabilities, 0, 0, 0)
            os.setxattr(path, "security.capability", value)
        return str(path)

    return make


def as_nobody() -> None:
    """Become a user without any privilege."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _properties(watch: Watch, pid: int) -> dict[str, Any]:
    found: dict[str, Any] = watch.wait_exec(pid).shown.get("binary_properties", {})
    return found


def test_setuid_root_is_told(watch: Watch, program: Callable[..., str]) -> None:
    """A set-uid root file run by a user: the new effective id and the reason."""
    done = run(program(0o4755), "ids", before=as_nobody)
    assert (done.said("uid"), done.said("euid")) == ([NOBODY], [0])
    assert _properties(watch, done.pid) == ROOT_BY_SETUID
    seen = watch.wait_exec(done.pid)
    assert seen.shown["uid"] == 0
    assert seen.shown["process_credentials"]["uid"] == NOBODY


def test_setuid_to_another_user_is_no_raise(watch: Watch, program: Callable[..., str]) -> None:
    """Only the new id: becoming somebody who is not root raises nothing."""
    done = run(program(0o4755, owner=OTHER), "ids", before=as_nobody)
    assert done.said("euid") == [OTHER]
    assert _properties(watch, done.pid) == {"setuid": OTHER}


def test_setgid_root_is_told(watch: Watch, program: Callable[..., str]) -> None:
    """A set-gid root file."""
    done = run(program(0o2755), "ids", before=as_nobody)
    assert (done.said("gid"), done.said("egid")) == ([NOBODY], [0])
    assert _properties(watch, done.pid) == {"setgid": 0, "privileges_changed": [FILE_SETGID]}


def test_setuid_and_setgid_are_told(watch: Watch, program: Callable[..., str]) -> None:
    """Both at once, in this order."""
    done = run(program(0o6755), "ids", before=as_nobody)
    assert (done.said("euid"), done.said("egid")) == ([0], [0])
    assert _properties(watch, done.pid) == {
        "setuid": 0,
        "setgid": 0,
        "privileges_changed": [FILE_SETUID, FILE_SETGID],
    }


def test_file_capabilities_are_told(watch: Watch, program: Callable[..., str]) -> None:
    """A file that grants a capability; ids stay, and the capability is in the event."""
    done = run(program(0o755, capabilities=1 << CAP_NET_RAW), "ids", before=as_nobody)
    assert done.said("euid") == [NOBODY]
    assert _properties(watch, done.pid) == {"privileges_changed": [FILE_CAP]}
    assert watch.wait_exec(done.pid).shown["cap"] == {
        "permitted": ["CAP_NET_RAW"],
        "effective": ["CAP_NET_RAW"],
    }


def test_file_capabilities_and_setgid_are_told(watch: Watch, program: Callable[..., str]) -> None:
    """These two go together, file capabilities first."""
    capable = program(0o2755, capabilities=1 << CAP_CHOWN)
    done = run(capable, "ids", before=as_nobody)
    assert done.said("egid") == [0]
    assert _properties(watch, done.pid) == {
        "setgid": 0,
        "privileges_changed": [FILE_CAP, FILE_SETGID],
    }


def test_setuid_hides_file_capabilities(watch: Watch, program: Callable[..., str]) -> None:
    """A set-uid file that grants capabilities as well: set-uid is the reason."""
    done = run(program(0o4755, capabilities=1 << CAP_CHOWN), "ids", before=as_nobody)
    assert _properties(watch, done.pid) == ROOT_BY_SETUID


@pytest.mark.parametrize("mode", [0o755, 0o4755, 0o6755])
def test_nothing_is_told_when_root_runs_it(
    watch: Watch, program: Callable[..., str], mode: int
) -> None:
    """Root gains nothing."""
    done = run(program(mode), "ids")
    assert done.said("euid") == [0]
    assert _properties(watch, done.pid) == {}


def test_nothing_is_told_when_nothing_is_gained(watch: Watch, program: Callable[..., str]) -> None:
    """A plain file run by a user."""
    done = run(program(0o755), "ids", before=as_nobody)
    assert done.said("euid") == [NOBODY]
    assert _properties(watch, done.pid) == {}


def test_nothing_is_told_on_a_nosuid_mount(
    watch: Watch, program: Callable[..., str], folder: Path
) -> None:
    """Set-uid bits without effect are no raise."""
    path = program(0o4755)
    content = Path(path).read_bytes()

    def arrange() -> None:
        new_mounts()
        mount("tmpfs", folder, "tmpfs", MS_NOSUID)
        folder.chmod(0o755)
        Path(path).write_bytes(content)
        Path(path).chmod(0o4755)
        as_nobody()

    done = run(path, "ids", before=arrange)
    assert done.said("euid") == [NOBODY]
    assert _properties(watch, done.pid) == {}


def test_setuid_is_told_when_a_thread_execs(watch: Watch, program: Callable[..., str]) -> None:
    """The thread that execs is not the main one: the reason is the same."""
    raised = program(0o4755)
    plain = str(Path(raised).with_name("plain"))
    Path(plain).write_bytes(Path(raised).read_bytes())
    Path(plain).chmod(0o755)
    done = run(plain, "thread-exec", raised, "ids", before=as_nobody)
    assert done.said("euid") == [0]
    assert watch.wait_exec(done.pid, 2).shown["binary_properties"] == ROOT_BY_SETUID


@pytest.mark.parametrize("hook", ["exec_prepare", "exec_caps_fentry", "exec_caps_kprobe", ""])
def test_reasons_are_the_same_by_every_hook(
    program: Callable[..., str], monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    """Each way of looking before the exec, and none at all, finds set-uid and capabilities."""
    monkeypatch.setattr(base, "_choices", lambda _btf: [hook])
    try:
        other = Watch(everything())
    except KernelError as exc:
        tracepoint = b"\0btf_trace_sched_prepare_exec\0" in base.KERNEL_BTF.read_bytes()
        if tracepoint if hook == "exec_prepare" else IN_VM:
            raise
        pytest.skip(f"this kernel has no such hook: {exc}")
    try:
        other.start_test()
        done = run(program(0o4755), "ids", before=as_nobody)
        assert _properties(other, done.pid) == ROOT_BY_SETUID
        done = run(program(0o755, capabilities=1 << CAP_CHOWN), "ids", before=as_nobody)
        assert _properties(other, done.pid) == {"privileges_changed": [FILE_CAP]}
    finally:
        other.close()
