"""A thread that execs becomes the process: it keeps pid, parent and history."""

import pytest

from kernel.children import run
from kernel.watch import Watch

VERBS = ["thread-exec", "leaderless-exec"]


@pytest.mark.parametrize("verb", VERBS)
def test_exec_by_a_thread_is_the_process_again(watch: Watch, actor: str, verb: str) -> None:
    """Two execs in one pid, the second the child of the first; one exit, of the second."""
    done = run(actor, verb, actor, "exit", "5")
    second = watch.wait_exec(done.pid, 2)
    first = watch.wait_exec(done.pid)
    assert done.code == 5
    assert done.said("thread") != [done.pid]
    assert second.shown["tid"] == second.shown["pid"] == done.pid
    assert second.shown["parent_exec_id"] == first.shown["exec_id"]
    assert (first.shown["flags"], second.shown["flags"]) == ("execve clone", "execve")
    exited = watch.wait_exit(done.pid)
    watch.settle()
    assert exited.process is second.process
    assert len(watch.exits(done.pid)) == 1
    assert len(watch.execs(done.pid)) == 2


@pytest.mark.parametrize("verb", VERBS)
def test_exec_by_a_thread_of_a_forked_process(watch: Watch, actor: str, verb: str) -> None:
    """A child that only forked, then runs threads, one of which execs: parent is who forked it."""
    done = run(actor, f"fork-{verb}", actor, "exit", "6")
    (child,) = done.said("child")
    parent = watch.wait_exec(done.pid)
    seen = watch.wait_exec(child)
    assert seen.shown["parent_exec_id"] == parent.shown["exec_id"] == seen.parent["exec_id"]
    assert seen.shown["flags"] == "execve clone"
    assert watch.wait_exit(child).process is seen.process
    assert watch.wait_exit(child).told["status"] == 6
    watch.settle()
    assert len(watch.exits(child)) == len(watch.execs(child)) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_stays_in_the_cache(watch: Watch, actor: str, verb: str) -> None:
    """Every identity such a process had is ended for the cache as well."""
    done = run(actor, f"fork-{verb}", actor, "exit")
    (child,) = done.said("child")
    watch.wait_exit(done.pid)
    for _ in range(3):
        watch.cache.collect()
    left = [one.process.pid for one in watch.cache.snapshot()]
    assert not {done.pid, child} & set(left)
