"""Compact lines are, byte for byte, those people and scripts know."""

import json
from pathlib import Path
from typing import Any

import pytest

from tetragon.event.compact import CompactEncoder, quoted

RECORDED = [
    json.loads(line)
    for line in Path(__file__).with_name("compact.jsonl").read_text().split("\n")
    if line
]
"""Events of every kind and what upstream's client prints for them."""


def name(record: dict[str, Any]) -> str:
    """Return a short name for a record."""
    kind = next(iter(record["event"]))
    return str(record["event"][kind].get("function_name") or kind)


@pytest.mark.parametrize("record", RECORDED, ids=name)
def test_line_is_the_recorded_one(record: dict[str, Any]) -> None:
    """Without colours, with them, and with the time where one was recorded."""
    if "error" in record:
        with pytest.raises(ValueError, match=record["error"]):
            CompactEncoder(False).encode(record["event"])
        return
    assert CompactEncoder(False).encode(record["event"]) == record["plain"]
    assert CompactEncoder(True).encode(record["event"]) == record["color"]
    if "stamped" in record:
        assert CompactEncoder(False, True).encode(record["event"]) == record["stamped"]


PROCESS = {"pid": 1, "binary": "/bin/x"}


def line(kind: str, **body: Any) -> str:
    """Return the line of an event of the process."""
    event = {kind: {"process": PROCESS, **body}, "node_name": "n"}
    return CompactEncoder(False).encode(event)


def test_capability_is_shown_when_it_is_held() -> None:
    """CAP_SYS_ADMIN by name, not by the length of the list."""
    one = {**PROCESS, "cap": {"effective": ["CAP_SYS_ADMIN"]}}
    assert line("process_exec", process=one).endswith(" 🛑 CAP_SYS_ADMIN")
    many = {**PROCESS, "cap": {"effective": [f"CAP_{n}" for n in range(30)]}}
    assert "🛑" not in line("process_exec", process=many)


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        ("tcp_connect", {"int_arg": 1}),
        ("bpf_check", {"int_arg": 1}),
        ("security_file_truncate", {"path_arg": {"path": "/a"}}),
        ("security_path_truncate", {"file_arg": {"path": "/a"}}),
    ],
)
def test_argument_of_an_unexpected_type_is_left_out(
    function: str, argument: dict[str, Any]
) -> None:
    """A policy may name the argument otherwise; the line stands all the same."""
    found = line("process_kprobe", function_name=function, args=[argument])
    assert found.endswith(" n /bin/x ")


@pytest.mark.parametrize("args", [[], [{"path_arg": {"path": "/a"}}]])
def test_hash_without_its_file_is_left_out(args: list[dict[str, Any]]) -> None:
    """Nothing to name, nothing to show."""
    found = line("process_lsm", function_name="file_open", args=args, ima_hash="sha1:ff")
    assert "\n" not in found


def test_stack_traces_and_hashes_can_be_left_out() -> None:
    """Each by its flag."""
    frames = [{"symbol": "f", "offset": "1"}]
    kprobe = {"process_kprobe": {"process": PROCESS, "kernel_stack_trace": frames}}
    assert "Kernel:" in CompactEncoder(False).encode(kprobe)
    assert "\n" not in CompactEncoder(False, stack_traces=False).encode(kprobe)
    lsm = {
        "process_lsm": {
            "process": PROCESS,
            "function_name": "file_open",
            "args": [{"file_arg": {}}],
            "ima_hash": "sha1:ff",
        }
    }
    assert CompactEncoder(False).encode(lsm).endswith("\n    sha1:ff")
    assert "\n" not in CompactEncoder(False, ima_hash=False).encode(lsm)


def test_events_without_a_line() -> None:
    """What only an exporter makes, and what no version knows."""
    for event, kind in (({"rate_limit_info": {}}, "RATE_LIMIT_INFO"), ({"x": {}}, "UNDEF")):
        with pytest.raises(ValueError, match=f"unknown event type: {kind}"):
            CompactEncoder(False).encode(event)


def test_system_calls_of_another_abi() -> None:
    """A bare number means the ABI the encoder was made for."""
    args = [{"long_arg": "64"}, {"size_arg": "3"}]
    body = {"process": PROCESS, "subsys": "raw_syscalls", "event": "sys_enter", "args": args}
    event = {"process_tracepoint": body, "node_name": "n"}
    assert "semget(key_t key=3" in CompactEncoder(False).encode(event)
    shown = CompactEncoder(False, abi="arm64").encode(event)
    assert shown.endswith("write(unsigned int fd=3, const char * buf=?, size_t count=?)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a b", '"a b"'),
        ('q"uote', 'q"uote'),
        ('q" uote', '"q\\" uote"'),
        ("new\nline", '"new\\nline"'),
        ("\x00\x7f\x1b", '"\\x00\\x7f\\x1b"'),
        ("\u00a0\u2028", '"\\u00a0\\u2028"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("é漢🚀", "é漢🚀"),
    ],
)
def test_quoting(text: str, shown: str) -> None:
    """Only what has a blank or does not print is quoted, as Go quotes."""
    assert quoted(text) == shown
