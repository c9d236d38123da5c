"""A process ends with its last thread, whichever that is; wait(2) says how."""

import pytest

from kernel.children import run
from kernel.watch import Watch


@pytest.mark.parametrize("verb", ["leader-first", "leader-first-group"])
def test_one_exit_when_the_main_thread_ends_first(watch: Watch, actor: str, verb: str) -> None:
    """The main thread's own end is no exit; the last thread's is, with the status of wait(2)."""
    done = run(actor, verb, "3", "7")
    seen = watch.wait_exit(done.pid)
    watch.settle()
    assert len(watch.exits(done.pid)) == 1
    assert seen.told.get("status", 0) == done.code
    assert seen.process is watch.wait_exec(done.pid).process
    assert seen.shown["tid"] == done.pid


def test_child_of_a_thread_without_main_thread_has_its_parent(watch: Watch, actor: str) -> None:
    """A thread that outlived the main one forks: the parent is the process."""
    done = run(actor, "leader-first-fork", "0", "4")
    process = watch.wait_exec(done.pid).process
    watch.wait_exit(done.pid)
    (child,) = [one for one in watch.seen if one.process.pid != done.pid]
    assert child.told["status"] == 4
    assert child.parent["exec_id"] == child.shown["parent_exec_id"] == process.exec_id


def test_many_threads_end_at_once_as_one(watch: Watch, actor: str) -> None:
    """exit_group with threads running on every CPU: exactly one exit each time."""
    for _ in range(20):
        done = run(actor, "crowd", "8", "9")
        assert done.code == 9
        assert watch.wait_exit(done.pid).told["status"] == 9
        watch.drain()
        assert len(watch.exits(done.pid)) == 1
