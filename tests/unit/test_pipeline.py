"""Pipeline: batches of records in, numbered events to every sink, and books that balance."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import batch, clone_record, data_records, exec_record, exit_record

from tetragon.abi.records import ProcessFlag
from tetragon.event.decode import Decoder
from tetragon.event.json import JsonEncoder
from tetragon.model.event import Event, ExecEvent, ExitEvent
from tetragon.model.ledger import Ledger, Loss
from tetragon.model.process import Process
from tetragon.pipeline import Pipeline
from tetragon.process.cache import ProcessCache
from tetragon.process.options import Options

INIT, SHELL, CHILD = (1, 1), (10, 100), (20, 200)
OFFSET = 1_700_000_000_000_000_000


class Kept:
    """A sink that keeps events and the JSON lines they had when they came."""

    def __init__(self, name: str) -> None:
        self.ledger = Ledger(name)
        self.events: list[Event] = []
        self.lines: list[bytes] = []
        self._encoder = JsonEncoder("node")

    def write(self, batch: Sequence[Event]) -> None:
        """Keep a batch."""
        self.events += batch
        self.lines += map(self._encoder.line, batch)

    def tick(self, now: int) -> None:
        """Do nothing: nothing is ever due."""

    def close(self, timeout: float) -> None:
        """Do nothing: nothing is queued."""


class Setting:
    """A pipeline with two sinks, and what it complained of."""

    def __init__(self, own_pid: int = 0) -> None:
        self.sinks = [Kept("first"), Kept("second")]
        self.complaints: list[str] = []
        self.cache = ProcessCache(Options("node", retries=1))
        self.cache.seed([Process(*INIT, exec_id="init", binary="/sbin/init", tid=1)])
        decoder = Decoder(lambda _cgroup, _cut: "")
        self.pipeline = Pipeline(decoder, self.cache, self.sinks, own_pid, self.complaints.append)

    def run(self, *records: bytes) -> int:
        """Give the pipeline one batch."""
        return self.pipeline.run(*batch(*records), OFFSET)

    @property
    def events(self) -> list[Event]:
        """What the first sink got."""
        return self.sinks[0].events

    def check_books(self) -> None:
        """Check that every record is delivered or lost, and both sinks got the same."""
        books = self.pipeline.ledger
        assert books.produced == books.delivered + books.lost_total
        assert self.sinks[0].events == self.sinks[1].events


@pytest.fixture
def setting() -> Setting:
    """Return a pipeline that has seen nothing yet."""
    return Setting()


def test_a_batch_of_records_becomes_events_in_every_sink(setting: Setting) -> None:
    """In the order of the records, numbered from 1, with times of day."""
    made = setting.run(
        exec_record(SHELL, INIT),
        exec_record(CHILD, SHELL, args=b"prog\0x y\0"),
        exit_record(CHILD, code=9),
    )
    assert made == 3
    assert [type(event) for event in setting.events] == [ExecEvent, ExecEvent, ExitEvent]
    assert [event.sequence for event in setting.events] == [1, 2, 3]
    assert [event.time - OFFSET for event in setting.events] == [100, 200, 20_000]
    setting.run(exit_record(SHELL))
    assert setting.events[3].sequence == 4
    setting.check_books()
    assert setting.pipeline.ledger.delivered == 4
    last = json.loads(setting.sinks[1].lines[2])["process_exit"]
    assert last["process"]["arguments"] == ' "x y"'
    assert last["parent"]["pid"] == 10
    assert last["signal"] == "SIGKILL"


def test_an_undecodable_record_is_counted_and_told_once(setting: Setting) -> None:
    """By operation; the records around it are delivered."""
    bad = exec_record(SHELL, INIT)[:-3]
    setting.run(bad, exec_record(SHELL, INIT), b"\xfe" * 16, b"")
    setting.run(bad, exit_record(SHELL)[:30])
    books = setting.pipeline.ledger
    assert books.lost == {
        Loss("decode_error", "exec"): 2,
        Loss("decode_error", "254"): 1,
        Loss("decode_error", "none"): 1,
        Loss("decode_error", "exit"): 1,
    }
    assert (books.produced, books.delivered) == (6, 1)
    assert len(setting.complaints) == 4
    assert "its texts are cut" in setting.complaints[0]
    assert [type(event) for event in setting.events] == [ExecEvent]
    setting.check_books()


def test_texts_without_their_exec_are_counted(setting: Setting) -> None:
    """Data records are delivered with their exec record, or lost."""
    pieces = data_records(b"x" * 100, (5, 5), piece=10)
    setting.run(*pieces)
    setting.run(*(exec_record((20 + n, 200 + n), INIT) for n in range(1024)))
    assert setting.pipeline.ledger.lost == {Loss("exec_never_came", "data"): 10}
    setting.check_books()


def test_own_events_are_left_out_and_take_no_number() -> None:
    """The agent does not report itself unless asked to."""
    setting = Setting(own_pid=SHELL[0])
    setting.run(exec_record(SHELL, INIT), exec_record(CHILD, SHELL), exit_record(SHELL))
    (event,) = setting.events
    assert event.sequence == 1
    assert event.process is not None
    assert event.process.pid == CHILD[0]
    assert event.parent is setting.cache.find(SHELL)


def test_a_tick_delivers_what_is_out_of_tries(setting: Setting) -> None:
    """Late, incomplete, but not lost."""
    setting.run(exec_record(CHILD, SHELL))
    assert setting.events == []
    setting.pipeline.tick()
    (event,) = setting.events
    assert (event.parent, event.sequence) == (None, 1)
    setting.check_books()


def test_events_freed_by_a_late_process_keep_their_order(setting: Setting) -> None:
    """The parent's event comes first, whatever came first from the ring."""
    setting.run(exec_record(CHILD, SHELL), exit_record(CHILD))
    setting.run(clone_record(SHELL, INIT, flags=ProcessFlag.MISS))
    assert [type(event) for event in setting.events] == [ExecEvent, ExitEvent]
    assert [event.sequence for event in setting.events] == [1, 2]


