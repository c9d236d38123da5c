"""Bench of the user half: ring bytes in, CPU time until their JSON lines, or datagrams, are out.

The whole of Pipeline.run: decode, process cache, numbering, encoding; batches as the ring reader
gives them, every process new, one core. The yardsticks, in the same run and turn about, are the
standard library's json.dumps of one of the events, and a bare sendto of one line to a socket that
nobody reads. Ratios to them are what to compare between machines and between noisy hours.

    python bench/pipeline.py [--rounds N] [--events N] [--batch N] [--plain]

--plain leaves out the functions in C. A second table compares those one by one.
"""

import argparse
import gc
import json
import os
import platform
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

if "--plain" in sys.argv:
    sys.modules["tetragon.model._fast"] = None  # type: ignore[assignment]  # importing it fails

import records
from tetragon.event import record_plain
from tetragon.event.decode import Decoder
from tetragon.event.json import JsonEncoder
from tetragon.export.stage import Front
from tetragon.export.udp import UdpSink
from tetragon.model import text_plain
from tetragon.model.event import Event, ExecEvent
from tetragon.model.ledger import Ledger
from tetragon.model.process import Container, Image, Pod, Process
from tetragon.model.sink import Sink
from tetragon.pipeline import Pipeline
from tetragon.process.cache import ProcessCache
from tetragon.process.options import Options
from tetragon.procfs.cgroup import container_id

NODE = "node-1.example"
OFFSET = 1_789_999_000_000_000_000
WARM_UP = 2
LABELS = tuple(
    (f"app.kubernetes.io/{name}", f"{name}-of-the-web-shop")
    for name in ("instance", "name", "part-of")
)
_NO_LEDGER = Ledger("bench")


def pod(pid: int) -> Pod:
    """Return the pod of a process, as metadata of a container gives it: shared but for the pid."""
    container = Container("containerd://" + "0123456789abcdef" * 4, "web", _IMAGE, OFFSET, pid)
    return Pod(
        "shop", "web-7c5d8bf9c8-x2x9j", "6bd6a6f5-6c1e-4d0c-8e8a-2f1d0b5a9c11", container,
        LABELS, (), "web", "Deployment",
    )  # fmt: skip


_IMAGE = Image("registry.example/shop/web@sha256:" + "ab" * 32, "registry.example/shop/web:1.2")


class Lines:
    """
    A sink that encodes and forgets.

    Args:
        pods: give each process its pod first, as the stage before does with Kubernetes on.
    """

    ledger = _NO_LEDGER

    def __init__(self, encode: Callable[[Event], bytes], pods: bool) -> None:
        self.bytes = 0
        self.last = b""
        self._encode = encode
        self._pods = pods

    def write(self, batch: Sequence[Event]) -> None:
        """Encode a batch."""
        if self._pods:
            for event in batch:
                process = event.process
                if event.__class__ is ExecEvent and process is not None and process.docker:
                    process.pod = pod(process.nspid)
        encode, count = self._encode, 0
        for event in batch:
            line = encode(event)
            count += len(line)
        self.bytes += count
        self.last = line

    def tick(self, now: int) -> None:
        """Do nothing: nothing is ever due."""

    def close(self, timeout: float) -> None:
        """Do nothing: nothing is queued."""


class Case(NamedTuple):
    """
    What is measured.

    Args:
        unit: the records of process number n.
        pods: the processes are in a pod.
        udp: send the lines, too.
        goal: most microseconds a unit may take.
    """

    name: str
    unit: Callable[[int], list[bytes]]
    goal: float
    pods: bool = False
    udp: bool = False


def _exec(number: int) -> list[bytes]:
    return [records.exec_record(number)]


def _pod_exec(number: int) -> list[bytes]:
    return [records.exec_record(number, cgroup=records.POD_CGROUP, nspid=number)]


def _pair(number: int) -> list[bytes]:
    return [records.exec_record(number), records.exit_record(number)]


