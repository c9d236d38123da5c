"""Collect: counters of the agent's parts in, Prometheus metric families out.

Flow    scrape -> [AgentCollector, EventCollector] -> Sources, EventCounter
Owns    nothing: every scrape reads anew. Names and labels are upstream's: docs/metrics.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tetragon.abi.records import EventOp
from tetragon.metrics.events import EventCounter, Labels
from tetragon.metrics.sources import Exported, Sources, exported
from tetragon.model.ledger import Ledger
from tetragon.process.options import Stats

RECORDS: Final = "records"
"""Stage of the books of records read from the rings."""

Values = Mapping[tuple[str, ...], float]
"""Numbers by label values; by () where there is no label."""

_OPS: Final = {op.name.lower(): str(op.value) for op in EventOp}
_RING_FULL: Final = "EAGAIN"
"""What upstream calls a full ring: the error the kernel gives then."""


def counter(name: str, text: str, values: Values, *labels: str) -> Metric:
    """Return a counter."""
    family = CounterMetricFamily(f"tetragon_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauge(name: str, text: str, values: Values, *labels: str) -> Metric:
    """Return a gauge."""
    family = GaugeMetricFamily(f"tetragon_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


class AgentCollector(Collector):
    """Health of the agent: build, rings, caches, outputs, books."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """Read everything once."""
        sources = self._sources
        books = merged(sources.ledgers())
        cache = sources.cache()
        yield _build_info(sources)
        records = books.get(RECORDS, Ledger(RECORDS))
        yield from _rings(sources.kernel(), records.produced)
        yield from _handler_errors(records)
        yield from _process_cache(cache)
        yield from _event_cache(cache)
        yield from _exports(exported(sources.sinks()))
        yield counter(
            "notify_overflowed_events", "Events a full queue dropped.", {(): _overflowed(books)}
        )
        yield from _ledger(books.values())


class EventCollector(Collector):
    """
    What passed as events.

    Args:
        all_events: count every event by its labels, rather than flags alone.
    """

    def __init__(self, events: EventCounter, all_events: bool) -> None:
        self._events = events
        self._all_events = all_events

    def collect(self) -> Iterable[Metric]:
        """Read the counts once."""
        flags: Values = {(flag,): count for flag, count in self._events.flags().items()}
        yield counter("flags", "Flags seen on exec events.", flags, "type")
        if self._all_events:
            series: Values = {(*labels,): n for labels, n in self._events.series().items()}
            yield counter("events", "Events by type and process.", series, *Labels._fields)
            yield counter(
                "events_missing_process_info",
                "Events of a process nothing is known of.",
                {(): self._events.without_process},
            )


def merged(ledgers: Iterable[Ledger]) -> dict[str, Ledger]:
    """Return a copy of the books by stage, those of one name added up."""
    result: dict[str, Ledger] = {}
    for ledger in ledgers:
        total = result.setdefault(ledger.stage, Ledger(ledger.stage))
        # Produced is counted first and so read last: nothing seems gone that is not.
        for loss, count in ledger.lost.copy().items():
            total.lose(*loss, count=count)
        total.merged += ledger.merged
        total.filtered += ledger.filtered
        total.delivered += ledger.delivered
        total.produced += ledger.produced
    return result


def _build_info(sources: Sources) -> Metric:
    build = sources.build
    values = (sources.version, build.runtime, build.commit, build.time, build.modified)
    labels = ("version", "go_version", "commit", "time", "modified")
    return gauge("build_info", "How this agent was built; always 1.", {values: 1}, *labels)


def _rings(kernel: Mapping[tuple[str, str], int], read: int) -> Iterator[Metric]:
    full = {op: number for (op, what), number in kernel.items() if what == "ring_full"}
    received: Values = {
        (_OPS[op],): number - full.get(op, 0)
        for (op, what), number in kernel.items()
        if what == "produced" and op in _OPS
    }
    missed: Values = {(number, _RING_FULL): full.get(op, 0) for op, number in _OPS.items()}
    fallbacks: Values = {
        (*key,): number for key, number in kernel.items() if key[1] not in ("produced", "ring_full")
    }
    lost: Values = {(): sum(full.values())}
    yield counter("msg_op", "Records that went into a ring, by operation.", received, "msg_op")
    yield counter(
        "bpf_missed_events", "Records the kernel half could not send.", missed, "msg_op", "error"
    )
    yield counter("observer_ringbuf_events_received", "Records read from the rings.", {(): read})
    yield counter("observer_ringbuf_events_lost", "Records that found their ring full.", lost)
    yield counter(
        "bpf_fallbacks", "Times the kernel half had to do with less.", fallbacks, "op", "reason"
    )


def _handler_errors(records: Ledger) -> Iterator[Metric]:
    values: dict[tuple[str, ...], float] = {
        (number, "event_handler_failed"): 0 for number in _OPS.values()
    }
    for loss, count in records.lost.items():
        if loss.reason == "decode_error":
            values[_handler_error(loss.op)] = count
    yield counter("handler_errors", "Records not decoded.", values, "opcode", "error")


def _handler_error(op: str) -> tuple[str, str]:
    """Return opcode and error of a record not decoded; ``op`` is its name, its number, or none."""
    if op in _OPS:
        return _OPS[op], "event_handler_failed"
    return (op, "unknown_opcode") if op.isdigit() else ("0", "perf_empty_data")


def _process_cache(stats: Stats) -> Iterator[Metric]:
    misses: Values = {("get",): stats.misses_get, ("remove",): stats.misses_remove}
    yield gauge("process_cache_size", "Processes kept.", {(): stats.size})
    yield gauge("process_cache_capacity", "The most processes kept.", {(): stats.capacity})
    yield gauge("process_cache_ended", "Those kept for late events only.", {(): stats.ended})
    yield gauge(
        "process_cache_long_text_characters",
        "Characters of long arguments and environments kept.",
        {(): stats.long_texts},
    )
    yield counter(
        "process_cache_shortened", "Processes whose long texts were cut.", {(): stats.shortened}
    )
    yield counter("process_cache_evictions", "Live processes dropped.", {(): stats.evictions})
    yield counter("process_cache_misses", "Processes looked for in vain.", misses, "operation")
    yield counter(
        "process_cache_early_deletions",
        "Ends of processes that had ended already.",
        {(): stats.early_deletions},
    )


def _event_cache(stats: Stats) -> Iterator[Metric]:
    retries: Values = {(entry,): count for entry, count in stats.retries.items()}
    failures: Values = {(kind, entry): count for (kind, entry), count in stats.gave_up.items()}
    yield gauge(
        "event_cache_entries", "Events waiting for their process or parent.", {(): stats.waiting}
    )
    yield counter("event_cache_inserts", "Events that had to wait.", {(): stats.parked})
    yield counter(
        "event_cache_fetch_retries", "Looks for what was still missing.", retries, "entry_type"
    )
    yield counter(
        "event_cache_fetch_failures",
        "Events delivered without what was missing.",
        failures,
        "event_type",
        "entry_type",
    )


def _exports(outputs: list[Exported]) -> Iterator[Metric]:
    last = max((output.last_event_time for output in outputs), default=0)
    limited = sum(output.rate_limited for output in outputs)
    queued: Values = {(output.stage,): output.queued for output in outputs}
    sizes: Values = {(output.stage,): output.queued_size for output in outputs}
    yield counter(
        "events_exported", "Events exported.", {(): sum(output.events for output in outputs)}
    )
    yield counter(
        "events_exported_bytes", "Bytes exported.", {(): sum(output.size for output in outputs)}
    )
    yield gauge(
        "events_last_exported_timestamp",
        "Unix time of the last exported event.",
        {(): last // 1_000_000_000},
    )
    yield counter(
        "export_ratelimit_events_dropped", "Events dropped by the rate limit.", {(): limited}
    )
    yield gauge("output_queue_events", "Events that wait in an output.", queued, "stage")
    yield gauge("output_queue_bytes", "Their bytes.", sizes, "stage")


def _overflowed(books: Mapping[str, Ledger]) -> int:
    return sum(
        count
        for ledger in books.values()
        for loss, count in ledger.lost.items()
        if loss.reason.endswith("_queue_full")
    )


def _ledger(books: Iterable[Ledger]) -> Iterator[Metric]:
    books = list(books)
    for name, text in (
        ("produced", "Events or records that came into a stage."),
        ("delivered", "Those it handed on."),
        ("filtered", "Those it was told to leave out."),
        ("merged", "Those aggregation made part of an equal one."),
    ):
        values: Values = {(ledger.stage,): getattr(ledger, name) for ledger in books}
        yield counter(f"ledger_{name}", text, values, "stage")
    lost: Values = {
        (ledger.stage, *loss): count for ledger in books for loss, count in ledger.lost.items()
    }
    yield counter("ledger_lost", "Those it lost.", lost, "stage", "reason", "op", "policy")
