"""Streams deliver what was asked for, and their troubles stay their own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from api_support import SENSORS, Running, make_execs, wait_until

from tetragon.api import messages as api
from tetragon.api.client import Channel
from tetragon.api.encode import ProtoEncoder
from tetragon.api.stream import QUEUE_BYTES, GrpcSink, Stream
from tetragon.api.wanted import StreamFilter
from tetragon.api.wire import Code
from tetragon.errors import RpcError
from tetragon.model.event import Event, ExitEvent
from tetragon.model.ledger import Ledger, Loss

EVENTS = SENSORS + "GetEvents"


class Reader:
    """A client that reads a stream on a thread of its own."""

    def __init__(self, address: str, request: api.GetEventsRequest | None = None) -> None:
        self.channel = Channel(address)
        self.events: list[api.GetEventsResponse] = []
        self.ended: BaseException | str | None = None
        self._request = request or api.GetEventsRequest()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for batch in self.channel.stream(EVENTS, self._request):
                self.events += map(api.GetEventsResponse.FromString, batch)
            self.ended = "cleanly"
        except RpcError as exc:
            self.ended = exc
        finally:
            self.channel.close()

    def pids(self) -> list[int]:
        """Pids of the exec events that came."""
        return [event.process_exec.process.pid.value for event in self.events]


@contextmanager
def reading(
    running: Running, count: int = 1, request: api.GetEventsRequest | None = None
) -> Iterator[list[Reader]]:
    """Open ``count`` streams; end them with the server."""
    readers = [Reader(f"unix://{running.path}", request) for _ in range(count)]
    wait_until(lambda: running.sink.streams == count)
    yield readers
    running.server.stop(2)
    for reader in readers:
        reader.thread.join(5)
        assert not reader.thread.is_alive()


def balance(ledger: Ledger) -> int:
    """What the books do not account for."""
    return ledger.produced - ledger.delivered - ledger.filtered - ledger.lost_total


def test_events_arrive_in_order_and_the_stream_ends_cleanly(running: Running) -> None:
    """All of them, also those still queued when the agent stops."""
    with reading(running) as [reader]:
        running.sink.write(make_execs(300))
        running.sink.write(make_execs(300, first=301))
    assert reader.pids() == list(range(1, 601))
    assert reader.ended == "cleanly"
    ledger = running.sink.ledger
    assert (ledger.produced, ledger.delivered, ledger.lost) == (600, 600, {})


def test_google_client_reads_the_same(running: Running) -> None:
    """Over TCP, with its own HTTP/2."""
    with grpc.insecure_channel(running.tcp) as channel:
        call = channel.unary_stream(EVENTS, lambda m: m.SerializeToString(), None)(
            api.GetEventsRequest()
        )
        wait_until(lambda: running.sink.streams == 1)
        running.sink.write(make_execs(50))
        found = [next(call) for _ in range(50)]
        call.cancel()
        wait_until(lambda: running.sink.streams == 0)
    read = api.GetEventsResponse.FromString(found[49])
    assert read.process_exec.process.pid.value == 50


def test_nothing_is_encoded_while_nobody_listens(running: Running) -> None:
    """Nor counted: the output is not there."""
    batch = make_execs(5)
    running.sink.write(batch)
    assert [event.proto for event in batch] == [None] * 5
    assert running.sink.ledger.produced == 0


def test_past_events_are_not_replayed(running: Running) -> None:
    """A stream begins when it is opened."""
    running.sink.write(make_execs(5))
    with reading(running) as [reader]:
        running.sink.write(make_execs(1, first=9))
    assert reader.pids() == [9]


def test_many_streams_share_one_encoding(running: Running) -> None:
    """Each gets everything; an event is encoded once."""
    made: list[Event] = []
    encode = ProtoEncoder("node").frame

    def counting(event: Event) -> bytes:
        made.append(event)
        return encode(event)

    running.sink._encode = counting
    with reading(running, count=20) as readers:
        running.sink.write(make_execs(40))
    assert [reader.pids() for reader in readers] == [list(range(1, 41))] * 20
    assert len(made) == 40
    assert running.sink.ledger.delivered == 800


def test_filters_of_the_request_hold_for_its_stream_alone(running: Running) -> None:
    """One stream wants one pid and one field; another wants all."""
    request = api.GetEventsRequest()
    request.allow_list.add().pid.append(3)
    request.field_filters.add().fields.paths.append("process.pid")
    with reading(running) as [whole]:
        part = Reader(f"unix://{running.path}", request)
        wait_until(lambda: running.sink.streams == 2)
        running.sink.write(make_execs(5))
        wait_until(lambda: len(part.events) == 1 and len(whole.events) == 5)
        assert part.pids() == [3]
        assert not part.events[0].process_exec.process.binary
        assert whole.events[2].process_exec.process.binary
    part.thread.join(5)
    ledger = running.sink.ledger
    assert (ledger.produced, ledger.delivered, ledger.filtered) == (10, 6, 4)


@pytest.mark.parametrize(
    ("field", "value"), [("binary_regex", "["), ("cel_expression", "no"), ("labels", "a in b")]
)
def test_filter_that_cannot_be_compiled_is_invalid_argument(
    running: Running, field: str, value: str
) -> None:
    """For that stream only, before any event; others go on."""
    request = api.GetEventsRequest()
    getattr(request.allow_list.add(), field).append(value)
    with reading(running) as [other]:
        refused = Reader(f"unix://{running.path}", request)
        refused.thread.join(5)
        error = refused.ended
        assert isinstance(error, RpcError)
        assert error.code == Code.INVALID_ARGUMENT
        assert field in error.text
        running.sink.write(make_execs(1))
    assert other.pids() == [1]


def test_slow_reader_loses_its_own_events_only(small: Running) -> None:
    """Its queue drops the newest and counts; the quick client misses nothing."""
    with grpc.insecure_channel(f"unix:{small.path}") as channel:
        slow = channel.unary_stream(EVENTS, lambda m: m.SerializeToString(), None)(
            api.GetEventsRequest()
        )
        wait_until(lambda: small.sink.streams == 1)
        quick = Reader(f"unix://{small.path}")
        wait_until(lambda: small.sink.streams == 2)
        sent = 0
        while not small.sink.ledger.lost and sent < 4000:  # fill windows, socket and queue
            batch = make_execs(10, first=sent + 1)
            for event in batch:
                assert event.process is not None
                event.process.arguments = "x" * 60_000
            small.sink.write(batch)
            sent += 10
            wait_until(lambda sent=sent: len(quick.events) == sent)
        assert quick.pids() == list(range(1, sent + 1))
        small.sink.tick(0)
        assert set(small.sink.ledger.lost) == {Loss("grpc_queue_full", "PROCESS_EXEC")}
        slow.cancel()
        wait_until(lambda: small.sink.streams == 1)
    small.server.stop(1)
    quick.thread.join(5)
    assert balance(small.sink.ledger) == 0


def test_client_that_goes_leaves_its_queue_as_lost(small: Running) -> None:
    """What it did not take is counted; the books balance."""
    with grpc.insecure_channel(f"unix:{small.path}") as channel:
        call = channel.unary_stream(EVENTS, lambda m: m.SerializeToString(), None)(
            api.GetEventsRequest()
        )
        wait_until(lambda: small.sink.streams == 1)
        big = make_execs(10)
        for event in big:
            assert event.process is not None
            event.process.arguments = "x" * 1_000_000
        small.sink.write(big)
        call.cancel()
        wait_until(lambda: small.sink.streams == 0)
    small.sink.tick(0)
    ledger = small.sink.ledger
    assert balance(ledger) == 0
    assert ledger.lost[Loss("grpc_client_gone")] > 0


def test_connection_cut_in_mid_stream_ends_that_stream(running: Running) -> None:
    """Without a word from the client: its socket is just closed."""
    with reading(running) as [stays]:
        goes = Channel(f"unix://{running.path}")
        batches = goes.stream(EVENTS, api.GetEventsRequest())
        opened = threading.Thread(target=lambda: next(batches))
        opened.start()
        wait_until(lambda: running.sink.streams == 2)
        running.sink.write(make_execs(1))
        opened.join(5)
        goes._connection._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        goes.close()
        wait_until(lambda: running.sink.streams == 1)
        running.sink.write(make_execs(1, first=2))
    assert stays.pids() == [1, 2]


def test_deadline_of_the_client_ends_its_stream(running: Running) -> None:
    """A stream with a time limit gets DEADLINE_EXCEEDED, and is closed here too."""
    with grpc.insecure_channel(running.tcp) as channel:
        call = channel.unary_stream(EVENTS, lambda m: m.SerializeToString(), None)
        with pytest.raises(grpc.RpcError) as raised:
            list(call(api.GetEventsRequest(), timeout=0.1))
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: running.sink.streams == 0)


def test_stop_gives_up_on_a_client_that_takes_nothing(small: Running) -> None:
    """It returns in about its timeout, and what was not taken is lost as closed."""
    with grpc.insecure_channel(f"unix:{small.path}") as channel:
        call = channel.unary_stream(EVENTS, lambda m: m.SerializeToString(), None)
        stuck = call(api.GetEventsRequest())
        wait_until(lambda: small.sink.streams == 1)
        big = make_execs(10)
        for event in big:
            assert event.process is not None
            event.process.arguments = "x" * 3_000_000
        small.sink.write(big)
        small.server.stop(0.1)
        stuck.cancel()
    assert balance(small.sink.ledger) == 0
    assert small.sink.ledger.lost[Loss("grpc_closed")] > 0


def test_event_that_cannot_be_encoded_is_counted_and_skipped(running: Running) -> None:
    """It must not take its neighbours with it."""
    batch = make_execs(3)
    assert batch[1].process is not None
    batch[1].process.binary = "\udc80"
    with reading(running) as [reader]:
        running.sink.write(batch)
    assert reader.pids() == [1, 3]
    assert running.sink.ledger.lost == {Loss("encode_error", "PROCESS_EXEC"): 1}


def test_queue_is_bounded_in_bytes_too() -> None:
    """However few events that is."""
    book, stream = Ledger("grpc"), Stream(StreamFilter(), limit=1000)
    frame = b"x" * (QUEUE_BYTES // 4)
    batch: list[Event] = [ExitEvent(time=1, proto=frame) for _ in range(9)]
    stream.offer(batch, lambda event: event.proto or b"", book)
    assert stream.queued == 4
    assert book.lost == {Loss("grpc_queue_full", "PROCESS_EXIT"): 5}


def test_sink_without_a_server_takes_no_harm() -> None:
    """Written to, ticked and closed before it serves anybody."""
    sink = GrpcSink(ProtoEncoder("n").frame)
    sink.write(make_execs(2))
    sink.tick(0)
    sink.close(0.1)
    assert sink.ledger.produced == 0
