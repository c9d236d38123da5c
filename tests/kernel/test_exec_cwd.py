"""The working directory of an exec is the one the process sees, in its own root and mounts."""

import os
from pathlib import Path

import pytest

from kernel.children import run, start
from kernel.mounts import bind, new_mounts, tmpfs
from kernel.watch import Watch

DEEP = 60
"""Levels of directories with names of 100 bytes: a path longer than the kernel half keeps."""


def test_cwd_is_what_proc_shows(watch: Watch, actor: str, tmp_path: Path) -> None:
    """The directory equals /proc/PID/cwd, odd names included."""
    folder = tmp_path / 'spaces and "quotes"\nand\tmore é'
    folder.mkdir()
    with start(actor, "pause", before=lambda: os.chdir(folder)) as child:
        assert child.go().line().startswith(b"ready")
        shown = os.readlink(f"/proc/{child.pid}/cwd")
        assert watch.wait_exec(child.pid).process.cwd == shown == str(folder)


def test_cwd_root_is_a_flag(watch: Watch, actor: str) -> None:
    """The root directory is shown as / with the flag rootcwd."""
    done = run(actor, before=lambda: os.chdir("/"))
    seen = watch.wait_exec(done.pid)
    assert seen.shown["cwd"] == "/"
    assert seen.shown["flags"] == "execve rootcwd clone"


def test_cwd_of_a_mount_below_mounts(watch: Watch, actor: str, tmp_path: Path) -> None:
    """Mount points on the way up are crossed: tmpfs in tmpfs, and a directory mounted elsewhere."""

    def arrange() -> None:
        new_mounts()
        tmpfs(tmp_path)
        (tmp_path / "one" / "two").mkdir(parents=True)
        tmpfs(tmp_path / "one" / "two")
        (tmp_path / "one" / "two" / "three").mkdir()
        (tmp_path / "other").mkdir()
        bind(tmp_path / "one", tmp_path / "other")
        os.chdir(where)

    for where in (tmp_path / "one" / "two" / "three", tmp_path / "one" / "two", tmp_path / "other"):
        with start(actor, "pause", before=arrange) as child:
            child.go().line()
            shown = os.readlink(f"/proc/{child.pid}/cwd")
            assert watch.wait_exec(child.pid).process.cwd == shown == str(where)


def test_cwd_in_a_chroot_is_seen_from_inside(watch: Watch, actor: str, tmp_path: Path) -> None:
    """The path begins at the root of the process, as the process itself would name it."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "actor").write_bytes(Path(actor).read_bytes())
    (tmp_path / "actor").chmod(0o755)

    def arrange(where: str) -> None:
        os.chroot(tmp_path)
        os.chdir(where)

    done = run("/actor", before=lambda: arrange("/inside"))
    seen = watch.wait_exec(done.pid)
    assert (done.code, seen.process.cwd, seen.process.binary) == (0, "/inside", "/actor")
    done = run("/actor", before=lambda: arrange("/"))
    seen = watch.wait_exec(done.pid)
    assert (seen.shown["cwd"], seen.shown["flags"]) == ("/", "execve rootcwd clone")


def test_cwd_outside_the_chroot_is_seen_from_the_top(
    watch: Watch, actor: str, tmp_path: Path
) -> None:
    """A directory out of reach of the root is named from the top of its mounts, never hidden."""
    (tmp_path / "jail").mkdir()
    file = os.open(actor, os.O_RDONLY)
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)

    def leave() -> None:
        os.chroot(tmp_path / "jail")
        os.fchdir(folder)

    done = run(f"/proc/self/fd/{file}", before=leave)
    assert done.status != 0  # no /proc in there
    relative = os.path.relpath(actor, tmp_path)
    done = run(relative, before=leave)
    os.close(file)
    os.close(folder)
    assert done.code == 0
    assert watch.wait_exec(done.pid).process.cwd == str(tmp_path)


def test_cwd_is_still_named_when_removed(watch: Watch, actor: str, tmp_path: Path) -> None:
    """A directory that is gone keeps the name it had; /proc marks the same name as deleted."""
    folder = tmp_path / "gone"

    def arrange() -> None:
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()

    with start(actor, "pause", before=arrange) as child:
        child.go().line()
        assert os.readlink(f"/proc/{child.pid}/cwd") == f"{folder} (deleted)"
        assert watch.wait_exec(child.pid).process.cwd == str(folder)


def _descend(levels: int, length: int = 100) -> None:
    for level in range(levels):
        name = f"{level:03d}-" + "d" * (length - 4)
        os.mkdir(name)
        os.chdir(name)


def _remove_deep(top: Path, levels: int) -> None:
    """Remove what _descend made, from the inside: the whole path is longer than calls take."""
    here = os.getcwd()
    os.chdir(top)
    names = []
    for _ in range(levels):
        (name,) = os.listdir(".")
        names.append(name)
        os.chdir(name)
    for name in reversed(names):
        os.chdir("..")
        os.rmdir(name)
    os.chdir(here)


def test_cwd_keeps_its_end_when_too_long(watch: Watch, actor: str, tmp_path: Path) -> None:
    """Of a path longer than 4095 bytes the last names are kept, and a flag says so."""

    def arrange() -> None:
        os.chdir(tmp_path)
        _descend(DEEP)

    done = run(actor, before=arrange)
    _remove_deep(tmp_path, DEEP)
    seen = watch.wait_exec(done.pid)
    whole = f"{tmp_path}/" + "/".join(f"{level:03d}-" + "d" * 96 for level in range(DEEP))
    assert len(whole) > 4096
    assert 4095 - 101 < len(seen.process.cwd) <= 4095
    assert whole.endswith(seen.process.cwd)
    assert seen.process.cwd.startswith("/")
    assert seen.shown["flags"] == "execve clone errorPathResolutionCwd"


@pytest.mark.parametrize("length", [4093, 4094, 4095, 4096])
def test_cwd_is_whole_up_to_the_longest(
    watch: Watch, actor: str, tmp_path: Path, length: int
) -> None:
    """Exactly 4095 bytes are whole; from 4096 on the first name is missing, with the flag."""
    levels, rest = divmod(length - len(str(tmp_path)), 101)
    if rest == 1:
        levels, rest = levels - 1, rest + 101

    def arrange() -> None:
        os.chdir(tmp_path)
        _descend(levels)
        if rest:
            os.mkdir("r" * (rest - 1))
            os.chdir("r" * (rest - 1))

    done = run(actor, before=arrange)
    _remove_deep(tmp_path, levels + bool(rest))
    seen = watch.wait_exec(done.pid)
    cut = "errorPathResolutionCwd" in seen.shown["flags"]
    assert (len(seen.process.cwd) == length, cut) == (length <= 4095, length > 4095)
    assert len(seen.process.cwd) <= 4095
