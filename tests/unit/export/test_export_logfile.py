"""One file: it grows, rotates, comes back after anything, and has whole lines only."""

import errno
import gzip
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from export_support import NOON, SECOND, wait_until

from tetragon.export.logfile import LogFile, Rotation

LINE = b'{"a":"%03d"}\n'


def lines(count: int, start: int = 0) -> list[bytes]:
    """Return numbered lines of 12 bytes."""
    return [LINE % number for number in range(start, start + count)]


def names(place: Path) -> list[str]:
    """Return the names in a directory."""
    return sorted(entry.name for entry in place.iterdir())


class Clock:
    """A clock that goes on one second a look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        """Return the time."""
        self.now += SECOND
        return self.now


def opened(path: Path, **options: object) -> LogFile:
    """Open a file that rotates by a clock of its own."""
    file = LogFile(path, **({"clock": Clock()} | options))
    file.open()
    return file


@contextmanager
def size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size``: the kernel then cuts writes short, then refuses them."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_it_appends_and_makes_directories(tmp_path: Path) -> None:
    """What was in the file stays; missing directories are made."""
    path = tmp_path / "a" / "b" / "out.log"
    for start in (0, 2):
        file = opened(path)
        assert file.append(lines(2, start)) == (2, None, False)
        file.close()
    assert path.read_bytes() == b"".join(lines(4))


def test_a_new_file_has_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    """640 is 640; a file that exists keeps its mode."""
    old = os.umask(0o077)
    try:
        opened(tmp_path / "new", mode=0o640).close()
    finally:
        os.umask(old)
    there = tmp_path / "there"
    there.touch(0o600)
    opened(there, mode=0o640).close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    assert there.stat().st_mode & 0o777 == 0o600


def test_it_rotates_before_it_would_grow_too_large(tmp_path: Path) -> None:
    """No file is larger than the limit, and together they have every line in order."""
    path = tmp_path / "out.log"
    file = opened(path, rotation=Rotation(max_size=40, max_backups=0))
    assert file.append(lines(8)) == (8, None, False)
    file.close(5)
    assert names(tmp_path) == [
        "out-2024-01-31T12-00-01.000.log",
        "out-2024-01-31T12-00-02.000.log",
        "out.log",
    ]
    parts = [(tmp_path / name).read_bytes() for name in names(tmp_path)]
    assert [len(part) for part in parts] == [36, 36, 24]
    assert b"".join(parts) == b"".join(lines(8))
    assert file.rotations == 2


def test_a_file_found_full_is_rotated_first(tmp_path: Path) -> None:
    """What an earlier run left counts."""
    path = tmp_path / "out.log"
    path.write_bytes(b"".join(lines(3)))
    file = opened(path, rotation=Rotation(max_size=40))
    file.append(lines(1, 3))
    file.close(5)
    assert path.read_bytes() == LINE % 3
    assert len(names(tmp_path)) == 2


def test_a_line_longer_than_the_largest_file_is_refused(tmp_path: Path) -> None:
    """It is not written, and no file is rotated for it."""
    file = opened(tmp_path / "out.log", rotation=Rotation(max_size=40))
    assert file.append([LINE % 0, b"x" * 41]) == (1, None, False)
    assert file.append(lines(1, 1)) == (1, None, False)
    file.close()
    assert (tmp_path / "out.log").read_bytes() == b"".join(lines(2))


def test_the_newest_backups_are_kept(tmp_path: Path) -> None:
    """Older ones go; files that only look alike are never touched."""
    alike = [
        "out-.log",
        "out-2024.log",
        "out-2024-13-31T12-00-00.000.log",
        "out.log.1",
        "other.log",
    ]
    for name in alike:
        (tmp_path / name).touch()
    file = opened(tmp_path / "out.log", rotation=Rotation(max_size=12, max_backups=2))
    file.append(lines(6))
    file.close(5)
    stamps = ["out-2024-01-31T12-00-04.000.log", "out-2024-01-31T12-00-05.000.log"]
    assert names(tmp_path) == sorted([*alike, *stamps, "out.log"])


def test_compressed_backups_keep_content_mode_and_owner(tmp_path: Path) -> None:
    """A .gz replaces the plain backup and is as private."""
    path = tmp_path / "out.log"
    file = opened(path, mode=0o640, rotation=Rotation(max_size=12, max_backups=3, compress=True))
    file.append(lines(1))
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    file.append(lines(1, 1))
    file.close(5)
    packed = tmp_path / "out-2024-01-31T12-00-01.000.log.gz"
    assert names(tmp_path) == [packed.name, "out.log"]
    assert gzip.decompress(packed.read_bytes()) == LINE % 0
    for one in (packed, path):
        status = one.stat()
        assert status.st_mode & 0o777 == 0o640
        if os.geteuid() == 0:
            assert (status.st_uid, status.st_gid) == (1234, 2345)


def test_plain_and_compressed_form_count_as_one_backup(tmp_path: Path) -> None:
    """A crash while compressing leaves both; that is still one backup."""
    for second in (1, 2):
        (tmp_path / f"out-2024-01-30T00-00-0{second}.000.log").write_bytes(b"plain")
        (tmp_path / f"out-2024-01-30T00-00-0{second}.000.log.gz").touch()
    file = opened(tmp_path / "out.log", rotation=Rotation(max_size=12, max_backups=2))
    file.append(lines(2))
    file.close(5)
    assert names(tmp_path) == [
        "out-2024-01-30T00-00-02.000.log",
        "out-2024-01-30T00-00-02.000.log.gz",
        "out-2024-01-31T12-00-01.000.log",
        "out.log",
    ]


def test_two_rotations_in_a_millisecond_keep_both(tmp_path: Path) -> None:
    """A backup never overwrites another."""
    rotation = Rotation(max_size=12, max_backups=0)
    file = opened(tmp_path / "out.log", rotation=rotation, clock=lambda: NOON)
    file.append(lines(4))
    file.close(5)
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == lines(4)


@pytest.mark.parametrize(
    ("name", "backup"),
    [
        ("out", "out-2024-01-31T12-00-01.000"),
        ("a.b.log", "a.b-2024-01-31T12-00-01.000.log"),
        (".log", "-2024-01-31T12-00-01.000.log"),
    ],
)
def test_names_of_backups(tmp_path: Path, name: str, backup: str) -> None:
    """The time stands before the last suffix."""
    file = opened(tmp_path / name)
    file.append(lines(1))
    file.rotate()
    file.close(5)
    assert backup in names(tmp_path)


def test_an_empty_file_is_not_rotated(tmp_path: Path) -> None:
    """An interval without events makes no backup that pushes out a useful one."""
    file = opened(tmp_path / "out.log")
    file.rotate()
    file.close(5)
    assert names(tmp_path) == ["out.log"]


@pytest.mark.parametrize("how", ["moved", "removed", "moved and made anew"])
def test_it_reopens_when_the_file_was_taken_away(tmp_path: Path, how: str) -> None:
    """After logrotate, whichever way it works, lines go to the path again."""
    path, moved = tmp_path / "out.log", tmp_path / "out.log.1"
    file = opened(path)
    file.append(lines(1))
    if how == "removed":
        path.unlink()
    else:
        path.rename(moved)
    if how == "moved and made anew":
        path.touch(0o600)
    file.check()
    file.append(lines(1, 1))
    file.close()
    assert path.read_bytes() == LINE % 1


def test_it_goes_on_after_the_file_was_cut(tmp_path: Path) -> None:
    """logrotate's copytruncate leaves no hole, and the size counts from zero again."""
    path = tmp_path / "out.log"
    file = opened(path, rotation=Rotation(max_size=40))
    file.append(lines(3))
    os.truncate(path, 0)
    file.check()
    file.append(lines(3, 3))
    file.close()
    assert path.read_bytes() == b"".join(lines(3, 3))
    assert names(tmp_path) == ["out.log"]


