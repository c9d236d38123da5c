"""CEL times: RFC 3339 texts, durations and calendar parts in, whole nanoseconds out, and back.

Times are ns since 1970 UTC, durations ns. Time zones are UTC or a fixed offset such as ``+02:00``:
named zones would need a data base read from disk.

Source  CEL specification, "Timestamps" and "Durations"
"""

import re
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = 1_000_000_000

_TIMESTAMP: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[-+]\d\d:\d\d)"
)
_DURATION: Final = re.compile(r"([-+]?)((?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|us|µs|ns|m|s))+")
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|us|µs|ns|m|s)")
_UNITS: Final = {
    "h": 3600 * SECOND,
    "m": 60 * SECOND,
    "s": SECOND,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = timegm((1, 1, 1, 0, 0, 0)) * SECOND
_LAST: Final = timegm((9999, 12, 31, 23, 59, 59)) * SECOND + SECOND - 1


def parse_timestamp(text: str) -> int:
    """Return the time an RFC 3339 text names; ValueError for any other text."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no RFC 3339 time')
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    nanos = int((match[7] or "").ljust(9, "0"))
    return check_time((timegm(moment.timetuple()) - zone_offset(match[8])) * SECOND + nanos)


def check_time(time: int) -> int:
    """Return ``time``; ValueError when it is not within the years 1 to 9999."""
    if not _FIRST <= time <= _LAST:
        raise ValueError("timestamp out of range")
    return time


def format_timestamp(time: int) -> str:
    """Return a time as RFC 3339 in UTC with as many digits as needed."""
    seconds, nanos = divmod(time, SECOND)
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}{fraction}Z".rjust(20, "0")


def parse_duration(text: str) -> int:
    """Return the duration a text such as ``1h30m`` or ``-1.5s`` names; else ValueError."""
    if text in ("0", "+0", "-0"):
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no duration')
    total = 0
    for number, unit in _PART.findall(text):
        whole, _, fraction = number.partition(".")
        scale = _UNITS[unit]
        total += int(whole or 0) * scale
        total += int(fraction or 0) * scale // 10 ** len(fraction)
    return -total if match[1] == "-" else total


def format_duration(duration: int) -> str:
    """Return a duration in seconds, such as ``1.5s``."""
    seconds, nanos = divmod(abs(duration), SECOND)
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    return f"{'-' if duration < 0 else ''}{seconds}{fraction}s"


def zone_offset(zone: str) -> int:
    """Return seconds east of UTC; ValueError for a zone that is no offset."""
    if zone in ("Z", "UTC", ""):
        return 0
    match = re.fullmatch(r"([-+]?)(\d\d):(\d\d)", zone)
    if match is None or int(match[3]) > 59:
        raise ValueError(f'time zone "{zone}" is neither UTC nor an offset such as +02:00')
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return -seconds if match[1] == "-" else seconds


def _calendar(part: Callable[[datetime], int]) -> Callable[..., int]:
    """Return what reads a part of a time in a zone, UTC when none is given."""

    def read(time: int, zone: str = "UTC") -> int:
        return part(_EPOCH + timedelta(seconds=time // SECOND + zone_offset(zone)))

    return read


def _milliseconds(time: int, zone: str = "UTC") -> int:
    zone_offset(zone)  # no zone changes them, but a bad one is an error
    return time // 1_000_000 % 1000


CALENDAR: Final[Mapping[str, Callable[..., int]]] = {
    "getFullYear": _calendar(lambda moment: moment.year),
    "getMonth": _calendar(lambda moment: moment.month - 1),
    "getDayOfMonth": _calendar(lambda moment: moment.day - 1),
    "getDate": _calendar(lambda moment: moment.day),
    "getDayOfWeek": _calendar(lambda moment: moment.isoweekday() % 7),
    "getDayOfYear": _calendar(lambda moment: moment.timetuple().tm_yday - 1),
    "getHours": _calendar(lambda moment: moment.hour),
    "getMinutes": _calendar(lambda moment: moment.minute),
    "getSeconds": _calendar(lambda moment: moment.second),
    "getMilliseconds": _milliseconds,
}
"""Parts of a time by function name."""


def _whole(unit: int) -> Callable[[int], int]:
    """Return what counts whole units in a duration, towards zero."""
    return lambda duration: abs(duration) // unit * (-1 if duration < 0 else 1)


def _milliseconds_of_span(duration: int) -> int:
    return _whole(1_000_000)(duration) % 1000


SPANS: Final[Mapping[str, Callable[[int], int]]] = {
    "getHours": _whole(3600 * SECOND),
    "getMinutes": _whole(60 * SECOND),
    "getSeconds": _whole(SECOND),
    "getMilliseconds": _milliseconds_of_span,
}
"""Whole units in a duration by function name."""
