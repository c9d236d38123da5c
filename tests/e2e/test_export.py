"""Outputs of the running agent: what becomes of events when the world outside is not kind."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Agent, json_lines, process_of, wait_until

SERVERLESS = ("--server-address=", "--health-server-address=")


def spawn(*arguments: str) -> int:
    """Run /bin/true with arguments; return its pid."""
    child = subprocess.Popen(["/bin/true", *arguments])
    assert child.wait() == 0
    return child.pid


def udp_flags(receiver: socket.socket) -> tuple[str, str, str]:
    """Return the flags that send to a receiver."""
    host, port = receiver.getsockname()[:2]
    return "--udp-output-enabled", f"--udp-output-address={host}", f"--udp-output-port={port}"


def until(receiver: socket.socket, found: Callable[[dict[str, Any]], object]) -> list[bytes]:
    """Return the datagrams up to the first whose JSON is what is looked for."""
    taken: list[bytes] = []
    while True:
        taken.append(receiver.recv(1 << 17))
        if found(json.loads(taken[-1][taken[-1].index(b"{") :])):
            return taken


def exit_of(pid: int) -> Callable[[dict[str, Any]], bool]:
    """Return a test for the exit of a process."""
    return lambda event: "process_exit" in event and process_of(event).get("pid") == pid


def test_huge_arguments_are_one_valid_datagram(
    agent: Callable[..., Agent], receiver: socket.socket
) -> None:
    """200 kB of arguments: cut, said so, and still JSON of at most 65507 bytes."""
    agent(*udp_flags(receiver)).ready()
    pid = spawn("\"'\n\t" * 20_000, "ü" * 20_000)
    datagrams = until(receiver, exit_of(pid))
    assert all(len(datagram) <= 65507 for datagram in datagrams)
    events = list(map(json.loads, datagrams))
    (event,) = [one for one in events if "process_exec" in one and process_of(one)["pid"] == pid]
    assert event["truncated"]["cut"] == ["arguments"]
    assert event["truncated"]["size"] > 65507
    assert process_of(event)["arguments"].startswith("\"'\n\t" * 3)


def test_datagrams_fit_the_link(agent: Callable[..., Agent], receiver: socket.socket) -> None:
    """With --udp-max-size none is longer, syslog header and metadata included."""
    running = agent(*udp_flags(receiver), "--udp-max-size=1232", "--udp-format=syslog").ready()
    pid = spawn("x" * 5000)
    datagrams = until(receiver, exit_of(pid))
    running.stop()
    datagrams += until(receiver, lambda said: said.get("event") == "agent_shutdown")
    assert max(map(len, datagrams)) <= 1232
    assert datagrams[0].startswith(b"<133>1 ")
    assert {datagram[:7] for datagram in datagrams[1:-1]} == {b"<134>1 "}


def test_a_listener_may_come_late(agent: Callable[..., Agent]) -> None:
    """Nobody listens at first: nothing is lost but what was sent then, and the output goes on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = unheard.getsockname()
        flags = udp_flags(unheard)
    running = agent(*flags).ready()
    spawn("unheard")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind(address)
        late.settimeout(10)
        until(late, exit_of(spawn("heard")))
    assert running.stop() == 0
    assert "Failed to send" not in running.log()


