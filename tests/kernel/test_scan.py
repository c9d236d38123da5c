"""Who ran before the agent is known from its start: each once, with its parents."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.children import Child, run, start
from kernel.watch import Watch, everything
from tetragon.model.event import Event, ExecEvent
from tetragon.procfs.process import parse_stat


@pytest.fixture
def fresh() -> Iterator[Watch]:
    """Load a sensor that has not scanned yet."""
    watch = Watch(everything(), start=False)
    yield watch
    watch.close()


def _stat(pid: int) -> tuple[int, int]:
    """Return parent and start, in ticks since boot, as /proc has them."""
    found = parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    return found.ppid, found.start_ticks


def test_processes_found_are_those_of_proc(fresh: Watch) -> None:
    """Every process in /proc before and after the scan was found, with its start and parent."""
    before = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    fresh.scan()
    found = {one.pid: one for one in fresh.found.processes}
    after = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    dead = {pid for pid in before if not _lives(pid)}
    assert (before & after) - dead <= found.keys()
    assert fresh.found.hidden == []
    for pid in (before & after & found.keys()) - dead:
        try:
            parent, start_ticks = _stat(pid)
        except FileNotFoundError:
            continue
        assert found[pid].ktime == start_ticks * 10_000_000
        assert found[pid].parent_key is not None
        assert found[pid].parent_key[0] in {parent, 0 if parent not in found else parent}


def _lives(pid: int) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False


def test_kernel_threads_are_known_and_silent(fresh: Watch) -> None:
    """They can be parents, but make no events; /proc's own flag says who is one."""
    fresh.scan()
    told = {event.process.pid for event in fresh.first if event.process}
    found = {one.pid: one for one in fresh.found.processes}
    for pid in fresh.found.kernel_threads & found.keys():
        try:
            assert parse_stat(Path(f"/proc/{pid}/stat").read_bytes()).flags & 0x00200000
            comm = Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
        except FileNotFoundError:
            continue
        if "/" not in comm and not comm.startswith("kworker"):  # those change their names
            assert found[pid].binary == f"[{comm}]"
    assert 2 in fresh.found.kernel_threads
    assert not told & fresh.found.kernel_threads


def test_first_is_the_kernel_and_parents_come_first(fresh: Watch) -> None:
    """Pid 0 is the first event; every process comes behind its parent, which it names."""
    fresh.scan()
    (first, *_) = fresh.first
    assert first.process is not None
    assert (first.process.pid, first.process.binary) == (0, "<kernel>")
    ids: set[str] = set()
    for one in fresh.found.processes:
        assert one.pid == 0 or one.parent_exec_id in ids
        ids.add(one.exec_id)


def test_old_shell_has_its_parents_from_the_start(fresh: Watch, actor: str) -> None:
    """The first exec of a shell that ran before shows the shell, us, and all above us."""
    script = f"read go; {actor} exit 3"
    read_end, write_end = os.pipe()
    with start("/bin/sh", "-c", script, before=lambda: os.dup2(read_end, 0)) as shell:
        shell.go()
        _await_program(shell.pid, "sh")
        fresh.scan()
        os.write(write_end, b"go\n")
        done = shell.wait()
    os.close(read_end)
    os.close(write_end)
    assert done.code == 3
    seen = fresh.wait("exec", lambda: [one for one in fresh.seen if one.process.binary == actor])
    shown = seen[0].told
    assert shell.pid in {shown["parent"]["pid"], shown["process"]["pid"]}  # it may run it in place
    above = [shown["parent"], *shown["ancestors"]]
    pids = [one["pid"] for one in above]
    assert os.getpid() in pids
    at = os.getpid()
    for pid in pids[pids.index(at) :]:
        assert pid == at
        at = _stat(pid)[0]
    for one in above:  # of init it may be kept from us
        assert "binary" in one or not _shows_program(one["pid"])


def _shows_program(pid: int) -> bool:
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except PermissionError:
        return False


def _await_program(pid: int, name: str) -> None:
    while Path(f"/proc/{pid}/comm").read_text() != f"{name}\n":
        os.sched_yield()


