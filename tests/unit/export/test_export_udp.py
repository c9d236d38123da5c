"""The UDP output: one event, one datagram, whatever the network does."""

import gc
import json
import re
import resource
import socket
import time
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from export_support import (
    NOON,
    SECOND,
    Receiver,
    balance,
    exec_event,
    exec_events,
    make_front,
    reasons,
    wait_until,
)

from tetragon.errors import ExportError
from tetragon.export.address import Target
from tetragon.export.datagram import LARGEST
from tetragon.export.limit import MINUTE, RateLimiter
from tetragon.export.metadata import AgentInfo
from tetragon.export.stage import Front
from tetragon.export.syslog import SyslogFrame
from tetragon.export.udp import Announcement, UdpSink
from tetragon.model.event import Event
from tetragon.model.ledger import Ledger

INFO = AgentInfo("1.0", "", "", "host", "6.1", 42, NOON, "127.0.0.1:514", 65536)


def sink_to(receiver: Receiver, front: Front | None = None, **options: object) -> UdpSink:
    """Open an output to a receiver."""
    front = make_front("udp") if front is None else front
    return UdpSink(front, receiver.host, receiver.port, **options)


def pid_of(datagram: bytes) -> int:
    """Return the pid of the process in a datagram."""
    return json.loads(datagram)["process_exec"]["process"]["pid"]


@pytest.mark.parametrize("count", [1, 3, 4, 64, 300])
def test_one_event_is_one_datagram(receiver: Receiver, count: int) -> None:
    """The datagram is the line of the file output, newline included."""
    sink = sink_to(receiver)
    batch = exec_events(count)
    sink.write(batch)
    sink.close(1)
    assert receiver.take(count) == [event.json for event in batch]
    assert sink.ledger.delivered == count
    assert balance(sink.ledger) == 0
    assert sink.stats().bytes_sent == sum(len(event.json or b"") for event in batch)


def test_over_ipv6() -> None:
    """With and without brackets."""
    receiver = Receiver(socket.AF_INET6, "::1")
    for host in ("::1", "[::1]"):
        sink = UdpSink(make_front("udp"), host, receiver.port)
        sink.write(exec_events(5))
        sink.close(1)
        assert [pid_of(datagram) for datagram in receiver.take(5)] == [1, 2, 3, 4, 5]
    receiver.socket.close()


def test_nobody_needs_to_listen(receiver: Receiver) -> None:
    """A closed port costs nothing and stops nothing; a listener that comes later gets events."""
    port = receiver.port
    receiver.socket.close()
    sink = UdpSink(make_front("udp"), "127.0.0.1", port)
    for _ in range(10):
        sink.write(exec_events(10))
    late = Receiver(socket.AF_INET, "127.0.0.1", port)
    sink.write(exec_events(2))
    assert [pid_of(datagram) for datagram in late.take(2)] == [1, 2]
    sink.close(1)
    late.socket.close()
    assert sink.ledger.delivered == 102
    assert sink.ledger.lost_total == 0


def test_an_event_too_large_is_shortened(receiver: Receiver) -> None:
    """300 kB of arguments arrive as one valid event of the largest size, and say so."""
    sink = sink_to(receiver)
    sink.write([exec_event(1), exec_event(2, arguments="x" * 300_000), exec_event(3)])
    sink.close(1)
    datagrams = receiver.take(3)
    assert [pid_of(datagram) for datagram in datagrams] == [1, 2, 3]
    got = json.loads(datagrams[1])
    assert LARGEST - 10 < len(datagrams[1]) <= LARGEST
    assert got["truncated"]["cut"] == ["arguments"]
    assert got["truncated"]["size"] > 300_000
    assert sink.stats().shortened == 1
    assert sink.ledger.lost_total == 0


@pytest.mark.parametrize("frame", [None, SyslogFrame("node", 1)], ids=["json", "syslog"])
def test_datagrams_can_be_kept_small(receiver: Receiver, frame: SyslogFrame | None) -> None:
    """With a limit for the link's MTU no datagram is longer, frame and metadata included."""
    announcement = Announcement(INFO, lambda: [Ledger(f"stage{n}") for n in range(30)])
    sink = sink_to(receiver, max_size=1232, frame=frame, announcement=announcement)
    sink.write(exec_events(20, arguments="argument " * 150, cwd="/very/long/path" * 10))
    sink.close(1)
    datagrams = receiver.take(22)
    assert all(len(datagram) <= 1232 for datagram in datagrams)
    assert max(map(len, datagrams[1:-1])) > 1200
    for datagram in datagrams:
        assert json.loads(datagram[datagram.index(b"{") :])


