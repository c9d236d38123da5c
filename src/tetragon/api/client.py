"""Client: an address and a request in, the agent's answers out; blocking, for command lines.

Flow    request -> Channel -> socket -> [h2] -> batches of messages as bytes
Owns    one connection, made at the first call; one call at a time, one thread
Source  wire.py; RFC 9113
"""

import os
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeVar, cast

from google.protobuf.message import DecodeError, Message
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from tetragon.api import wire
from tetragon.api.wire import Code
from tetragon.errors import ConfigError, RpcError

DEFAULT_PORT: Final = 54321
_STREAM_WINDOW: Final = 4 << 20
_CONNECTION_WINDOW: Final = 16 << 20
_READ: Final = 256 << 10
_SETTINGS: Final = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
    SettingCodes.MAX_HEADER_LIST_SIZE: 64 << 10,
}
_CONFIG: Final = H2Configuration(client_side=True, header_encoding="utf-8")

Response = TypeVar("Response", bound=Message)


class ClientTls(NamedTuple):
    """
    How to secure the connection.

    Args:
        ca: bundles to trust instead of the system's.
        cert, key: our own certificate, for agents that ask for one.
        server_name: name to expect instead of the address's host.
        verify: False trusts whoever answers.
    """

    ca: Sequence[str] = ()
    cert: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True


class Channel:
    """
    The way to one agent.

    Args:
        address: ``unix:///path``, ``host:port`` or ``host``.
        tls: None for a plain connection.
        limit: most bytes one message may have.
    """

    def __init__(self, address: str, tls: ClientTls | None = None, limit: int = 10 << 20) -> None:
        self._address = address
        self._tls = tls
        self._limit = limit
        self._connection: _Connection | None = None

    def connect(self, timeout: float | None) -> None:
        """
        Connect now rather than at the first call.

        Raises:
            RpcError: the agent cannot be reached within ``timeout`` seconds.
        """
        self._open(None if timeout is None else time.monotonic() + timeout)

    def unary(
        self, path: str, request: Message, response: type[Response], timeout: float | None
    ) -> Response:
        """
        Make a call with one answer.

        Args:
            timeout: seconds for all of it, None for no limit.

        Raises:
            RpcError: the call failed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        answers = [m for batch in self._call(path, request, deadline) for m in batch]
        if len(answers) != 1:
            raise RpcError(Code.INTERNAL, f"expected one response message, got {len(answers)}")
        try:
            return response.FromString(answers[0])
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, f"failed to unmarshal the response: {exc}") from exc

    def stream(self, path: str, request: Message) -> Iterator[list[bytes]]:
        """
        Make a call with many answers; yields them as they arrive, several at a time.

        Raises:
            RpcError: the call failed, perhaps after some answers.
        """
        return self._call(path, request, None)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, path: str, request: Message, deadline: float | None) -> Iterator[list[bytes]]:
        connection = self._open(deadline)
        try:
            yield from connection.call(path, request.SerializeToString(), deadline, self._limit)
        except TimeoutError as exc:
            self.close()
            raise RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded") from exc
        except (OSError, H2Error) as exc:
            self.close()
            raise RpcError(Code.UNAVAILABLE, f"error reading from server: {exc}") from exc

    def _open(self, deadline: float | None) -> "_Connection":
        if self._connection is None:
            opened, authority = _connect(self._address, self._tls, deadline)
            self._connection = _Connection(opened, authority, self._tls is not None)
        return self._connection


class _Connection:
    """An open socket that speaks HTTP/2."""

    def __init__(self, opened: socket.socket, authority: str, secure: bool) -> None:
        self._socket = opened
        self._authority = authority
        self._scheme = "https" if secure else "http"
        self._h2 = H2Connection(_CONFIG)
        self._h2.local_settings = Settings(client=True, initial_values=_SETTINGS)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW)

    def call(
        self, path: str, request: bytes, deadline: float | None, limit: int
    ) -> Iterator[list[bytes]]:
        """Send a request; yield the messages that come back."""
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, self._headers(path, deadline))
        self._send_request(stream, wire.enclose(request), deadline)
        answer = _Answer(stream, limit)
        while not answer.ended:
            events = self._receive(deadline)
            for event in events:
                answer.take(event)
            if answer.unacknowledged and not answer.ended:
                self._h2.acknowledge_received_data(answer.unacknowledged, stream)
                answer.unacknowledged = 0
                self._flush()
            messages = list(answer.received.messages())
            if messages:
                yield messages
        if answer.error is not None:
            raise answer.error

    def close(self) -> None:
        """Say goodbye and close the socket."""
        try:
            self._h2.close_connection()
            self._flush()
        except (OSError, H2Error):
            return  # the other end has gone first
        finally:
            self._socket.close()

    def _headers(self, path: str, deadline: float | None) -> wire.Headers:
        headers = [
            (":method", "POST"),
            (":scheme", self._scheme),
            (":path", path),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", wire.CONTENT_TYPE),
            ("user-agent", "tetra"),
        ]
        if deadline is not None:
            left = max(deadline - time.monotonic(), 0.001)
            headers.append(("grpc-timeout", wire.format_timeout(left)))
        return headers

    def _send_request(self, stream: int, data: bytes, deadline: float | None) -> None:
        at = 0
        while at < len(data):
            window = self._h2.local_flow_control_window(stream)
            room = min(window, self._h2.max_outbound_frame_size, len(data) - at)
            if room <= 0:
                self._receive(deadline)
                continue
            self._h2.send_data(stream, data[at : at + room], end_stream=at + room == len(data))
            at += room
        self._flush()

    def _receive(self, deadline: float | None) -> list[Event]:
        self._flush()
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(_READ)
        if not data:
            raise ConnectionResetError("EOF")
        events = self._h2.receive_data(data)
        self._flush()
        return events

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._socket.sendall(data)


class _Answer:
    """What comes back on one stream."""

    def __init__(self, stream: int, limit: int) -> None:
        self._stream = stream
        self._headers: dict[str, str] = {}
        self.received = wire.Unwrapper(limit)
        self.unacknowledged = 0
        self.ended = False
        self.error: RpcError | None = None

    def take(self, event: Event) -> None:
        """Note what an event of the engine means for the call."""
        match event:
            case DataReceived():
                self.received.feed(event.data)
                self.unacknowledged += event.flow_controlled_length
            case ResponseReceived() | TrailersReceived():
                self._headers.update(cast("dict[str, str]", dict(event.headers)))
            case StreamEnded():
                self._end(wire.status(self._headers))
            case StreamReset():
                code = wire.RESET_CODES.get(int(event.error_code), Code.INTERNAL)
                text = f"stream terminated by RST_STREAM with error code: {event.error_code}"
                self._end(RpcError(code, text))
            case ConnectionTerminated():
                if (event.last_stream_id or 0) < self._stream or event.error_code:
                    self._end(RpcError(Code.UNAVAILABLE, "the connection is draining"))
            case _:
                pass  # settings, windows and pings are the engine's own affair

    def _end(self, error: RpcError | None) -> None:
        if not self.ended:
            self.ended, self.error = True, error


# --- connecting -----------------------------------------------------------------------------


def _connect(
    address: str, tls: ClientTls | None, deadline: float | None
) -> tuple[socket.socket, str]:
    """Return a connected socket and the ``:authority`` of calls on it."""
    context = None if tls is None else _context(tls)
    path = unix_path(address)
    if path:
        opened, authority, host = _connect_unix(path, deadline), "localhost", "localhost"
    else:
        host, port = split_host(address)
        authority = f"{host}:{port}"
        opened = _connect_tcp(host, port, deadline)
    if context is None or tls is None:
        return opened, authority
    try:
        return context.wrap_socket(opened, server_hostname=tls.server_name or host), authority
    except OSError as exc:
        opened.close()
        raise _unavailable(f"authentication handshake failed: {exc}") from exc


def _connect_unix(path: str, deadline: float | None) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(_left(deadline))
        opened.connect(path)
    except OSError as exc:
        opened.close()
        raise _not_dialed(f"unix {path}", exc) from exc
    return opened


def _connect_tcp(host: str, port: int, deadline: float | None) -> socket.socket:
    """Connect to the first address of a host that answers, IPv4 before IPv6."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise _not_dialed(f"tcp: lookup {host}", exc) from exc
    failure: RpcError | None = None
    for family, _, _, _, where in sorted(found, key=lambda one: one[0] != socket.AF_INET):
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(_left(deadline))
            opened.connect(where)
        except OSError as exc:
            opened.close()
            name = f"[{where[0]}]" if family == socket.AF_INET6 else where[0]
            failure = failure or _not_dialed(f"tcp {name}:{port}", exc)
        else:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
    raise failure or _not_dialed(f"tcp: lookup {host}", OSError("no addresses"))


