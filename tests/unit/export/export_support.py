"""Events, fronts and real receivers for the tests of the outputs."""

import socket
import time
from collections.abc import Callable

from tetragon.event.json import JsonEncoder
from tetragon.export.stage import Front
from tetragon.model.event import Event, ExecEvent
from tetragon.model.ledger import Ledger
from tetragon.model.process import Process

SECOND = 1_000_000_000
NOON = 1_706_702_400 * SECOND
"""2024-01-31T12:00:00Z"""


class HookEvent(Event, gc=False, kw_only=True):
    """Stands for the kinds that policies make: two of one process may be equal."""

    policy_name: str = ""
    function_name: str = ""
    args: tuple[object, ...] = ()


def process(pid: int = 7, **changes: object) -> Process:
    """Build a process; what is not given is plausible."""
    values: dict[str, object] = {
        "exec_id": f"bm9kZTo{pid}",
        "tid": pid,
        "cwd": "/",
        "binary": "/usr/bin/true",
        "flags": "execve clone",
        "start_time": NOON,
    }
    return Process(pid=pid, ktime=pid, **(values | changes))


def exec_event(pid: int = 7, **changes: object) -> ExecEvent:
    """Build an event of a process that started at noon."""
    return ExecEvent(time=NOON + pid, process=process(pid, **changes), parent=process(1))


def exec_events(count: int, **changes: object) -> list[Event]:
    """Build events of processes 1 to ``count``."""
    return [exec_event(pid, **changes) for pid in range(1, count + 1)]


def hook_event(pid: int = 7, time: int = NOON, **changes: object) -> HookEvent:
    """Build an event of a hook in a process."""
    return HookEvent(time=time, process=process(pid), parent=process(1), **changes)


def make_front(stage: str = "test", **options: object) -> Front:
    """Build the stages before an output, with the real encoder."""
    return Front(Ledger(stage), JsonEncoder("node").line, **options)


def balance(ledger: Ledger) -> int:
    """Return what the books say is still on its way; 0 when all is accounted for."""
    gone = ledger.delivered + ledger.filtered + ledger.merged + ledger.lost_total
    return ledger.produced - gone


def reasons(ledger: Ledger) -> dict[str, int]:
    """Return the losses by reason alone."""
    result: dict[str, int] = {}
    for loss, count in ledger.lost.items():
        result[loss.reason] = result.get(loss.reason, 0) + count
    return result


def wait_until(condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Return as soon as ``condition`` holds; fail when it does not within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


class Receiver:
    """A UDP socket that listens, and what it got."""

    def __init__(self, family: int, host: str, port: int = 0) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((host, port))
        self.socket.settimeout(5)
        self.host, self.port = self.socket.getsockname()[:2]

    def take(self, count: int) -> list[bytes]:
        """Return the next ``count`` datagrams, waiting for them."""
        return [self.socket.recv(70_000) for _ in range(count)]

    def rest(self) -> list[bytes]:
        """Return what is there already."""
        found: list[bytes] = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.socket.recv(70_000))
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(5)