def test_a_line_that_cannot_be_shortened_is_counted(receiver: Receiver) -> None:
    """What is no JSON object is left out; its batch goes out."""
    front = Front(Ledger("udp"), lambda event: event.json or b"")
    sink = sink_to(receiver, front)
    batch = exec_events(2)
    batch[0].json, batch[1].json = b"x" * 70_000, b"{}\n"
    sink.write(batch)
    sink.close(1)
    assert receiver.take(1) == [b"{}\n"]
    assert reasons(sink.ledger) == {"udp_too_large": 1}
    assert balance(sink.ledger) == 0


class Names:
    """A name that a test can move."""

    def __init__(self, *targets: Target) -> None:
        self.targets: Sequence[Target] = targets

    def __call__(self, _host: str, _port: int) -> Sequence[Target]:
        """Look the name up."""
        return self.targets


def test_errors_are_counted_by_reason_and_end_when_they_end(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """An address nothing can be sent to costs its events; then the output goes on."""
    nowhere = Target(socket.AF_INET, ("127.0.0.1", 0))  # port 0: EINVAL
    names = Names(nowhere)
    sink = sink_to(receiver, resolve=names, resolve_interval=1)
    sink._resolver._host = "name"
    sink.write(exec_events(3))
    sink.write(exec_events(7))
    assert reasons(sink.ledger) == {"udp_einval": 10}
    assert sink.ledger.delivered == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["Failed to send event over UDP"]
    sink.close(0)


def test_a_name_that_moves_is_followed(receiver: Receiver) -> None:
    """Also from IPv6 to IPv4: the events after the look go to the new address."""
    first = Receiver(socket.AF_INET6, "::1")
    names = Names(Target(socket.AF_INET6, ("::1", first.port, 0, 0)))
    sink = UdpSink(make_front("udp"), "log.example", 514, resolve=names, resolve_interval=SECOND)
    sink.write(exec_events(1))
    assert pid_of(first.take(1)[0]) == 1
    sink.tick(NOON)
    names.targets = [Target(socket.AF_INET, (receiver.host, receiver.port))]
    sink.tick(NOON + SECOND)
    sink._resolver.join(5)
    sink.tick(NOON + SECOND + 1)
    sink.write(exec_events(2))
    assert [pid_of(datagram) for datagram in receiver.take(2)] == [1, 2]
    assert first.rest() == []
    sink.close(1)
    first.socket.close()


@pytest.mark.parametrize("size", [LARGEST + 1, 100, 511])
def test_a_datagram_size_that_makes_no_sense_is_refused(receiver: Receiver, size: int) -> None:
    """The error names the flag and the bound."""
    with pytest.raises(ExportError, match=r"--udp-max-size: \d+ .*(65507|512)"):
        sink_to(receiver, max_size=size)


def test_a_host_that_cannot_be_resolved_is_refused() -> None:
    """Before anything is started."""

    def resolve(_host: str, _port: int) -> Sequence[Target]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ExportError, match="cannot resolve 'nowhere': Name or service not known"):
        UdpSink(make_front("udp"), "nowhere", 514, resolve=resolve)


def test_no_socket_is_refused(receiver: Receiver) -> None:
    """Without a free descriptor the error says so."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, old[1]))
    try:
        with pytest.raises(ExportError, match="no UDP socket: Too many open files"):
            sink_to(receiver)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def test_metadata_comes_first_and_last(receiver: Receiver) -> None:
    """agent_init before any event, the books after the last one."""
    front = make_front("udp", accept=lambda event: event.process.pid != 2)
    announcement = Announcement(INFO, lambda: [front.ledger])
    sink = sink_to(receiver, front, announcement=announcement, clock=lambda: NOON + 90 * SECOND)
    sink.write(exec_events(3))
    sink.close(1)
    first, *events, last = map(json.loads, receiver.take(4))
    assert first["event"] == "agent_init"
    assert first["uptime"] == "initialized at 0"
    assert "ledger" not in first
    assert len(events) == 2
    assert last["event"] == "agent_shutdown"
    assert last["uptime"] == "1m30s"
    assert last["ledger"]["udp"] == {
        "produced": 3,
        "delivered": 2,
        "filtered": 1,
        "merged": 0,
        "lost": 0,
        "reasons": {},
    }


def test_metadata_is_repeated(receiver: Receiver) -> None:
    """Once an interval, with the books so far; without an interval never."""
    every = Announcement(INFO, list, interval=10 * SECOND)
    sink = sink_to(receiver, announcement=every)
    for second in range(35):
        sink.tick(NOON + second * SECOND)
    events = [json.loads(datagram)["event"] for datagram in receiver.rest()]
    assert events == ["agent_init"] + ["agent_status"] * 3
    sink.close(1)
    receiver.rest()
    once = sink_to(receiver, announcement=Announcement(INFO, list))
    for hour in range(5):
        once.tick(NOON + hour * 3600 * SECOND)
    assert len(receiver.rest()) == 1
    once.close(1)


def test_metadata_that_could_not_be_sent_is_tried_again(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A network that comes up after the agent still learns who it is."""
    names = Names(Target(socket.AF_INET, ("127.0.0.1", 0)))
    sink = UdpSink(
        make_front("udp"),
        "log.example",
        514,
        announcement=Announcement(INFO, list),
        resolve=names,
        resolve_interval=SECOND,
    )
    assert "Failed to send metadata event over UDP" in caplog.text
    names.targets = [Target(socket.AF_INET, (receiver.host, receiver.port))]
    sink.tick(NOON)
    sink.tick(NOON + SECOND)
    sink._resolver.join(5)
    sink.tick(NOON + SECOND + 1)
    assert json.loads(receiver.take(1)[0])["event"] == "agent_init"
    assert sink.stats().announcements == 1
    sink.close(1)


