"""Cgroups for tests: made in the hierarchy that names containers, joined, removed."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernel.watch import cgroup_layout


def hierarchy() -> Path:
    """Return where the hierarchy is mounted that names containers."""
    controller = cgroup_layout()[1]
    for line in Path("/proc/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup2" and not controller:
            return Path(target)
        if kind == "cgroup" and controller in options.split(","):
            return Path(target)
    raise AssertionError(f"no cgroup hierarchy for {controller or 'version 2'} is mounted")


@contextmanager
def cgroup(*names: str) -> Iterator[Path]:
    """Make nested cgroups and return the innermost; whoever is in there at the end is moved out."""
    made: list[Path] = []
    top = at = hierarchy()
    try:
        for name in names:
            at /= name
            at.mkdir()
            made.append(at)
        yield at
    finally:
        for path in reversed(made):
            for pid in (path / "cgroup.procs").read_text().split():
                (top / "cgroup.procs").write_text(pid)
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a cgroup; a process that ended in it a moment ago still holds it."""
    end = time.monotonic() + 10
    while True:
        try:
            path.rmdir()
        except OSError as exc:
            if exc.errno != errno.EBUSY or time.monotonic() > end:
                raise
            os.sched_yield()
        else:
            return


def enter(path: Path) -> None:
    """Move this process into a cgroup."""
    (path / "cgroup.procs").write_text(str(os.getpid()))
