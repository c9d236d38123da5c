"""The queue before slow outputs: the feeder never waits, and every event is accounted for."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from export_support import balance, exec_events, make_front, reasons, wait_until

from tetragon.export.stage import Front
from tetragon.export.worker import Delivery, Worker
from tetragon.model.event import Event


class Place:
    """Where a worker delivers to; it can be made to wait or to fail."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.batches: list[list[bytes]] = []
        self.error: Exception | None = None

    def deliver(self, events: Sequence[Event], lines: Sequence[bytes]) -> Delivery:
        """Take a batch as soon as the place is open."""
        self.batches.append(list(lines))
        self.open.wait()
        if self.error is not None:
            raise self.error
        return Delivery(len(events), sum(map(len, lines)))


@pytest.fixture
def place() -> Iterator[Place]:
    """A place that is open again after the test, so that no thread stays behind."""
    place = Place()
    yield place
    place.open.set()


def start(place: Place, **options: object) -> tuple[Front, Worker]:
    """Start a worker with room for ten events."""
    front = make_front("out")
    return front, Worker(front.ledger, place.deliver, **({"max_events": 10} | options))


def test_lines_arrive_in_order(place: Place) -> None:
    """Whatever the batches, the order stays, and close waits for the last."""
    front, worker = start(place, max_events=1000)
    sent: list[bytes] = []
    for _ in range(20):
        admitted = front.admit(exec_events(5))
        sent += admitted.lines
        worker.put(admitted)
    worker.close(5)
    assert [line for batch in place.batches for line in batch] == sent
    assert front.ledger.delivered == 100
    assert worker.size_delivered == sum(map(len, sent))
    assert balance(front.ledger) == 0


def test_a_full_queue_drops_the_newest_and_never_waits(place: Place) -> None:
    """Ten find room while nothing leaves; the feeder goes on, and the rest is counted."""
    place.open.clear()
    front, worker = start(place)
    admitted = front.admit(exec_events(25))
    began = time.monotonic()
    worker.put(admitted)
    assert time.monotonic() - began < 1
    assert reasons(front.ledger) == {"out_queue_full": 15}
    assert worker.queued == 10
    place.open.set()
    worker.close(5)
    assert [line for batch in place.batches for line in batch] == list(admitted.lines[:10])
    assert balance(front.ledger) == 0


def test_the_queue_is_bounded_in_bytes_too(place: Place) -> None:
    """A few huge lines fill it as many small ones do."""
    place.open.clear()
    front, worker = start(place, max_bytes=5000)
    admitted = front.admit(exec_events(6, arguments="x" * 2000))
    worker.put(admitted)
    assert worker.queued == 2
    assert worker.queued_bytes <= 5000
    assert reasons(front.ledger) == {"out_queue_full": 4}


def test_room_is_there_again_after_delivery(place: Place) -> None:
    """The bound is on what waits, not on what ever came."""
    front, worker = start(place)
    for _ in range(5):
        worker.put(front.admit(exec_events(10)))
        wait_until(lambda: worker.queued == 0)
    worker.close(5)
    assert front.ledger.delivered == 50


def test_waiting_batches_are_joined(place: Place) -> None:
    """What queued up meanwhile leaves at once, up to the size asked for."""
    place.open.clear()
    front, worker = start(place, max_events=100, gather=8)
    worker.put(front.admit(exec_events(1)))
    wait_until(lambda: place.batches)
    for _ in range(10):
        worker.put(front.admit(exec_events(2)))
    place.open.set()
    worker.close(5)
    assert [len(batch) for batch in place.batches] == [1, 8, 8, 4]


def test_a_batch_waits_for_company_only_so_long(place: Place) -> None:
    """With a linger time a lone event leaves when it is over; closing does not wait for it."""
    front, worker = start(place, linger=0.01)
    worker.put(front.admit(exec_events(1)))
    wait_until(lambda: place.batches)
    front, worker = start(place, linger=60.0)
    worker.put(front.admit(exec_events(1)))
    began = time.monotonic()
    worker.close(5)
    assert time.monotonic() - began < 5
    assert front.ledger.delivered == 1


def test_close_gives_up_and_counts_what_is_stuck(place: Place) -> None:
    """A place that never answers costs the timeout, and its events are in the books."""
    place.open.clear()
    front, worker = start(place)
    worker.put(front.admit(exec_events(7)))
    worker.close(0.01)
    assert worker.alive
    assert reasons(front.ledger) == {"close_timeout": 7}
    assert balance(front.ledger) == 0


def test_an_unexpected_error_costs_its_batch_only(place: Place) -> None:
    """The thread survives, the batch is counted, and the next one arrives."""
    front, worker = start(place)
    place.error = RuntimeError("nobody expects this")
    worker.put(front.admit(exec_events(3)))
    wait_until(lambda: worker.queued == 0)
    place.error = None
    worker.put(front.admit(exec_events(2)))
    worker.close(5)
    assert reasons(front.ledger) == {"internal_error": 3}
    assert front.ledger.delivered == 2
    assert balance(front.ledger) == 0


def test_actions_run_between_the_lines_around_them(place: Place) -> None:
    """An action sees everything before it delivered and nothing after it."""
    place.open.clear()
    front, worker = start(place)
    seen: list[int] = []
    worker.put(front.admit(exec_events(2)))
    worker.call(lambda: seen.append(sum(map(len, place.batches))))
    worker.put(front.admit(exec_events(3)))
    place.open.set()
    worker.close(5)
    assert seen == [2]


def test_an_action_that_fails_stops_nothing(place: Place) -> None:
    """The thread survives it."""
    front, worker = start(place)
    worker.call(lambda: 1 // 0)
    worker.put(front.admit(exec_events(1)))
    worker.close(5)
    assert front.ledger.delivered == 1
