"""Metadata: what the agent knows about itself in, a JSON line or log fields out.

The line is no event: it has no ``process_...`` member and its own ``event`` key. It is
``agent_init`` at start, ``agent_status`` where it is repeated, ``agent_shutdown`` at the end; the
last two carry the books, so that a receiver can tell what it should have got.

Owns    nothing.
"""

import os
import platform
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from tetragon.model.duration import format_duration
from tetragon.model.ledger import Ledger

INIT: Final = "agent_init"
STATUS: Final = "agent_status"
SHUTDOWN: Final = "agent_shutdown"

SECOND: Final = 1_000_000_000

Fields = dict[str, str | int]
Books = dict[str, dict[str, int | dict[str, int]]]


class AgentInfo(NamedTuple):
    """
    What the agent says about itself.

    Args:
        started: Unix ns.
        udp_destination: ``host:port`` as configured, ``disabled`` without UDP output.
        udp_buffer_size: as configured.
    """

    version: str
    build_commit: str
    build_date: str
    hostname: str
    kernel_version: str
    pid: int
    started: int
    udp_destination: str = "disabled"
    udp_buffer_size: int = 0


def describe_agent(
    started: int,
    version: str,
    *,
    build_commit: str = "",
    build_date: str = "",
    udp_destination: str = "disabled",
    udp_buffer_size: int = 0,
) -> AgentInfo:
    """Collect what the system knows of this process; ``unknown`` where it does not say."""
    return AgentInfo(
        version,
        build_commit,
        build_date,
        socket.gethostname() or "unknown",
        platform.release() or "unknown",
        os.getpid(),
        started,
        udp_destination,
        udp_buffer_size,
    )


def fields(info: AgentInfo, event: str, now: int, fraction: bool = True) -> Fields:
    """
    Return the keys of a metadata line in their order; the agent logs the same ones.

    Args:
        event: one of ``INIT``, ``STATUS``, ``SHUTDOWN``.
        now: Unix ns.
        fraction: give the time with nanoseconds.
    """
    seconds, rest = divmod(now, SECOND)
    date = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    part = f".{rest:09}".rstrip("0").rstrip(".") if fraction else ""
    running = format_duration(max(now - info.started, 0))
    result: Fields = {
        "@timestamp": f"{date}{part}Z",
        "event": event,
        "tetragon_version": info.version,
        "build_commit": info.build_commit,
        "build_date": info.build_date,
        "hostname": info.hostname,
        "os": "linux",
        "kernel_version": info.kernel_version,
        "pid": info.pid,
        "udp_destination": info.udp_destination,
        "udp_buffer_size": info.udp_buffer_size,
        "uptime": "initialized at 0" if event == INIT else running,
    }
    return {
        key: value
        for key, value in result.items()
        if value or key not in ("build_commit", "build_date")
    }


def shutdown_fields(info: AgentInfo, now: int) -> Fields:
    """Return what the agent logs as its last words."""
    said = fields(info, SHUTDOWN, now, fraction=False)
    keys = ("@timestamp", "event", "hostname", "tetragon_version", "uptime")
    return {key: said[key] for key in keys} | {"logs_flushed": "completed"}


def books(ledgers: Iterable[Ledger]) -> Books:
    """Return the totals of every stage by its name, stages of one name added up."""
    result: Books = {}
    for ledger in ledgers:
        reasons: dict[str, int] = {}
        for loss, count in ledger.lost.copy().items():
            reasons[loss.reason] = reasons.get(loss.reason, 0) + count
        entry: dict[str, int | dict[str, int]] = {
            "produced": ledger.produced,
            "delivered": ledger.delivered,
            "filtered": ledger.filtered,
            "merged": ledger.merged,
            "lost": sum(reasons.values()),
            "reasons": reasons,
        }
        result[ledger.stage] = _added(result.get(ledger.stage, {}), entry)
    return result


def line(said: Mapping[str, str | int], totals: Books | None, limit: int) -> bytes:
    """
    Return the metadata line with its newline, at most ``limit`` bytes long.

    Args:
        said: what ``fields`` returned.
        totals: what ``books`` returned; too long, it loses its reasons, then goes altogether.
    """
    parts: list[Mapping[str, object]] = []
    if totals:
        brief = {
            stage: {key: number for key, number in entry.items() if key != "reasons"}
            for stage, entry in totals.items()
        }
        parts = [{"ledger": totals}, {"ledger": brief}]
    parts.append({})
    for part in parts:
        text = msgspec.json.encode({**said, **part}) + b"\n"
        if len(text) <= limit:
            return text
    return msgspec.json.encode({"event": said["event"], "pid": said["pid"]}) + b"\n"


def _added(
    old: Mapping[str, int | dict[str, int]], new: dict[str, int | dict[str, int]]
) -> dict[str, int | dict[str, int]]:
    for key, value in old.items():
        mine = new[key]
        if isinstance(value, int) and isinstance(mine, int):
            new[key] = value + mine
        elif isinstance(value, dict) and isinstance(mine, dict):
            for reason, count in value.items():
                mine[reason] = mine.get(reason, 0) + count
    return new
