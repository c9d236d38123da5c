"""ProfileServer: the pages of /debug/pprof/ over real HTTP."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from metrics_support import bound, get, wait_until
from profile_proto import Profile

from tetragon.metrics.pprof import ProfileServer
from tetragon.metrics.sample import CpuSampler


@pytest.fixture
def server() -> Iterator[ProfileServer]:
    """A running server; its sampler is made off the main thread, to leave its signals alone."""
    made: list[CpuSampler] = []
    maker = threading.Thread(target=lambda: made.append(CpuSampler()))
    maker.start()
    maker.join()
    server = ProfileServer(bound(), made[0])
    server.start()
    yield server
    server.stop()


def test_index_links_every_page(server: ProfileServer) -> None:
    """And each of them answers."""
    index = get(server.address, "/debug/pprof/")
    assert index.headers["content-type"].startswith("text/html")
    for name in ("cmdline", "goroutine", "heap", "symbol", "threads", "trace"):
        assert f'href="{name}"'.encode() in index.body
        assert get(server.address, f"/debug/pprof/{name}").status in (200, 501)
    assert b'href="profile"' in index.body


def test_cpu_profile_takes_the_seconds_asked_for(server: ProfileServer) -> None:
    """As a file for pprof."""
    start = time.monotonic()
    got = get(server.address, "/debug/pprof/profile?seconds=0.1")
    assert 0.09 < time.monotonic() - start < 2
    assert got.headers["content-type"] == "application/octet-stream"
    assert 0.08e9 < Profile(got.body).raw.duration_nanos < 2e9


@pytest.mark.parametrize("seconds", ["x", "0", "-1", "601", "nan", "1e9"])
def test_bad_seconds_are_refused(server: ProfileServer, seconds: str) -> None:
    """With the value and what is accepted."""
    got = get(server.address, f"/debug/pprof/profile?seconds={seconds}")
    assert got.status == 400
    assert f"seconds={seconds}".encode() in got.body
    assert b"600" in got.body


def test_one_profile_at_a_time(server: ProfileServer) -> None:
    """The second client is told; stopping the server ends the first, which is whole."""
    got: list[bytes] = []

    def take() -> None:
        got.append(get(server.address, "/debug/pprof/profile?seconds=60").body)

    first = threading.Thread(target=take)
    first.start()

    def second_is_refused() -> bool:
        return get(server.address, "/debug/pprof/profile?seconds=0.01").status == 503

    wait_until("the first is being taken", second_is_refused)
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 0.25
    first.join(5)
    assert Profile(got[0]).raw.duration_nanos < 10e9


def test_command_line_is_this_process(server: ProfileServer) -> None:
    """Arguments separated by NUL, as Go has it."""
    whole = Path("/proc/self/cmdline").read_bytes()
    assert get(server.address, "/debug/pprof/cmdline").body == whole.rstrip(b"\0")


def test_stacks_come_as_text_and_as_profile(server: ProfileServer) -> None:
    """``debug`` chooses."""
    as_text = get(server.address, "/debug/pprof/goroutine?debug=2").body
    assert b"test_stacks_come_as_text_and_as_profile" in as_text
    assert (
        b"test_stacks_come_as_text_and_as_profile"
        in get(server.address, "/debug/pprof/threads").body
    )
    profile = Profile(get(server.address, "/debug/pprof/goroutine").body)
    assert {"MainThread", "pprof"} <= {labels["thread"] for _, _, labels in profile.samples}


def test_heap_tells_how_to_have_it(server: ProfileServer) -> None:
    """And works once memory is traced."""
    got = get(server.address, "/debug/pprof/heap")
    assert got.status == 501
    assert b"PYTHONTRACEMALLOC" in got.body
    tracemalloc.start(4)
    try:
        assert Profile(get(server.address, "/debug/pprof/heap").body).samples
        assert b"bytes in use" in get(server.address, "/debug/pprof/heap?debug=1").body
    finally:
        tracemalloc.stop()


def test_what_is_not_there_says_so(server: ProfileServer) -> None:
    """The execution tracer, unknown profiles, other paths; symbols are in the profiles."""
    trace = get(server.address, "/debug/pprof/trace?seconds=1")
    assert trace.status == 501
    assert trace.body.startswith(b"not available")
    assert get(server.address, "/debug/pprof/mutex").status == 404
    assert b"/debug/pprof/" in get(server.address, "/").body
    assert get(server.address, "/debug/pprof/symbol").body == b"num_symbols: 0\n"