def test_syslog_messages(receiver: Receiver) -> None:
    """Header, then the line without its newline; metadata has its own MSGID."""
    sink = sink_to(
        receiver,
        frame=SyslogFrame("node", 42),
        announcement=Announcement(INFO, list),
    )
    batch = exec_events(5)
    sink.write(batch)
    sink.close(1)
    first, *events, last = receiver.take(7)
    assert re.match(rb"<133>1 \S+Z node tetragon 42 agent_init - \{", first)
    assert re.match(rb"<133>1 \S+Z node tetragon 42 agent_shutdown - \{", last)
    for event, datagram in zip(batch, events, strict=True):
        head, text = datagram.split(b" - ", 1)
        assert head.startswith(b"<134>1 2024-01-31T12:00:00.000000Z node tetragon 42 process_exec")
        assert text + b"\n" == event.json


def test_the_rate_limit_reports_over_udp(receiver: Receiver) -> None:
    """With a limit of 0 only the report goes out, once a minute."""
    now = 0
    front = make_front("udp", limit=RateLimiter(0, 0), clock=lambda: now)
    sink = sink_to(receiver, front)
    sink.write(exec_events(9))
    now = MINUTE
    sink.tick(NOON)
    sink.close(1)
    (only,) = receiver.rest()
    assert json.loads(only)["rate_limit_info"] == {"number_of_dropped_process_events": "9"}
    assert reasons(sink.ledger) == {"rate_limit": 9}
    assert balance(sink.ledger) == 0


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Count allocations without the collector's own."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_nothing_is_kept_of_what_was_sent(receiver: Receiver) -> None:
    """After many batches no more is alive than the last one: 2000 events leave no trace."""
    import tracemalloc

    sink = sink_to(receiver)

    def batch() -> list[Event]:
        return exec_events(64)

    for _ in range(3):
        sink.write(batch())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(30):
        sink.write(batch())
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    sink.close(1)
    assert kept < 100_000
    assert sink.ledger.delivered == 33 * 64


def test_every_datagram_of_a_flood_arrives_where_the_receiver_keeps_up(
    receiver: Receiver,
) -> None:
    """20,000 events in batches: each one arrives, once, in order."""
    sink = sink_to(receiver)
    batch = [exec_event(pid) for pid in range(1, 101)]
    decode = msgspec.json.decode
    for _ in range(200):
        sink.write(batch)
        got = [
            decode(datagram)["process_exec"]["process"]["pid"] for datagram in receiver.take(100)
        ]
        assert got == list(range(1, 101))
    sink.close(1)
    assert sink.ledger.delivered == 20_000
    assert receiver.rest() == []


def test_stats_can_be_read_from_another_thread(receiver: Receiver) -> None:
    """Metrics are scraped while events are sent."""
    import threading

    sink = sink_to(receiver, buffer_size=32768)
    seen: list[int] = []
    stop = threading.Event()

    def scrape() -> None:
        while not stop.is_set():
            seen.append(sink.stats().bytes_sent)

    thread = threading.Thread(target=scrape)
    thread.start()
    deadline = time.monotonic() + 5
    while len(set(seen)) < 3 and time.monotonic() < deadline:
        sink.write(exec_events(8))
    stop.set()
    thread.join()
    wait_until(lambda: len(set(seen)) >= 3)
    assert seen == sorted(seen)
    assert sink.stats().buffer_size == 32768
    sink.close(1)
