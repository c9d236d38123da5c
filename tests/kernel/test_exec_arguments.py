"""Arguments arrive as the process has them, whatever bytes they are made of."""

import os
from pathlib import Path

import pytest

from kernel.children import run, start
from kernel.watch import Watch

CASES: list[tuple[list[bytes], str]] = [
    ([], ""),
    ([b"one"], "one"),
    ([b"one", b"two"], "one two"),
    ([b"one", b"two words"], 'one "two words"'),
    ([b"two words", b"one"], ' "two words" one'),
    ([b'say "hi"', b"'x'"], ' "say "hi"" \'x\''),
    ([b"line\nbreak", b"tab\tbed", b"back\\slash"], "line\nbreak tab\tbed back\\slash"),
    ([b"\x1b[31m", b"\x01\x7f"], "\x1b[31m \x01\x7f"),
    (["é\u200b\U0001f680".encode()], "é\u200b\U0001f680"),
    ([b"bad\xff\xfe\xfdbytes", b"\xc3", b"ok"], "bad\ufffdbytes \ufffd ok"),
    ([b"a", b"", b"b"], "a  b"),
    ([b"", b"a"], "a"),
    ([b"x" * 4000], "x" * 4000),
]


@pytest.mark.parametrize(("given", "shown"), CASES)
def test_arguments_are_shown_as_given(
    watch: Watch, actor: str, given: list[bytes], shown: str
) -> None:
    """The line is valid JSON; spaces put an argument in quotes, bad bytes become one U+FFFD."""
    done = run(actor, "exit", "0", *given)
    assert done.code == 0
    seen = watch.wait_exec(done.pid)
    rest = seen.shown["arguments"].removeprefix("exit 0")
    spaced = f" {shown}" if given and not shown.startswith(" ") else shown
    if given[:1] == [b""]:
        spaced = "  a"  # empty, but not the first any more
    assert rest == spaced
    assert seen.process.arguments == seen.shown["arguments"]


@pytest.mark.parametrize(("given", "shown"), CASES)
def test_first_argument_is_shown_as_given(
    watch: Watch, actor: str, given: list[bytes], shown: str
) -> None:
    """The same where they come first: the program refuses them, the event does not."""
    done = run(actor, *given)
    seen = watch.wait_exec(done.pid)
    assert seen.shown.get("arguments", "") == shown


def test_arguments_are_what_proc_shows(watch: Watch, actor: str) -> None:
    """/proc/PID/cmdline of the running process holds the same arguments."""
    with start(actor, "pause", "-a", "--long=option", "x") as child:
        child.go().line()
        words = Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")[1:-1]
        assert watch.wait_exec(child.pid).process.arguments == os.fsdecode(b" ".join(words))


def test_nothing_is_lost_without_argv(watch: Watch, actor: str) -> None:
    """An exec with an empty argv: kernels since v5.18 make it one empty argument."""
    done = run(actor, "no-argv", actor)
    seen = watch.wait_exec(done.pid, 2)
    assert done.code == 0
    assert seen.process.binary == actor
    assert "arguments" not in seen.shown


def test_name_in_argv_is_not_the_binary(watch: Watch, actor: str) -> None:
    """argv[0] may lie; the binary is what ran, and argv[0] is not among the arguments."""
    done = run(actor, argv=["/sbin/init", "exit", "0"])
    seen = watch.wait_exec(done.pid)
    assert (seen.process.binary, seen.process.arguments) == (actor, "exit 0")
