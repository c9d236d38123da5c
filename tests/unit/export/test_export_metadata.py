"""What the agent says about itself: the documented keys, in their order."""

import json
import os

import pytest
from export_support import NOON, SECOND

from tetragon.export import metadata
from tetragon.export.metadata import AgentInfo, describe_agent
from tetragon.model.ledger import Ledger

INFO = AgentInfo(
    version="1.2.3",
    build_commit="abc",
    build_date="2024-01-01T00:00:00Z",
    hostname="host",
    kernel_version="6.1.0",
    pid=42,
    started=NOON,
    udp_destination="127.0.0.1:514",
    udp_buffer_size=65536,
)
KEYS = [
    "@timestamp",
    "event",
    "tetragon_version",
    "build_commit",
    "build_date",
    "hostname",
    "os",
    "kernel_version",
    "pid",
    "udp_destination",
    "udp_buffer_size",
    "uptime",
]


def test_the_first_line_is_the_documented_one() -> None:
    """Keys, order, types and the words for the start."""
    said = metadata.fields(INFO, metadata.INIT, NOON + 123_456_789)
    line = metadata.line(said, None, 65507)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert list(json.loads(line)) == KEYS
    assert json.loads(line) == {
        "@timestamp": "2024-01-31T12:00:00.123456789Z",
        "event": "agent_init",
        "tetragon_version": "1.2.3",
        "build_commit": "abc",
        "build_date": "2024-01-01T00:00:00Z",
        "hostname": "host",
        "os": "linux",
        "kernel_version": "6.1.0",
        "pid": 42,
        "udp_destination": "127.0.0.1:514",
        "udp_buffer_size": 65536,
        "uptime": "initialized at 0",
    }


def test_what_is_not_known_of_the_build_is_left_out() -> None:
    """An unknown commit or date is no key at all; an unknown version is empty."""
    info = INFO._replace(version="", build_commit="", build_date="")
    said = metadata.fields(info, metadata.INIT, NOON)
    assert list(said) == [key for key in KEYS if not key.startswith("build_")]
    assert said["tetragon_version"] == ""


def test_this_process_is_described() -> None:
    """What the system knows is taken from it."""
    info = describe_agent(NOON, "1.0")
    assert info.pid == os.getpid()
    assert info.hostname == os.uname().nodename
    assert info.kernel_version == os.uname().release
    assert info.udp_destination == "disabled"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (0, "0s"),
        (SECOND, "1s"),
        (90 * SECOND + SECOND // 2, "1m30.5s"),
        (3600 * SECOND, "1h0m0s"),
        (90061 * SECOND, "25h1m1s"),
    ],
)
def test_later_lines_tell_how_long_the_agent_runs(span: int, text: str) -> None:
    """As Go writes durations."""
    assert metadata.fields(INFO, metadata.STATUS, NOON + span)["uptime"] == text


def ledger(stage: str, produced: int, **lost: int) -> Ledger:
    """Return books that balance."""
    result = Ledger(stage)
    result.produced = produced
    for reason, count in lost.items():
        result.lose(reason, "PROCESS_EXEC", count=count - 1)
        result.lose(reason, "PROCESS_EXIT")
    result.delivered = produced - sum(lost.values())
    return result


def test_the_last_line_has_the_books() -> None:
    """Per stage: produced, delivered, filtered, merged, lost, and lost by reason."""
    totals = metadata.books([ledger("udp", 100, udp_enobufs=3, rate_limit=2), ledger("ring", 7)])
    line = metadata.line(metadata.fields(INFO, metadata.SHUTDOWN, NOON), totals, 65507)
    got = json.loads(line)
    assert got["event"] == "agent_shutdown"
    assert list(got) == [*KEYS, "ledger"]
    assert got["ledger"] == {
        "udp": {
            "produced": 100,
            "delivered": 95,
            "filtered": 0,
            "merged": 0,
            "lost": 5,
            "reasons": {"udp_enobufs": 3, "rate_limit": 2},
        },
        "ring": {
            "produced": 7,
            "delivered": 7,
            "filtered": 0,
            "merged": 0,
            "lost": 0,
            "reasons": {},
        },
    }


def test_stages_of_one_name_are_added() -> None:
    """Several streams count as one stage."""
    totals = metadata.books([ledger("grpc", 5, full=2), ledger("grpc", 6, full=3, gone=1)])
    assert totals["grpc"]["produced"] == 11
    assert totals["grpc"]["reasons"] == {"full": 5, "gone": 1}


def test_a_line_too_long_loses_details_first() -> None:
    """In a small datagram the reasons go first, then the books, never who speaks."""
    stages = [ledger(f"stage_{n}", 10, some_quite_long_reason=2) for n in range(10)]
    totals = metadata.books(stages)
    said = metadata.fields(INFO, metadata.STATUS, NOON)
    whole = metadata.line(said, totals, 65507)
    brief = metadata.line(said, totals, len(whole) - 1)
    assert "reasons" not in json.loads(brief)["ledger"]["stage_0"]
    assert list(json.loads(metadata.line(said, totals, len(brief) - 1))) == KEYS
    shortest = metadata.line(said, totals, 100)
    assert json.loads(shortest) == {"event": "agent_status", "pid": 42}


def test_the_last_words_in_the_log() -> None:
    """The fields of the agent's last log message."""
    assert metadata.shutdown_fields(INFO, NOON + 61 * SECOND + 5) == {
        "@timestamp": "2024-01-31T12:01:01Z",
        "event": "agent_shutdown",
        "hostname": "host",
        "tetragon_version": "1.2.3",
        "uptime": "1m1.000000005s",
        "logs_flushed": "completed",
    }
