"""HTTP/2: a client's bytes in, calls of our methods out, their answers back.

gRPC on top of the `h2` protocol engine. The engine does HTTP/2; here is the socket, the flow of
data under its two windows, and what gRPC says with headers. Ready event bytes leave many to a
DATA frame: that, and no copy through another runtime, is why a stream is cheap.

Flow    socket -> Connection -> Call -> [method] -> Call.send -> socket
Owns    one Connection per socket, one Call per open stream; the loop's thread only
Source  wire.py; RFC 9113
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from google.protobuf.message import DecodeError, Message
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from tetragon.api import wire
from tetragon.api.wire import Code, Headers
from tetragon.errors import RpcError, TetragonError

log = logging.getLogger(__name__)

_REQUEST_LIMIT: Final = 4 << 20
_BUFFER: Final = 256 << 10
_OPENING: Final = [(":status", "200"), ("content-type", wire.CONTENT_TYPE)]
_CONFIG: Final = H2Configuration(
    client_side=False,
    header_encoding="utf-8",
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Method(NamedTuple):
    """
    One RPC.

    Args:
        request: class its request is read with.
        serve: answers it; returns the response, or None after having sent all it streams.
    """

    request: type[Message]
    serve: "Callable[[Any, Call], Awaitable[Message | None]]"


Methods = Mapping[str, Method]
"""RPCs by path, such as ``/tetragon.FineGuidanceSensors/GetHealth``."""


class Call:
    """One request and the way back to its client."""

    def __init__(self, connection: "Connection", stream_id: int, method: Method) -> None:
        self._connection = connection
        self._id = stream_id
        self._opened = False
        self._received = wire.Unwrapper(_REQUEST_LIMIT)
        self.method = method
        self.timeout: float | None = None
        self.task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Tell the client that the answer begins; the first `send` would do it too."""
        if not self._opened:
            self._opened = True
            self._connection.headers(self._id, _OPENING)

    async def send(self, messages: bytes) -> None:
        """Send one or more enclosed messages; returns when the socket took them."""
        self.open()
        await self._connection.send(self._id, messages)

    def feed(self, data: bytes) -> None:
        """Take bytes of the request; more than its limit ends the call."""
        self._received.feed(data)
        if self._received.pending > _REQUEST_LIMIT + wire.PREFIX.size:
            text = f"request is larger than max ({_REQUEST_LIMIT} bytes)"
            self.end(RpcError(Code.RESOURCE_EXHAUSTED, text))

    async def run(self) -> None:
        """Serve the request that was fed, and end the call with what came of it."""
        try:
            async with asyncio.timeout(self.timeout):
                response = await self.method.serve(self._request(), self)
                if response is not None:
                    await self.send(wire.enclose(response.SerializeToString()))
            error = None
        except RpcError as exc:
            error = exc
        except TetragonError as exc:
            error = RpcError(Code.UNKNOWN, str(exc))
        except TimeoutError:
            error = RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
        except (ConnectionError, ProtocolError) as exc:
            log.debug("A gRPC client went in the middle of a call", extra={"error": repr(exc)})
            return
        except Exception:
            log.exception("A gRPC call failed", extra={"request": self.method.request.__name__})
            error = RpcError(Code.INTERNAL, "internal error, see the log of the agent")
        self.end(error)

    def end(self, error: RpcError | None) -> None:
        """Send the status; without any answer before it, in one frame with the headers."""
        code, text = (error.code, error.text) if error is not None else (Code.OK, "")
        ending = wire.trailers(code, text)
        headers = ending if self._opened else _OPENING + ending
        self._connection.end(self._id, headers, whole=self.task is not None)

    def _request(self) -> Message:
        messages = list(self._received.messages())
        if len(messages) != 1 or self._received.pending:
            raise RpcError(Code.INTERNAL, "request is not exactly one message")
        try:
            return self.method.request.FromString(messages[0])
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, f"request cannot be decoded: {exc}") from exc