def _pod_pair(number: int) -> list[bytes]:
    return [*_pod_exec(number), records.exit_record(number)]


def _never_seen(number: int) -> list[bytes]:
    return [records.exec_record(number, filename=b"/tmp/build-%d/cc1" % number)]


def _long(number: int) -> list[bytes]:
    return [records.exec_record(number, args=b"prog\0" + b"--name=value\0" * 315)]


CASES = (
    Case("exec, host", _exec, 7.0),
    Case("exec, pod", _pod_exec, 9.0, pods=True),
    Case("exec + exit, host", _pair, 11.0),
    Case("exec + exit, pod", _pod_pair, 15.0, pods=True),
    Case("exec, program never seen", _never_seen, 9.0),
    Case("exec, 4 KB of arguments", _long, 11.0),
    Case("exec + exit, host, UDP", _pair, 20.0, udp=True),
)


class Setting:
    """A pipeline that knows the shell, and its sink."""

    def __init__(self, case: Case) -> None:
        cache = ProcessCache(Options(NODE))
        cache.wall_offset = OFFSET
        encoder = JsonEncoder(NODE)
        self.lines = Lines(encoder.line, case.pods)
        sink: Sink = self.lines
        if case.udp:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 0))
            port = self.socket.getsockname()[1]
            sink = UdpSink(Front(Ledger("udp"), encoder.line), "127.0.0.1", port)
        self.sink = sink
        self.pipeline = Pipeline(Decoder(container_id), cache, [sink], os.getpid(), print)
        cache.seed([_shell(cache.exec_id, case.pods)])

    def close(self) -> None:
        """Close the sockets, if there are any."""
        if self.sink is not self.lines:
            self.sink.close(0)
            self.socket.close()


def _shell(exec_id: Callable[[int, int], str], pods: bool) -> Process:
    pid, ktime = records.SHELL
    return Process(
        pid,
        ktime,
        exec_id(pid, ktime),
        exec_id(1, 10_000_000),
        tid=pid,
        binary="/usr/bin/bash",
        arguments="-c run",
        cwd="/root",
        flags="procFS",
        start_time=ktime + OFFSET,
        pod=pod(7) if pods else None,
    )


def measure(case: Case, events: int, batch: int, first: int) -> float:
    """Return the microseconds of CPU time that a unit takes; the units begin at ``first``."""
    setting = Setting(case)
    wire = [record for n in range(first, first + events) for record in case.unit(n)]
    spent = 0.0
    for data, table in records.batches(wire, batch):
        begin = time.thread_time()
        setting.pipeline.run(data, table, OFFSET)
        spent += time.thread_time() - begin
    setting.close()
    assert setting.pipeline.ledger.lost_total == 0
    return spent / events * 1e6


def sample_line(case: Case) -> bytes:
    """Return the line of the case's last event."""
    setting = Setting(case._replace(udp=False))
    setting.pipeline.run(*next(records.batches(case.unit(1), 8)), OFFSET)
    return setting.lines.last


def line_size(case: Case) -> float:
    """Return the mean size of the case's lines."""
    setting = Setting(case._replace(udp=False))
    unit = case.unit(1)
    setting.pipeline.run(*next(records.batches(unit, 8)), OFFSET)
    return setting.lines.bytes / len(unit)


def measure_dumps(event: object, count: int) -> float:
    """Return the microseconds json.dumps takes for an event."""
    begin = time.thread_time()
    for _ in range(count):
        json.dumps(event)
    return (time.thread_time() - begin) / count * 1e6


