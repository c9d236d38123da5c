"""CLONE_PARENT hides who made a process from getppid(2), not from us."""

import os

from kernel.children import start
from kernel.watch import Watch


def test_creator_is_the_parent(watch: Watch, actor: str) -> None:
    """The kernel makes this test the parent, which reaps the child; we name who called clone."""
    with start(actor, "clone-parent", "11") as creator:
        done = creator.wait()
        (child,) = done.said("child")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11  # ours, says the kernel
    seen = watch.wait_exit(child)
    assert seen.parent["pid"] == done.pid
    assert seen.parent["exec_id"] == watch.wait_exec(done.pid).shown["exec_id"]
