"""The file output: events in, lines in a file, whatever the disk does."""

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from export_support import (
    NOON,
    SECOND,
    balance,
    exec_events,
    make_front,
    reasons,
    wait_until,
)

from tetragon.errors import ExportError
from tetragon.export.aggregate import Aggregator
from tetragon.export.file import FileSink, LogParams
from tetragon.export.limit import RateLimiter


def pids(path: Path) -> list[int]:
    """Return the pids of the events in a file; fails where a line is not JSON."""
    return [
        json.loads(line)["process_exec"]["process"]["pid"]
        for line in path.read_bytes().splitlines()
    ]


def test_events_become_lines(tmp_path: Path) -> None:
    """Every event is a line of JSON, in order; the books and counters say so."""
    path = tmp_path / "out.log"
    sink = FileSink(str(path), make_front("file"))
    sink.write(exec_events(3))
    sink.write(exec_events(2))
    sink.close(5)
    assert pids(path) == [1, 2, 3, 1, 2]
    assert sink.ledger.delivered == 5
    assert balance(sink.ledger) == 0
    stats = sink.stats()
    assert stats.bytes_written == path.stat().st_size
    assert stats.queued == 0
    assert stats.last_event_time == NOON + 2


def test_the_file_is_there_from_the_start(tmp_path: Path) -> None:
    """Whoever wants to follow it need not wait for an event."""
    sink = FileSink(str(tmp_path / "deep" / "out.log"), make_front("file"), mode=0o640)
    assert (tmp_path / "deep" / "out.log").stat().st_mode & 0o777 == 0o640
    sink.close(5)


@pytest.mark.parametrize("name", ["a directory", "a file/below", "/proc/nothing/here"])
def test_what_cannot_be_written_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    """The error names the flag, the file and the reason."""
    (tmp_path / "a directory").mkdir()
    (tmp_path / "a file").touch()
    with pytest.raises(ExportError, match=r"--export-filename: cannot write to .*: .*; name"):
        FileSink(str(tmp_path / name), make_front("file"))


def test_standard_output_is_a_file_too() -> None:
    """A dash writes to descriptor 1, after what was there, and is never rotated."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from export_support import exec_events, make_front\n"
        "from tetragon.errors import ExportError\n"
        "from tetragon.export.file import FileSink, LogParams\n"
        "sink = FileSink('-', make_front('stdout'), params=LogParams(0, 1, 0))\n"
        "sink.write(exec_events(2)); sink.tick(1); sink.tick(10**18); sink.close(5)\n"
        "try: sink.set_params(max_backups=1)\n"
        "except ExportError as error: print(error, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)], capture_output=True, check=True
    )
    assert [json.loads(line)["node_name"] for line in done.stdout.splitlines()] == ["node"] * 2
    assert b"exporter does not support setting log params" in done.stderr


def test_a_full_disk_costs_events_and_nothing_else(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is full every loss is counted; when there is room again, so are the lines."""
    path, filler = small_disk / "out.log", small_disk / "filler"
    filler.write_bytes(b"x" * 30_000)
    sink = FileSink(str(path), make_front("file"))
    sink.write(exec_events(300, arguments="x" * 100))
    wait_until(lambda: sink.stats().queued == 0)
    sink.write(exec_events(5, arguments="x" * 5000))
    wait_until(lambda: sink.stats().queued == 0)
    text = path.read_bytes()
    whole = text.count(b"\n")
    assert not text.endswith(b"\n")
    filler.unlink()
    sink.tick(NOON)
    sink.write(exec_events(4))
    sink.close(5)
    assert pids(path) == [*range(1, whole + 2), 1, 2, 3, 4]
    assert reasons(sink.ledger) == {"file_write_error_enospc": 305 - whole - 1}
    assert sink.ledger.delivered == whole + 5
    assert sink.stats().bytes_written == path.stat().st_size
    assert balance(sink.ledger) == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["Failed to write the export file"]


