"""Text in plain Python: the reference of the C functions in _fast.c, and for where C was not built.

Both have one test suite. Use them through ``tetragon.model.text``.
"""

import re
import time
from binascii import b2a_base64
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final

JsonValue = str | bool | int | bytes | None
_INVALID: Final = re.compile("[\udc80-\udcff]+")
_YEAR_MAX: Final = 9999


def clean(raw: bytes) -> str:
    """Return bytes as text; each run of bytes that is not UTF-8 becomes one U+FFFD."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _INVALID.sub("\ufffd", raw.decode(errors="surrogateescape"))


def join_arguments(args: bytes, trim: bool = True) -> str:
    """
    Return argv without its first argument, as one text; docs/outputs.md tells how.

    Args:
        args: the arguments, a NUL behind each.
        trim: leave out empty arguments at the end.
    """
    first = args.find(0)
    rest = args[first + 1 :] if first >= 0 else b""
    rest = rest.rstrip(b"\0") if trim else rest.removesuffix(b"\0")
    if b" " not in rest:
        return clean(rest.lstrip(b"\0").replace(b"\0", b" "))
    parts: list[bytes] = []
    for token in rest.split(b"\0"):
        if b" " in token:
            parts += (b' "', token, b'"')
        elif parts:
            parts += (b" ", token)
        elif token:
            parts.append(token)
    return clean(b"".join(parts))


def exec_id(node_name: str, ktime: int, pid: int) -> str:
    """Return the id of an exec: base64 of ``node:ktime:pid``; both numbers are unsigned."""
    return b2a_base64(f"{node_name}:{ktime}:{pid}".encode(), newline=False).decode()


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    try:
        at = time.gmtime(seconds)
    except (OverflowError, OSError) as exc:
        raise ValueError(f"no time of day: {seconds} s") from exc
    if not 0 <= at.tm_year <= _YEAR_MAX:
        raise ValueError(f"year {at.tm_year} has no RFC 3339 form")
    return (
        f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}"
        f"T{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    )


def timestamp(unix_ns: int) -> str:
    """
    Return RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second, as protojson prints it.

    Raises:
        ValueError: not in the years 0 to 9999.
    """
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    if ns % 1000:
        return f"{_second(seconds)}.{ns:09d}Z"
    if ns % 1_000_000:
        return f"{_second(seconds)}.{ns // 1000:06d}Z"
    if ns:
        return f"{_second(seconds)}.{ns // 1_000_000:03d}Z"
    return f"{_second(seconds)}Z"


def join_line(*parts: bytes | int) -> bytes:
    """
    Return up to 16 parts in one; a number is a time, Unix ns, and becomes RFC 3339.

    Raises:
        ValueError: a time is not in the years 0 to 9999.
    """
    return b"".join(timestamp(part).encode() if isinstance(part, int) else part for part in parts)


def json_object(keys: tuple[bytes, ...], *values: JsonValue) -> bytes:
    """
    Return a JSON object without white space: ``keys`` and their values, in this order.

    A member whose value is None or an empty str is left out.

    Args:
        keys: each in quotes, with its colon: ``b'"pid":'``; at most 48.
        values: str; bool; int, up to 64 bits; bytes, which are JSON already.

    Raises:
        UnicodeEncodeError: a str has no UTF-8 form.
    """
    parts = [
        key + _json_value(value)
        for key, value in zip(keys, values, strict=True)
        if value is not None and value != ""
    ]
    return b"{%b}" % b",".join(parts)


def _json_value(value: str | bool | int | bytes) -> bytes:
    if isinstance(value, str):
        return encode_basestring(value).encode()
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return b"%d" % value if isinstance(value, int) else value
