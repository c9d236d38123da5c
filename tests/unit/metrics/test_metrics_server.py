"""MetricsServer: real scrapes, read by Prometheus' own parser, tell what the agent counted."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from metrics_support import bound, exec_event, exit_event, get
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tetragon.event.json import JsonEncoder
from tetragon.export.file import FileSink
from tetragon.export.limit import RateLimiter
from tetragon.export.stage import Front
from tetragon.export.udp import UdpSink
from tetragon.metrics.collect import merged
from tetragon.metrics.events import EventCounter
from tetragon.metrics.server import MetricsServer
from tetragon.metrics.sources import Sources
from tetragon.model.control import BuildInfo
from tetragon.model.ledger import Ledger
from tetragon.model.sink import Sink
from tetragon.process.cache import ProcessCache
from tetragon.process.options import Options, Stats

ALL = ("namespace", "workload", "pod", "binary", "node_name")
Samples = dict[str, float]


class Agent:
    """What the agent lets metrics read, in the test's hand."""

    def __init__(self) -> None:
        self.kernel: dict[tuple[str, str], int] = {}
        self.books: list[Ledger] = [Ledger("kernel"), Ledger("records")]
        self.stats = Stats()
        self.sinks: list[Sink] = []
        self.events = EventCounter(ALL, "n1")

    def sources(self) -> Sources:
        """Return the callables."""
        return Sources(
            "v1.2.3",
            BuildInfo("CPython 3.11.2", "abc", "now", "false"),
            lambda: [*self.books, *(sink.ledger for sink in self.sinks)],
            lambda: self.kernel,
            lambda: self.stats,
            lambda: self.sinks,
        )

    def server(self, all_events: bool = True) -> MetricsServer:
        """Return a server on a free port."""
        return MetricsServer(bound(), self.sources(), self.events, all_events)


@pytest.fixture
def agent() -> Agent:
    """An agent that has counted nothing yet."""
    return Agent()


@pytest.fixture
def scrape(agent: Agent) -> Iterator[Callable[[], Samples]]:
    """Scrape its metrics: values by ``name{label=value,...}``, without empty labels."""
    server = agent.server()
    server.start()
    yield lambda: samples(parse(get(server.address, "/metrics").body.decode()))
    server.stop()


def samples(families: Iterable[Metric]) -> Samples:
    """Return the values of families by name and labels."""
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()) if v)
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def grown(before: Samples, after: Samples) -> Samples:
    """Return what differs, of our own metrics."""
    return {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if value != before.get(name, 0) and name.startswith("tetragon_")
    }


