"""A pid that is used again is another process: nothing of the one before sticks to it."""

import os
from pathlib import Path

from kernel.children import Child, Done, run
from kernel.mounts import NEWNS, NEWPID, mount, unshare
from kernel.watch import Watch

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
ROUNDS = 12


def _run_as(pid: int, actor: str, *arguments: str) -> Done:
    """Run the actor under a wanted pid; another process may be quicker, then try again."""
    for _ in range(50):
        LAST_PID.write_text(str(pid - 1))
        done = run(actor, *arguments)
        if done.pid == pid:
            return done
    raise AssertionError(f"pid {pid} could not be had")


def test_each_user_of_a_pid_is_a_process_of_its_own(watch: Watch, actor: str) -> None:
    """The same pid again and again: each exec and exit is that of its own time and status."""
    first = run(actor, "exit", "0")
    pid = first.pid
    expected = ["exit 0"]
    for code in range(1, ROUNDS):
        if code % 3:
            assert _run_as(pid, actor, "exit", str(code)).code == code
            expected.append(f"exit {code}")
        else:  # one that forks below, so that it is announced in another way
            _run_as(pid, actor, "fork", str(code))
            expected.append(f"fork {code}")
    watch.wait("all exits", lambda: len(watch.exits(pid)) == ROUNDS)
    assert [one.process.arguments for one in watch.execs(pid)] == expected
    assert [one.process.arguments for one in watch.exits(pid)] == expected
    for number, (begun, ended) in enumerate(zip(watch.execs(pid), watch.exits(pid), strict=True)):
        assert ended.process is begun.process
        assert ended.told.get("status", 0) == number
        assert begun.parent["pid"] == os.getpid()
    assert len({one.process.exec_id for one in watch.execs(pid)}) == ROUNDS


def test_forked_child_with_its_grandparents_pid(watch: Watch) -> None:
    """A child gets the pid of a process that ended: its parent is who forked it, not its pid."""
    with Child(lambda: 21) as gone:
        pid = gone.wait().pid

    def body() -> int:
        for _ in range(50):
            LAST_PID.write_text(str(pid - 1))
            child = os.fork()
            if not child:
                os._exit(22)
            os.waitpid(child, 0)
            if child == pid:
                return 0
        return 1

    with Child(body) as middle:
        done = middle.wait()
    assert done.code == 0
    watch.wait("both exits", lambda: len(watch.exits(pid)) == 2)
    first, second = watch.exits(pid)
    assert [one.told["status"] for one in (first, second)] == [21, 22]
    assert first.parent["pid"] == os.getpid()
    assert second.parent["pid"] == done.pid
    assert first.process.exec_id != second.process.exec_id


def test_nothing_is_mixed_up_when_pids_run_in_a_circle(watch: Watch, actor: str) -> None:
    """A namespace with few pids, used many times over: each process has its own arguments."""
    rounds = 60

    def init() -> int:
        unshare(NEWNS)
        mount("proc", Path("/proc"), "proc")
        for number in range(rounds):
            if number % 10 == 0:
                LAST_PID.write_text("1")
            pid = os.posix_spawn(actor, [actor, "exit", str(number)], {})
            status = os.waitpid(pid, 0)[1]
            os.write(1, b"%d %d\n" % (pid, os.waitstatus_to_exitcode(status)))
        return 0

    def creator() -> int:
        unshare(NEWPID)
        pid = os.fork()
        if not pid:
            os._exit(init())
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with Child(creator) as outer:
        done = outer.wait()
    assert done.code == 0
    pairs = [tuple(map(int, line.split())) for line in done.output.decode().splitlines()]
    assert len({pid for pid, _ in pairs}) <= 11
    watch.wait_exit(done.pid)
    execs = [one for one in watch.seen if one.kind == "process_exec"]
    assert [one.process.nspid for one in execs] == [pid for pid, _ in pairs]
    assert [one.process.arguments for one in execs] == [f"exit {code}" for _, code in pairs]
    for begun, (_, code) in zip(execs, pairs, strict=True):
        (ended,) = watch.exits(begun.process.pid)
        assert ended.process is begun.process
        assert ended.told.get("status", 0) == code
