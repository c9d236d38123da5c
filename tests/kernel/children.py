"""Children: forked copies of the test that run a function or a program, and how they ended."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

BROKEN = 99
"""Exit status of a child whose function raised."""


class Child:
    """
    A forked copy of this process that runs a function and exits with what it returns.

    It waits for ``go``, so that its pid is known before it does anything; what it writes to
    standard output is kept for ``wait``. As a context manager it is ended at the end.
    """

    def __init__(self, body: Callable[[], int | None]) -> None:
        self._reaped = False
        wait_end, self._go = os.pipe2(os.O_CLOEXEC)
        self._output, write_end = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid:
            os.close(wait_end)
            os.close(write_end)
            return
        status = BROKEN
        try:
            os.dup2(write_end, 1)
            os.close(self._go)
            os.close(self._output)
            os.read(wait_end, 1)
            status = body() or 0
        except BaseException:  # noqa: BLE001 (a child must never return into the test)
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._reaped:
            os.kill(self.pid, 9)
            self.wait()

    def go(self) -> "Child":
        """Let it begin."""
        if self._go >= 0:
            os.close(self._go)
            self._go = -1
        return self

    def line(self) -> bytes:
        """Return the next line it writes, without its end; empty when it wrote all."""
        found = b""
        while (byte := os.read(self._output, 1)) not in {b"", b"\n"}:
            found += byte
        return found

    def wait(self) -> "Done":
        """Let it begin if it has not, and wait for its end."""
        self.go()
        output = b"".join(iter(lambda: os.read(self._output, 65536), b""))
        os.close(self._output)
        status = os.waitpid(self.pid, 0)[1]
        self._reaped = True
        return Done(self.pid, status, output)


class Done(NamedTuple):
    """How a child ended: ``status`` as wait(2) gives it."""

    pid: int
    status: int
    output: bytes

    @property
    def code(self) -> int:
        """Exit status; fails the test when a signal ended it."""
        return os.waitstatus_to_exitcode(self.status)

    def said(self, word: str) -> list[int]:
        """Return the numbers behind a word, one for each line that begins with it."""
        lines = (line.split() for line in self.output.decode().splitlines())
        return [int(line[1]) for line in lines if len(line) == 2 and line[0] == word]


def start(
    program: str | bytes,
    *arguments: str | bytes,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    before: Callable[[], object] | None = None,
    argv: Sequence[str | bytes] | None = None,
) -> Child:
    """
    Return a child that will run a program.

    Args:
        before: called in the child first.
        argv: all of argv, when argv[0] is not to be the program.
    """

    def body() -> int:
        if before is not None:
            before()
        whole = [program, *arguments] if argv is None else argv
        os.execve(program, whole, {} if env is None else env)

    return Child(body)


def run(
    program: str | bytes,
    *arguments: str | bytes,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    before: Callable[[], object] | None = None,
    argv: Sequence[str | bytes] | None = None,
) -> Done:
    """Run a program to its end; see ``start``."""
    return start(program, *arguments, env=env, before=before, argv=argv).wait()
