"""getevents prints what an agent sends, or standard input holds, in the form asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from api_support import Running, make_execs, make_process, wait_until

from tetragon.api.encode import ProtoEncoder
from tetragon.api.json import Converter
from tetragon.api.messages import GetEventsResponse
from tetragon.cli.getevents import build_request, terminal_data
from tetragon.event.compact import CompactEncoder
from tetragon.model.event import Event, ExitEvent

COMMAND = [sys.executable, "-m", "tetragon.cli.main", "getevents"]


def lines_of(events: Sequence[Event]) -> bytes:
    """Return events as an export file has them."""
    encode, line = ProtoEncoder("node").frame, Converter().line
    return b"".join(line(GetEventsResponse.FromString(encode(event))) for event in events)


def piped(*words: str, given: bytes) -> tuple[int, str, str]:
    """Run getevents on standard input."""
    done = subprocess.run(
        [*COMMAND, *words], input=given, capture_output=True, timeout=20, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Live:
    """getevents connected to a server."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self) -> str:
        """Return the next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def end(self, number: int | None = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return exit code and error output."""
        if number is not None:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, err.decode()


Start = Callable[..., Live]


@pytest.fixture
def live(running: Running) -> Iterator[Start]:
    """Start getevents and wait until its stream is open."""
    started: list[Live] = []

    def start(*words: str) -> Live:
        before = running.sink.streams
        started.append(Live("--server-address", f"unix://{running.path}", *words))
        wait_until(lambda: running.sink.streams > before, 20)
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


# --- from an agent --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_json_of_an_agent_until_a_signal(live: Start, running: Running, number: int) -> None:
    """Each event as soon as it comes; the signal is no error."""
    shown = live()
    batch = make_execs(3)
    running.sink.write(batch)
    assert [shown.line() for _ in batch] == lines_of(batch).decode().splitlines(True)
    assert shown.end(number) == (0, "")


def test_compact_of_an_agent_until_it_stops(live: Start, running: Running) -> None:
    """The end of the stream is the end of the command, without an error."""
    shown = live("-o", "compact", "--timestamps")
    running.sink.write(make_execs(1))
    assert shown.line() == (
        '2023-11-14T22:13:20.000000001Z 🚀 process node /usr/bin/ls "-l /tmp"\n'
    )
    running.server.stop(2)
    assert shown.end(None) == (0, "")


def test_filters_are_the_agents(live: Start, running: Running) -> None:
    """Flags become the request: one event passes, with one field."""
    shown = live("--process", "^/usr/bin/l[s]$", "-e", "PROCESS_EXIT", "-f", "process.pid")
    process = make_process(7)
    running.sink.write([*make_execs(2), ExitEvent(time=5, process=process)])
    assert json.loads(shown.line())["process_exit"] == {"process": {"pid": 7}}
    assert shown.end()[0] == 0


def test_refused_filter_is_an_error(running: Running) -> None:
    """In the words of the agent."""
    shown = Live("--server-address", f"unix://{running.path}", "--pod", "[")
    code, err = shown.end(None)
    assert code == 1
    assert err.startswith(
        "Error: failed to receive events: rpc error: code = InvalidArgument desc = "
    )


def test_agent_that_is_not_there_is_an_error() -> None:
    """Told apart from a stream that broke."""
    code, err = Live("--server-address", "unix:///no/where", "--retries", "0").end(None)
    assert code == 1
    assert err.startswith("Error: failed to call GetEvents: rpc error: code = Unavailable")


def test_reconnect_goes_on_when_the_agent_comes_back(tmp_path: Path) -> None:
    """It says why and for how long it waits; a signal still ends it."""
    path = f"unix://{tmp_path}/tetragon.sock"
    shown = Live("--server-address", path, "--retries=0", "--reconnect", "--reconnect-wait", "10ms")
    assert shown.process.stderr is not None
    first = shown.process.stderr.readline().decode()
    assert first.startswith("getevents: err:failed to call GetEvents: rpc error: ")
    assert first.endswith(" retrying in 10ms\n")
    running = Running(tmp_path)
    wait_until(lambda: running.sink.streams == 1, 20)
    running.sink.write(make_execs(1))
    assert shown.line().startswith('{"process_exec":')
    running.server.stop(1)
    while not (line := shown.process.stderr.readline().decode()).startswith("getevents: err:<nil>"):
        assert line.startswith("getevents: err:")
    assert shown.end()[0] == 0


def test_reader_of_our_output_that_goes_ends_us(live: Start, running: Running) -> None:
    """As `tetra getevents | head -1` should."""
    shown = live()
    assert shown.process.stdout is not None
    running.sink.write(make_execs(1))
    shown.line()
    shown.process.stdout.close()
    deadline = time.monotonic() + 10
    while shown.process.poll() is None:
        assert time.monotonic() < deadline
        running.sink.write(make_execs(1))
    assert shown.process.returncode == -signal.SIGPIPE
    assert shown.process.stderr is not None
    assert shown.process.stderr.read() == b""
    shown.process.stderr.close()


# --- from standard input ------------------------------------------------------------------------


