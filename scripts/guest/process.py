"""The host's processes around a guest: a command in, a process that never outlives us out."""

import ctypes
import resource
import selectors
import signal
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


@contextmanager
def running(
    command: Sequence[str], log: Path, keep: Sequence[int] = ()
) -> Generator[subprocess.Popen[bytes]]:
    """Run `command`, its messages going to `log`, until the block ends or this program dies."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=keep,
            start_new_session=True,  # Ctrl-C is for us, and we end it
            preexec_fn=prepare,  # noqa: PLW1509  one thread here
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def listen(path: Path) -> socket.socket:
    """Make a unix socket at `path` for one peer to connect to."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener


def is_readable(connection: socket.socket) -> bool:
    """Say whether a read (or accept) would return at once."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))
