"""An exec while the scratch buffer is taken: told without its texts, and counted."""

import os

from kernel.children import run
from kernel.scratch import hold_heap
from kernel.watch import Watch, everything


def test_exec_is_told_without_texts(actor: str) -> None:
    """Who ran something, when, as whom, whose child it is; what it ran is flagged as unknown."""
    watch = Watch(everything())
    try:
        watch.start_test()
        with hold_heap(watch.sensor):
            done = run(actor, "exit", "3")
        seen = watch.wait_exec(done.pid)
        assert seen.shown["flags"] == "execve errorFilename errorArgs errorCWD clone"
        assert "binary" not in seen.shown
        assert seen.parent["pid"] == os.getpid()
        assert seen.shown["uid"] == os.geteuid()
        assert watch.wait_exit(done.pid).process is seen.process
        assert watch.wait_exit(done.pid).told["status"] == 3
        assert watch.losses()["exec", "heap_busy"] >= 1
        assert watch.losses().keys() == {("exec", "heap_busy")}
        done = run(actor, "exit", "4")
        assert watch.wait_exec(done.pid).process.arguments == "exit 4"
    finally:
        watch.close()