def test_standard_input_is_printed_as_it_was() -> None:
    """Except for lines that are no event, which are skipped without a word."""
    events = lines_of(make_execs(3))
    given = b"rubbish\n\n{}[\n" + events + b'{"process_exec":7}\n'
    assert piped(given=given) == (0, events.decode(), "")


def test_skipped_lines_are_told_in_debug_mode() -> None:
    """One line each on standard error."""
    code, out, err = piped("-d", given=b"rubbish\n")
    assert (code, out) == (0, "")
    assert err.startswith("DEBUG: failed unmarshal: ")


def test_camel_case_and_unknown_fields_of_standard_input() -> None:
    """Come out in our spelling, and not at all."""
    given = b'{"processExec":{"process":{"execId":"x","pid":"3"},"x":1},"nodeName":"n"}\n'
    expected = '{"process_exec":{"process":{"exec_id":"x","pid":3}},"node_name":"n"}\n'
    assert piped(given=given) == (0, expected, "")


def test_filters_of_standard_input_are_ours() -> None:
    """Allow list and fields, as an agent would have applied them."""
    given = lines_of([*make_execs(3), ExitEvent(time=5, process=make_process(2))])
    words = ("-e", "PROCESS_EXEC", "--cel-expression", "process_exec.process.pid == 2u")
    code, out, err = piped(*words, "-f", "process,parent", "-F", "process.cwd", given=given)
    assert (code, err) == (0, "")
    [event] = map(json.loads, out.splitlines())
    assert event["process_exec"]["process"]["pid"] == 2
    assert "cwd" not in event["process_exec"]["process"]
    assert event["node_name"] == "node"


def test_compact_of_standard_input_in_colour() -> None:
    """Colours only on demand: the output is no terminal."""
    given = lines_of(make_execs(1))
    event = json.loads(given)
    plain = CompactEncoder(False).encode(event) + "\n"
    coloured = CompactEncoder(True).encode(event) + "\n"
    assert piped("-o", "compact", given=given)[1] == plain
    assert piped("-ocompact", "--color=always", given=given)[1] == coloured


def test_event_without_a_compact_line_ends_the_command() -> None:
    """What came before it is shown."""
    given = lines_of(make_execs(1)) + b'{"rate_limit_info":{}}\n'
    code, out, err = piped("-o", "compact", given=given)
    assert (code, len(out.splitlines())) == (1, 1)
    assert err == "Error: failed to encode event: unknown event type: RATE_LIMIT_INFO\n"


def test_line_beyond_the_limit_is_an_error() -> None:
    """Of at least 64 KiB, whatever the flag says."""
    long = lines_of([ExitEvent(time=1, process=make_process(1, arguments="x" * 66_000))])
    code, out, err = piped("--max-recv-size", "1", given=lines_of(make_execs(1)) + long)
    assert (code, len(out.splitlines())) == (1, 1)
    assert "line is longer than --max-recv-size (65536 bytes)" in err


def test_terminal_data_of_standard_input() -> None:
    """Only the bytes written to one terminal."""

    def write(path: str, data: str) -> str:
        args = [{"file_arg": {"path": path}}, {"bytes_arg": data}]
        return json.dumps({"process_kprobe": {"function_name": "f", "args": args}}) + "\n"

    given = (write("/dev/pts/1", "aGkK") + write("/dev/pts/2", "bm8=")).encode()
    given += lines_of(make_execs(1))
    assert piped("-t", "/dev/pts/1", given=given) == (0, "hi\n", "")
    assert list(terminal_data("x", [{"process_kprobe": {}}])) == []


def test_closed_standard_input_means_the_agent() -> None:
    """As for a service started without one."""
    words = ["--server-address", "unix:///no/where", "--retries", "0"]
    done = subprocess.run(
        [*COMMAND, *words],
        preexec_fn=lambda: os.close(0),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert b"failed to call GetEvents" in done.stderr


# --- request --------------------------------------------------------------------------------------


def test_request_without_flags_has_one_empty_filter() -> None:
    """Which lets everything pass."""
    request = build_request()
    assert len(request.allow_list) == 1
    assert not request.allow_list[0].ListFields()
    assert not request.field_filters


def test_every_flag_has_its_place_in_the_request() -> None:
    """Former names come first; --host adds the empty namespace."""
    asked: dict[str, Any] = {
        "process": ["b"], "processes": ["a"], "namespace": ["n2"], "namespaces": ["n1"],
        "namespace_regex": ["r"], "host": True, "pod": ["p2"], "pods": ["p1"],
        "containers": ["c"], "event_types": ["PROCESS_EXEC", "TEST"], "policy_names": ["pol"],
        "cel_expression": ["true"], "include_fields": ["a.b"], "exclude_fields": ["c"],
    }  # fmt: skip
    assert Converter().object(build_request(**asked)) == {
        "allow_list": [
            {
                "binary_regex": ["a", "b"],
                "namespace": ["n1", "n2", ""],
                "event_set": ["PROCESS_EXEC", "TEST"],
                "pod_regex": ["p1", "p2"],
                "policy_names": ["pol"],
                "cel_expression": ["true"],
                "container_name_regex": ["c"],
                "namespace_regex": ["r"],
            }
        ],
        "field_filters": [{"fields": "a.b"}, {"fields": "c", "action": "EXCLUDE"}],
    }