@pytest.mark.parametrize("end", ["cut", "closed"])
def test_half_a_line_that_cannot_be_finished_is_counted(small_disk: Path, end: str) -> None:
    """Whoever empties the file, or ends the agent, while the disk is full, costs that line."""
    path = small_disk / "out.log"
    sink = FileSink(str(path), make_front("file"))
    sink.write(exec_events(300, arguments="x" * 100))
    wait_until(lambda: sink.stats().queued == 0)
    whole = path.read_bytes().count(b"\n")
    if end == "cut":
        os.truncate(path, 0)
        sink.tick(NOON)
        sink.write(exec_events(2))
        sink.close(5)
        assert pids(path) == [1, 2]
    else:
        sink.close(5)
    assert reasons(sink.ledger) == {
        "file_write_error_enospc": 300 - whole - 1,
        "file_line_broken": 1,
    }
    assert balance(sink.ledger) == 0


def test_a_device_that_is_always_full_never_stops_the_agent() -> None:
    """/dev/full refuses every byte; every event is counted."""
    sink = FileSink("/dev/full", make_front("file"))
    for _ in range(3):
        sink.write(exec_events(10))
    sink.close(5)
    assert reasons(sink.ledger) == {"file_write_error_enospc": 30}
    assert errno.ENOSPC  # the error the name stands for


def test_a_reader_that_stops_fills_the_queue_only(tmp_path: Path) -> None:
    """A pipe nobody reads blocks the writer, not the feeder; the newest are dropped, counted."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(str(fifo), make_front("file"), max_events=1000)
    for _ in range(40):
        sink.write(exec_events(100))
    assert reasons(sink.ledger)["file_queue_full"] > 1000
    received = b""
    while b"}\n" not in received or sink.stats().queued:
        try:
            received += os.read(reader, 1 << 20)
        except BlockingIOError:
            continue
    sink.close(5)
    received += os.read(reader, 1 << 20) if sink.ledger.delivered > received.count(b"\n") else b""
    assert received.count(b"\n") == sink.ledger.delivered
    assert balance(sink.ledger) == 0
    os.close(reader)


def test_a_stuck_writer_costs_no_memory(tmp_path: Path) -> None:
    """Ticks while a pipe is full leave one thing to do, not one each."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(str(fifo), make_front("file"), max_events=1000)
    sink.write(exec_events(500))
    for second in range(1000):
        sink.tick(NOON + second * SECOND)
    assert sink._worker._inbox.qsize() <= 3
    while sink.stats().queued:
        with suppress(BlockingIOError):
            os.read(reader, 1 << 20)
    sink.close(5)
    os.close(reader)
    assert sink.ledger.delivered == 500


def test_a_line_longer_than_the_file_may_be_is_counted(tmp_path: Path) -> None:
    """It is refused, its neighbours are written."""
    path = tmp_path / "out.log"
    sink = FileSink(str(path), make_front("file"), params=LogParams(1, 0, 5))
    batch = exec_events(3)
    batch[1].process.arguments = "x" * (1 << 20)
    sink.write(batch)
    sink.close(5)
    assert pids(path) == [1, 3]
    assert reasons(sink.ledger) == {"file_line_too_large": 1}
    assert balance(sink.ledger) == 0


def test_the_interval_rotates_and_starts_again(tmp_path: Path) -> None:
    """A file with events is moved away each time the interval is over."""
    path = tmp_path / "out.log"
    sink = FileSink(str(path), make_front("file"), params=LogParams(10, 60 * SECOND, 0))
    sink.tick(NOON)
    for minute in (1, 2):
        sink.write(exec_events(minute))
        sink.tick(NOON + minute * 60 * SECOND - 1)
        sink.tick(NOON + minute * 60 * SECOND)
        wait_until(lambda minute=minute: sink.stats().rotations == minute)
    sink.close(5)
    backups = sorted(tmp_path.glob("out-*.log"))
    assert [pids(backup) for backup in backups] == [[1], [1, 2]]
    assert pids(path) == []
    assert sink.stats().rotations == 2


