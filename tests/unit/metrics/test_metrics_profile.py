"""Profiles: what we encode is what the format says; what we sample is what happened."""

import signal
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from metrics_support import wait_until
from profile_proto import Profile

from tetragon.metrics import heap, stacks
from tetragon.metrics.profile import Frame, ProfileBuilder, ValueType
from tetragon.metrics.sample import CpuSampler

WALL = ValueType("wall", "nanoseconds")
NEVER = threading.Event()


@pytest.fixture
def sampler() -> Iterator[CpuSampler]:
    """A sampler made on the main thread; the handler of SIGPROF is put back."""
    before = signal.getsignal(signal.SIGPROF)
    yield CpuSampler()
    signal.signal(signal.SIGPROF, signal.SIG_IGN if before is signal.SIG_DFL else before)


def burn(seconds: float) -> None:
    """Use CPU time on this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        spin()


def spin() -> int:
    """The innermost of what uses CPU time."""
    return sum(number * number for number in range(2000))


def test_profile_is_what_was_added() -> None:
    """Types, stacks, values, labels, times and comments, read by the protobuf library."""
    builder = ProfileBuilder([ValueType("samples", "count"), WALL], period=10_000_000)
    inner, outer = Frame("inner", "/a.py", 3, 1), Frame("outer", "/a.py", 70_000, 5)
    builder.add([inner, outer], [1, 1 << 40], {"thread": "é\n"})
    builder.add([outer], [2, -5])
    builder.add([], [3, 0])
    profile = Profile(builder.encode(time=123, duration=456, comments=["said"]))
    assert profile.types == [("samples", "count"), ("wall", "nanoseconds")]
    assert profile.samples == [
        ([("inner", "/a.py", 3), ("outer", "/a.py", 70_000)], [1, 1 << 40], {"thread": "é\n"}),
        ([("outer", "/a.py", 70_000)], [2, -5], {}),
        ([], [3, 0], {}),
    ]
    raw = profile.raw
    assert (raw.time_nanos, raw.duration_nanos, raw.period) == (123, 456, 10_000_000)
    assert profile.comments == ["said"]
    assert raw.string_table[0] == ""
    assert (len(raw.function), len(raw.location)) == (2, 2)
    assert all(mapping.has_functions for mapping in raw.mapping)
    assert {location.mapping_id for location in raw.location} == {raw.mapping[0].id}


def test_profile_without_samples_is_valid() -> None:
    """An idle agent gives an empty profile, not a broken one."""
    profile = Profile(ProfileBuilder([WALL]).encode())
    assert profile.samples == []
    assert profile.types == [("wall", "nanoseconds")]


def test_cpu_time_goes_to_the_thread_that_used_it(sampler: CpuSampler) -> None:
    """A busy thread has nearly all of it; one that waits is not there."""
    ended = threading.Event()
    waiting = threading.Thread(target=ended.wait, name="waiting")
    busy = threading.Thread(target=lambda: burn(0.3), name="busy")
    waiting.start()
    busy.start()
    before = time.process_time_ns()
    profile = Profile(sampler.sample(0.25, NEVER) or b"")
    used = time.process_time_ns() - before
    ended.set()
    busy.join()
    waiting.join()
    assert profile.types == [("samples", "count"), ("cpu", "nanoseconds")]
    by_thread: dict[str, int] = {}
    for frames, (count, spent), labels in profile.samples:
        assert count > 0
        by_thread[labels["thread"]] = by_thread.get(labels["thread"], 0) + spent
        if labels["thread"] == "busy":
            assert "burn" in {name for name, _, _ in frames}
    assert "waiting" not in by_thread
    assert used * 0.5 < by_thread["busy"] <= used


def test_main_thread_is_seen_where_it_works(sampler: CpuSampler) -> None:
    """Though it works for a few ms at a time, and waits in between."""
    result: list[bytes | None] = []
    taker = threading.Thread(target=lambda: result.append(sampler.sample(0.4, NEVER)))
    taker.start()
    while taker.is_alive():
        burn(0.002)
        time.sleep(0.002)
    profile = Profile(result[0] or b"")
    spent = {"burn": 0, "all": 0}
    for frames, (_, used), labels in profile.samples:
        if labels["thread"] == threading.main_thread().name:
            spent["all"] += used
            spent["burn"] += used * ("burn" in {name for name, _, _ in frames})
    assert spent["all"] > 20_000_000
    assert spent["burn"] > 0.6 * spent["all"]


def test_profile_ends_early_when_the_server_stops(sampler: CpuSampler) -> None:
    """And is whole all the same."""
    stopping = threading.Event()
    stopping.set()
    start = time.monotonic()
    packed = sampler.sample(30, stopping)
    assert time.monotonic() - start < 0.2
    assert packed is not None
    assert Profile(packed).raw.duration_nanos < 200_000_000


def test_second_profile_is_refused(sampler: CpuSampler) -> None:
    """While the first goes on, which is not disturbed."""
    stopping = threading.Event()
    result: list[bytes | None] = []
    taker = threading.Thread(target=lambda: result.append(sampler.sample(30, stopping)))
    taker.start()
    wait_until("the first began", lambda: signal.getitimer(signal.ITIMER_PROF)[1] > 0)
    assert sampler.sample(0.01, NEVER) is None
    stopping.set()
    taker.join()
    assert result[0] is not None
    assert sampler.sample(0.01, NEVER) is not None


def test_late_signal_does_no_harm(sampler: CpuSampler) -> None:
    """The timer may fire once more after it was stopped: the process must not die of it."""
    assert sampler.sample(0.02, NEVER) is not None
    signal.raise_signal(signal.SIGPROF)
    burn(0.02)
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_sampler_made_elsewhere_still_works() -> None:
    """Off the main thread no signal can be handled; the main thread is then looked at."""
    result: list[bytes | None] = []
    taker = threading.Thread(target=lambda: result.append(CpuSampler().sample(0.1, NEVER)))
    taker.start()
    while taker.is_alive():
        burn(0.005)
    names = {labels["thread"] for _, _, labels in Profile(result[0] or b"").samples}
    assert threading.main_thread().name in names


def test_stacks_tell_what_every_thread_does() -> None:
    """By name, as text and as a profile."""
    ended = threading.Event()

    def patient_function() -> None:
        ended.wait(10)

    patient = threading.Thread(target=patient_function, name="patient", daemon=True)
    patient.start()
    dump, profile = stacks.dump(), Profile(stacks.profile())
    ended.set()
    patient.join()
    part = dump.split("thread patient (")[1]
    assert "daemon" in part.splitlines()[0]
    assert "in patient_function" in part
    assert "ended.wait(10)" in part
    assert f"{threading.active_count() + 1} threads" in dump
    (frames,) = [one for one, _, labels in profile.samples if labels["thread"] == "patient"]
    assert any("patient_function" in name for name, _, _ in frames)
    assert profile.types == [("goroutine", "count")]


def test_heap_tells_who_holds_memory() -> None:
    """By the line that took it, as text and as a profile; only while memory is traced."""
    assert not heap.is_traced()
    tracemalloc.start(4)
    try:
        assert heap.is_traced()
        held = [bytes(1000) for _ in range(1000)]
        table, profile = heap.table(), Profile(heap.profile())
    finally:
        tracemalloc.stop()
    assert len(held) == 1000
    assert profile.types == [("inuse_objects", "count"), ("inuse_space", "bytes")]
    ours = [values for stack, values, _ in profile.samples if stack and stack[0][1] == __file__]
    count, size = max(ours, key=lambda values: values[1])
    assert count >= 1000
    assert 1_000_000 < size < 1_100_000
    assert f"{__file__}:" in table.splitlines()[2]
