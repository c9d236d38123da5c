"""Arguments of any size the kernel takes: whole up to the limit, beyond it cut and flagged."""

import pytest

from kernel.children import run
from kernel.watch import Watch
from tetragon.abi.records import ExecLimit

LIMIT = ExecLimit.DATA_CHUNK_MAX * ExecLimit.DATA_CHUNKS_MAX
PIECE = 100_000  # one argument may have 131071 bytes


def _fill(actor: str, total: int) -> list[str]:
    """Return arguments which make argv exactly so long, NULs and argv[0] included."""
    left = total - len(actor) - 1 - len("exit\0" + "0\0")
    found = []
    while left:
        size = min(PIECE, left)
        if left - size == 1:
            size -= 1  # the last one needs room for its NUL and more
        found.append(chr(97 + len(found)) * (size - 1))
        left -= size
    return ["exit", "0", *found]


@pytest.mark.parametrize(
    "total",
    [
        ExecLimit.EXEC_TEXT_MAX - 1,
        ExecLimit.EXEC_TEXT_MAX,
        ExecLimit.EXEC_TEXT_MAX + 1,
        ExecLimit.DATA_CHUNK_MAX - 1,
        ExecLimit.DATA_CHUNK_MAX,
        ExecLimit.DATA_CHUNK_MAX + 1,
        2 * ExecLimit.DATA_CHUNK_MAX,
        300_000,
        LIMIT - 1,
        LIMIT,
    ],
)
def test_arguments_are_whole_up_to_the_limit(watch: Watch, actor: str, total: int) -> None:
    """Every byte arrives, however many records it takes; the flag dataArgs tells of those."""
    arguments = _fill(actor, total)
    done = run(actor, *arguments)
    assert done.code == 0
    seen = watch.wait_exec(done.pid)
    assert seen.process.arguments == " ".join(arguments)
    long = total >= ExecLimit.EXEC_TEXT_MAX
    assert seen.shown["flags"] == ("execve clone dataArgs" if long else "execve clone")


@pytest.mark.parametrize("total", [LIMIT + 1, 1_000_000])
def test_arguments_beyond_the_limit_are_cut(watch: Watch, actor: str, total: int) -> None:
    """The first LIMIT bytes of argv arrive, with the flag truncArgs."""
    arguments = _fill(actor, total)
    done = run(actor, *arguments)
    assert done.code == 0
    seen = watch.wait_exec(done.pid)
    kept = "\0".join([actor, *arguments, ""])[:LIMIT].split("\0", 1)[1]
    assert seen.process.arguments == kept.rstrip("\0").replace("\0", " ")
    assert seen.shown["flags"] == "execve truncArgs clone dataArgs"


def test_exits_follow_when_arguments_are_long(watch: Watch, actor: str) -> None:
    """What comes behind the pieces is not disturbed by them."""
    done = run(actor, *_fill(actor, 300_000))
    exited = watch.wait_exit(done.pid)
    assert exited.process is watch.wait_exec(done.pid).process
