"""How a process ended is told as wait(2) tells its parent."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from kernel.children import BROKEN, Child, Done, run
from kernel.watch import Watch

# Signals whose default action ends a process, with a core dump or without.
PLAIN = [signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1]
DUMPING = [signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT, signal.SIGSYS]


def _agrees(watch: Watch, done: Done) -> None:
    """Compare the exit event with the wait status."""
    shown = watch.wait_exit(done.pid).told
    if os.WIFSIGNALED(done.status):
        name = signal.Signals(os.WTERMSIG(done.status)).name
        assert (shown.get("signal"), shown.get("status", 0)) == (name, 0)
    else:
        assert (shown.get("signal"), shown.get("status", 0)) == (None, done.code)


@pytest.mark.parametrize("code", [0, 1, 42, 127, 128, 255])
def test_status_is_that_of_exit(watch: Watch, actor: str, code: int) -> None:
    """Every exit code arrives as it is."""
    done = run(actor, "exit", str(code))
    assert done.code == code
    _agrees(watch, done)


@pytest.mark.parametrize("number", PLAIN)
def test_signal_is_named(watch: Watch, actor: str, number: signal.Signals) -> None:
    """A process ended by a signal has its name and no status."""
    done = run(actor, "signal", str(int(number)))
    assert os.WTERMSIG(done.status) == number
    _agrees(watch, done)


def test_signal_without_a_name_is_left_out(watch: Watch, actor: str) -> None:
    """A real-time signal between the two that have names."""
    done = run(actor, "signal", str(signal.SIGRTMIN + 1))
    assert os.WTERMSIG(done.status) == signal.SIGRTMIN + 1
    shown = watch.wait_exit(done.pid).told
    assert not {"signal", "status"} & shown.keys()


@pytest.mark.parametrize("dump", [False, True])
@pytest.mark.parametrize("number", DUMPING)
def test_signal_is_named_when_core_is_dumped(
    watch: Watch, actor: str, tmp_path: Path, number: signal.Signals, dump: bool
) -> None:
    """The bit that tells of a core dump does not change the name."""

    def arrange() -> None:
        os.chdir(tmp_path)
        limit = 1 << 26 if dump else 0
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))

    done = run(actor, "signal", str(int(number)), before=arrange)
    assert os.WTERMSIG(done.status) == number
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    assert os.WCOREDUMP(done.status) == (dump or pattern.startswith("|"))
    _agrees(watch, done)


def test_killed_by_another_is_told(watch: Watch, actor: str) -> None:
    """SIGKILL from outside, in the middle of the process's life."""
    with Child(lambda: os.execv(actor, [actor, "pause"])) as child:
        child.go().line()
        watch.wait_exec(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        done = child.wait()
    _agrees(watch, done)


def test_exit_is_told_when_nothing_was_executed(watch: Watch) -> None:
    """A child that only forked: its own exec_id, its parent's image, and how it ended."""
    with Child(lambda: 17) as child:
        done = child.wait()
    assert done.code == 17 != BROKEN
    _agrees(watch, done)
    seen = watch.wait_exit(done.pid)
    assert watch.execs(done.pid) == []
    assert seen.process.binary == seen.parent["binary"]
    assert seen.shown["exec_id"] != seen.parent["exec_id"] == seen.shown["parent_exec_id"]
    assert seen.parent["pid"] == os.getpid()
    assert seen.shown["refcnt"] == 1


def test_time_is_that_of_the_end(watch: Watch, actor: str) -> None:
    """The exit's time lies between what this process's clock showed before and after."""
    before = time.time_ns()
    done = run(actor, "exit")
    after = time.time_ns()
    seen = watch.wait_exit(done.pid)
    slack = 5_000_000  # the clocks' offset is read anew with every batch
    assert before - slack <= watch.wait_exec(done.pid).event.time <= seen.event.time
    assert seen.event.time <= after + slack
