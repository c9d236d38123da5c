"""Bench of the UDP output: decoded events in, ns per event until their datagrams are sent out.

Each event is new to the output: neither it nor its process was encoded before. It is sent to a
bound socket that nobody reads, from a send buffer of 64 KiB, on one core. The yardstick, in the
same run and turn about, is a bare ``sendto`` of as many bytes: what the system itself takes.

    python bench/udp.py [--rounds N] [--events N] [--batch N]
"""

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tetragon.event.json import JsonEncoder
from tetragon.export.stage import Front
from tetragon.export.udp import UdpSink
from tetragon.kernel.memory import keep_freed_memory
from tetragon.model.event import Event, ExecEvent
from tetragon.model.ledger import Ledger
from tetragon.model.process import (
    Container,
    Image,
    Pod,
    Process,
)

NODE = "node-1.example"
NOON = 1_706_702_400_123_456_789
BUFFER = 65536


class Shape(NamedTuple):
    """A kind of event: its name, the most it may take in sendto's, and how one is made."""

    name: str
    target: float
    make: Callable[[int], Event]


def bare_event(arguments: str) -> Callable[[int], Event]:
    """Return a maker of events of which only binary and arguments are set."""

    def make(number: int) -> Event:
        process = Process(pid=number, ktime=0, exec_id="", binary="/bin/test", arguments=arguments)
        return ExecEvent(time=NOON, process=process)

    return make


def host_event(number: int) -> Event:
    """Make a whole exec event of a process of the host; its parent is known already."""
    return ExecEvent(time=NOON, process=_process(number), parent=_PARENT)


def pod_event(number: int) -> Event:
    """Make a whole exec event of a process in a pod."""
    process = _process(number)
    process.pod, process.docker = _POD, "3f0e6e0d9b7c4a31b2f6c51e0e88d2a"
    return ExecEvent(time=NOON, process=process, parent=_POD_PARENT)


def _process(pid: int) -> Process:
    return Process(
        pid=pid,
        ktime=NOON,
        exec_id="bm9kZS0xLmV4YW1wbGU6MTIzNDU2Nzg5MDEyMzQ6MTIzNDU=",
        parent_exec_id="bm9kZS0xLmV4YW1wbGU6MTIzNDU2Nzg5MDAwMDA6MTIzNDQ=",
        tid=pid,
        cwd="/home/user/projects/build",
        binary="/usr/bin/gcc",
        arguments="-O2 -g -Wall -Werror -I include -c src/main.c -o build/main.o",
        flags="execve clone",
        start_time=NOON - 1,
        in_init_tree=False,
    )


_PARENT = _process(12344)
_POD = Pod(
    "default",
    "web-6d4cf56db6-x7x2p",
    "0b5f3c1e-6f3f-4b7a-9f0e-7d8c5c0f2a11",
    Container(
        "containerd://3f0e6e0d9b7c4a31b2f6c51e0e88d2a7c1d5f5a0b7e9c4d3a2b1c0d9e8f7a6b5",
        "web",
        Image(f"docker.io/library/nginx@sha256:{'0123456789abcdef' * 4}", "docker.io/nginx:1.27"),
        NOON - 10**12,
        17,
    ),
    (("app", "web"), ("pod-template-hash", "6d4cf56db6"), ("tier", "frontend")),
    (),
    "web",
    "Deployment",
)
_POD_PARENT = _process(12344)
_POD_PARENT.pod, _POD_PARENT.docker = _POD, "3f0e6e0d9b7c4a31b2f6c51e0e88d2a"

SHAPES = (
    Shape("binary and arguments", 1.5, bare_event("test arg")),
    Shape("100 arguments of 47", 1.7, bare_event(" ".join(["a" * 47] * 100))),
    Shape("500 arguments of 56", 2.5, bare_event(" ".join(["a" * 56] * 500))),
    Shape("exec of a host process", 1.5, host_event),
    Shape("exec in a pod", 1.7, pod_event),
)


class Result(NamedTuple):
    """One shape: datagram size, median ns per event and per bare sendto."""

    size: int
    event: float
    raw: float


def measure(shape: Shape, rounds: int, events: int, batch: int) -> Result:
    """Send ``events`` new events in batches, each followed by as many bare datagrams."""
    encoder = JsonEncoder(NODE)
    front = Front(Ledger("udp"), encoder.line)
    data = b"x" * len(encoder.line(shape.make(10_000)))
    ours: list[float] = []
    bare: list[float] = []
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
        sender.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        sink = UdpSink(front, address[0], address[1], buffer_size=BUFFER)
        for _ in range(rounds):
            made = [shape.make(10_000 + number) for number in range(events)]
            for start in range(0, events, batch):
                part = made[start : start + batch]
                ours.append(_time_sink(sink, part) / len(part))
                bare.append(_time_sendto(sender, address, data, len(part)) / len(part))
        sink.close(1)
    if front.ledger.delivered != front.ledger.produced:
        raise SystemExit(f"bench: lost {front.ledger.lost}")
    return Result(len(data), statistics.median(ours), statistics.median(bare))


def _time_sink(sink: UdpSink, batch: Sequence[Event]) -> int:
    """Return the ns that sending took; then the texts go, as they do in the agent."""
    began = time.perf_counter_ns()
    sink.write(batch)
    spent = time.perf_counter_ns() - began
    for event in batch:
        event.json = None
        if event.process is not None:
            event.process.json = None
    return spent


def _time_sendto(sender: socket.socket, address: tuple[str, int], data: bytes, count: int) -> int:
    send = sender.sendto
    began = time.perf_counter_ns()
    for _ in range(count):
        send(data, address)
    return time.perf_counter_ns() - began


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every shape and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64)
    asked = parser.parse_args(argv)
    keep_freed_memory()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    count = asked.rounds * -(-asked.events // asked.batch)
    print(f"batches of {asked.batch}; medians of {count} batches")
    print(f"{'event':24} {'bytes':>6} {'ns/event':>9} {'ns/sendto':>9} {'ratio':>6} {'limit':>6}")
    for shape in SHAPES:
        size, event, raw = measure(shape, asked.rounds, asked.events, asked.batch)
        print(
            f"{shape.name:24} {size:6} {event:9.0f} {raw:9.0f} "
            f"{event / raw:6.2f} {shape.target:6.1f}"
        )
    print("kprobe of a known process: not measured, there is no such event yet")


if __name__ == "__main__":
    main()
