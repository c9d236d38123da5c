"""Parked events: late but complete when what is missing comes, incomplete when it does not."""

import pytest
from process_history import INIT, execed, exited, feed, new_cache, scanned

from tetragon.abi.records import ProcessFlag
from tetragon.model.event import Event, ExecEvent, ExitEvent
from tetragon.model.record import CloneRecord
from tetragon.process.cache import ProcessCache
from tetragon.process.parked import PARENT, PROCESS

SHELL, CHILD, GRANDCHILD = (10, 100), (20, 200), (30, 300)


@pytest.fixture(params=[False, True], ids=["parents", "ancestors"])
def cache(request: pytest.FixtureRequest) -> ProcessCache:
    """Return a cache that knows init and lets events wait for two ticks."""
    cache = new_cache(ancestors=request.param, retries=2)
    cache.seed([scanned(INIT)])
    return cache


def tick(cache: ProcessCache) -> list[Event]:
    """Let one retry delay pass."""
    events: list[Event] = []
    cache.tick(events)
    return events


def keys(events: list[Event]) -> list[tuple[type, tuple[int, int]]]:
    """Return kind and process of each event."""
    return [
        (event.__class__, (event.process.pid, event.process.ktime))
        for event in events
        if event.process is not None
    ]


def end_all(cache: ProcessCache, *dead: tuple[int, int]) -> None:
    """Let processes exit; check that only init is left, referred to by itself alone."""
    feed(cache, *(exited(key) for key in dead))
    assert cache.waiting == 0
    assert {(entry.process.pid, entry.refcnt) for entry in cache.snapshot() if entry.refcnt} == {
        (1, 1)
    }
    for _ in range(2):
        cache.collect()
    assert len(cache) == 1


def test_an_exec_waits_for_its_parent(cache: ProcessCache) -> None:
    """Out of order: the child's event comes behind its parent's, complete."""
    assert feed(cache, execed(CHILD, SHELL)) == []
    assert cache.waiting == 1
    child = cache.find(CHILD)
    assert child is not None
    assert child.parent_exec_id == cache.exec_id(*SHELL)
    events = feed(cache, execed(SHELL, INIT))
    assert keys(events) == [(ExecEvent, SHELL), (ExecEvent, CHILD)]
    assert events[1].parent is cache.find(SHELL)
    if cache.options.ancestors:
        assert events[1].ancestors == (cache.find(INIT),)
    assert cache.stats().resolved == 1
    end_all(cache, CHILD, SHELL)


def test_an_exit_waits_behind_its_exec(cache: ProcessCache) -> None:
    """A process that ends while its exec event waits: both come, in order, with the parent."""
    assert feed(cache, execed(CHILD, SHELL), exited(CHILD)) == []
    events = feed(cache, execed(SHELL, INIT))
    assert keys(events) == [(ExecEvent, SHELL), (ExecEvent, CHILD), (ExitEvent, CHILD)]
    assert [event.parent for event in events[1:]] == [cache.find(SHELL)] * 2
    end_all(cache, SHELL)


def test_an_exit_waits_for_its_process(cache: ProcessCache) -> None:
    """An announced process that is not known yet is worth waiting for."""
    assert feed(cache, exited(SHELL)) == []
    events = feed(cache, execed(SHELL, INIT))
    assert keys(events) == [(ExecEvent, SHELL), (ExitEvent, SHELL)]
    assert events[1].process is events[0].process
    end_all(cache)


def test_clones_wait_for_the_image_they_take(cache: ProcessCache) -> None:
    """A clone and the exit of its own child, from the last to the first."""
    late = [
        exited(GRANDCHILD, CHILD, announced=False),
        CloneRecord(CHILD, SHELL, 0, 0),
    ]
    assert feed(cache, *late) == []
    events = feed(cache, execed(SHELL, INIT))
    assert keys(events) == [(ExecEvent, SHELL), (ExitEvent, GRANDCHILD)]
    assert events[1].process is not None
    assert events[1].process.binary == "/bin/prog"
    end_all(cache, CHILD, SHELL)


def test_descendants_of_a_waiting_process_do_not_wait(cache: ProcessCache) -> None:
    """Their own parent is known, so their events leave at once."""
    feed(cache, execed(CHILD, SHELL))
    (event,) = feed(cache, execed(GRANDCHILD, CHILD))
    assert event.parent is cache.find(CHILD)
    events = feed(cache, execed(SHELL, INIT))
    assert keys(events) == [(ExecEvent, SHELL), (ExecEvent, CHILD)]
    assert events[1].parent is cache.find(SHELL)
    end_all(cache, GRANDCHILD, CHILD, SHELL)


