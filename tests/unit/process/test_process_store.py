"""What the process cache keeps: as long as promised, no longer, and never more than promised."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from process_history import INIT, execed, exited, feed, new_cache, scanned

from tetragon.model.process import Process
from tetragon.process import store
from tetragon.process.cache import ProcessCache

SHELL, CHILD = (10, 100), (20, 200)


@pytest.fixture
def cache() -> ProcessCache:
    """Return a cache that knows init."""
    cache = new_cache()
    cache.seed([scanned(INIT)])
    return cache


def get(cache: ProcessCache, key: tuple[int, int]) -> Process:
    """Return a process that must be there."""
    process = cache.find(key)
    assert process is not None
    return process


def colors(cache: ProcessCache) -> dict[int, str]:
    """Return the color of each pid."""
    return {entry.process.pid: entry.color for entry in cache.snapshot()}


def test_an_ended_process_stays_for_two_collections(cache: ProcessCache) -> None:
    """Late events still find it; the dump tells how far it is."""
    feed(cache, execed(SHELL, INIT), exited(SHELL))
    assert colors(cache) == {1: "inUse", 10: "deletePending"}
    cache.collect()
    assert colors(cache) == {1: "inUse", 10: "deleteReady"}
    cache.collect()
    assert colors(cache) == {1: "inUse"}
    assert cache.stats().deletions == 1


def test_an_ended_process_that_is_referred_to_again_stays(cache: ProcessCache) -> None:
    """A child announced late keeps its parent, until it ends in its turn."""
    feed(cache, execed(SHELL, INIT), exited(SHELL))
    cache.collect()
    feed(cache, execed(CHILD, SHELL))
    cache.collect()
    cache.collect()
    assert colors(cache) == {1: "inUse", 10: "inUse", 20: "inUse"}
    feed(cache, exited(CHILD))
    cache.collect()
    assert colors(cache) == {1: "inUse", 10: "deleteReady", 20: "deleteReady"}
    cache.collect()
    assert len(cache) == 1
    assert cache.stats().ended == 0


def test_ended_again_before_a_collection_saw_it_counts_once(cache: ProcessCache) -> None:
    """It stands in the queue once, and waits for two collections from its last end on."""
    feed(cache, execed(SHELL, INIT), exited(SHELL))
    cache.collect()
    feed(cache, execed(CHILD, SHELL), exited(CHILD))
    assert cache.stats().ended == 2
    cache.collect()
    assert len(cache) == 3
    cache.collect()
    assert len(cache) == 1


def test_ended_processes_take_an_eighth_of_the_room() -> None:
    """A storm of short processes pushes out the oldest ended ones, not those that live."""
    cache = new_cache(size=1024)
    cache.seed([scanned(INIT)])
    feed(cache, *(execed((9000 + n, 50 + n), INIT) for n in range(500)))
    for number in range(2000):
        key = (100 + number, 1000 + number)
        feed(cache, execed(key, INIT), exited(key))
    stats = cache.stats()
    assert (stats.ended, stats.size, stats.evictions) == (128, 629, 0)
    assert get(cache, (9000, 50)).alive
    assert cache.find((2099, 2999)) is not None
    assert cache.find((100, 1000)) is None


def test_a_full_cache_forgets_ended_ones_then_the_oldest_without_children() -> None:
    """Capacity holds; the parents of living processes stay."""
    cache = new_cache(size=128)
    cache.seed([scanned(INIT)])
    feed(cache, execed(SHELL, INIT), execed((11, 110), INIT), exited((11, 110)))
    for number in range(300):
        feed(cache, execed((100 + number, 1000 + number), SHELL))
        assert len(cache) <= 128
    assert cache.find((11, 110)) is None
    assert cache.find((100, 1000)) is None
    assert get(cache, SHELL).refcnt == 1 + len(cache) - 2
    assert get(cache, INIT).refcnt == 2
    stats = cache.stats()
    assert (stats.capacity, stats.deletions) == (128, 1)
    assert stats.evictions + stats.deletions + len(cache) == 2 + 1 + 300


def test_evicted_processes_drop_all_references_they_hold() -> None:
    """With ancestors on too, every count is right when the rest has ended."""
    cache = new_cache(size=64, ancestors=True)
    cache.seed([scanned(INIT)])
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL))
    keys = [(100 + n, 1000 + n) for n in range(200)]
    feed(cache, *(execed(key, CHILD) for key in keys))
    feed(cache, *(exited(key) for key in keys if cache.find(key)), exited(CHILD), exited(SHELL))
    assert {entry.process.pid for entry in cache.snapshot() if entry.refcnt} == {1}
    assert get(cache, INIT).refcnt == 1
    assert cache.stats().early_deletions == 0


def test_a_process_that_only_execs_itself_has_so_many_ancestors() -> None:
    """An endless chain of images makes neither events nor memory endless."""
    cache = new_cache(ancestors=True)
    cache.seed([scanned(INIT)])
    feed(cache, execed(SHELL, INIT))
    before = SHELL
    for number in range(1000):
        key = (SHELL[0], 200 + number)
        (event,) = feed(cache, execed(key, before, cleanup=before))
        before = key
    assert len(event.ancestors) == store.ANCESTORS_MAX
    feed(cache, exited(before))
    for _ in range(2):
        cache.collect()
    assert len(cache) == 1


def test_texts_of_ended_processes_are_released_after_delivery(cache: ProcessCache) -> None:
    """Encoded forms serve the batch that ended a process, then go; those alive keep theirs."""
    feed(cache, execed(SHELL, INIT), execed(CHILD, INIT))
    for key in (SHELL, CHILD):
        get(cache, key).json = get(cache, key).proto = b"{}"
    feed(cache, exited(SHELL))
    assert get(cache, SHELL).json == b"{}"
    cache.release_texts()
    assert (get(cache, SHELL).json, get(cache, SHELL).proto) == (None, None)
    assert get(cache, CHILD).json == b"{}"


def test_long_texts_have_a_budget(cache: ProcessCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a megabyte of arguments each: the oldest are cut, and say so; the rest stays."""
    monkeypatch.setattr(store, "LONG_TEXTS", 1_000_000)
    environment = tuple((f"N{n}", "v" * 90) for n in range(1000))
    keys = [(100 + n, 1000 + n) for n in range(30)]
    for key in keys:
        feed(cache, execed(key, INIT, arguments="x" * 300_000))
    feed(cache, execed(SHELL, INIT, environment=environment))
    stats = cache.stats()
    assert stats.long_texts <= 1_000_000
    assert stats.shortened == 27
    assert len(get(cache, keys[0]).arguments) == 4096
    assert get(cache, keys[0]).flags == "execve truncArgs clone"
    assert len(get(cache, keys[-1]).arguments) == 300_000
    assert get(cache, SHELL).environment == environment
    feed(cache, *(exited(key) for key in keys), exited(SHELL))
    for _ in range(2):
        cache.collect()
    assert cache.stats().long_texts == 0


