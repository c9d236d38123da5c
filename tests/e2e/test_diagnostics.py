"""Metrics, profiles and the ledger of a running agent, read as their users read them."""

import contextlib
import json
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import RUN_DIR, Agent, run_tetra, wait_until

Start = Callable[..., Agent]
RUNS = 25


def free_port() -> int:
    """Return a port nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def get(port: int, path: str) -> bytes:
    """Get a page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        body: bytes = response.read()
        return body


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Return the values of a scrape by name and label values that are not empty."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()) if value)): sample.value
        for family in text_string_to_metric_families(get(port, "/metrics").decode())
        for sample in family.samples
    }


def test_metrics_count_what_ran(agent: Start, tmp_path: Path) -> None:
    """As many execs and exits of a program as were run, from the ring to the file."""
    port = free_port()
    one = agent("--metrics-server", f"127.0.0.1:{port}", "--export-filename", f"{tmp_path}/out")
    one.ready()
    for _ in range(RUNS):
        subprocess.run(["/bin/true"], check=True)

    def all_counted() -> bool:
        found = scrape(port)
        return all(
            found.get(("tetragon_events_total", "/bin/true", kind)) == RUNS
            for kind in ("PROCESS_EXEC", "PROCESS_EXIT")
        )

    wait_until("all counted", all_counted)
    found = scrape(port)
    assert found["tetragon_msg_op_total", "5"] >= RUNS
    assert found["tetragon_flags_total", "procFS"] > 0
    assert found["tetragon_process_cache_size",] > 0
    assert found["tetragon_events_exported_bytes_total",] > 0
    assert ("tetragon_ledger_lost_total", "file") not in {name[:2] for name in found}
    info = json.loads((RUN_DIR / "tetragon-info.json").read_text())
    assert info["metrics_address"] == f"127.0.0.1:{port}"
    assert one.stop() == 0


def test_ledger_is_shown_to_those_who_ask(agent: Start, tmp_path: Path) -> None:
    """A rate limit loses events: their number, stage and reason are in ``tetra status``."""
    one = agent("--export-filename", f"{tmp_path}/out", "--export-rate-limit", "1").ready()
    subprocess.run(["/bin/true"], check=True)
    assert run_tetra("status").stdout == "Health Status: running\n"
    shown = run_tetra("status", "--ledger").stdout
    assert shown.startswith("Health Status: running\nSTAGE ")
    rows = {tuple(line.split()[:2]) for line in shown.splitlines() if line}
    assert ("file", "rate_limit") in rows
    assert {stage for stage, _ in rows} >= {"kernel", "records", "file", "grpc"}
    assert one.stop() == 0


def test_minimal_mode_keeps_what_is_named(agent: Start, receiver: socket.socket) -> None:
    """Metrics and profiles serve, and nothing of gRPC is loaded."""
    metrics, pprof = free_port(), free_port()
    one = agent(
        "--udp-output-enabled",
        f"--udp-output-port={receiver.getsockname()[1]}",
        f"--metrics-server=127.0.0.1:{metrics}",
        f"--pprof-address=127.0.0.1:{pprof}",
    ).ready()
    assert ("tetragon_ledger_delivered_total", "udp") in scrape(metrics)
    assert b"/reader.py" in get(pprof, "/debug/pprof/goroutine?debug=1")
    assert listening(one.pid) == {metrics, pprof}
    assert "protobuf" not in Path(f"/proc/{one.pid}/maps").read_text()
    assert one.stop() == 0


def listening(pid: int) -> set[int]:
    """Return the TCP ports a process listens on, as /proc tells."""
    inodes: set[str] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a connection that ends just now
            inodes.add(link.readlink().name)
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return {
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in inodes
    }


@pytest.mark.parametrize("flag", ["--metrics-server", "--pprof-address", "--gops-address"])
def test_port_in_use_ends_the_start(agent: Start, flag: str) -> None:
    """With one line that names the flag; nothing stays loaded or listening."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        one = agent(flag, address)
        assert one.process.wait(20) == 1
    lines = one.log().splitlines()
    assert lines[-1].startswith(f"Error: {flag} {address}: port is in use")
    assert not (RUN_DIR / "tetragon.pid").exists()
