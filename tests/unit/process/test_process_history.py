"""Any history of a host: events name the right parents, and in the end nothing is left."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from process_history import INIT, Host, Key, act, feed, new_cache, scanned

from tetragon.model.event import Event
from tetragon.model.process import Process
from tetragon.model.record import CloneRecord, ExecRecord, ExitRecord, Record
from tetragon.process.cache import ProcessCache

STEPS = st.lists(
    st.tuples(st.sampled_from(["fork", "exec", "spawn", "spawn", "exit"]), st.integers(0, 50)),
    max_size=60,
)


def key_of(process: Process) -> Key:
    """Return who a process is."""
    return process.pid, process.ktime


def live(steps: list[tuple[str, int]]) -> Host:
    """Return a host after these steps, all its processes ended."""
    host = Host()
    act(host, steps)
    host.end()
    return host


def started(ancestors: bool) -> ProcessCache:
    """Return a cache that knows init."""
    cache = new_cache(ancestors=ancestors, size=4096)
    cache.seed([scanned(INIT)])
    return cache


def check_nothing_left(cache: ProcessCache) -> None:
    """Check that init alone is referred to, by itself, and all others go."""
    assert cache.waiting == 0
    assert all(entry.refcnt >= 0 for entry in cache.snapshot())
    assert {(e.process.pid, e.refcnt) for e in cache.snapshot() if e.refcnt} == {(1, 1)}
    for _ in range(2):
        cache.collect()
    assert len(cache) == 1


def events_by_key(events: list[Event]) -> dict[tuple[type, Key], Event]:
    """Return events by kind and process."""
    found = {(type(e), key_of(e.process)): e for e in events if e.process is not None}
    assert len(found) == len(events)
    return found


@settings(max_examples=80, deadline=None)
@given(STEPS, st.booleans())
def test_in_order_every_event_is_complete_and_at_once(
    steps: list[tuple[str, int]], ancestors: bool
) -> None:
    """One event an exec and an exit, with the parent that the kernel half named."""
    host = live(steps)
    cache = started(ancestors)
    for record in host.records:
        events = feed(cache, record)
        assert len(events) == (0 if isinstance(record, CloneRecord) else 1)
        for event in events:
            assert event.process is not None
            assert event.process.complete
            assert event.parent is not None
            own = host.parents.get(record.key)
            assert key_of(event.parent) == (own or record.parent)  # type: ignore[union-attr]
            assert event.process.parent_exec_id == event.parent.exec_id
            assert [key_of(one) for one in event.ancestors] == (
                chain(host, key_of(event.parent)) if ancestors else []
            )
    check_nothing_left(cache)
    assert cache.stats().early_deletions == 0


def chain(host: Host, key: Key) -> list[Key]:
    """Return who is above a process, up to init."""
    above: list[Key] = []
    while key != INIT:
        key = host.parents[key]
        above.append(key)
    return above


@settings(max_examples=80, deadline=None)
@given(STEPS, st.booleans(), st.randoms(use_true_random=False))
def test_in_any_order_every_event_comes_and_names_its_parent(
    steps: list[tuple[str, int]], ancestors: bool, order: random.Random
) -> None:
    """Records shuffled within a few places: late, but complete."""
    host = live(steps)
    records = [
        record
        for _, record in sorted(
            enumerate(host.records), key=lambda item: item[0] + order.uniform(0, 6)
        )
    ]
    cache = started(ancestors)
    events: list[Event] = []
    cache.handle(records, events)
    cache.flush(events)
    assert len(events_by_key(events)) == sum(
        isinstance(record, ExecRecord | ExitRecord) for record in records
    )
    for event in events:
        if event.parent is not None and event.process is not None and event.process.complete:
            assert event.process.parent_exec_id == event.parent.exec_id


@settings(max_examples=80, deadline=None)
@given(STEPS, st.booleans(), st.randoms(use_true_random=False))
def test_lost_records_leave_no_reference_behind(
    steps: list[tuple[str, int]], ancestors: bool, loss: random.Random
) -> None:
    """Execs and clones lost at random: every other event comes, and nothing is left."""
    host = live(steps)
    kept: list[Record] = [
        record for record in host.records if isinstance(record, ExitRecord) or loss.random() < 0.7
    ]
    cache = started(ancestors)
    events: list[Event] = []
    cache.handle(kept, events)
    cache.flush(events)
    assert len(events_by_key(events)) == sum(
        isinstance(record, ExecRecord | ExitRecord) for record in kept
    )
    stand_ins = [key_of(entry.process) for entry in cache.snapshot() if not entry.process.complete]
    assert set(stand_ins) <= {r.key for r in host.records}
    assert cache.waiting == 0
    assert all(entry.refcnt >= 0 for entry in cache.snapshot())


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(1, 12), st.booleans())
def test_a_tiny_cache_stays_tiny(steps: list[tuple[str, int]], size: int, ancestors: bool) -> None:
    """Whatever happens, capacity holds and every event comes."""
    host = live(steps)
    cache = new_cache(ancestors=ancestors, size=size)
    events: list[Event] = []
    for record in host.records:
        events += feed(cache, record)
        assert all(entry.refcnt >= 0 for entry in cache.snapshot())
    cache.flush(events)
    assert len(events) == sum(isinstance(r, ExecRecord | ExitRecord) for r in host.records)
    assert len(cache) <= max(size, 1) + len(host.parents)
