"""Diagnostics: what is on serves, what is off is not even imported."""

import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from tetragon.diagnostics import Diagnostics
from tetragon.errors import ConfigError, ExportError
from tetragon.model.control import AgentInfo, BuildInfo
from tetragon.model.event import ExecEvent
from tetragon.model.ledger import Ledger
from tetragon.model.process import Process
from tetragon.model.settings import Settings
from tetragon.process.options import Stats

FLAGS = {
    "metrics_server": "--metrics-server",
    "pprof_address": "--pprof-address",
    "gops_address": "--gops-address",
}


class Control:
    """The part of the agent that diagnostics ask."""

    def version(self) -> str:
        """Return a version."""
        return "v9"

    def info(self) -> AgentInfo:
        """Return a build."""
        return AgentInfo("v9", build=BuildInfo("CPython 3"))

    def ledgers(self) -> list[Ledger]:
        """Return no books."""
        return []


@pytest.fixture(autouse=True)
def _profiling_signal() -> Iterator[None]:
    """Put the handler of SIGPROF back to one that does no harm."""
    yield
    if signal.getsignal(signal.SIGPROF) is not signal.SIG_DFL:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)


@pytest.fixture
def taken() -> Iterator[str]:
    """An address where somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def free_port() -> int:
    """Return a port nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def start(diagnostics: Diagnostics) -> None:
    """Start with an agent that has nothing to tell."""
    diagnostics.start(cast(Any, Control()), dict, Stats, list)


def read(port: int, path: str) -> str:
    """Get a page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return cast(str, response.read().decode())


def test_off_costs_neither_thread_nor_import() -> None:
    """In a process of its own, which sees what it imported."""
    script = """if True:
        import sys, threading
        from tetragon.diagnostics import Diagnostics
        from tetragon.model.settings import Settings
        diagnostics = Diagnostics(Settings(), "n1")
        diagnostics.start(None, dict, None, list)
        diagnostics.stop()
        assert diagnostics.sinks == []
        assert threading.active_count() == 1
        loaded = {"tetragon.metrics", "prometheus_client", "http.server"} & set(sys.modules)
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_on_serves_until_stop() -> None:
    """All three at once; metrics see the events that pass their sink."""
    ports = [free_port() for _ in FLAGS]
    addresses = {field: f"127.0.0.1:{port}" for field, port in zip(FLAGS, ports, strict=True)}
    diagnostics = Diagnostics(msgspec.structs.replace(Settings(), **addresses), "n1")
    threads = threading.active_count()
    start(diagnostics)
    try:
        (sink,) = diagnostics.sinks
        sink.write([ExecEvent(time=1, process=Process(1, 1, "x", binary="/bin/a"))])
        metrics = read(ports[0], "/metrics")
        assert 'tetragon_events_total{binary="/bin/a"' in metrics
        assert 'version="v9"' in metrics
        assert "profile" in read(ports[1], "/debug/pprof/")
        with socket.create_connection(("127.0.0.1", ports[2]), timeout=5) as gops:
            gops.sendall(b"\x02")
            assert gops.recv(10) == b"ok"
    finally:
        begin = time.monotonic()
        diagnostics.stop()
        assert time.monotonic() - begin < 0.2
    assert threading.active_count() == threads
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_event_metrics_follow_their_flags() -> None:
    """Labels as filtered; none of it where it is off."""
    settings = Settings(metrics_server="127.0.0.1:0", metrics_label_filter=("node_name",))
    event = ExecEvent(time=1, process=Process(1, 1, "x", binary="/bin/a", flags="execve"))
    (some,) = Diagnostics(settings, "n1").sinks
    (none,) = Diagnostics(msgspec.structs.replace(settings, enable_event_metrics=False), "n1").sinks
    for sink in (some, none):
        sink.write([event])
    ((labels, count),) = cast(Any, some).series().items()
    assert (labels.binary, labels.node_name, count) == ("", "n1", 1)
    assert cast(Any, none).series() == {}
    assert cast(Any, none).flags() == {"execve": 1}


@pytest.mark.parametrize("field", FLAGS)
def test_port_in_use_names_the_flag(field: str, taken: str) -> None:
    """And what to do; nothing is left open."""
    diagnostics = Diagnostics(msgspec.structs.replace(Settings(), **{field: taken}), "n1")
    with pytest.raises(ExportError, match=f"{FLAGS[field]} {taken}: port is in use"):
        start(diagnostics)
    diagnostics.stop()


@pytest.mark.parametrize("field", FLAGS)
def test_malformed_address_names_the_flag(field: str) -> None:
    """The options refuse it before; whoever builds Settings another way is told too."""
    settings = msgspec.structs.replace(Settings(), **{field: "localhost:http"})
    with pytest.raises(ConfigError, match=f"{FLAGS[field]} localhost:http: 'http' is not a port"):
        start(Diagnostics(settings, "n1"))


def test_one_that_fails_leaves_none(taken: str) -> None:
    """What was started before it ends with ``stop``."""
    port = free_port()
    settings = Settings(metrics_server=f"127.0.0.1:{port}", pprof_address=taken)
    diagnostics = Diagnostics(settings, "n1")
    with pytest.raises(ExportError):
        start(diagnostics)
    diagnostics.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
