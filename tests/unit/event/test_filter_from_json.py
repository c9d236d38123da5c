"""Events read from JSON look to filters as they did in the agent."""

from typing import Any

import pytest
from filter_events import through_json, whole_events

from tetragon.errors import DecodeError
from tetragon.event.from_json import event_from_json, kind_of
from tetragon.model.event import Event, EventType

READ = ("pid", "exec_id", "binary", "arguments", "docker", "in_init_tree", "cap")
READ_OF_POD = ("namespace", "name", "labels")


@pytest.mark.parametrize("event", whole_events(), ids=lambda event: type(event).__name__)
def test_event_keeps_what_filters_look_at(event: Event) -> None:
    """Kind, processes, pods and capabilities come back as they were."""
    read = through_json(event)
    assert read.type == kind_of(type(read)) == event.type
    pairs = [(event.process, read.process), (event.parent, read.parent)]
    pairs += zip(event.ancestors, read.ancestors, strict=True)
    for was, is_ in pairs:
        assert (was is None) == (is_ is None)
        if was is None or is_ is None:
            continue
        assert [getattr(is_, name) for name in READ] == [getattr(was, name) for name in READ]
        assert (was.pod is None) == (is_.pod is None)
        if was.pod is not None and is_.pod is not None:
            for name in READ_OF_POD:
                assert getattr(is_.pod, name) == getattr(was.pod, name)
            assert is_.pod.container.name == was.pod.container.name
            assert is_.pod.container.maybe_exec_probe == was.pod.container.maybe_exec_probe


def test_both_spellings_are_read() -> None:
    """Names in camelCase mean the same."""
    read = event_from_json({
        "processLsm": {
            "policyName": "p",
            "process": {"execId": "x", "inInitTree": True, "pod": {"podLabels": {"a": "b"}}},
        },
        "nodeName": "n",
    })  # fmt: skip
    assert read.type is EventType.PROCESS_LSM
    assert read.policy_name == "p"
    assert read.process is not None
    assert (read.process.exec_id, read.process.in_init_tree) == ("x", True)
    assert read.process.pod is not None
    assert read.process.pod.labels == (("a", "b"),)


def test_capabilities_may_be_names_or_numbers() -> None:
    """Numbers stand for themselves, names nobody knows for nothing."""
    read = event_from_json(
        {"process_exec": {"process": {"cap": {"effective": ["CAP_KILL", 40, "CAP_NEW", 99, -1]}}}}
    )
    assert read.process is not None
    assert read.process.cap is not None
    assert read.process.cap.effective == 1 << 5 | 1 << 40


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"node_name": "n"},
        {"process_future": {}},
        {"process_exec": None},
        {"process_exec": 5},
        {"process_exec": {"process": []}},
        {"process_exec": {"process": {"binary": 5}}},
        {"process_exec": {"process": {"pid": "x"}}},
        {"process_exec": {"process": {"pod": "x"}}},
        {"process_exec": {"process": {"pod": {"pod_labels": []}}}},
        {"process_exec": {"process": {"cap": {"effective": [[]]}}}},
        {"process_exec": {"ancestors": 1}},
    ],
)
def test_what_is_no_event_is_a_decode_error(event: dict[str, Any]) -> None:
    """A line that is JSON but no event is refused, not half read."""
    with pytest.raises(DecodeError):
        event_from_json(event)
