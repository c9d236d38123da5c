"""The container of a process is told by the name of its cgroup, in version 1 and 2."""

import os
from typing import Any

import pytest

from kernel.cgroups import cgroup, enter
from kernel.children import Child, run
from kernel.watch import Watch, everything
from tetragon.abi import records as abi
from tetragon.sensor.base import BaseSensor

ID = "0123456789abcdef" * 4
SHORT = ID[:31]


@pytest.mark.parametrize(
    "names",
    [
        [ID],
        [f"docker-{ID}.scope"],
        [f"cri-containerd-{ID}.scope"],
        ["kubepods", "burstable", f"pod12345678-{'9' * 4}", ID],
        ["kubepods.slice", "kubepods-besteffort.slice", f"crio-{ID}.scope"],
        [f"libpod-{ID}.scope", "container"],
    ],
)
def test_container_is_told(watch: Watch, actor: str, names: list[str]) -> None:
    """The names of the usual runtimes give the first 31 characters of the id."""
    with cgroup(*names) as path:
        done = run(actor, before=lambda: enter(path))
        assert watch.wait_exec(done.pid).shown["docker"] == SHORT
        assert watch.wait_exit(done.pid).shown["docker"] == SHORT


@pytest.mark.parametrize("names", [["plain"], [f"{ID}x.service"], ["docker-short.scope"]])
def test_no_container_is_told_for_other_cgroups(watch: Watch, actor: str, names: list[str]) -> None:
    """A cgroup of another name is none."""
    with cgroup(*(f"tetragon-test-{names[0]}", *names[1:])) as path:
        done = run(actor, before=lambda: enter(path))
        assert "docker" not in watch.wait_exec(done.pid).shown
        watch.wait_exit(done.pid)


def test_container_is_that_of_the_moment(watch: Watch, actor: str) -> None:
    """A process that moves between two execs: each exec names the cgroup it ran in."""
    with cgroup(f"docker-{ID}.scope") as path:

        def body() -> None:
            pid = os.fork()
            if not pid:
                os.execv(actor, [actor, "exit"])
            os.waitpid(pid, 0)
            enter(path)
            os.execv(actor, [actor])

        with Child(body) as child:
            done = child.wait()
        assert watch.wait_exec(done.pid).shown["docker"] == SHORT
        watch.wait_exit(done.pid)
    (before,) = [
        one for one in watch.seen if one.kind == "process_exec" and one.process.pid != done.pid
    ]
    assert "docker" not in before.shown


def test_forked_child_inherits_the_container(watch: Watch, actor: str) -> None:
    """A child that never execs is shown in its parent's container."""
    with cgroup(f"docker-{ID}.scope") as path:
        done = run(actor, "fork", "0", before=lambda: enter(path))
        (child,) = done.said("child")
        assert watch.wait_exit(child).shown["docker"] == SHORT
        watch.wait_exit(done.pid)


def test_cgroup_id_is_the_inode_of_its_directory(actor: str) -> None:
    """The number in the record is what stat(2) shows of the cgroup."""
    sensor = BaseSensor(everything())
    try:
        with cgroup("tetragon-test-number") as path:
            done = run(actor, before=lambda: enter(path))
            number = path.stat().st_ino
        assert number in [record["cgroup_id"] for record in _execs(sensor, done.pid)]
    finally:
        sensor.close()


def _execs(sensor: BaseSensor, pid: int) -> list[dict[str, Any]]:
    """Return the raw exec records of a process that are in the ring."""
    data, table = sensor.ring.drain()
    fields = [
        dict(zip(abi.EXEC_EVENT_FIELDS, abi.EXEC_EVENT.unpack_from(data, start), strict=True))
        for start in table[::2]
        if data[start] == abi.EventOp.EXEC
    ]
    return [record for record in fields if record["key_pid"] == pid]
