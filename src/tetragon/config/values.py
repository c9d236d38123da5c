"""Kinds of option values: the text a person wrote in, a typed value out, and back for display.

Sizes      ``N`` with an optional K, M, G or T (any case), then an optional ``i``, ``B`` or both;
           all are 1024 based: 64K = 64Ki = 64KB = 64KiB = 65536.
Durations  Go's syntax, ``1h2m3s``, ``1.5s``, ``500ms``, or a plain ``0``; int nanoseconds.
Booleans   Go's words: 1 t T true True TRUE, 0 f F false False FALSE.
Lists      items between commas or line ends; names also between blanks. Empty items are dropped.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple, cast

from tetragon.model.duration import format_duration, parse_duration
from tetragon.model.settings import SECOND, CgroupRate


class Kind(NamedTuple):
    """
    One kind of value.

    Args:
        word: placeholder in help texts, such as ``size``; empty for on/off switches.
        parse: text to value; a ValueError says what is wrong with the text.
        show: value to the shortest text that parses to it.
        accepted: what to write, ending the error a user sees.
        many: a list: repeating the flag adds to it.
        blank: an empty text is a value of its own; otherwise it means the default.
    """

    word: str
    parse: Callable[[str], object]
    show: Callable[[object], str]
    accepted: str
    many: bool = False
    blank: bool = False


# --- on/off, text, choices -----------------------------------------------------------------

_TRUE: Final = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_FALSE: Final = frozenset(("0", "f", "F", "false", "False", "FALSE"))


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("is neither true nor false")


def _show_boolean(value: object) -> str:
    return "true" if value else "false"


SWITCH: Final = Kind("", _boolean, _show_boolean, "true or false (also 1, 0, t, f)")


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character in it")
    return text


def text(word: str = "text") -> Kind:
    """Build the kind of any text, shown as ``word`` in help."""
    return Kind(word, _text, str, "any text", blank=True)


def _absolute(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("is not an absolute path")
    return _text(text)


def absolute(word: str = "path") -> Kind:
    """Build the kind of a path that must begin with a slash."""
    return Kind(word, _absolute, str, "a path that begins with /", blank=True)


def choice(members: type[StrEnum], aliases: tuple[tuple[str, str], ...] = ()) -> Kind:
    """Build the kind of one of ``members``; ``aliases`` are other spellings of some of them."""
    names = [member.value for member in members]

    def parse(text: str) -> object:
        name = dict(aliases).get(text.lower(), text.lower())
        if name not in names:
            raise ValueError("is not one of the choices")
        return members(name)

    return Kind("|".join(names), parse, str, "one of " + ", ".join(names))


# --- numbers, sizes, spans of time ------------------------------------------------------------


def _bounds(least: int | None, most: int | None, show: Callable[[object], str]) -> str:
    if least is not None and most is not None:
        return f", from {show(least)} to {show(most)}"
    if least is not None:
        return f", {show(least)} or more"
    return "" if most is None else f", {show(most)} or less"


def _within(value: int, least: int | None, most: int | None) -> int:
    if least is not None and value < least:
        raise ValueError("is too small")
    if value > (_INT64 if most is None else most) or value < -_INT64:
        raise ValueError("is too large")
    return value


_INT64: Final = 2**63 - 1
# Patterns stay text: `re` compiles and keeps them at first use, so an import costs nothing.
_WHOLE: Final = r"[+-]?[0-9]{1,30}"


def _whole(text: str) -> int:
    if not re.fullmatch(_WHOLE, text):
        raise ValueError("is not a whole number")
    return int(text)


def whole(least: int | None = None, most: int | None = None) -> Kind:
    """Build the kind of a whole number within bounds, both included."""

    def parse(text: str) -> int:
        return _within(_whole(text), least, most)

    return Kind("number", parse, str, "a whole number" + _bounds(least, most, str))


def _nonzero(text: str) -> int:
    if _whole(text) == 0:
        raise ValueError("would never connect")
    return _within(_whole(text), None, None)


NONZERO: Final = Kind(
    "number", _nonzero, str, "a whole number: attempts, or a negative one for without end"
)

_SIZE: Final = r"([+-]?[0-9]{1,30}) ?(?:([kmgt])(?:ib?|b)?|b)?"
_SHIFTS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def _size(text: str) -> int:
    match = re.fullmatch(_SIZE, text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise ValueError("is not a size")
    return int(match[1]) << _SHIFTS[(match[2] or "").lower()]


def show_size(value: object) -> str:
    """Write a size with the largest suffix that divides it."""
    number = value if isinstance(value, int) else 0
    for suffix in ("t", "g", "m", "k"):
        if number and number % (1 << _SHIFTS[suffix]) == 0:
            return f"{number >> _SHIFTS[suffix]}{suffix.upper()}"
    return str(number)


def size(least: int | None = 0, most: int | None = None, zero: bool = False) -> Kind:
    """Build the kind of a size in bytes (or entries); ``zero`` also accepts 0 below ``least``."""

    def parse(text: str) -> int:
        value = _size(text)
        return 0 if zero and value == 0 else _within(value, least, most)

    also = ", or 0" if zero else ""
    accepted = "a size such as 65536, 64K, 1M or 1GiB" + _bounds(least, most, show_size) + also
    return Kind("size", parse, show_size, accepted)


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError("is not a duration") from None


def _show_duration(value: object) -> str:
    return format_duration(value) if isinstance(value, int) else ""


def duration(least: int = 0) -> Kind:
    """Build the kind of a span of time of at least ``least`` nanoseconds."""

    def parse(text: str) -> int:
        return _within(_duration(text), least, None)

    bound = "0 or more" if least == 0 else "more than 0"
    accepted = f"a duration such as 500ms, 15s or 1h2m3s, {bound}"
    return Kind("duration", parse, _show_duration, accepted)


def _seconds(text: str) -> int:
    if re.fullmatch(_WHOLE, text):
        return _within(int(text) * SECOND, SECOND, None)
    return _within(_duration(text), 1, None)


def _show_seconds(value: object) -> str:
    number = value if isinstance(value, int) else 0
    return format_duration(number) if number % SECOND else str(number // SECOND)


SECONDS: Final = Kind(
    "seconds", _seconds, _show_seconds, "seconds, 1 or more, or a duration such as 500ms"
)


def _rate(text: str) -> CgroupRate | None:
    if not text:
        return None
    events, comma, interval = text.partition(",")
    if not comma:
        raise ValueError("lacks its comma")
    count = _within(_whole(events.strip()), 1, None)
    return CgroupRate(count, _within(_duration(interval.strip()), 1, None))


def _show_rate(value: object) -> str:
    if not isinstance(value, CgroupRate):
        return ""
    return f"{value.events},{format_duration(value.interval)}"


RATE: Final = Kind(
    "events,interval", _rate, _show_rate, "events and interval such as 1000,1s", blank=True
)


def _mode(text: str) -> int:
    if not re.fullmatch(r"(0o)?[0-7]{1,6}", text):
        raise ValueError("is not an octal file mode")
    return 0o600 | (int(text.removeprefix("0o"), 8) & 0o664)


def _show_mode(value: object) -> str:
    return f"{value:o}" if isinstance(value, int) else ""


MODE: Final = Kind("mode", _mode, _show_mode, "an octal file mode such as 600 or 640")
"""The owner can always read and write; nobody executes; others never write."""


# --- addresses --------------------------------------------------------------------------------


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None and int(text) <= 65535


def _tcp(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("has no port")
    if not set(host).isdisjoint(" \t\r\n/,\0"):
        raise ValueError("has a character no host name has")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("has an IPv6 address that is not in [ ]")
    if not _is_port(port):
        raise ValueError("has a port that is not a number from 0 to 65535")
    return text


def _listen_tcp(text: str) -> str:
    return _tcp(text) if text else ""


def _listen(text: str) -> str:
    path = text.removeprefix("unix://")
    if path == text and not text.startswith("/"):
        return _listen_tcp(text)
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError("is not the absolute path of a socket")
    return text


LISTEN: Final = Kind(
    "address",
    _listen,
    str,
    "host:port, [IPv6]:port, unix:///path or /path, empty for off",
    blank=True,
)
TCP: Final = Kind(
    "address",
    _listen_tcp,
    str,
    "host:port, :port or [IPv6]:port, empty for off",
    blank=True,
)


def _host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare or not set(bare).isdisjoint(" \t\r\n/,[]\0"):
        raise ValueError("is not a host name or IP address")
    if bare.count(":") == 1:
        raise ValueError("has a port, which belongs in --udp-output-port")
    return text


def _port(text: str) -> int:
    if not _is_port(text) or int(text) == 0:
        raise ValueError("is not a port")
    return int(text)


HOST: Final = Kind("host", _host, str, "a host name, an IPv4 or an IPv6 address (bare or in [ ])")
PORT: Final = Kind("port", _port, str, "a port from 1 to 65535")


# --- lists -----------------------------------------------------------------------------------


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _paths(text: str) -> tuple[str, ...]:
    items = (item.strip() for item in text.replace("\n", ",").split(","))
    return tuple(item for item in items if item)


def _show_list(value: object) -> str:
    return ",".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else ""


NAMES: Final = Kind("names", _names, _show_list, "names with commas between", many=True, blank=True)
PATHS: Final = Kind("paths", _paths, _show_list, "paths with commas between", many=True, blank=True)
