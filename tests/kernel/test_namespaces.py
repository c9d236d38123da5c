"""Namespaces of an exec are those /proc shows, and each says whether it is the host's."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kernel.children import Child, start
from kernel.mounts import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    unshare,
)
from kernel.watch import Watch

FILES = {
    "uts": "uts",
    "ipc": "ipc",
    "mnt": "mnt",
    "pid": "pid",
    "pid_for_children": "pid_for_children",
    "net": "net",
    "time": "time",
    "time_for_children": "time_for_children",
    "cgroup": "cgroup",
    "user": "user",
}


def _proc(pid: int) -> dict[str, int]:
    """Return inode numbers by name, as /proc has them."""
    links = {name: Path(f"/proc/{pid}/ns", file) for name, file in FILES.items()}
    return {name: link.stat().st_ino for name, link in links.items() if link.exists()}


def _inums(shown: Mapping[str, Any]) -> dict[str, int]:
    return {name: one["inum"] for name, one in shown["ns"].items()}


def test_all_namespaces_are_the_hosts_for_a_plain_process(watch: Watch, actor: str) -> None:
    """Ten inode numbers equal to /proc/PID/ns, each marked as the host's where it is init's."""
    with start(actor, "pause") as child:
        child.go().line()
        seen = watch.wait_exec(child.pid)
        assert _inums(seen.shown) == _proc(child.pid)
    (init,) = [one for one in watch.found.processes if one.pid == 1]
    assert init.ns is not None
    for name, one in seen.shown["ns"].items():
        host = getattr(init.ns, name.removesuffix("_for_children"))
        assert one.get("is_host", False) == (one["inum"] == host.inum)


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        (NEWUTS, {"uts"}),
        (NEWIPC, {"ipc"}),
        (NEWNS, {"mnt"}),
        (NEWNET, {"net"}),
        (NEWCGROUP, {"cgroup"}),
        (NEWUSER, {"user"}),
        # An exec enters the time namespace that unshare(2) made for children:
        # commit 2b5f9dad32ed ("fs/exec: switch timens when a task gets a new mm", v6.3).
        (NEWTIME, {"time", "time_for_children"}),
    ],
)
def test_new_namespace_is_told(watch: Watch, actor: str, flag: int, names: set[str]) -> None:
    """After unshare(2) that one differs from this process's, and is not the host's."""
    with start(actor, "pause", before=lambda: unshare(flag)) as child:
        child.go().line()
        seen = watch.wait_exec(child.pid)
        witness, ours = _proc(child.pid), _proc(os.getpid())
    assert _inums(seen.shown) == witness
    changed = {name for name in FILES if witness[name] != ours[name]}
    assert changed == names or (flag == NEWTIME and changed == {"time_for_children"})
    for name in changed:
        assert "is_host" not in seen.shown["ns"][name]


def test_pid_namespace_for_children_is_told(watch: Watch, actor: str) -> None:
    """It is new, though /proc has no link to it before its first process."""
    with start(actor, "pause", before=lambda: unshare(NEWPID)) as child:
        child.go().line()
        shown = watch.wait_exec(child.pid).shown
        witness = _proc(child.pid)
    assert "pid_for_children" not in witness
    inums = _inums(shown)
    assert inums.pop("pid_for_children") != inums["pid"]
    assert "is_host" not in shown["ns"]["pid_for_children"]
    assert inums == witness


def test_namespaces_are_of_the_moment(watch: Watch, actor: str) -> None:
    """A process that changes them between two execs shows both."""

    def body() -> None:
        pid = os.fork()
        if not pid:
            os.execv(actor, [actor])
        os.waitpid(pid, 0)
        unshare(NEWUTS)
        os.execv(actor, [actor, "pause"])

    with Child(body) as child:
        child.go().line()
        after = watch.wait_exec(child.pid)
        assert _inums(after.shown)["uts"] == Path(f"/proc/{child.pid}/ns/uts").stat().st_ino
        (before,) = [
            one for one in watch.seen if one.kind == "process_exec" and one.process.pid != child.pid
        ]
    assert _inums(before.shown)["uts"] == _proc(os.getpid())["uts"]