def measure_sendto(line: bytes, count: int) -> float:
    """Return the microseconds a bare sendto of a line takes."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        to.bind(("127.0.0.1", 0))
        target = to.getsockname()
        begin = time.thread_time()
        for _ in range(count):
            out.sendto(line, target)
        return (time.thread_time() - begin) / count * 1e6


def run_cases(rounds: int, events: int, batch: int) -> None:
    """Measure every case and the yardsticks, turn about, and print a table."""
    line = sample_line(CASES[0])
    parsed = json.loads(line)
    sizes = [line_size(case) for case in CASES]
    spent: list[list[float]] = [[] for _ in CASES]
    dumps: list[float] = []
    sends: list[float] = []
    for number in range(-WARM_UP if rounds > WARM_UP else 0, rounds):
        yardsticks = (measure_dumps(parsed, events // 4 + 1), measure_sendto(line, events // 4 + 1))
        found = [measure(case, events, batch, (number + WARM_UP) * events) for case in CASES]
        if number >= 0:
            dumps.append(yardsticks[0])
            sends.append(yardsticks[1])
            for one, times in zip(found, spent, strict=True):
                times.append(one)
    title = f"{'ring bytes to JSON line':26} {'bytes':>6} {'us':>6} {'best':>6} {'goal':>5}"
    print(f"{title} {'x dumps':>8} {'events/s':>9}")
    for case, size, times in zip(CASES, sizes, spent, strict=True):
        median, count = statistics.median(times), len(case.unit(1))
        ratio = statistics.median(a / b for a, b in zip(times, dumps, strict=True))
        print(
            f"{case.name:26} {size:6.0f} {median:6.2f} {min(times):6.2f} {case.goal:5.0f}"
            f" {ratio:8.2f} {count / median * 1e6:9.0f}"
        )
    for name, times in (("json.dumps", dumps), ("sendto", sends)):
        head = f"yardstick: {name:15} {len(line):6}"
        print(f"{head} {statistics.median(times):6.2f} {min(times):6.2f}")


class Twin(NamedTuple):
    """A function there is in Python and in C, and what it is called with."""

    name: str
    plain: Callable[..., object]
    args: tuple[Any, ...]


_RECORD = records.exec_record(1)
TWINS = (
    Twin("exec_fields", record_plain.exec_fields, (_RECORD, 0, len(_RECORD))),
    Twin("exec_id", text_plain.exec_id, (NODE, records.START, 12345)),
    Twin("join_arguments", text_plain.join_arguments, (records.ARGS, False)),
    Twin("join_line", text_plain.join_line, (b"x" * 380, b"y" * 340, OFFSET + 123_456_789)),
    Twin(
        "json_object",
        text_plain.json_object,
        ((b'"pid":', b'"cwd":', b'"binary":', b'"auid":'), 12345, "/home", "/usr/bin/x", 0),
    ),
    Twin("timestamp", text_plain.timestamp, (OFFSET + 123_456_789,)),
)


def run_twins(rounds: int, count: int) -> None:
    """Measure each function that is also in C, turn about, and print a table."""
    from tetragon.model import _fast

    print(f"\n{'function':26} {'Python ns':>10} {'C ns':>6} {'ratio':>6}")
    for twin in TWINS:
        slow: list[float] = []
        fast: list[float] = []
        for _ in range(rounds):
            for times, function in ((slow, twin.plain), (fast, getattr(_fast, twin.name))):
                begin = time.thread_time()
                for _ in range(count):
                    function(*twin.args)
                times.append((time.thread_time() - begin) / count * 1e9)
        plain, quick = statistics.median(slow), statistics.median(fast)
        print(f"{twin.name:26} {plain:10.0f} {quick:6.0f} {plain / quick:6.1f}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--plain", action="store_true")
    asked = parser.parse_args(argv)
    gc.set_threshold(100_000, 50, 100)  # as the agent has it
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    python = f"{platform.python_implementation()} {platform.python_version()}"
    how = "plain Python" if asked.plain else "with C functions"
    print(f"{python}, {how}; CPU time on one core; medians of {asked.rounds} rounds")
    run_cases(asked.rounds, asked.events, asked.batch)
    if not asked.plain:
        run_twins(asked.rounds, asked.events)


if __name__ == "__main__":
    main()
