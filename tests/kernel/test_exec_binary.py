"""Which program an exec runs is told as the caller named it, made absolute."""

import os
from pathlib import Path

import pytest

from kernel.children import run
from kernel.watch import Watch


def test_binary_is_the_path_when_absolute(watch: Watch, actor: str) -> None:
    """An absolute path is shown as given; pid, uid and auid are those of the process."""
    done = run(actor, "exit", "3")
    seen = watch.wait_exec(done.pid)
    assert seen.process.binary == actor
    assert seen.process.pid == seen.process.tid == done.pid
    assert seen.process.uid == os.geteuid()
    assert seen.process.auid == int(Path("/proc/self/loginuid").read_text())
    assert seen.shown["flags"] == "execve clone"


@pytest.mark.parametrize("given", ["./program", "program", "../{folder}/program", ".//./program"])
def test_binary_is_absolute_when_given_relative(
    watch: Watch, actor: str, tmp_path: Path, given: str
) -> None:
    """A relative path is joined to the working directory and cleaned; /proc/PID/exe agrees."""
    (tmp_path / "program").write_bytes(Path(actor).read_bytes())
    (tmp_path / "program").chmod(0o755)
    done = run(given.format(folder=tmp_path.name), before=lambda: os.chdir(tmp_path))
    seen = watch.wait_exec(done.pid)
    assert seen.process.binary == str(tmp_path / "program")
    assert seen.process.cwd == str(tmp_path)


def test_binary_is_the_link_when_run_by_a_link(watch: Watch, actor: str, tmp_path: Path) -> None:
    """A symbolic link is what the caller named, and so what is shown."""
    (tmp_path / "link").symlink_to(actor)
    done = run(str(tmp_path / "link"))
    assert watch.wait_exec(done.pid).process.binary == str(tmp_path / "link")


def test_binary_is_whole_when_as_long_as_paths_may_be(watch: Watch, actor: str) -> None:
    """A path of 4095 bytes, the longest the kernel takes, arrives whole."""
    path = "/" * (4095 - len(actor)) + actor
    done = run(path)
    assert done.code == 0
    assert watch.wait_exec(done.pid).process.binary == path


def test_second_exec_has_the_first_as_parent(watch: Watch, actor: str) -> None:
    """Exec over exec in one pid: a new exec_id each, the former image is the parent."""
    done = run(actor, "exec", actor, "exit", "5")
    second = watch.wait_exec(done.pid, 2)
    first = watch.wait_exec(done.pid)
    assert done.code == 5
    assert second.process.exec_id != first.process.exec_id
    assert second.shown["parent_exec_id"] == first.shown["exec_id"] == second.parent["exec_id"]
    assert first.shown["flags"] == "execve clone"
    assert second.shown["flags"] == "execve"
    exited = watch.wait_exit(done.pid)
    assert exited.process.exec_id == second.process.exec_id
    assert len(watch.exits(done.pid)) == 1