def test_process_begun_between_load_and_scan_is_seen_once(fresh: Watch, actor: str) -> None:
    """The hooks saw it, so the scan does not: one exec, one exit, the parent known."""
    with start(actor, "pause") as child:
        child.go().line()
        fresh.scan()
        assert child.pid not in {one.pid for one in fresh.found.processes}
        seen = fresh.wait_exec(child.pid)
        assert seen.parent["pid"] == os.getpid()
        os.kill(child.pid, 15)
        child.wait()
    fresh.wait_exit(child.pid)
    fresh.settle()
    assert len(fresh.execs(child.pid)) == len(fresh.exits(child.pid)) == 1


def test_process_that_execs_between_load_and_scan_is_seen_once(actor: str) -> None:
    """It ran before, so nobody knows its former image: the parent is who forked it."""
    child = Child(lambda: os.execv(actor, [actor, "pause"]))
    watch = Watch(everything(), start=False)
    try:
        with child:
            child.go().line()
            watch.scan()
            assert child.pid not in {one.pid for one in watch.found.processes}
            seen = watch.wait_exec(child.pid)
            assert seen.parent["pid"] == os.getpid()
            assert seen.process.binary == actor
        watch.wait_exit(child.pid)
        watch.settle()
        assert len(watch.execs(child.pid)) == len(watch.exits(child.pid)) == 1
    finally:
        watch.close()


def test_process_that_ends_between_load_and_scan_is_not_seen(actor: str) -> None:
    """Nobody was told that it began, so nobody is told that it ended."""
    child = start(actor, "pause")
    child.go().line()
    watch = Watch(everything(), start=False)
    try:
        with child:
            pass
        watch.scan()
        watch.settle()
        assert child.pid not in {one.pid for one in watch.found.processes}
        events: list[Event] = []
        watch.cache.flush(events)
        watch.pipeline.deliver(events)
        assert watch.seen == []
    finally:
        watch.close()


def test_forker_between_load_and_scan_is_known_by_the_scan(actor: str) -> None:
    """A process that ran before forks before the scan: parent and child are right, both once."""
    read_end, write_end = os.pipe()

    def body() -> int:
        os.read(read_end, 1)
        pid = os.fork()
        if not pid:
            os.execv(actor, [actor, "exit", "6"])
        os.waitpid(pid, 0)
        os.write(1, b"child %d\n" % pid)
        os.close(write_end)
        os.read(read_end, 1)
        return 0

    child = Child(body).go()
    watch = Watch(everything(), start=False)
    try:
        with child:
            os.write(write_end, b"x")
            grandchild = int(child.line().split()[1])
            watch.scan()
            (found,) = [one for one in watch.found.processes if one.pid == child.pid]
            seen = watch.wait_exec(grandchild)
            assert seen.parent["exec_id"] == found.exec_id
            assert seen.parent["binary"] == os.readlink(f"/proc/{os.getpid()}/exe")
            assert watch.wait_exit(grandchild).told["status"] == 6
            os.close(write_end)
            os.close(read_end)
        assert watch.wait_exit(child.pid).process is found
    finally:
        watch.close()


def test_zombies_are_not_taken_for_processes(fresh: Watch, actor: str) -> None:
    """Who ended but was not waited for yet runs no more: no event, no entry."""
    with start(actor, "exit") as child:
        child.go()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert b") Z " in Path(f"/proc/{child.pid}/stat").read_bytes()
        fresh.scan()
        assert child.pid not in {one.pid for one in fresh.found.processes}


def test_cache_can_be_told_from_the_first_events(fresh: Watch) -> None:
    """Seeding makes one exec event for each process found, kernel threads aside."""
    fresh.scan()
    assert all(isinstance(event, ExecEvent) for event in fresh.first)
    told = [event.process.pid for event in fresh.first if event.process]
    found = [one.pid for one in fresh.found.processes]
    assert told == [pid for pid in found if pid not in fresh.found.kernel_threads]


def test_exits_of_old_processes_are_told(fresh: Watch, actor: str) -> None:
    """A process of the scan that ends: the same exec_id, and how it ended."""
    with start(actor, "pause") as child:
        child.go().line()
        second = Watch(everything())
        try:
            (found,) = [one for one in second.found.processes if one.pid == child.pid]
            assert found.binary == actor
            os.kill(child.pid, 15)
            child.wait()
            seen = second.wait_exit(child.pid)
            assert seen.process is found
            assert seen.told["signal"] == "SIGTERM"
        finally:
            second.close()
    assert run(actor).code == 0
