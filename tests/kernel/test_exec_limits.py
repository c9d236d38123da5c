"""All texts of an exec as long as they may be, at once: each arrives, none runs into another."""

import os
from pathlib import Path

import pytest

from kernel.children import run
from kernel.watch import Watch

FOLDERS = 15
NAME = 250


@pytest.mark.parametrize(("arguments", "variable"), [(3000, 500), (4000, 4000), (4095, 4095)])
def test_all_texts_arrive_when_all_are_long(
    watch: Watch, actor: str, tmp_path: Path, arguments: int, variable: int
) -> None:
    """A long file name, cwd, argv and environment together are more than one record holds."""

    def arrange() -> None:
        os.chdir(tmp_path)
        for level in range(FOLDERS):
            os.mkdir(f"{level:02d}" + "d" * (NAME - 2))
            os.chdir(f"{level:02d}" + "d" * (NAME - 2))

    path = "/" * (4095 - len(actor)) + actor
    argument = "a" * (arguments - len("x\0") - 1)
    value = "v" * (variable - len("N=\0"))
    done = run(path, argv=["x", argument], env={"N": value}, before=arrange)
    seen = watch.wait_exec(done.pid)
    assert done.code == 121
    assert seen.process.binary == path
    assert seen.process.cwd == os.path.join(
        tmp_path, *(f"{level:02d}" + "d" * (NAME - 2) for level in range(FOLDERS))
    )
    assert seen.process.arguments == argument
    assert seen.process.environment == (("N", value),)
    assert seen.process.docker == ""
    assert watch.wait_exit(done.pid).process is seen.process
