"""Threads are no processes: they begin and end unseen."""

from kernel.children import run
from kernel.watch import Watch


def test_threads_make_no_events(watch: Watch, actor: str) -> None:
    """A process with many threads: one exec, one exit, nothing of the threads."""
    done = run(actor, "threads", "12", "6")
    watch.wait_exit(done.pid)
    watch.settle()
    tids = done.said("thread")
    assert len(set(tids)) == 12
    assert done.code == 6
    assert [one.process.pid for one in watch.seen] == [done.pid, done.pid]
    assert not {one.process.pid for one in watch.seen} & set(tids)
