"""Filters as plain values: which events pass, which of their fields, and what is blacked out.

The field names and meanings are the public API's (docs/filters.md). None means "not given"; an
empty tuple, which no text or message can carry, matches nothing.
"""

from enum import IntEnum

import msgspec


class CapFilterSet(msgspec.Struct, frozen=True, kw_only=True):
    """One capability set against the process's: exactly one of the four may be given."""

    any: tuple[int, ...] | None = None
    all: tuple[int, ...] | None = None
    exactly: tuple[int, ...] | None = None
    none: tuple[int, ...] | None = None


class CapFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Tests of the three capability sets of a process; all that are given must hold."""

    permitted: CapFilterSet | None = None
    effective: CapFilterSet | None = None
    inheritable: CapFilterSet | None = None


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """
    One filter: every field given must match, a list by any of its values.

    ``event_set`` and capabilities are numbers of the API's enums; ones it does not know match
    nothing. ``container_id`` is a regular expression, as the API has it.
    """

    binary_regex: tuple[str, ...] | None = None
    namespace: tuple[str, ...] | None = None
    health_check: bool | None = None
    pid: tuple[int, ...] | None = None
    pid_set: tuple[int, ...] | None = None
    event_set: tuple[int, ...] | None = None
    pod_regex: tuple[str, ...] | None = None
    arguments_regex: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    policy_names: tuple[str, ...] | None = None
    capabilities: CapFilter | None = None
    parent_binary_regex: tuple[str, ...] | None = None
    cel_expression: tuple[str, ...] | None = None
    parent_arguments_regex: tuple[str, ...] | None = None
    container_id: tuple[str, ...] | None = None
    in_init_tree: bool | None = None
    ancestor_binary_regex: tuple[str, ...] | None = None
    container_name_regex: tuple[str, ...] | None = None
    namespace_regex: tuple[str, ...] | None = None


class FieldAction(IntEnum):
    """What a field filter does with the fields it names."""

    INCLUDE = 0
    EXCLUDE = 1


class FieldFilter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which fields of an event leave.

    Args:
        fields: paths below the event's own message, such as ``process.exec_id``.
        action: a FieldAction; other numbers are refused when compiled.
        event_set: kinds it is for; empty for all.
        invert_event_set: it is for all kinds but those.
    """

    fields: tuple[str, ...] = ()
    action: int = FieldAction.INCLUDE
    event_set: tuple[int, ...] = ()
    invert_event_set: bool = False


class RedactionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Expressions whose groups are blacked out, for binaries that ``binary_regex`` matches."""

    redact: tuple[str, ...] = ()
    binary_regex: tuple[str, ...] = ()


class AggregationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long alike events are gathered (ns), and how many may wait for the gatherer."""

    window_size: int = 15_000_000_000
    channel_buffer_size: int = 0


class FilterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the agent provides, so that a filter on what it does not is refused.

    Args:
        process_cred: events carry capabilities (``--enable-process-cred``).
        ancestors: kinds whose events carry ancestors (``--enable-ancestors``), as API numbers.
        pid_set_budget: most descendants one ``pid_set`` remembers.
    """

    process_cred: bool = False
    ancestors: frozenset[int] = frozenset()
    pid_set_budget: int = 32_768