def test_counters_move_when_events_pass(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """Exactly the series of those events, by exactly their number."""
    before = scrape()
    agent.events.write([exec_event("/bin/a"), exec_event("/bin/a"), exit_event("/bin/a")])
    assert grown(before, scrape()) == {
        "tetragon_events_total{binary=/bin/a,node_name=n1,type=PROCESS_EXEC}": 2,
        "tetragon_events_total{binary=/bin/a,node_name=n1,type=PROCESS_EXIT}": 1,
        "tetragon_flags_total{type=clone}": 2,
        "tetragon_flags_total{type=execve}": 2,
    }


def test_labels_of_any_bytes_arrive(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """Quotes, backslashes, newlines and a path that is no text."""
    binary = '/a "b\\n\n\u200b\ufffd'
    agent.events.write([exec_event(binary)])
    assert scrape()[f"tetragon_events_total{{binary={binary},node_name=n1,type=PROCESS_EXEC}}"] == 1


def test_event_metrics_can_be_off() -> None:
    """Flags and health remain."""
    agent = Agent()
    agent.events = EventCounter(None)
    server = agent.server(all_events=False)
    server.start()
    agent.events.write([exec_event()])
    found = samples(parse(get(server.address, "/metrics").body.decode()))
    server.stop()
    assert found["tetragon_flags_total{type=execve}"] == 1
    assert not [name for name in found if name.startswith("tetragon_events_total")]
    assert "tetragon_process_cache_size" in found


def test_ring_metrics_follow_the_kernel_half(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """By upstream's operation numbers and error names."""
    before = scrape()
    agent.kernel = {
        ("exec", "produced"): 10,
        ("exec", "ring_full"): 3,
        ("exit", "produced"): 4,
        ("exec", "heap_busy"): 2,
        ("fork", "storage_busy"): 9,
    }
    agent.books[0].lose("ring_full", "exec", count=3)
    agent.books[0].produced = 14
    agent.books[0].delivered = 11
    agent.books[1].produced = 11
    assert grown(before, scrape()) == {
        "tetragon_msg_op_total{msg_op=5}": 7,
        "tetragon_msg_op_total{msg_op=7}": 4,
        "tetragon_bpf_missed_events_total{error=EAGAIN,msg_op=5}": 3,
        "tetragon_bpf_fallbacks_total{op=exec,reason=heap_busy}": 2,
        "tetragon_bpf_fallbacks_total{op=fork,reason=storage_busy}": 9,
        "tetragon_observer_ringbuf_events_received_total": 11,
        "tetragon_observer_ringbuf_events_lost_total": 3,
        "tetragon_ledger_produced_total{stage=kernel}": 14,
        "tetragon_ledger_delivered_total{stage=kernel}": 11,
        "tetragon_ledger_produced_total{stage=records}": 11,
        "tetragon_ledger_lost_total{op=exec,reason=ring_full,stage=kernel}": 3,
    }


def test_undecodable_records_are_handler_errors(
    agent: Agent, scrape: Callable[[], Samples]
) -> None:
    """Of a known operation, of an unknown one, and of none at all."""
    for op in ("exec", "99", "none"):
        agent.books[1].lose("decode_error", op)
    agent.books[1].lose("exec_never_came", "data")
    found = {name: value for name, value in scrape().items() if "handler_errors" in name and value}
    assert found == {
        "tetragon_handler_errors_total{error=event_handler_failed,opcode=5}": 1,
        "tetragon_handler_errors_total{error=unknown_opcode,opcode=99}": 1,
        "tetragon_handler_errors_total{error=perf_empty_data,opcode=0}": 1,
    }


def test_caches_are_shown(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """Every counter of the process cache, under upstream's names."""
    before = scrape()
    failure = "entry_type=parent_info,event_type=PROCESS_EXEC"
    agent.stats = Stats(
        size=5,
        capacity=8,
        ended=2,
        waiting=1,
        long_texts=9000,
        evictions=3,
        misses_get=4,
        misses_remove=6,
        early_deletions=7,
        shortened=1,
        parked=11,
        retries={"parent_info": 12},
        gave_up={("PROCESS_EXEC", "parent_info"): 2},
    )
    assert grown(before, scrape()) == {
        "tetragon_process_cache_size": 5,
        "tetragon_process_cache_capacity": 8,
        "tetragon_process_cache_ended": 2,
        "tetragon_process_cache_long_text_characters": 9000,
        "tetragon_process_cache_shortened_total": 1,
        "tetragon_process_cache_evictions_total": 3,
        "tetragon_process_cache_misses_total{operation=get}": 4,
        "tetragon_process_cache_misses_total{operation=remove}": 6,
        "tetragon_process_cache_early_deletions_total": 7,
        "tetragon_event_cache_entries": 1,
        "tetragon_event_cache_inserts_total": 11,
        "tetragon_event_cache_fetch_retries_total{entry_type=parent_info}": 12,
        f"tetragon_event_cache_fetch_failures_total{{{failure}}}": 2,
    }


def test_a_real_cache_can_be_read(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """Its ``stats`` is what the agent hands over."""
    agent.stats = ProcessCache(Options("n1", size=123)).stats()
    assert scrape()["tetragon_process_cache_capacity"] == 123


def test_exports_are_shown(agent: Agent, scrape: Callable[[], Samples], tmp_path: Path) -> None:
    """What a file and a UDP output delivered, the file's bytes, and what their limits dropped."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    file = FileSink(str(tmp_path / "out"), front("file", limit=RateLimiter(2, 0)))
    udp = UdpSink(front("udp"), "127.0.0.1", receiver.getsockname()[1])
    agent.sinks = [file, udp]
    for sink in agent.sinks:
        sink.write([exec_event(), exec_event(), exit_event()])
        sink.close(5)
    receiver.close()
    found = scrape()
    assert found["tetragon_events_exported_total"] == 5
    assert found["tetragon_events_exported_bytes_total"] == (tmp_path / "out").stat().st_size
    assert found["tetragon_export_ratelimit_events_dropped_total"] == 1
    assert found["tetragon_events_last_exported_timestamp"] == 6
    assert found["tetragon_output_queue_events{stage=file}"] == 0
    assert found["tetragon_ledger_lost_total{op=PROCESS_EXIT,reason=rate_limit,stage=file}"] == 1


def front(stage: str, limit: RateLimiter | None = None) -> Front:
    """Build the stages before an output; its clock stands still."""
    return Front(Ledger(stage), JsonEncoder("n1").line, limit=limit, clock=lambda: 0)


def test_full_queues_are_overflowed_events(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """Of every output; other losses are not."""
    grpc = Ledger("grpc")
    grpc.lose("grpc_queue_full", "PROCESS_EXEC", count=4)
    grpc.lose("grpc_client_gone", count=2)
    file = Ledger("file")
    file.lose("file_queue_full", "PROCESS_EXEC", count=3)
    agent.books += [grpc, file]
    assert scrape()["tetragon_notify_overflowed_events_total"] == 7


def test_build_and_process_are_shown(scrape: Callable[[], Samples]) -> None:
    """The version as upstream has it; memory, CPU and descriptors of this very process."""
    found = scrape()
    info = "commit=abc,go_version=CPython 3.11.2,modified=false,time=now,version=v1.2.3"
    assert found[f"tetragon_build_info{{{info}}}"] == 1
    assert found["process_resident_memory_bytes"] > 10 << 20
    assert found["process_cpu_seconds_total"] > 0
    assert 3 < found["process_open_fds"] < found["process_max_fds"]
    assert found["process_network_receive_bytes_total"] > 0
    assert [name for name in found if name.startswith("python_info{")]


def test_scrapers_choose_form_and_names(agent: Agent) -> None:
    """OpenMetrics, gzip and ``name[]``, as other Prometheus endpoints have them."""
    server = agent.server()
    server.start()
    agent.events.write([exec_event()])
    open_form = get(
        server.address,
        "/metrics",
        accept="application/openmetrics-text; version=1.0.0",
        accept_encoding="gzip",
    )
    one = get(server.address, "/metrics?name[]=tetragon_flags_total").body.decode()
    server.stop()
    assert open_form.headers["content-type"].startswith("application/openmetrics-text")
    assert open_form.headers["content-encoding"] == "gzip"
    found = samples(openmetrics(gzip.decompress(open_form.body).decode()))
    assert found["tetragon_flags_total{type=execve}"] == 1
    assert set(samples(parse(one))) == {
        "tetragon_flags_total{type=execve}",
        "tetragon_flags_total{type=clone}",
    }


def test_other_paths_are_not_found(agent: Agent) -> None:
    """And tell where metrics are."""
    server = agent.server()
    server.start()
    other, root = get(server.address, "/other"), get(server.address, "/")
    server.stop()
    assert (other.status, root.status) == (404, 200)
    assert b"/metrics" in other.body
    assert b"/metrics" in root.body


def test_nothing_is_read_after_stop(agent: Agent) -> None:
    """A scrape under way is waited for: what it reads may be unloaded next."""
    reading, go_on = threading.Event(), threading.Event()
    reads: list[str] = []

    def slow() -> Mapping[tuple[str, str], int]:
        reads.append("begin")
        if server_started:
            reading.set()
            go_on.wait(5)
        reads.append("end")
        return {}

    server_started = False
    sources = agent.sources()._replace(kernel=slow)
    server = MetricsServer(bound(), sources, agent.events, True)
    server_started = True
    server.start()
    client = threading.Thread(target=lambda: get(server.address, "/metrics"))
    client.start()
    assert reading.wait(5)
    stopper = threading.Thread(target=lambda: server.stop(5))
    stopper.start()
    stopper.join(0.05)
    assert stopper.is_alive()
    go_on.set()
    stopper.join(5)
    client.join(5)
    assert reads[-1] == "end"
    assert reads.count("begin") == reads.count("end")


def test_books_of_one_name_are_added_up() -> None:
    """Two outputs of a kind are one series: a label set may appear once in a scrape."""
    one, other = Ledger("udp"), Ledger("udp")
    one.produced, one.delivered, other.produced = 5, 4, 2
    one.lose("rate_limit", "PROCESS_EXEC")
    other.lose("rate_limit", "PROCESS_EXEC", count=2)
    (total,) = merged([one, other]).values()
    assert (total.produced, total.delivered, total.lost_total, len(total.lost)) == (7, 4, 3, 1)


def test_scrape_while_events_pass_is_whole(agent: Agent, scrape: Callable[[], Samples]) -> None:
    """The writer never waits for a scraper, and no scrape fails or goes back."""
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            agent.events.write([exec_event(f"/bin/{number % 300}"), exit_event("/bin/x")])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        totals = []
        for _ in range(5):
            found = scrape()
            totals.append(sum(n for key, n in found.items() if key.startswith("tetragon_events_t")))
    finally:
        ended.set()
        writer.join()
    assert totals == sorted(totals)
    assert agent.events.ledger.delivered == sum(agent.events.series().values())
