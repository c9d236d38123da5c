"""RFC 5424 framing, checked with the grammar of the RFC."""

import re

import pytest
from export_support import NOON, exec_event

from tetragon.export.syslog import SyslogFrame

# RFC 5424, section 6, with the parts this project uses.
MESSAGE = re.compile(
    rb"<(?P<pri>[1-9][0-9]{0,2})>1 "
    rb"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z) "
    rb"(?P<host>-|[!-~]{1,255}) (?P<app>-|[!-~]{1,48}) (?P<proc>-|[!-~]{1,128}) "
    rb"(?P<id>-|[!-~]{1,32}) - (?P<text>.*)",
    re.DOTALL,
)


def test_a_message_is_what_the_rfc_says() -> None:
    """Priority local0.info, time of the event, node, tetragon, pid, kind, the line as text."""
    frame = SyslogFrame("node", 4711)
    match = MESSAGE.fullmatch(frame.event(exec_event(pid=123_456), b'{"a":1}\n'))
    assert match is not None
    assert match.groupdict() == {
        "pri": b"134",
        "time": b"2024-01-31T12:00:00.000123Z",
        "host": b"node",
        "app": b"tetragon",
        "proc": b"4711",
        "id": b"process_exec",
        "text": b'{"a":1}',
    }


def test_what_the_agent_says_of_itself_is_a_notice() -> None:
    """Severity 5 and its own MSGID let a receiver sort it."""
    match = MESSAGE.fullmatch(SyslogFrame("node", 1).notice("agent_init", NOON, b"{}\n"))
    assert match is not None
    assert (match["pri"], match["id"], match["text"]) == (b"133", b"agent_init", b"{}")


@pytest.mark.parametrize(
    ("name", "host"),
    [("", b"-"), ("a b\n", b"a_b_"), ("höst", b"h_st"), ("x" * 300, b"x" * 255)],
)
def test_a_host_name_is_made_to_fit(name: str, host: bytes) -> None:
    """Only printable ASCII, at most 255 characters, a dash for none."""
    match = MESSAGE.fullmatch(SyslogFrame(name, 1).notice("x", NOON, b"{}\n"))
    assert match is not None
    assert match["host"] == host


def test_overhead_is_never_too_small() -> None:
    """A line with its frame is at most that much longer than the line."""
    frame = SyslogFrame("n" * 100, 4_194_304)
    assert len(frame.event(exec_event(), b"\n")) <= 1 + frame.overhead
    longest = "process_tracepoint"
    assert len(frame.notice(longest, NOON, b"\n")) <= 1 + frame.overhead + len(longest)