def test_a_long_environment_is_dropped_and_says_so(
    cache: ProcessCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut environment has the flag of one that could not be read whole."""
    monkeypatch.setattr(store, "LONG_TEXTS", 10_000)
    feed(cache, execed(SHELL, INIT, environment=(("A", "x" * 9000),)))
    feed(cache, execed(CHILD, INIT, arguments="y" * 9000))
    assert get(cache, SHELL).environment == ()
    assert get(cache, SHELL).flags == "execve errorEnvs clone"
    assert len(get(cache, CHILD).arguments) == 9000


def test_encoded_forms_of_long_texts_are_not_kept(cache: ProcessCache) -> None:
    """They would double what a long process takes."""
    feed(cache, execed(SHELL, INIT, arguments="x" * 5000))
    get(cache, SHELL).json = b"{}"
    cache.release_texts()
    assert get(cache, SHELL).json is None


def test_the_dump_tells_references(cache: ProcessCache) -> None:
    """What was taken and dropped, as upstream names it."""
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL), execed((30, 300), SHELL))
    feed(cache, exited(CHILD), exited(SHELL))
    entries = {entry.process.pid: entry for entry in cache.snapshot()}
    assert entries[10].refcnt == 1
    assert entries[10].refcnt_ops == {"process++": 1, "process--": 1, "parent++": 2, "parent--": 1}
    assert entries[20].refcnt_ops == {"process++": 1, "process--": 1}
    assert entries[30].refcnt_ops == {"process++": 1}


def test_the_dump_can_leave_out_processes(cache: ProcessCache) -> None:
    """Those nobody refers to, and those that run."""
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL), execed((30, 300), INIT))
    feed(cache, exited(SHELL), exited((30, 300)))
    assert {e.process.pid for e in cache.snapshot(skip_unreferenced=True)} == {1, 10, 20}
    assert {e.process.pid for e in cache.snapshot(skip_alive=True)} == {10, 30}


def test_the_dump_can_be_taken_while_the_reader_works(cache: ProcessCache) -> None:
    """Another thread gets a whole picture at any moment."""
    done = threading.Event()

    def look() -> list[int]:
        sizes = [len(cache.snapshot())]
        while not done.is_set():
            sizes.append(len(cache.snapshot()))
            cache.stats()
        return sizes

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        for number in range(20_000):
            key = (100 + number, 1000 + number)
            feed(cache, execed(key, INIT), exited(key))
        done.set()
        sizes = looking.result()
    assert min(sizes) >= 1
    assert max(sizes) <= 2 + 65536 // 8
