"""Orphans keep the parent that forked them, whoever takes them over, however long they live."""

import ctypes
import os
from collections.abc import Iterator

import pytest

from kernel.children import run, start
from kernel.watch import Watch

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Let orphans of our descendants become our children."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


def test_orphan_has_the_parent_that_forked_it(watch: Watch, actor: str) -> None:
    """Forked twice, the middle gone, taken over by init, then an exec: the middle is the parent."""
    done = run(actor, "orphan", actor, "exit", "1")
    (orphan,), (middle,) = done.said("orphan"), done.said("middle")
    assert done.said("parent") not in ([middle], [done.pid])
    seen = watch.wait_exec(orphan)
    assert seen.parent["pid"] == middle
    assert seen.told["ancestors"][0]["pid"] == done.pid
    assert watch.wait_exit(orphan).told["status"] == 1


def test_orphan_has_its_parent_below_a_subreaper(watch: Watch, actor: str, subreaper: None) -> None:
    """The same where this test becomes the new parent."""
    done = run(actor, "orphan", actor, "exit", "2")
    (orphan,), (middle,) = done.said("orphan"), done.said("middle")
    assert done.said("parent") == [os.getpid()]
    assert os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]) == 2
    assert watch.wait_exec(orphan).parent["pid"] == middle
    assert watch.wait_exit(orphan).told["status"] == 2


def test_silent_orphan_is_known_when_its_parent_is_forgotten(
    watch: Watch, actor: str, subreaper: None
) -> None:
    """
    A child that does nothing for long after its parent ended: its exit names both.

    The cache forgets who ended; announce_silent tells of the child before that.
    """
    blocked, release = os.pipe()
    with start(actor, "silent", before=lambda: os.dup2(blocked, 0)) as child:
        os.set_inheritable(release, False)
        child.go()
        orphan = int(child.line().split()[1])
        os.close(blocked)
        parent = watch.wait_exec(child.pid)
        watch.wait_exit(child.pid)
        watch.wait("announcement", lambda: watch.sensor.announce_silent() or _knows(watch, orphan))
        for _ in range(3):
            watch.cache.collect()
        os.close(release)
        assert os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]) == 5
        child.wait()
    seen = watch.wait_exit(orphan)
    assert seen.process.complete
    assert seen.process.binary == actor
    assert seen.parent["exec_id"] == seen.shown["parent_exec_id"] == parent.shown["exec_id"]


def _knows(watch: Watch, pid: int) -> bool:
    return any(one.process.pid == pid for one in watch.cache.snapshot())


def test_announcing_twice_tells_nothing_new(watch: Watch, actor: str) -> None:
    """Who is known is not announced again: an idle host makes no records."""
    with start(actor, "pause") as child:
        child.go().line()
        watch.wait_exec(child.pid)
        watch.sensor.announce_silent()
        watch.drain()
        before = watch.sensor.counters()["clone", "produced"]
        watch.sensor.announce_silent()
        assert watch.sensor.counters()["clone", "produced"] == before
