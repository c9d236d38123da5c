"""In a pid namespace a process has a second pid, and belongs to an init's tree."""

import os
from pathlib import Path

from kernel.children import Child
from kernel.mounts import NEWPID, unshare
from kernel.watch import Watch


def _proc_nspids(pid: int) -> list[int]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return [int(word) for word in line.split()[1:]]
    raise AssertionError("no NSpid line")


def _exec_paused(actor: str) -> int:
    """Start the actor as a child that says it is ready; return its pid as seen here."""
    pid = os.fork()
    if not pid:
        os.execv(actor, [actor, "pause"])
    return pid


def test_init_of_a_namespace_and_its_children_are_told(watch: Watch, actor: str) -> None:
    """
    The first process of a namespace, its child, and who made it.

    The pid inside equals the last of NSpid in /proc/PID/status; in_init_tree is set for init
    and whatever it forks, not for its creator.
    """

    def init() -> None:
        _exec_paused(actor)
        os.execv(actor, [actor, "pause"])

    def creator() -> int:
        unshare(NEWPID)
        pid = os.fork()
        if not pid:
            init()
        os.waitpid(pid, 0)
        return 0

    with Child(creator) as outer:
        outer.go()
        lines = {outer.line(), outer.line()}  # of init and its child, as they count
        assert lines == {b"ready 1", b"ready 2"}
        inside = list(watch.wait("two execs", lambda: _execs(watch, actor, 2)))
        first, second = sorted(inside, key=lambda one: one.process.nspid)
        for seen in inside:
            assert _proc_nspids(seen.process.pid) == [seen.process.pid, seen.process.nspid]
            assert seen.shown["in_init_tree"] is True
            assert seen.shown["flags"] == "execve clone inInitTree"
        assert (first.process.nspid, second.process.nspid) == (1, 2)
        assert second.parent["pid"] == first.process.pid
        assert first.parent["pid"] == outer.pid
        assert first.parent["in_init_tree"] is False
        os.kill(first.process.pid, 9)
        outer.wait()
    for seen in inside:  # the kernel kills all in a namespace whose init ended
        exited = watch.wait_exit(seen.process.pid)
        assert exited.told["signal"] == "SIGKILL"
        assert exited.process is seen.process


def _execs(watch: Watch, binary: str, count: int) -> list:  # type: ignore[type-arg]
    found = [
        one for one in watch.seen if one.kind == "process_exec" and one.process.binary == binary
    ]
    return found if len(found) == count else []


def test_no_second_pid_in_the_first_namespace(watch: Watch, actor: str) -> None:
    """An ordinary process: no pid inside, and in no init's tree."""
    with Child(lambda: os.execv(actor, [actor, "pause"])) as child:
        child.go().line()
        assert _proc_nspids(child.pid) == [child.pid]
        seen = watch.wait_exec(child.pid)
        assert seen.process.nspid == 0
        assert seen.shown["in_init_tree"] is False


def test_deepest_namespace_counts(watch: Watch, actor: str) -> None:
    """A namespace in a namespace: the pid is that of the inner one."""

    def nest(levels: int) -> int:
        if not levels:
            os.execv(actor, [actor, "pause"])
        unshare(NEWPID)
        pid = os.fork()
        if not pid:
            os._exit(nest(levels - 1))
        os.waitpid(pid, 0)
        return 0

    with Child(lambda: nest(3)) as outer:
        assert outer.go().line() == b"ready 1"
        (seen,) = watch.wait("exec", lambda: _execs(watch, actor, 1))
        pids = _proc_nspids(seen.process.pid)
        assert len(pids) == 4
        assert seen.process.nspid == pids[-1] == 1
        os.kill(seen.process.pid, 9)
        outer.wait()
    watch.settle()
