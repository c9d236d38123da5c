"""EventCounter: every event is counted once, under bounded labels."""

import pytest
from metrics_support import exec_event, exit_event

from tetragon.metrics.events import OTHER, TEXTS, EventCounter, Labels
from tetragon.model.event import RateLimitInfo, ThrottleEvent
from tetragon.model.process import Pod

ALL = ("namespace", "workload", "pod", "binary", "node_name")
POD = Pod(namespace="shop", name="cart-1", workload="cart")


def test_events_are_counted_by_type_and_binary() -> None:
    """Two execs and one exit of a binary are two series with 2 and 1."""
    events = EventCounter(ALL, "n1")
    events.write([exec_event("/bin/a"), exit_event("/bin/a")])
    events.write([exec_event("/bin/a"), exec_event("/bin/b")])
    assert events.series() == {
        Labels("PROCESS_EXEC", binary="/bin/a", node_name="n1"): 2,
        Labels("PROCESS_EXIT", binary="/bin/a", node_name="n1"): 1,
        Labels("PROCESS_EXEC", binary="/bin/b", node_name="n1"): 1,
    }
    assert (events.ledger.produced, events.ledger.delivered) == (4, 4)


def test_events_of_pods_have_their_labels() -> None:
    """Namespace, workload and pod come from the process's pod; other pods are other series."""
    events = EventCounter(ALL, "n1")
    other = Pod(namespace="shop", name="cart-2", workload="cart")
    events.write([exec_event("/bin/a", pod=POD), exec_event("/bin/a", pod=other)])
    events.write([exec_event("/bin/a", pod=POD), exec_event("/bin/a")])
    assert events.series() == {
        Labels("PROCESS_EXEC", "shop", "cart", "cart-1", "/bin/a", "n1"): 2,
        Labels("PROCESS_EXEC", "shop", "cart", "cart-2", "/bin/a", "n1"): 1,
        Labels("PROCESS_EXEC", binary="/bin/a", node_name="n1"): 1,
    }


@pytest.mark.parametrize(
    ("labels", "series"),
    [
        ((), {Labels("PROCESS_EXEC"): 3}),
        (("namespace",), {Labels("PROCESS_EXEC", "shop"): 2, Labels("PROCESS_EXEC"): 1}),
        (("node_name",), {Labels("PROCESS_EXEC", node_name="n1"): 3}),
        (
            ("binary",),
            {
                Labels("PROCESS_EXEC", binary="/bin/a"): 2,
                Labels("PROCESS_EXEC", binary="/bin/b"): 1,
            },
        ),
    ],
)
def test_labels_that_are_off_are_empty(labels: tuple[str, ...], series: dict[Labels, int]) -> None:
    """Series that differ in those labels alone become one."""
    events = EventCounter(labels, "n1")
    events.write([exec_event("/bin/a", pod=POD), exec_event("/bin/b", pod=POD)])
    events.write([exec_event("/bin/a")])
    assert events.series() == series


def test_label_sets_beyond_the_limit_are_counted_together() -> None:
    """The sum stays right, the known ones go on, and nothing grows."""
    events = EventCounter(ALL, limit=3)
    batch = [exec_event(f"/bin/{number}") for number in range(10)]
    events.write(batch)
    events.write(batch)
    series = events.series()
    assert series == {
        **{Labels("PROCESS_EXEC", binary=f"/bin/{number}"): 2 for number in range(3)},
        Labels("PROCESS_EXEC", binary=OTHER): 14,
    }


def test_pods_beyond_the_limit_are_counted_together() -> None:
    """They do not mix with the events of the host."""
    events = EventCounter(ALL, limit=1)
    pods = [Pod(namespace="shop", name=f"cart-{number}") for number in range(5)]
    events.write([exec_event("/bin/a", pod=pod) for pod in pods])
    events.write([exec_event("/bin/a"), exec_event("/bin/a")])
    assert events.series() == {
        Labels("PROCESS_EXEC", "shop", "", "cart-0", "/bin/a"): 1,
        Labels("PROCESS_EXEC", OTHER, OTHER, OTHER, OTHER): 4,
        Labels("PROCESS_EXEC", binary=OTHER): 2,
    }


def test_long_labels_have_a_limit_in_all() -> None:
    """Few but very long paths cannot take memory without bound either."""
    events = EventCounter(ALL)
    size = TEXTS // 4
    events.write([exec_event(f"/{number}".ljust(size, "x")) for number in range(8)])
    assert sorted(len(labels.binary) for labels in events.series()) == [len(OTHER), *[size] * 4]
    assert sum(events.series().values()) == 8


def test_flags_are_counted_by_word() -> None:
    """Only those of exec events count: a process keeps them to its end."""
    events = EventCounter(None)
    events.write([exec_event(flags="procFS rootcwd"), exec_event(), exit_event()])
    assert events.flags() == {"procFS": 1, "rootcwd": 1, "execve": 1, "clone": 1}
    assert events.series() == {}


def test_flags_stay_right_when_there_are_many_sets_of_them() -> None:
    """However many combinations there are, each word keeps its count."""
    events = EventCounter(None)
    for number in range(1000):
        bits = [f"bit{bit}" for bit in range(10) if number >> bit & 1]
        events.write([exec_event(flags=" ".join(["execve", *bits]))])
    flags = events.flags()
    assert flags["execve"] == 1000
    assert flags["bit9"] == 1000 - 512
    assert flags["bit0"] == 500


def test_events_without_a_known_process_are_told_apart() -> None:
    """A stand-in counts as missing; kinds that never have a process do not."""
    events = EventCounter(ALL)
    events.write([exit_event("", complete=False), ThrottleEvent(time=1, start=True, cgroup="x")])
    events.write([RateLimitInfo(time=1, dropped=3)])
    assert events.without_process == 1
    assert events.series() == {
        Labels("PROCESS_EXIT"): 1,
        Labels("PROCESS_THROTTLE"): 1,
        Labels("RATE_LIMIT_INFO"): 1,
    }