def test_a_new_image_of_a_waiting_process_does_not_wait(cache: ProcessCache) -> None:
    """Exec over exec: the parent is the former self, which is known."""
    again = (CHILD[0], 250)
    feed(cache, execed(CHILD, SHELL))
    (event,) = feed(cache, execed(again, CHILD, cleanup=CHILD))
    assert event.parent is cache.find(CHILD)
    feed(cache, execed(SHELL, INIT))
    end_all(cache, again, SHELL)


def test_after_all_tries_events_leave_incomplete(cache: ProcessCache) -> None:
    """What never came is missing; all the rest is there, and nothing waits any longer."""
    feed(
        cache,
        execed(CHILD, SHELL),
        exited(CHILD),
        exited((40, 400)),
        exited((50, 500), (41, 410), announced=False),
        CloneRecord((60, 600), (42, 420), 0, 0),
    )
    assert tick(cache) == []
    events = tick(cache)
    assert keys(events) == [
        (ExecEvent, CHILD),
        (ExitEvent, CHILD),
        (ExitEvent, (40, 400)),
        (ExitEvent, (50, 500)),
    ]
    assert all(event.parent is None for event in events)
    assert [event.process.complete for event in events if event.process] == [
        True,
        True,
        False,
        False,
    ]
    stats = cache.stats()
    assert stats.gave_up == {
        ("PROCESS_EXEC", PARENT): 1,
        ("PROCESS_EXIT", PARENT): 2,
        ("PROCESS_EXIT", PROCESS): 1,
        ("PROCESS_CLONE", PARENT): 1,
    }
    assert stats.retries == {PARENT: 8, PROCESS: 2}
    assert (stats.waiting, stats.parked, stats.resolved) == (0, 5, 0)
    clone = cache.find((60, 600))
    assert clone is not None
    assert not clone.complete
    end_all(cache, (60, 600))


def test_who_waits_for_a_stand_in_gets_it(cache: ProcessCache) -> None:
    """Giving up on a clone's image frees those that wait for the clone itself."""
    feed(cache, CloneRecord(SHELL, (9, 90), 0, 0), execed(CHILD, SHELL))
    tick(cache)
    events = tick(cache)
    assert keys(events) == [(ExecEvent, CHILD)]
    assert events[0].parent is cache.find(SHELL)
    end_all(cache, CHILD, SHELL)


def test_a_parent_that_comes_after_giving_up_changes_nothing(cache: ProcessCache) -> None:
    """References are only dropped where they were counted."""
    feed(cache, execed(CHILD, SHELL))
    tick(cache)
    tick(cache)
    feed(cache, execed(SHELL, INIT))
    (event,) = feed(cache, exited(CHILD))
    assert event.parent is None
    shell = cache.find(SHELL)
    assert shell is not None
    assert shell.refcnt == 1
    end_all(cache, SHELL)


def test_flush_delivers_all_that_waits(cache: ProcessCache) -> None:
    """At the end nothing more will come: nothing is kept back."""
    feed(cache, execed(CHILD, SHELL), exited((40, 400)), CloneRecord((60, 600), CHILD, 0, 0))
    events: list[Event] = []
    cache.flush(events)
    assert keys(events) == [(ExecEvent, CHILD), (ExitEvent, (40, 400))]
    assert cache.waiting == 0


def test_when_too_many_wait_the_oldest_leave_first(
    cache: ProcessCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room for waiting events is bounded, and no event is lost for it."""
    monkeypatch.setattr("tetragon.process.cache.PARKED_MAX", 8)
    events: list[Event] = []
    for number in range(100):
        events += feed(cache, execed((100 + number, 1000 + number), (50_000 + number, 7)))
        assert cache.waiting <= 8
    cache.flush(events)
    assert [key[0] for _, key in keys(events)] == list(range(100, 200))


def test_a_long_chain_of_waiting_clones_resolves(cache: ProcessCache) -> None:
    """However long the chain, from the youngest to the oldest; nothing overflows."""
    chain = [(1000 + n, 10_000 + n) for n in range(5000)]
    for key, parent in zip(chain[:0:-1], chain[-2::-1], strict=True):
        assert feed(cache, CloneRecord(key, parent, 0, 0)) == []
    feed(cache, execed(chain[0], INIT))
    assert cache.waiting == 0
    youngest = cache.find(chain[-1])
    assert youngest is not None
    assert youngest.binary == "/bin/prog"


def test_a_lost_exec_is_not_waited_for(cache: ProcessCache) -> None:
    """The kernel half says that the record is lost: the exit leaves at once."""
    (event,) = feed(cache, exited(SHELL, INIT, announced=False, flags=ProcessFlag.MISS))
    assert event.parent is cache.find(INIT)
    assert cache.waiting == 0
