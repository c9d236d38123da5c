"""All outputs of one agent tell of the same processes."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from .conftest import BIN, Agent, json_lines, process_of, run_tetra, wait_until


def start_client(form: str, output: Path) -> "subprocess.Popen[bytes]":
    """Start ``tetra getevents`` that writes to a file."""
    with output.open("wb") as file:
        return subprocess.Popen(
            [BIN / "tetra", "getevents", "-o", form], stdin=subprocess.DEVNULL, stdout=file
        )


def test_five_outputs_show_the_same_process(
    agent: Callable[..., Agent], receiver: socket.socket, tmp_path: Path
) -> None:
    """Terminal, file, UDP, gRPC as JSON and as compact lines carry one exec and its exit."""
    file = tmp_path / "events.log"
    running = agent(
        "--export-stdout",
        f"--export-filename={file}",
        "--udp-output-enabled",
        f"--udp-output-port={receiver.getsockname()[1]}",
        "--grpc-enabled",
        "--server-address=localhost:0",
    ).ready()
    clients = {form: start_client(form, tmp_path / form) for form in ("json", "compact")}
    mark = f"mark-{os.getpid()}"

    def streams_carry_it() -> bool:
        subprocess.run(["/bin/true", mark], check=True)
        return all(mark in (tmp_path / form).read_text() for form in clients)

    wait_until("both clients connected", streams_carry_it)
    child = subprocess.Popen(["/bin/true", mark, "last"])
    assert child.wait() == 0

    def exit_in(lines: list[dict[str, object]]) -> bool:
        return any(
            "process_exit" in line and process_of(line).get("pid") == child.pid for line in lines
        )

    wait_until("exit in the file", lambda: exit_in(json_lines(file)))
    wait_until("exit over gRPC", lambda: exit_in(json_lines(tmp_path / "json")))
    compact = f'exit    {json_lines(file)[-1]["node_name"]} /bin/true "{mark} last" 0'
    wait_until("exit on the terminal", lambda: compact in running.output())
    wait_until("exit in compact form", lambda: compact in (tmp_path / "compact").read_text())
    assert json.loads(receiver.recv(1 << 16))["event"] == "agent_init"
    datagrams: list[dict[str, object]] = []

    def exit_over_udp() -> bool:
        datagrams.append(json.loads(receiver.recv(1 << 16)))
        return exit_in(datagrams)

    wait_until("exit over UDP", exit_over_udp)
    ids = {
        process_of(event)["exec_id"]
        for event in [*datagrams, *json_lines(file), *json_lines(tmp_path / "json")]
        if process_of(event).get("pid") == child.pid
    }
    assert len(ids) == 1
    for client in clients.values():
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == 0
    assert running.stop() == 0


def test_process_is_what_proc_says(agent: Callable[..., Agent], tmp_path: Path) -> None:
    """pid, parent, working directory and arguments are those of the real process."""
    file = tmp_path / "events.log"
    running = agent(f"--export-filename={file}", "--server-address=").ready()
    child = subprocess.Popen(["/bin/sleep", "60"], cwd="/usr")
    try:
        event = wait_until(
            "exec of sleep",
            lambda: next(
                (
                    line["process_exec"]
                    for line in json_lines(file)
                    if "process_exec" in line and process_of(line)["pid"] == child.pid
                ),
                None,
            ),
        )
        assert event["process"]["cwd"] == str(Path(f"/proc/{child.pid}/cwd").readlink())
        assert event["process"]["binary"] == "/bin/sleep"
        assert event["process"]["arguments"] == "60"
        assert event["process"]["uid"] == os.geteuid()
        assert event["parent"]["pid"] == os.getpid()
        assert event["process"]["parent_exec_id"] == event["parent"]["exec_id"]
    finally:
        child.kill()
        child.wait()
    exit_event = wait_until(
        "exit of sleep",
        lambda: next(
            (
                line["process_exit"]
                for line in json_lines(file)
                if "process_exit" in line and process_of(line)["pid"] == child.pid
            ),
            None,
        ),
    )
    assert exit_event["signal"] == "SIGKILL"
    assert running.stop() == 0


def test_start_lists_processes_with_their_parents(
    agent: Callable[..., Agent], tmp_path: Path
) -> None:
    """Every user process of the host has an exec event at start, pid 0 first, parents before."""
    file = tmp_path / "events.log"
    agent(f"--export-filename={file}", "--server-address=").ready()
    wait_until("this process", lambda: str(os.getpid()) in file.read_text())
    found = [line["process_exec"] for line in json_lines(file) if "process_exec" in line]
    assert found[0]["process"]["binary"] == "<kernel>"
    seen = set()
    for event in found:
        if event["process"]["flags"].startswith("procFS"):
            seen.add(event["process"]["exec_id"])
    mine = next(event for event in found if event["process"]["pid"] == os.getpid())
    assert mine["parent"]["pid"] == os.getppid()
    assert mine["process"]["parent_exec_id"] in seen


def test_agent_is_silent_about_itself_unless_asked(
    agent: Callable[..., Agent], tmp_path: Path
) -> None:
    """No event names the agent's own pid; --observe-self shows it."""
    for flags, shown in (((), False), (("--observe-self",), True)):
        file = tmp_path / f"events-{shown}.log"
        running = agent(f"--export-filename={file}", "--server-address=", *flags).ready()
        wait_until("some events", lambda file=file: json_lines(file))
        assert running.stop() == 0
        pids = {process_of(line).get("pid") for line in json_lines(file)}
        assert (running.pid in pids) is shown


def test_tetra_asks_the_agent(agent: Callable[..., Agent]) -> None:
    """status, version and loglevel answer through the unix socket the info file names."""
    agent("--server-address=localhost:0").ready()
    assert run_tetra("status").stdout == "Health Status: running\n"
    assert "Server version: v" in run_tetra("version", "--server").stdout
    assert run_tetra("loglevel", "get").stdout == "Current log level: LOG_LEVEL_INFO\n"