class Connection(asyncio.Protocol):
    """
    One client's socket.

    Args:
        methods: what it may call.
        connections: set of the open ones, of which this is to be a member while it lasts.
    """

    def __init__(self, methods: Methods, connections: "set[Connection]") -> None:
        self._methods = methods
        self._connections = connections
        self._h2 = H2Connection(_CONFIG)
        self._calls: dict[int, Call] = {}
        self._moved = asyncio.Event()  # a window opened, or a call was reset
        self._writable = asyncio.Event()
        self._writable.set()
        self.lost = asyncio.Event()
        # The whole dispatch: events of the engine that concern us.
        self._reactions: Mapping[type[Event], Callable[[Any], None]] = {
            RequestReceived: self._request,
            DataReceived: self._data,
            StreamEnded: self._ended,
            StreamReset: self._reset,
            WindowUpdated: self._opened_up,
            RemoteSettingsChanged: self._opened_up,
        }

    # --- what asyncio calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_BUFFER)
        self._connections.add(self)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """React to what the client sent."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as exc:
            log.debug("A gRPC client broke the protocol", extra={"error": repr(exc)})
            self._flush()
            self._transport.close()
            return
        for event in events:
            reaction = self._reactions.get(event.__class__)
            if reaction is not None:
                reaction(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        """Forget the client and stop what was done for it."""
        self.lost.set()
        self._connections.discard(self)
        for call in self._calls.values():
            if call.task is not None:
                call.task.cancel()
        self._calls.clear()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """Wait: the socket's buffer is full. Who does not read our answers may not ask more."""
        self._writable.clear()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()
        self._transport.resume_reading()

    # --- reactions --------------------------------------------------------------------------

    def _request(self, event: RequestReceived) -> None:
        headers = cast("dict[str, str]", dict(event.headers))
        stream_id = event.stream_id
        refusal = _refusal(headers)
        if refusal is not None:
            self._h2.send_headers(stream_id, refusal, end_stream=True)
            return
        path = headers.get(":path", "")
        method = self._methods.get(path)
        if method is None:
            ending = wire.trailers(Code.UNIMPLEMENTED, _unknown(path, self._methods))
            self._h2.send_headers(stream_id, _OPENING + ending, end_stream=True)
            return
        call = self._calls[stream_id] = Call(self, stream_id, method)
        call.timeout = wire.parse_timeout(headers.get("grpc-timeout", ""))

    def _data(self, event: DataReceived) -> None:
        stream_id = event.stream_id
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
        call = self._calls.get(stream_id)
        if call is not None and event.data:
            call.feed(event.data)

    def _ended(self, event: StreamEnded) -> None:
        call = self._calls.get(event.stream_id)
        if call is not None:
            call.task = asyncio.get_running_loop().create_task(call.run())

    def _reset(self, event: StreamReset) -> None:
        call = self._calls.pop(event.stream_id, None)
        if call is not None and call.task is not None:
            call.task.cancel()
        self._wake()

    def _opened_up(self, _: Event) -> None:
        self._wake()

    # --- what calls use ---------------------------------------------------------------------

    def headers(self, stream_id: int, headers: Headers) -> None:
        """Send headers; nothing when the stream is gone."""
        if stream_id in self._calls:
            self._h2.send_headers(stream_id, headers)
            self._flush()

    async def send(self, stream_id: int, data: bytes) -> None:
        """
        Send data as the windows of stream and connection, and the socket, let us.

        Raises:
            ConnectionError: the client reset the stream or went.
        """
        at, size, engine = 0, len(data), self._h2
        while at < size:
            if stream_id not in self._calls:
                raise ConnectionResetError
            room = min(engine.local_flow_control_window(stream_id), engine.max_outbound_frame_size)
            if room <= 0:
                await self._wait(self._moved)
                continue
            engine.send_data(stream_id, data[at : at + room])
            at += room
        self._flush()
        if not self._writable.is_set():
            await self._writable.wait()

    def end(self, stream_id: int, headers: Headers, whole: bool) -> None:
        """Send the last headers of a stream, and stop its request unless it came ``whole``."""
        if self._calls.pop(stream_id, None) is not None:
            self._h2.send_headers(stream_id, headers, end_stream=True)
            if not whole:
                self._h2.reset_stream(stream_id, ErrorCodes.NO_ERROR)
            self._flush()

    def close(self) -> None:
        """Say goodbye and close the socket; calls that still run are cut off."""
        if not self.lost.is_set():
            self._h2.close_connection()
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Close the socket at once, whatever waits to be sent."""
        self._transport.abort()

    async def _wait(self, event: asyncio.Event) -> None:
        self._flush()
        await event.wait()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


def _refusal(headers: Mapping[str, str]) -> Headers | None:
    """Return the answer to a request that is not gRPC at all, None when it is."""
    if headers.get(":method") != "POST":
        return [(":status", "405"), ("allow", "POST")]
    if not headers.get("content-type", "").startswith(wire.CONTENT_TYPE):
        return [(":status", "415")]
    return None


def _unknown(path: str, methods: Methods) -> str:
    service, _, name = path.removeprefix("/").partition("/")
    if any(known.startswith(f"/{service}/") for known in methods):
        return f"unknown method {name} for service {service}"
    return f"unknown service {service}"