def test_over_ipv6(agent: Callable[..., Agent]) -> None:
    """An IPv6 address with brackets."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::1", 0))
        receiver.settimeout(10)
        port = receiver.getsockname()[1]
        flags = ("--udp-output-address=[::1]", f"--udp-output-port={port}")
        agent("--udp-output-enabled", *flags).ready()
        assert json.loads(until(receiver, lambda _: True)[0])["event"] == "agent_init"
        until(receiver, exit_of(spawn("six")))


def test_sequence_numbers_have_no_gap_and_the_books_agree(
    agent: Callable[..., Agent], receiver: socket.socket
) -> None:
    """Every event has the next number, and the last datagram says how many there were."""
    running = agent(*udp_flags(receiver), "--export-sequence").ready()
    for number in range(50):
        spawn(str(number))
    datagrams = until(receiver, exit_of(spawn("last")))
    running.stop()
    datagrams += until(receiver, lambda said: said.get("event") == "agent_shutdown")
    first, *events, last = map(json.loads, datagrams)
    assert first["event"] == "agent_init"
    assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1))
    books = last["ledger"]["udp"]
    assert books["delivered"] == books["produced"] == len(events)


def test_metadata_is_repeated(agent: Callable[..., Agent], receiver: socket.socket) -> None:
    """agent_init once, then agent_status with the books, every interval."""
    agent(*udp_flags(receiver), "--udp-metadata-interval=1s").ready()
    datagrams = until(receiver, lambda said: said.get("event") == "agent_status")
    datagrams += until(receiver, lambda said: said.get("event") == "agent_status")
    said = [one for one in map(json.loads, datagrams) if "event" in one]
    assert [one["event"] for one in said] == ["agent_init", "agent_status", "agent_status"]
    assert said[-1]["ledger"]["udp"]["lost"] == 0


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ("--udp-output-enabled", "--udp-output-address=no-such-host.invalid"),
            "Error: --udp-output-address: cannot resolve 'no-such-host.invalid'",
        ),
        (("--export-filename=/proc",), "Error: --export-filename: cannot write to '/proc'"),
        (("--export-filename=/proc/nowhere/x",), "Error: --export-filename: cannot write to"),
    ],
)
def test_an_output_that_cannot_be_opened_stops_the_start(
    agent: Callable[..., Agent], flags: tuple[str, ...], text: str
) -> None:
    """One clear line, no traceback, exit status 1."""
    refused = agent(*SERVERLESS, *flags)
    assert refused.process.wait(30) == 1
    assert text in refused.log()
    assert "Traceback" not in refused.log()


def test_the_file_is_followed_when_it_is_moved(agent: Callable[..., Agent], tmp_path: Path) -> None:
    """logrotate needs no signal: within a tick, events go to the path again."""
    path, moved = tmp_path / "events.log", tmp_path / "events.log.1"
    running = agent(*SERVERLESS, f"--export-filename={path}", "--export-file-perm=640").ready()
    wait_until("events", lambda: json_lines(path))
    assert path.stat().st_mode & 0o777 == 0o640
    path.rename(moved)
    wait_until("a new file", path.exists)
    pid = spawn("after")
    wait_until("its exit", lambda: any(map(exit_of(pid), json_lines(path))))
    assert running.stop() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_costs_events_and_nothing_else(
    agent: Callable[..., Agent], small_disk: Path
) -> None:
    """While it is full, losses are counted; with room again, events are written again."""
    path, filler = small_disk / "events.log", small_disk / "filler"
    running = agent(*SERVERLESS, f"--export-filename={path}").ready()
    wait_until("events", lambda: json_lines(path))
    with filler.open("wb", buffering=0) as file:
        file.write(b"x" * 250_000)
    wait_until(
        "the disk is full",
        lambda: spawn("y" * 3000) and "Failed to write the export file" in running.log(),
    )
    filler.unlink()
    pid = spawn("room again")
    wait_until("its exit", lambda: any(map(exit_of(pid), json_lines(path))))
    for line in path.read_bytes().splitlines():
        json.loads(line)
    assert running.stop() == 0
    assert "Writing the export file again" in running.log()


def test_rotation_keeps_every_event(agent: Callable[..., Agent], tmp_path: Path) -> None:
    """By interval, with compression: current file and backups together have all of them."""
    path = tmp_path / "events.log"
    running = agent(
        *SERVERLESS,
        f"--export-filename={path}",
        "--export-file-rotation-interval=1s",
        "--export-file-max-backups=0",
        "--export-file-compress",
    ).ready()
    pids: set[int] = set()

    def rotated_twice() -> bool:
        pids.add(spawn("rotate"))
        return len(list(tmp_path.glob("events-*.log.gz"))) >= 2

    wait_until("two rotations", rotated_twice)
    assert running.stop() == 0
    found: set[int] = set()
    for file in tmp_path.glob("events*"):
        command = ["zcat", "-f", str(file)]
        text = subprocess.run(command, capture_output=True, check=True).stdout
        events = map(json.loads, text.splitlines())
        found |= {process_of(event)["pid"] for event in events if "process_exit" in event}
    assert pids <= found
    assert os.access(path, os.R_OK)
