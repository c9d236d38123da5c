"""A script is shown as the file that was run, with the interpreter's argv."""

from pathlib import Path

from kernel.children import run
from kernel.watch import Watch


def test_script_is_the_binary(watch: Watch, tmp_path: Path) -> None:
    """#! names the interpreter: the event has the script's path and the kernel's arguments."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh -e\nexit 6\n")
    script.chmod(0o755)
    done = run(str(script), "one", "two")
    seen = watch.wait_exec(done.pid)
    assert done.code == 6
    assert seen.process.binary == str(script)
    assert seen.process.arguments == f"-e {script} one two"
    assert len(watch.execs(done.pid)) == 1


def test_script_of_a_script_is_one_exec(watch: Watch, tmp_path: Path) -> None:
    """An interpreter that is a script itself: still one exec, of the outer script."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("#!/bin/sh\nexit 7\n")
    outer.write_text(f"#!{inner}\n")
    for path in (inner, outer):
        path.chmod(0o755)
    done = run(str(outer))
    seen = watch.wait_exec(done.pid)
    assert done.code == 7
    assert seen.process.binary == str(outer)
    assert seen.process.arguments == f"{inner} {outer}"
    watch.wait_exit(done.pid)
    assert len(watch.execs(done.pid)) == 1
