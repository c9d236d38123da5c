"""Who forked a process is its parent, by whatever call, with or without an exec."""

import os

from kernel.children import Child, run
from kernel.watch import Watch


def test_forked_child_is_known_by_its_exit(watch: Watch, actor: str) -> None:
    """No exec: the exit has an exec_id of its own and the parent's image."""
    done = run(actor, "fork", "9")
    (child,) = done.said("child")
    parent = watch.wait_exec(done.pid)
    seen = watch.wait_exit(child)
    assert done.code == seen.told["status"] == 9
    assert watch.execs(child) == []
    assert seen.parent["exec_id"] == seen.shown["parent_exec_id"] == parent.shown["exec_id"]
    assert seen.shown["exec_id"] != parent.shown["exec_id"]
    assert (seen.process.binary, seen.process.arguments) == (actor, "fork 9")
    assert seen.shown["flags"] == "execve"


def test_vforked_child_has_its_parent(watch: Watch, actor: str) -> None:
    """vfork: the child runs in its parent's memory until it execs."""
    done = run(actor, "vfork", actor, "exit", "3")
    (child,) = done.said("child")
    seen = watch.wait_exec(child)
    assert seen.parent["exec_id"] == watch.wait_exec(done.pid).shown["exec_id"]
    assert seen.shown["flags"] == "execve clone"
    assert watch.wait_exit(child).told["status"] == 3


def test_spawned_child_has_its_parent(watch: Watch, actor: str) -> None:
    """posix_spawn, from this process, which ran before the hooks were there."""
    pid = os.posix_spawn(actor, [actor, "exit", "4"], {})
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    seen = watch.wait_exec(pid)
    assert seen.parent["pid"] == os.getpid()
    assert seen.parent["flags"].startswith("procFS")
    assert watch.wait_exit(pid).told["status"] == 4


def test_parents_are_known_when_none_of_them_ran_anything(watch: Watch, actor: str) -> None:
    """Fork in fork in fork, and then an exec: each ancestor has its own exec_id, none lacks."""
    depth = 6
    done = run(actor, "chain", str(depth), actor, "exit", "2")
    children = done.said("child")
    assert len(children) == depth
    seen = watch.wait_exec(children[-1])
    chain = [seen.shown["exec_id"], seen.parent["exec_id"]]
    chain += [one["exec_id"] for one in seen.told["ancestors"]]
    pids = [seen.shown["pid"], seen.parent["pid"]]
    pids += [one["pid"] for one in seen.told["ancestors"]]
    assert pids[: depth + 1] == [*reversed(children), done.pid]
    assert len(set(chain)) == len(chain)
    for pid in [done.pid, *children]:
        exited = watch.wait_exit(pid)
        assert exited.parent["exec_id"] == exited.shown["parent_exec_id"]
        assert exited.told["status"] == 2


def test_one_parent_for_all_when_many_are_forked(watch: Watch) -> None:
    """A process that forks twice gets one exec_id, not one for each child."""

    def body() -> int:
        for code in (1, 2, 3):
            pid = os.fork()
            if not pid:
                os._exit(code)
            os.write(1, b"%d\n" % pid)
            os.waitpid(pid, 0)
        return 0

    with Child(body) as middle:
        done = middle.wait()
    children = [int(word) for word in done.output.split()]
    parents = {watch.wait_exit(pid).shown["parent_exec_id"] for pid in children}
    assert parents == {watch.wait_exit(done.pid).shown["exec_id"]}
