"""An exec that fails before its point of no return leaves no trace."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.children import Child, start
from kernel.watch import Watch


def _missing(folder: Path) -> Path:
    return folder / "missing"


def _not_executable(folder: Path) -> Path:
    path = folder / "text"
    path.write_text("text")
    return path


def _no_format(folder: Path) -> Path:
    path = folder / "noise"
    path.write_bytes(b"\x01\x02\x03\x04")
    path.chmod(0o755)
    return path


def _no_interpreter(folder: Path) -> Path:
    path = folder / "script"
    path.write_text(f"#!{folder}/missing\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("make", [_missing, _not_executable, _no_format, _no_interpreter])
def test_no_event_when_exec_fails(
    watch: Watch, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    """The process goes on as what it was: no exec, and its exit shows the image it has."""
    path = make(tmp_path)

    def attempt() -> int:
        try:
            os.execv(path, [path])
        except OSError as exc:
            return exc.errno or 0

    with Child(attempt) as child:
        done = child.wait()
    assert done.code in range(1, 99)
    seen = watch.wait_exit(done.pid)
    watch.settle()
    assert watch.execs(done.pid) == []
    assert seen.process.binary == seen.parent["binary"] == os.readlink("/proc/self/exe")


def test_event_is_that_of_the_exec_that_works(watch: Watch, actor: str, tmp_path: Path) -> None:
    """After failures comes one event, for the program that ran."""

    def attempt() -> None:
        for name in ("a", "b", "c"):
            try:
                os.execv(tmp_path / name, ["x"])
            except FileNotFoundError:
                continue

    with start(actor, "exit", "4", before=attempt) as child:
        done = child.wait()
    assert done.code == 4
    watch.wait_exit(done.pid)
    assert [one.process.binary for one in watch.execs(done.pid)] == [actor]
