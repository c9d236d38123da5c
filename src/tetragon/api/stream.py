"""GrpcSink: batches of events in, bytes for every open GetEvents stream out.

Flow    reader thread: GrpcSink.write -> Stream queues -> loop thread: pump -> Call.send
Owns    the open streams. The loop thread opens and closes them and counts what it delivers; the
        reader thread queues, drops, and keeps the books, so that those have one writer.

An event is encoded once, however many streams take it, and not at all while none is open. A queue
that is full drops the newest event for its stream only. Books: one entry per event and stream.
Loss reasons: ``grpc_queue_full``, ``grpc_client_gone``, ``grpc_closed``, ``encode_error``.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tetragon.api.wanted import StreamFilter
from tetragon.api.wire import PREFIX
from tetragon.model.event import TYPES, Event
from tetragon.model.ledger import Ledger

log = logging.getLogger(__name__)

QUEUE_BYTES: Final = 64 << 20
"""Most bytes that wait for one client, whatever the number of events."""

_CHUNK: Final = 64 << 10
_LOOP_GRACE: Final = 2.0


class Stream:
    """
    The queue between the reader and one client.

    Args:
        wanted: its filter.
        limit: most events that may wait.
    """

    def __init__(self, wanted: StreamFilter, limit: int) -> None:
        self._wanted = wanted
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._ended = self._complained = False
        # Counters; the first two are the reader's, the others the loop's.
        self.queued = self._bytes_in = 0
        self.delivered = self._bytes_out = 0
        self.settled = 0
        """Deliveries that are in the books; the reader's."""

    # --- reader thread --------------------------------------------------------------------

    def offer(self, batch: Sequence[Event], encode: Callable[[Event], bytes], book: Ledger) -> None:
        """Queue what the client wants of a batch; count what it does not get."""
        accept, fields = self._wanted
        book.produced += len(batch)
        frames = self._frames
        for event in batch:
            try:
                if accept is not None and not accept(event):
                    book.filtered += 1
                    continue
                room = self._bytes_out + QUEUE_BYTES - self._bytes_in
                if len(frames) >= self._limit or room <= 0:
                    _lose(book, "grpc_queue_full", event)
                    continue
                frame = event.proto or encode(event)
                if fields is not None:
                    frame = fields(event, frame)
            except Exception:  # noqa: BLE001 (one bad event must not take others with it)
                _lose(book, "encode_error", event)
                self._complain()
                continue
            frames.append(frame)
            self._bytes_in += len(frame)
            self.queued += 1

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            log.exception("Failed to encode an event", extra={"output": "grpc"})

    # --- loop thread ----------------------------------------------------------------------

    def end(self) -> None:
        """Let `pump` return once it has sent what waits."""
        self._ended = True
        self._wake.set()

    def wake(self) -> None:
        """Tell `pump` that there may be something to send."""
        self._wake.set()

    async def pump(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send what comes until `end`."""
        while True:
            count, data = self._take()
            if count:
                await send(data)
                self.delivered += count
                self._bytes_out += len(data) - count * PREFIX.size
            elif self._ended:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take(self) -> tuple[int, bytes]:
        """Take about a chunk's worth of frames, each behind its prefix."""
        frames, pack = self._frames, PREFIX.pack
        parts: list[bytes] = []
        size = 0
        while frames and size < _CHUNK:
            frame = frames.popleft()
            parts += (pack(0, len(frame)), frame)
            size += len(frame)
        return len(parts) // 2, b"".join(parts)


class GrpcSink:
    """
    The output that feeds the streams.

    Args:
        encode: event to frame; keeps the frame on the event, so that streams share the work.
        queue_size: most events that wait for one client.
    """

    def __init__(self, encode: Callable[[Event], bytes], queue_size: int = 10_000) -> None:
        self.ledger = Ledger("grpc")
        self._encode = encode
        self._queue_size = queue_size or 10_000
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: tuple[Stream, ...] = ()  # replaced, never changed: read without a lock
        self._gone: deque[Stream] = deque()
        self._tasks: dict[Stream, asyncio.Task[None]] = {}
        self._closing = False

    @property
    def streams(self) -> int:
        """How many clients listen."""
        return len(self._streams)

    @property
    def waiting(self) -> int:
        """How many events wait in all queues together."""
        return sum(stream.queued - stream.delivered for stream in self._streams)

    # --- reader thread --------------------------------------------------------------------

    def write(self, batch: Sequence[Event]) -> None:
        """Offer a batch to every stream, and wake the loop once."""
        streams, loop = self._streams, self._loop
        if not streams or loop is None:
            return
        for stream in streams:
            stream.offer(batch, self._encode, self.ledger)
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            log.debug("The gRPC loop has ended; its streams are closing")

    def tick(self, now: int) -> None:  # noqa: ARG002 (nothing here depends on the time)
        """Bring the books up to date with what was delivered."""
        for stream in self._streams:
            self._settle(stream)
        while self._gone:
            stream = self._gone.popleft()
            self._settle(stream)
            if stream.queued > stream.delivered:
                reason = "grpc_closed" if self._closing else "grpc_client_gone"
                self.ledger.lose(reason, count=stream.queued - stream.delivered)

    def close(self, timeout: float) -> None:
        """End every stream after what waits for it, or after ``timeout`` seconds without it."""
        self._closing = True
        loop = self._loop
        if loop is not None and loop.is_running():
            ended = asyncio.run_coroutine_threadsafe(self._end(timeout), loop)
            try:
                ended.result(timeout + _LOOP_GRACE)
            except TimeoutError:
                log.warning("The gRPC streams did not end in time", extra={"seconds": timeout})
        self.tick(0)

    def _settle(self, stream: Stream) -> None:
        delivered = stream.delivered
        self.ledger.delivered += delivered - stream.settled
        stream.settled = delivered

    # --- loop thread ----------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve streams on ``loop``."""
        self._loop = loop

    async def serve(self, wanted: StreamFilter, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Feed one client until it goes (the caller is cancelled) or the sink closes."""
        stream = Stream(wanted, self._queue_size)
        if self._closing:
            return
        self._streams = (*self._streams, stream)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[stream] = task
        try:
            await stream.pump(send)
        finally:
            del self._tasks[stream]
            self._streams = tuple(other for other in self._streams if other is not stream)
            self._gone.append(stream)

    def _wake(self) -> None:
        for stream in self._streams:
            stream.wake()

    async def _end(self, timeout: float) -> None:
        for stream in self._streams:
            stream.end()
        if not self._tasks:
            return
        _, late = await asyncio.wait(list(self._tasks.values()), timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


def _lose(book: Ledger, reason: str, event: Event) -> None:
    policy: str = getattr(event, "policy_name", "")
    book.lose(reason, TYPES[event.__class__].name, policy)
