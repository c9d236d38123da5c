"""Syslog: a JSON line in, an RFC 5424 message out.

A message reads ``<134>1 2024-01-31T12:00:00.000001Z node tetragon 4711 process_exec - {...}``:
facility local0; severity informational for events, notice for what the agent says about itself;
HOSTNAME is the node's name, PROCID the agent's pid, MSGID the kind of event; no structured data.
The message is UTF-8 JSON without a byte order mark and without a newline.

Owns    nothing but the parts of the header that never change.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from tetragon.model.event import TYPES, Event

FACILITY: Final = 16
"""local0"""
_NOTICE: Final = 5
_INFORMATIONAL: Final = 6
_NOT_PRINTABLE: Final = re.compile(r"[^\x21-\x7e]")


class SyslogFrame:
    """
    Puts lines into messages.

    Args:
        hostname: HOSTNAME; characters that it must not have become ``_``.
        pid: PROCID.
    """

    def __init__(self, hostname: str, pid: int) -> None:
        host = _NOT_PRINTABLE.sub("_", hostname)[:255] or "-"
        self._middle = f"Z {host} tetragon {pid} "
        self._kinds = {kind: f"{number.name.lower()} - " for kind, number in TYPES.items()}

    @property
    def overhead(self) -> int:
        """Most bytes a header takes, less the newline that the message does not have."""
        kinds = max(map(len, self._kinds.values()))
        return len("<134>1 2024-01-31T12:00:00.000001") + len(self._middle) + kinds - 1

    def event(self, event: Event, line: bytes) -> bytes:
        """Return the message of an event."""
        kind = self._kinds[event.__class__]
        return self._head(_INFORMATIONAL, event.time, kind) + line[:-1]

    def notice(self, kind: str, time: int, line: bytes) -> bytes:
        """Return the message of a line that is about the agent."""
        return self._head(_NOTICE, time, f"{kind} - ") + line[:-1]

    def _head(self, severity: int, time: int, kind: str) -> bytes:
        seconds, rest = divmod(time, 1_000_000_000)
        stamp = f"{_date(seconds)}.{rest // 1000:06}"
        return f"<{FACILITY * 8 + severity}>1 {stamp}{self._middle}{kind}".encode()


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