def test_texts_of_ended_processes_are_released_behind_the_sinks(setting: Setting) -> None:
    """Every sink of the batch has them; later nobody needs them."""
    setting.run(exec_record(SHELL, INIT), exec_record(CHILD, INIT))
    setting.run(exit_record(CHILD))
    shell, child = setting.cache.find(SHELL), setting.cache.find(CHILD)
    assert shell is not None
    assert child is not None
    assert shell.json is not None
    assert child.json is None
    assert b'"pid":20' in setting.sinks[1].lines[-1]


def test_a_sink_may_come_and_go(setting: Setting) -> None:
    """The list of sinks is read anew for each batch."""
    setting.run(exec_record(SHELL, INIT))
    gone = setting.sinks.pop()
    setting.run(exec_record(CHILD, SHELL))
    assert (len(setting.events), len(gone.events)) == (2, 1)


RECORDS = (
    exec_record(SHELL, INIT),
    exec_record(CHILD, SHELL, cleanup=SHELL, envs=b"A=1\0"),
    exit_record(SHELL),
    exit_record(CHILD, SHELL, announced=0),
    clone_record((30, 300), CHILD),
    *data_records(b"a\0bb\0", CHILD),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(RECORDS), st.integers(0, 140), st.binary(max_size=9), st.booleans()
        ),
        max_size=12,
    )
)
def test_whatever_the_ring_holds_the_books_balance(
    damaged: list[tuple[bytes, int, bytes, bool]],
) -> None:
    """Damaged, cut and repeated records: no exception, nothing uncounted, all lines are JSON."""
    setting = Setting()
    parts = []
    for record, at, noise, cut in damaged:
        broken = record[:at] + noise + record[at + len(noise) :]
        parts.append(broken[: at + 1] if cut else broken)
    setting.run(*parts)
    setting.pipeline.tick()
    setting.check_books()
    assert setting.pipeline.ledger.produced == len(parts)
    assert [event.sequence for event in setting.events] == list(range(1, len(setting.events) + 1))
    for line in setting.sinks[0].lines:
        json.loads(line)
