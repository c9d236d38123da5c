"""A ring that nobody reads: what finds no room is counted, and the books are right afterwards."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from kernel.children import run, start
from kernel.watch import Watch, everything
from tetragon.abi.records import EventOp, OpSlot

RING = 4096 * 4
ROUNDS = 40
SLOTS = {
    EventOp.EXEC: OpSlot.EXEC,
    EventOp.EXIT: OpSlot.EXIT,
    EventOp.CLONE: OpSlot.CLONE,
    EventOp.DATA: OpSlot.DATA,
}


@pytest.fixture
def tiny() -> Iterator[Watch]:
    """Load a sensor with a ring of four pages."""
    watch = Watch(everything(ring_size=RING, credentials=False, namespaces=False))
    watch.start_test()
    yield watch
    watch.close()


def _count(watch: Watch) -> Counter[OpSlot]:
    """Empty the ring; return how many records of each kind there were."""
    found: Counter[OpSlot] = Counter()
    while True:
        data, table = watch.sensor.ring.drain()
        if not table:
            return found
        found.update(SLOTS[EventOp(data[at])] for at in table[::2])


def _flood(watch: Watch, actor: str) -> None:
    """Fill the ring until not even an exit, the smallest of records, finds room."""
    while not watch.losses().get(("exit", "ring_full")):
        os.waitpid(os.posix_spawn(actor, [actor], {}), 0)


def test_losses_are_counted_to_the_record(tiny: Watch, actor: str) -> None:
    """For each kind: produced equals read plus lost."""
    before = tiny.sensor.counters()
    for _ in range(ROUNDS):
        run(actor, "fork", "1")
        run(actor, "exit", "2", "x" * 6000)
    tiny.sensor.detach()
    read, after = _count(tiny), tiny.sensor.counters()
    lost = 0
    for slot in SLOTS.values():
        name = slot.name.lower()
        produced = after[name, "produced"] - before[name, "produced"]
        full = after[name, "ring_full"] - before[name, "ring_full"]
        assert produced == read[slot] + full, name
        lost += full
    assert lost > 0
    assert after["exec", "produced"] - before["exec", "produced"] >= 2 * ROUNDS
    assert read[OpSlot.EXEC] > 0


def test_life_goes_on_right_when_there_is_room_again(tiny: Watch, actor: str) -> None:
    """What came after the flood is complete; of a process whose exec was lost the exit says so."""
    with start(actor, "pause") as lost:
        _flood(tiny, actor)
        lost.go().line()
        full = tiny.losses()
        tiny.drain()
        assert tiny.execs(lost.pid) == []
        done = run(actor, "fork", "4")
        (child,) = done.said("child")
        assert tiny.wait_exec(done.pid).parent["pid"] == os.getpid()
        assert tiny.wait_exit(child).parent["exec_id"] == tiny.wait_exec(done.pid).process.exec_id
        os.kill(lost.pid, 15)
        lost.wait()
    exited = tiny.wait_exit(lost.pid)
    assert exited.told["signal"] == "SIGTERM"
    assert exited.shown.keys() == {"pid", "flags", "start_time"}
    assert exited.shown["flags"] == "unknown"
    assert exited.parent["pid"] == os.getpid()
    assert tiny.losses() == full


def test_children_of_a_lost_exec_have_it_as_parent(tiny: Watch, actor: str) -> None:
    """A process whose exec was lost is named when it forks: known to exist, its image not."""
    read_end, write_end = os.pipe()
    script = f"echo ready; read go; {actor} exit 5; true"
    with start("/bin/sh", "-c", script, before=lambda: os.dup2(read_end, 0)) as shell:
        _flood(tiny, actor)
        assert shell.go().line() == b"ready"
        tiny.drain()
        assert tiny.execs(shell.pid) == []
        os.write(write_end, b"go\n")
        shell.wait()
    os.close(read_end)
    os.close(write_end)
    exited = tiny.wait_exit(shell.pid)
    (child,) = [
        one for one in tiny.seen if one.kind == "process_exec" and one.process.arguments == "exit 5"
    ]
    assert child.event.parent is exited.process
    assert child.parent["pid"] == shell.pid
    assert child.parent["flags"] == "unknown"
    assert child.shown["parent_exec_id"] == exited.process.exec_id
