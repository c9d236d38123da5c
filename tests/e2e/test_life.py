"""The agent starts clean, keeps to itself, and leaves nothing behind."""

import ctypes
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import RUN_DIR, Agent, wait_until

_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_PROG_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO = 11, 13, 15


def bpf_programs() -> Iterator[str]:
    """Yield the names of all BPF programs loaded on this host, by bpf(2) itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = 0
    while True:
        attr = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 128)
        if libc.syscall(_BPF, _PROG_GET_NEXT_ID, attr, 12) < 0:
            return
        (number,) = struct.unpack_from("<I", attr, 4)
        attr = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 128)
        fd = libc.syscall(_BPF, _PROG_GET_FD_BY_ID, attr, 12)
        if fd < 0:
            continue  # unloaded meanwhile
        info = ctypes.create_string_buffer(256)
        address = ctypes.addressof(info)
        attr = ctypes.create_string_buffer(struct.pack("<IIQ", fd, 80, address), 128)
        libc.syscall(_BPF, _OBJ_GET_INFO, attr, 16)
        os.close(fd)
        yield info.raw[64:80].split(b"\0", 1)[0].decode()


def ours() -> list[str]:
    """Return the names of loaded programs that are of our base sensor."""
    return [name for name in bpf_programs() if name.startswith(("process_", "exec_caps_"))]


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def open_ports(pid: int) -> dict[str, list[str]]:
    """Return the process's sockets by protocol, as /proc/net lists them: state or path."""
    inodes = sockets_of(pid)
    found: dict[str, list[str]] = {}
    for name, column in (("tcp", 9), ("tcp6", 9), ("udp", 9), ("udp6", 9), ("unix", 6)):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[column] in inodes:
                found.setdefault(name, []).append(fields[-1])
    return found


@pytest.mark.parametrize("flags", [(), ("--udp-output-enabled", "--udp-output-port=9")])
def test_stop_leaves_nothing(agent: Callable[..., Agent], flags: tuple[str, ...]) -> None:
    """After SIGTERM no program, pin, socket, pid or info file of the agent is left."""
    before = ours()
    running = agent("--server-address=localhost:0", *flags).ready()
    assert len(ours()) >= len(before) + 3
    assert (RUN_DIR / "tetragon.pid").read_text().strip() == str(running.pid)
    assert running.stop() == 0
    wait_until("programs gone", lambda: ours() == before)
    assert "Tetragon agent shutdown" in running.log()
    assert not [path for path in RUN_DIR.iterdir() if path.suffix in {".pid", ".sock", ".json"}]
    assert not Path("/sys/fs/bpf/tetragon").exists()


def test_second_agent_is_refused(agent: Callable[..., Agent]) -> None:
    """A second agent says who runs and ends with status 1; the first goes on."""
    first = agent("--server-address=").ready()
    second = agent("--server-address=")
    assert second.process.wait(20) == 1
    assert str(first.pid) in second.log()
    assert "already" in second.log()
    assert first.process.poll() is None


def test_agent_starts_again_after_a_kill(agent: Callable[..., Agent]) -> None:
    """SIGKILL leaves a pid file that does not keep the next agent from starting."""
    first = agent("--server-address=localhost:0").ready()
    first.process.kill()
    first.process.wait()
    assert (RUN_DIR / "tetragon.pid").exists()
    assert agent("--server-address=localhost:0").ready().stop() == 0


def test_minimal_mode_opens_one_udp_socket(
    agent: Callable[..., Agent], receiver: socket.socket
) -> None:
    """UDP output alone: no port, no unix socket, and no library of what is off."""
    running = agent(
        "--udp-output-enabled", f"--udp-output-port={receiver.getsockname()[1]}"
    ).ready()
    assert b"agent_init" in receiver.recv(1 << 16)
    ports = open_ports(running.pid)
    assert set(ports) <= {"udp"}, ports
    assert len(ports["udp"]) == 1
    maps = Path(f"/proc/{running.pid}/maps").read_text()
    for library in ("upb", "grpc", "_ssl", "_yaml"):
        assert library not in maps


def test_minimal_mode_keeps_what_is_named(
    agent: Callable[..., Agent], receiver: socket.socket
) -> None:
    """gRPC and health come back when a flag names them."""
    running = agent(
        "--udp-output-enabled",
        f"--udp-output-port={receiver.getsockname()[1]}",
        "--grpc-enabled",
        "--server-address=localhost:0",
        "--health-server-address=localhost:0",
    ).ready()
    ports = open_ports(running.pid)
    assert len(ports.get("tcp", []) + ports.get("tcp6", [])) >= 2
    assert "unix" in ports
    assert (RUN_DIR / "tetragon.sock").stat().st_mode & 0o777 == 0o660


def test_closed_port_never_stops_udp(agent: Callable[..., Agent]) -> None:
    """Datagrams to a port nobody listens on are sent on and on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    running = agent("--udp-output-enabled", f"--udp-output-port={port}").ready()
    for _ in range(20):
        subprocess.run(["/bin/true"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind(("127.0.0.1", port))
        late.settimeout(20)
        subprocess.run(["/bin/true", "heard"], check=True)
        wait_until("an event after silence", lambda: b"heard" in late.recv(1 << 16))
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--no-such-flag"], ["unknown flag: --no-such-flag"]),
        (["--udp-output-port=99999"], ["--udp-output-port", "99999"]),
        (["--process-cache-size=many"], ["--process-cache-size", "many"]),
        (["--export-filename=/proc/nope/x.log"], ["/proc/nope"]),
        (["--udp-output-enabled", "--udp-output-address=no-such-host.invalid"], ["no-such-host"]),
        (["--config-dir=/no/such/dir"], ["/no/such/dir"]),
        (['--redaction-filters={"redact":["("]}'], ["("]),
    ],
)
def test_bad_input_is_one_clear_line(
    agent: Callable[..., Agent], flags: list[str], words: list[str]
) -> None:
    """The agent does not start, says why in its last line, and loads nothing."""
    before = ours()
    running = agent("--server-address=", *flags)
    assert running.process.wait(20) == 1
    last = running.log().strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert all(word in last for word in words), last
    assert "Traceback" not in running.log()
    assert ours() == before


def test_port_in_use_is_refused(agent: Callable[..., Agent]) -> None:
    """A taken gRPC port is named, and nothing stays loaded."""
    before = ours()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        running = agent(f"--server-address={address}")
        assert running.process.wait(20) == 1
        assert address in running.log().splitlines()[-1]
    assert ours() == before


def test_malformed_config_file_names_its_line(agent: Callable[..., Agent], tmp_path: Path) -> None:
    """A config directory's bad value names file and option."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "udp-output-port").write_text("five\n")
    running = agent(f"--config-dir={tmp_path / 'conf'}")
    assert running.process.wait(20) == 1
    assert "udp-output-port" in running.log()
    assert "five" in running.log()


def test_not_root_is_refused() -> None:
    """Without root the agent says so in one line."""
    code = (
        "import os, sys; from tetragon import agent; os.setuid(65534);"
        "sys.argv = ['tetragon', '--server-address=']; agent.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "root" in done.stderr.splitlines()[-1]
