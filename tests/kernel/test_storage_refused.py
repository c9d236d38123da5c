"""Processes whose state no task storage could hold: kept elsewhere, told just the same."""

import os
from collections.abc import Iterator

import pytest

from kernel.children import run, start
from kernel.scratch import forget_state
from kernel.watch import Watch, everything


@pytest.fixture
def refused() -> Iterator[Watch]:
    """Load a sensor that gets no task storage at all."""
    watch = Watch(everything(without_storage=True))
    watch.start_test()
    yield watch
    watch.close()


def test_life_of_a_process_is_whole(refused: Watch, actor: str) -> None:
    """Exec, exec over exec, fork without exec, and the exits: identities and parents are right."""
    done = run(actor, "exec", actor, "fork", "7")
    (child,) = done.said("child")
    second = refused.wait_exec(done.pid, 2)
    first = refused.wait_exec(done.pid)
    assert first.parent["pid"] == os.getpid()
    assert second.shown["parent_exec_id"] == first.shown["exec_id"]
    exited = refused.wait_exit(child)
    assert exited.parent["exec_id"] == second.shown["exec_id"]
    assert exited.told["status"] == 7
    assert refused.wait_exit(done.pid).process is second.process


@pytest.mark.parametrize("verb", ["thread-exec", "leaderless-exec"])
def test_exec_by_a_thread_keeps_the_history(refused: Watch, actor: str, verb: str) -> None:
    """The state is found by the pid, which does not change."""
    done = run(actor, verb, actor, "exit", "5")
    second = refused.wait_exec(done.pid, 2)
    assert second.shown["parent_exec_id"] == refused.wait_exec(done.pid).shown["exec_id"]
    assert refused.wait_exit(done.pid).process is second.process


def test_each_refusal_is_counted(refused: Watch, actor: str) -> None:
    """The counter storage_busy tells of them, for the hook that met them."""
    before = refused.losses()
    run(actor, "fork", "0")
    after = refused.losses()
    for op in ("exec", "fork"):
        key = (op, "storage_busy")
        assert after[key] > before.get(key, 0)
    assert not any(what in {"ring_full", "heap_busy"} for _, what in after)


def test_exit_is_told_once(refused: Watch, actor: str) -> None:
    """After its exit the entry is gone: who ends twice would be told twice."""
    with start(actor, "pause") as child:
        child.go().line()
        refused.wait_exec(child.pid)
        os.kill(child.pid, 9)
        child.wait()
    refused.wait_exit(child.pid)
    refused.settle()
    assert len(refused.exits(child.pid)) == 1


def test_exit_that_cannot_be_told_is_counted(refused: Watch, actor: str) -> None:
    """When the spare map has lost a process as well, its exit is a loss with a reason."""
    with start(actor, "pause") as child:
        child.go().line()
        refused.wait_exec(child.pid)
        before = refused.losses().get(("exit", "state_lost"), 0)
        forget_state(refused.sensor, child.pid)
        os.kill(child.pid, 9)
        child.wait()
    refused.settle()
    assert refused.exits(child.pid) == []
    assert refused.losses()["exit", "state_lost"] == before + 1