def test_a_clock_set_back_does_not_put_off_rotation(tmp_path: Path) -> None:
    """The next rotation is never further away than one interval."""
    sink = FileSink(str(tmp_path / "out.log"), make_front("file"), params=LogParams(10, SECOND, 0))
    sink.tick(NOON)
    sink.write(exec_events(1))
    sink.tick(NOON - 3600 * SECOND)
    sink.tick(NOON - 3599 * SECOND)
    sink.close(5)
    assert sink.stats().rotations == 1


def test_it_follows_the_path_when_the_file_is_moved(tmp_path: Path) -> None:
    """After a tick events go to the path again: logrotate needs to tell us nothing."""
    path = tmp_path / "out.log"
    sink = FileSink(str(path), make_front("file"))
    sink.write(exec_events(1))
    wait_until(lambda: sink.stats().queued == 0)
    path.rename(tmp_path / "out.log.1")
    sink.tick(NOON)
    sink.write(exec_events(2))
    sink.close(5)
    assert pids(path) == [1, 2]
    assert pids(tmp_path / "out.log.1") == [1]


def test_rotation_can_be_changed_while_running(tmp_path: Path) -> None:
    """Size, backups and interval take effect at once; what is not given stays."""
    path = tmp_path / "out.log"
    sink = FileSink(str(path), make_front("file"), params=LogParams(10, 0, 0), max_events=10**6)
    sink.write(exec_events(2500, arguments="x" * 1000))
    sink.set_params(max_size_mb=1)
    sink.write(exec_events(1000, arguments="x" * 1000))
    sink.set_params(max_backups=1, interval=5 * SECOND)
    assert sink.params == LogParams(1, 5 * SECOND, 1)
    sink.close(5)
    wait_until(lambda: len(list(tmp_path.glob("out-*.log"))) == 1)
    assert path.stat().st_size <= 1 << 20
    assert sink.ledger.delivered == 3500


@pytest.mark.parametrize("name", ["max_size_mb", "interval", "max_backups"])
def test_a_negative_parameter_is_refused(tmp_path: Path, name: str) -> None:
    """And leaves everything as it was."""
    sink = FileSink(str(tmp_path / "out.log"), make_front("file"))
    before = sink.params
    with pytest.raises(ExportError, match=f"{name} is -1; it must be 0 or more"):
        sink.set_params(**{name: -1})
    assert sink.params == before
    sink.close(5)


def test_what_is_held_is_written_at_the_end(tmp_path: Path, hooks: None) -> None:
    """Merged events that still wait for their window leave when the output closes."""
    del hooks
    from export_support import hook_event

    from tetragon.export.stage import Front
    from tetragon.model.ledger import Ledger

    path = tmp_path / "out.log"
    front = Front(Ledger("file"), lambda _: b'{"process_kprobe":{}}\n', aggregate=Aggregator(1, 9))
    sink = FileSink(str(path), front)
    sink.write([hook_event(), hook_event()])
    sink.close(5)
    assert path.read_bytes() == b'{"process_kprobe":{},"aggregation_info":{"count":"2"}}\n'
    assert balance(sink.ledger) == 0


def test_rate_limited_events_are_in_the_books(tmp_path: Path) -> None:
    """produced = delivered + lost, exactly, when a flood meets the limit."""
    front = make_front("file", limit=RateLimiter(100, now=0), clock=lambda: 0)
    sink = FileSink(str(tmp_path / "out.log"), front)
    for _ in range(50):
        sink.write(exec_events(20))
    sink.close(5)
    assert reasons(sink.ledger) == {"rate_limit": 900}
    assert len(pids(tmp_path / "out.log")) == sink.ledger.delivered == 100
    assert balance(sink.ledger) == 0