def test_a_line_a_crash_left_unfinished_is_ended(tmp_path: Path) -> None:
    """It spoils itself only, not the first line of the next run."""
    path = tmp_path / "out.log"
    path.write_bytes(b'{"a":"0')
    file = opened(path)
    file.append(lines(1, 1))
    file.close()
    assert path.read_bytes() == b'{"a":"0\n' + LINE % 1


def test_a_write_cut_short_is_finished_first(tmp_path: Path) -> None:
    """The kernel takes 50 of 72 bytes, then refuses: the fifth line waits for its other half."""
    path = tmp_path / "out.log"
    file = opened(path)
    with size_limit(50):
        written, error, begun = file.append(lines(6))
        assert (written, begun) == (4, True)
        assert error is not None
        assert error.errno == errno.EFBIG
        assert path.read_bytes() == b"".join(lines(5))[:50]
        with pytest.raises(OSError, match="File too large"):
            file.finish()
    assert file.finish() is True
    assert file.append(lines(2, 6)) == (2, None, False)
    file.close()
    assert path.read_bytes() == b"".join(lines(5) + lines(2, 6))


@pytest.mark.parametrize("how", ["cut", "cut and seen", "moved and seen"])
def test_half_a_line_is_forgotten_when_its_file_changed(tmp_path: Path, how: str) -> None:
    """Its other half alone would be half a line in the middle."""
    path = tmp_path / "out.log"
    file = opened(path)
    with size_limit(50):
        assert file.append(lines(6)).begun
    if how == "moved and seen":
        path.rename(tmp_path / "moved")
    else:
        os.truncate(path, 0)
    if how != "cut":
        file.check()
    assert file.finish() is False
    assert file.append(lines(1, 9)) == (1, None, False)
    file.close()
    assert path.read_bytes() == LINE % 9


