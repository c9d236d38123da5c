"""Wire: gRPC's own bytes around HTTP/2: length-prefixed messages, status words, timeouts.

Both ends use it. Pure: no socket, no clock.

Source  https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final
from urllib.parse import quote, unquote

from tetragon.errors import RpcError

CONTENT_TYPE: Final = "application/grpc"
PREFIX: Final = Struct(">BI")
"""Before each message: compressed (0 or 1), length."""

Headers = list[tuple[str, str]]


class Code(IntEnum):
    """The status codes of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


def enclose(message: bytes) -> bytes:
    """Return a message behind its prefix, uncompressed."""
    return PREFIX.pack(0, len(message)) + message


class Unwrapper:
    """
    Cuts a flow of bytes into messages.

    Args:
        limit: most bytes one message may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._pending)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the flow."""
        self._pending += data

    def messages(self) -> Iterator[bytes]:
        """
        Yield the messages that are complete.

        Raises:
            RpcError: a message is compressed or larger than the limit.
        """
        pending, at, end = self._pending, 0, len(self._pending)
        try:
            while end - at >= 5:
                compressed, size = PREFIX.unpack_from(pending, at)
                self._check(compressed, size)
                if end - at - 5 < size:
                    break
                at += 5 + size
                yield bytes(pending[at - size : at])
        finally:
            del pending[:at]

    def _check(self, compressed: int, size: int) -> None:
        if compressed:
            raise RpcError(Code.UNIMPLEMENTED, "message is compressed, which is not supported")
        if size > self._limit:
            text = f"received message larger than max ({size} vs. {self._limit})"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text)


def trailers(code: int, text: str) -> Headers:
    """Return the headers that end a call."""
    ending = [("grpc-status", str(int(code)))]
    if text:
        ending.append(("grpc-message", quote(text, safe=_MESSAGE_SAFE)))
    return ending


_MESSAGE_SAFE: Final = "".join(chr(n) for n in range(0x20, 0x7F) if n != 0x25)


def status(headers: dict[str, str]) -> RpcError | None:
    """Return the error in the headers that ended a call, None when it went well."""
    try:
        code = int(headers["grpc-status"])
    except (KeyError, ValueError):
        return http_status(headers.get(":status", "200"))
    return RpcError(code, unquote(headers.get("grpc-message", ""))) if code else None


def http_status(word: str) -> RpcError:
    """Return the error of a call that was answered without a gRPC status."""
    if word == "200":
        return RpcError(Code.UNKNOWN, "server closed the stream without sending trailers")
    code = _HTTP_CODES.get(word, Code.UNKNOWN)
    return RpcError(code, f"unexpected HTTP status code received from server: {word}")


_HTTP_CODES: Final = {
    "400": Code.INTERNAL,
    "401": Code.UNAUTHENTICATED,
    "403": Code.PERMISSION_DENIED,
    "404": Code.UNIMPLEMENTED,
    "429": Code.UNAVAILABLE,
    "502": Code.UNAVAILABLE,
    "503": Code.UNAVAILABLE,
    "504": Code.UNAVAILABLE,
}

RESET_CODES: Final = {
    0: Code.INTERNAL,
    7: Code.UNAVAILABLE,
    8: Code.CANCELLED,
    11: Code.RESOURCE_EXHAUSTED,
    12: Code.PERMISSION_DENIED,
}
"""What the HTTP/2 error code of a reset stream means for its call; others are INTERNAL."""


def format_timeout(seconds: float) -> str:
    """Return a ``grpc-timeout`` header: at most eight digits and a unit."""
    micros = max(int(seconds * 1_000_000), 1)
    for unit, size in (("u", 1), ("m", 1000), ("S", 1_000_000), ("M", 60_000_000)):
        if micros // size < 100_000_000:
            return f"{micros // size}{unit}"
    return f"{min(micros // 3_600_000_000, 99_999_999)}H"


def parse_timeout(word: str) -> float | None:
    """Return the seconds of a ``grpc-timeout`` header, None when it makes no sense."""
    match = re.fullmatch(r"([0-9]{1,8})([HMSmun])", word, re.ASCII)
    return int(match[1]) * _UNITS[match[2]] if match else None


_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
