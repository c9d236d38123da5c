"""Options of the process cache, and the counters it keeps."""

from collections.abc import Callable

import msgspec

Environment = tuple[tuple[str, str], ...]
"""Environment variables: (name, value) of each."""


class Options(msgspec.Struct, frozen=True):
    """
    What the cache puts into processes and events.

    Args:
        node_name: part of every exec_id.
        size: the most processes kept.
        ancestors: give exec and exit events the chain above the parent.
        credentials, namespaces: show them in events.
        retries: how many ticks an event waits for its process or parent.
        redact: (binary, arguments) -> arguments as shown.
        redact_environment: (binary, pairs) -> pairs as shown.
        user_name: uid -> account name or None, for processes in the host's namespaces.
        environment_names: the environment variables shown; empty for all.
        keep: False keeps no process: events carry their own alone, and an exit only its pid.
    """

    node_name: str
    size: int = 65536
    ancestors: bool = False
    credentials: bool = False
    namespaces: bool = False
    retries: int = 15
    redact: Callable[[str, str], str] | None = None
    redact_environment: Callable[[str, Environment], Environment] | None = None
    user_name: Callable[[int], str | None] | None = None
    environment_names: frozenset[str] = frozenset()
    keep: bool = True


class Stats(msgspec.Struct):
    """
    What the cache holds and what happened in it; all but the first five only grow.

    Args:
        size, capacity, ended: processes now, at most, and those that await collection.
        waiting: events parked now.
        long_texts: characters of long arguments and environments now.
        deletions: processes removed after they ended.
        evictions: processes removed alive, for room.
        misses_get, misses_remove: processes looked for in vain: of an exit, of a replaced image.
        early_deletions: ends of processes that had ended already.
        shortened: processes whose long texts were cut for room.
        parked, resolved: events that waited, and those that then found what was missing.
        retries: ticks that found it still missing, by ``process_info`` or ``parent_info``.
        gave_up: events delivered without it, by (event type, what was missing).
    """

    size: int = 0
    capacity: int = 0
    ended: int = 0
    waiting: int = 0
    long_texts: int = 0
    deletions: int = 0
    evictions: int = 0
    misses_get: int = 0
    misses_remove: int = 0
    early_deletions: int = 0
    shortened: int = 0
    parked: int = 0
    resolved: int = 0
    retries: dict[str, int] = {}
    gave_up: dict[tuple[str, str], int] = {}
