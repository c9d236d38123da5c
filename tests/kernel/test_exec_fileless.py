"""A program without a name on disk is told by its inode number and a link count of 0."""

import os
from pathlib import Path

from kernel.children import run, start
from kernel.watch import Watch


def test_memfd_is_told(watch: Watch, actor: str) -> None:
    """memfd_create and execveat: the inode is that of /proc/PID/exe."""
    with start(actor, "memfd", actor, "pause") as child:
        child.go().line()
        witness = os.stat(f"/proc/{child.pid}/exe")
        seen = watch.wait_exec(child.pid, 2)
        assert witness.st_nlink == 0
        assert seen.shown["binary_properties"] == {
            "file": {"inode": {"number": str(witness.st_ino), "links": 0}}
        }
        assert seen.process.binary.startswith("/dev/fd/")


def test_removed_file_is_told(watch: Watch, actor: str, tmp_path: Path) -> None:
    """A file that is opened, removed, then run."""
    copy = tmp_path / "copy"
    copy.write_bytes(Path(actor).read_bytes())
    copy.chmod(0o755)
    number = copy.stat().st_ino
    done = run(actor, "unlinked", str(copy), "exit", "8")
    seen = watch.wait_exec(done.pid, 2)
    assert done.code == 8
    assert seen.shown["binary_properties"] == {
        "file": {"inode": {"number": str(number), "links": 0}}
    }


def test_tmpfs_file_with_a_name_is_not(watch: Watch, actor: str) -> None:
    """A file in /dev/shm has a link: nothing is said of it."""
    copy = Path(f"/dev/shm/tetragon-test-{os.getpid()}")
    try:
        copy.write_bytes(Path(actor).read_bytes())
        copy.chmod(0o755)
        done = run(str(copy))
    finally:
        copy.unlink()
    assert done.code == 0
    assert "binary_properties" not in watch.wait_exec(done.pid).shown


def test_properties_are_gone_after_the_exec(watch: Watch, actor: str) -> None:
    """The exit of a fileless process does not repeat what only its exec had."""
    done = run(actor, "memfd", actor, "exit")
    watch.wait_exit(done.pid)
    assert "binary_properties" not in watch.exits(done.pid)[0].shown
