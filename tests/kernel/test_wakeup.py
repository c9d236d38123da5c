"""The reader sleeps when nothing happens, and is woken when something does."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel.children import run
from kernel.watch import IN_VM, Watch, everything
from tetragon.reader import Reader, Timer


@pytest.fixture
def running() -> Iterator[Watch]:
    """Run the real reader loop in a thread of its own."""
    watch = Watch(everything())
    watch.start_test()
    reader = Reader(
        [watch.sensor.ring], watch.pipeline, watch.sensor.set_asleep, [Timer(3600, lambda: None)]
    )
    thread = threading.Thread(target=reader.run, name="reader")
    thread.start()
    yield watch
    reader.stop()
    thread.join()
    reader.close()
    watch.close()


def _until(check: Callable[[], object], seconds: float) -> float:
    """Return how long it took until ``check`` held."""
    begun = time.monotonic()
    while not check():
        assert time.monotonic() - begun < seconds
        os.sched_yield()
    return time.monotonic() - begun


def _switches(thread: int) -> int:
    for line in Path(f"/proc/self/task/{thread}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError("no count of context switches")


def test_events_come_at_once_when_the_reader_sleeps(running: Watch, actor: str) -> None:
    """Fifty processes with pauses between: none waits for the reader's own timeout of a second."""
    for number in range(10 if IN_VM else 50):
        pid = run(actor, "exit", str(number)).pid
        took = _until(lambda: running.exits(pid), 30)  # noqa: B023 (called before pid changes)
        assert took < 0.9
    assert running.losses() == {}


def test_every_event_comes_when_many_race_with_falling_asleep(running: Watch, actor: str) -> None:
    """Bursts of all sizes, so that records are written at every moment of falling asleep."""
    for number in range(8 if IN_VM else 60):
        pids = [os.posix_spawn(actor, [actor], {}) for _ in range(1 + number % 5)]
        for pid in pids:
            os.waitpid(pid, 0)
        _until(lambda: all(running.exits(pid) for pid in pids), 30)  # noqa: B023 (as above)


def test_reader_rests_when_nothing_happens(running: Watch) -> None:
    """Without a record it wakes about once a second, not for the polls of a storm."""
    (thread,) = [one.native_id for one in threading.enumerate() if one.name == "reader"]
    assert thread is not None
    running.sensor.detach()  # so that no process of this host makes one
    _until(lambda: not running.sensor.ring.pending(), 30)
    before, quiet = _switches(thread), threading.Event()
    quiet.wait(1.5)
    assert _switches(thread) - before <= 8


def test_asleep_flag_is_the_kernels(actor: str) -> None:
    """The kernel half clears the flag with the record that wakes: one wake-up for a burst."""
    watch = Watch(everything(), start=False)
    try:
        flag = watch.sensor._asleep
        watch.sensor.set_asleep(False)
        run(actor)
        assert flag[0] == 0
        watch.drain()
        watch.sensor.set_asleep(True)
        assert flag[0] == 1
        run(actor)
        assert flag[0] == 0
    finally:
        watch.close()