def test_a_file_with_half_a_line_is_not_rotated(tmp_path: Path) -> None:
    """The other half would have nowhere to go."""
    path = tmp_path / "out.log"
    file = opened(path)
    with size_limit(50):
        file.append(lines(6))
        file.rotate()
    assert names(tmp_path) == ["out.log"]
    assert file.finish() is True
    file.close()


def failing_write(*results: int) -> Callable[[int, bytes], int]:
    """Return a write that takes so many bytes at each call, and fails where it is told 0."""
    plan = list(results)

    def write(fd: int, data: bytes) -> int:
        take = plan.pop(0) if plan else len(data)
        if take == 0:
            raise OSError(errno.EIO, "I/O error")
        return os.write(fd, data[:take])

    return write


def test_half_a_line_in_a_pipe_is_finished(tmp_path: Path) -> None:
    """Also where there is no size to look at."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file = opened(fifo, write=failing_write(17, 0))
    assert file.append(lines(3))[0::2] == (1, True)
    assert file.finish() is True
    assert file.append(lines(1, 9)).written == 1
    file.close()
    assert os.read(reader, 1000) == b"".join([*lines(2), LINE % 9])
    os.close(reader)


def test_a_pipe_is_never_rotated_or_looked_after(tmp_path: Path) -> None:
    """Only regular files are."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file = opened(fifo, rotation=Rotation(max_size=12))
    assert file.append(lines(5)) == (5, None, False)
    file.check()
    file.rotate()
    file.close()
    assert names(tmp_path) == ["pipe"]
    assert os.read(reader, 1000) == b"".join(lines(5))
    os.close(reader)


def test_when_rotation_fails_lines_are_still_written(tmp_path: Path) -> None:
    """The file then grows beyond its size rather than losing events."""
    path = tmp_path / ("o" * 250 + ".log")  # its backup's name is longer than a name may be
    file = opened(path, rotation=Rotation(max_size=24))
    assert file.append(lines(5)) == (5, None, False)
    file.check()
    assert file.append(lines(1, 5)) == (1, None, False)
    file.close()
    assert path.read_bytes() == b"".join(lines(6))


def test_when_no_new_file_can_be_made_lines_come_back_later(tmp_path: Path) -> None:
    """What cannot be opened is an error each time, and is tried again each time."""
    path = tmp_path / "out.log"
    file = opened(path, rotation=Rotation(max_size=24))
    file.append(lines(2))
    path.unlink()
    path.mkdir()
    for _ in range(2):
        written, error, _ = file.append(lines(1, 2))
        assert written == 0
        assert error is not None
        assert error.errno == errno.EISDIR
    path.rmdir()
    assert file.append(lines(2, 3)) == (2, None, False)
    file.close()
    assert path.read_bytes() == b"".join(lines(2, 3))


def test_compression_that_was_interrupted_is_done_at_the_next_start(tmp_path: Path) -> None:
    """A half-written .gz.tmp is replaced, the plain backup is still there."""
    plain = tmp_path / "out-2024-01-30T00-00-00.000.log"
    plain.write_bytes(b"content")
    (tmp_path / f"{plain.name}.gz.tmp").write_bytes(b"half")
    file = opened(tmp_path / "out.log", rotation=Rotation(compress=True))
    file.clean()
    wait_until(lambda: names(tmp_path) == [f"{plain.name}.gz", "out.log"])
    file.close(5)
    assert gzip.decompress((tmp_path / f"{plain.name}.gz").read_bytes()) == b"content"