def _not_dialed(what: str, exc: OSError) -> RpcError:
    if isinstance(exc, TimeoutError):
        return RpcError(Code.DEADLINE_EXCEEDED, f"dial {what}: no answer in time")
    return _unavailable(f"Error while dialing: dial {what}: {_reason(exc)}")


def unix_path(address: str) -> str:
    """Return the socket file of ``unix:///path`` or ``unix:path``, empty for other addresses."""
    if not address.startswith("unix:"):
        return ""
    path = address.removeprefix("unix:")
    return path.removeprefix("//") if path.startswith("//") else path


def split_host(address: str) -> tuple[str, int]:
    """
    Split ``host:port``, ``[v6]:port`` or ``host``; ``dns:///`` may stand before it.

    Raises:
        ConfigError: the port is not a number.
    """
    bare = address.removeprefix("dns:///")
    host, colon, port = bare.rpartition(":")
    if not colon or bare.endswith("]"):
        host, port = bare, str(DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"--server-address {address}: {port!r} is not a port")
    return host.removeprefix("[").removesuffix("]") or "localhost", int(port)


def _unavailable(text: str) -> RpcError:
    return RpcError(Code.UNAVAILABLE, f'connection error: desc = "transport: {text}"')


def _reason(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror) or not exc.errno:
        return str(exc.strerror or exc)
    return f"connect: {os.strerror(exc.errno).lower()}"


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.001)


def _context(tls: ClientTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca:
            for bundle in tls.ca:
                context.load_verify_locations(bundle)
        else:
            context.load_default_certs()
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as exc:
        raise ConfigError(f"TLS files cannot be loaded: {exc}") from exc
    return context
