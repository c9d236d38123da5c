"""Soak of the outputs: events at a steady rate in; CPU, memory and losses as time goes by out.

Every event is new, as after an exec, and goes to a UDP receiver that counts and, with --file, to a
rotating file too. The books must balance and every datagram must arrive, else it exits with 1.

    python bench/soak.py [--rate 20000] [--seconds 600] [--file PATH]
"""

import argparse
import contextlib
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tetragon.event.json import JsonEncoder
from tetragon.export.file import FileSink, LogParams
from tetragon.export.stage import Front
from tetragon.export.udp import UdpSink
from tetragon.model.ledger import Ledger
from tetragon.model.sink import Sink
from udp import NODE, host_event

BATCHES = 200
"""Batches a second, as the reader drains under load."""

RECEIVER = """
import socket, sys
s = socket.socket(fileno=int(sys.argv[1])); s.settimeout(3); n = 0; b = bytearray(70000)
try:
    while True: s.recv_into(b); n += 1
except TimeoutError: print(n)
"""


def resident() -> float:
    """Return this process's resident memory in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else 0.0


def run(sinks: Sequence[Sink], rate: int, seconds: int) -> list[float]:
    """Feed the sinks; print a line every ten seconds or tenth of the time; return the memory."""
    count = rate // BATCHES
    memory: list[float] = []
    began, sent = time.monotonic(), 0
    step = min(10, max(1, seconds // 10))
    print(f"{'s':>5} {'events/s':>9} {'CPU us/event':>13} {'RSS MB':>7}")
    for second in range(1, seconds + 1):
        for part in range(1, BATCHES + 1):
            batch = [host_event(1000 + number) for number in range(count)]
            for sink in sinks:
                sink.write(batch)
            sent += count
            time.sleep(max(0.0, began + second - 1 + part / BATCHES - time.monotonic()))
        for sink in sinks:
            sink.tick(time.time_ns())
        if second % step == 0:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            spent = (usage.ru_utime + usage.ru_stime) / sent * 1e6
            memory.append(resident())
            pace = sent / (time.monotonic() - began)
            print(f"{second:5} {pace:9.0f} {spent:13.2f} {memory[-1]:7.1f}", flush=True)
    return memory


def main(argv: Sequence[str] | None = None) -> None:
    """Soak and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--file", default="")
    asked = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), 64 << 20)
        listener.bind(("127.0.0.1", 0))
        descriptor = listener.fileno()
        os.set_inheritable(descriptor, True)
        command = [sys.executable, "-c", RECEIVER, str(descriptor)]
        receiver = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(descriptor,))
        encode = JsonEncoder(NODE).line
        sinks: list[Sink] = [UdpSink(Front(Ledger("udp"), encode), *listener.getsockname())]
        if asked.file:
            front = Front(Ledger("file"), encode)
            sinks.append(FileSink(asked.file, front, params=LogParams(100, 0, 2)))
        memory = run(sinks, asked.rate, asked.seconds)
        for sink in sinks:
            sink.close(5)
        arrived = int(receiver.communicate()[0])
    whole = True
    for sink in sinks:
        ledger = sink.ledger
        print(f"{ledger.stage}: produced {ledger.produced} delivered {ledger.delivered}", end=" ")
        print(f"lost {ledger.lost_total}")
        whole &= ledger.produced == ledger.delivered + ledger.lost_total
    print(f"receiver: {arrived}; RSS from {min(memory):.1f} to {max(memory):.1f} MB")
    if not whole or arrived != sinks[0].ledger.delivered:
        sys.exit("soak: the books do not balance, or datagrams did not arrive")


if __name__ == "__main__":
    main()
