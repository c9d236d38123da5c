"""Process cache: each record makes the event, and the references, that the documentation says."""

import base64

import pytest
from process_history import INIT, NODE, OFFSET, execed, exited, feed, new_cache, scanned

from tetragon.abi.records import ProcessFlag
from tetragon.model.event import ExecEvent, ExitEvent
from tetragon.model.process import (
    BinaryProperties,
    Capabilities,
    Credentials,
    Namespace,
    Namespaces,
    Pod,
    Process,
)
from tetragon.model.record import CloneRecord
from tetragon.process.cache import ProcessCache

SHELL, CHILD, GRANDCHILD = (10, 100), (20, 200), (30, 300)


def namespaces(host: bool) -> Namespaces:
    """Return the host's namespaces, or others."""
    one = Namespace(1, host)
    return Namespaces(one, one, one, one, one, one, None, None, one, one)


@pytest.fixture
def cache() -> ProcessCache:
    """Return a cache that knows init."""
    cache = new_cache()
    cache.seed([scanned(INIT)])
    return cache


def refcnt(cache: ProcessCache, key: tuple[int, int]) -> int:
    """Return how many refer to a process."""
    process = cache.find(key)
    assert process is not None
    return process.refcnt


# -- exec ----------------------------------------------------------------------------------------


def test_exec_makes_an_event_with_its_parent(cache: ProcessCache) -> None:
    """Ids, times and parent are filled in; the parent counts one more reference."""
    (event,) = feed(cache, execed(SHELL, INIT))
    process, init = cache.find(SHELL), cache.find(INIT)
    assert event == ExecEvent(time=OFFSET + 100, process=process, parent=init)
    assert process is not None
    assert base64.b64decode(process.exec_id) == f"{NODE}:100:10".encode()
    assert process.parent_exec_id == f"id{INIT}"
    assert process.start_time == OFFSET + 100
    assert process.shown_refcnt == 0
    assert (refcnt(cache, SHELL), refcnt(cache, INIT)) == (1, 2)


def test_exec_over_exec_has_its_former_self_as_parent(cache: ProcessCache) -> None:
    """The image before is ended, but stays as the parent of the one that runs now."""
    feed(cache, execed(SHELL, INIT))
    again = (SHELL[0], 150)
    (event,) = feed(cache, execed(again, SHELL, cleanup=SHELL))
    assert event.parent is cache.find(SHELL)
    assert (refcnt(cache, INIT), refcnt(cache, SHELL), refcnt(cache, again)) == (1, 1, 1)
    feed(cache, exited(again))
    assert (refcnt(cache, SHELL), refcnt(cache, again)) == (0, 0)


def test_exec_of_an_announced_clone_ends_the_clone(cache: ProcessCache) -> None:
    """A fork that others refer to, then execs: its first identity has an end too."""
    clone = CloneRecord(SHELL, INIT, 0, 0)
    real = (SHELL[0], 150)
    assert feed(cache, clone) == []
    (event,) = feed(cache, execed(real, INIT, cleanup=SHELL))
    assert event.parent is cache.find(INIT)
    assert refcnt(cache, SHELL) == 0
    assert refcnt(cache, INIT) == 2


def test_cleanup_of_an_identity_nobody_knows_is_counted(cache: ProcessCache) -> None:
    """Ending what is not there changes nothing else."""
    (event,) = feed(cache, execed((10, 150), INIT, cleanup=(10, 120)))
    assert event.parent is cache.find(INIT)
    assert cache.stats().misses_remove == 1


def test_parent_known_by_pid_alone_is_found() -> None:
    """Ktime 0 stands for the process with this pid that ran before the agent; 0 is the kernel."""
    cache = new_cache()
    cache.seed([scanned((0, 1)), scanned(INIT, (0, 1)), scanned((5, 50), INIT)])
    by_pid, by_kernel, unknown = feed(
        cache, execed(SHELL, (5, 0)), execed(CHILD, (0, 0)), execed(GRANDCHILD, (6, 0))
    )
    assert by_pid.parent is cache.find((5, 50))
    assert by_kernel.parent is cache.find((0, 1))
    assert unknown.parent is None
    assert unknown.process is not None
    assert unknown.process.parent_exec_id == ""
    feed(cache, exited(SHELL), exited(CHILD))
    assert refcnt(cache, (5, 50)) == 1
    assert refcnt(cache, (0, 1)) == 2


# -- clone ---------------------------------------------------------------------------------------


def test_clone_takes_its_parent_s_image(cache: ProcessCache) -> None:
    """A process that never ran an image of its own has its own id, and its parent's program."""
    shell = execed(SHELL, INIT, arguments="-i", docker="abc")
    feed(cache, shell)
    shell.process.pod = Pod(name="web")
    assert feed(cache, CloneRecord(CHILD, SHELL, ProcessFlag.IN_INIT_TREE, 7)) == []
    child = cache.find(CHILD)
    assert child == Process(
        *CHILD,
        exec_id=cache.exec_id(*CHILD),
        parent_exec_id=cache.exec_id(*SHELL),
        parent_key=SHELL,
        tid=20,
        nspid=7,
        uid=1000,
        cwd="/work",
        binary="/bin/prog",
        arguments="-i",
        flags="execve inInitTree",
        start_time=OFFSET + 200,
        docker="abc",
        in_init_tree=True,
        refcnt=1,
        shown_refcnt=1,
        pod=Pod(name="web"),
    )
    assert refcnt(cache, SHELL) == 2


def test_exit_of_an_unannounced_clone_shows_its_parent_s_image(cache: ProcessCache) -> None:
    """Nobody referred to it: it has an event, and no place in the cache."""
    feed(cache, execed(SHELL, INIT))
    before = len(cache)
    (event,) = feed(cache, exited(CHILD, SHELL, code=9, announced=False))
    assert isinstance(event, ExitEvent)
    assert event.process is not None
    assert (event.process.binary, event.process.flags) == ("/bin/prog", "execve")
    assert (event.process.pid, event.process.shown_refcnt) == (20, 1)
    assert event.parent is cache.find(SHELL)
    assert len(cache) == before
    assert refcnt(cache, SHELL) == 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_process_whose_exec_record_was_lost_is_not_shown_as_its_parent(
    cache: ProcessCache, announced: bool
) -> None:
    """What it runs is not known, so nothing is claimed; who forked it is."""
    feed(cache, execed(SHELL, INIT))
    if announced:
        feed(cache, CloneRecord(CHILD, SHELL, ProcessFlag.MISS, 0))
    record = exited(CHILD, SHELL, announced=announced, flags=ProcessFlag.MISS)
    (event,) = feed(cache, record)
    assert event.process is not None
    assert not event.process.complete
    assert (event.process.binary, event.process.flags) == ("", "unknown")
    assert event.parent is cache.find(SHELL)
    assert refcnt(cache, SHELL) == 1


def test_children_of_an_unknown_image_are_unknown_too(cache: ProcessCache) -> None:
    """A clone of a stand-in inherits that nothing is known."""
    feed(cache, CloneRecord(SHELL, INIT, ProcessFlag.MISS, 0), CloneRecord(CHILD, SHELL, 0, 0))
    child = cache.find(CHILD)
    assert child is not None
    assert not child.complete
    (event,) = feed(cache, exited(CHILD))
    assert event.parent is cache.find(SHELL)


def test_a_clone_announced_twice_counts_once(cache: ProcessCache) -> None:
    """The second record changes nothing."""
    feed(cache, CloneRecord(SHELL, INIT, 0, 0), CloneRecord(SHELL, INIT, 0, 0))
    assert refcnt(cache, INIT) == 2


# -- exit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "signal", "status"),
    [
        (0, "", 0),
        (0x300, "", 3),
        (0xFF00, "", 255),
        (9, "SIGKILL", 0),
        (0x80 | 11, "SIGSEGV", 0),
        (40, "", 0),
    ],
)
def test_exit_tells_signal_and_status(
    cache: ProcessCache, code: int, signal: str, status: int
) -> None:
    """The wait status is told apart as wait(2) does, core dump or not."""
    feed(cache, execed(SHELL, INIT))
    (event,) = feed(cache, exited(SHELL, code=code))
    process = cache.find(SHELL)
    expected = ExitEvent(
        time=OFFSET + 101,
        process=process,
        parent=cache.find(INIT),
        signal=signal,
        status=status,
    )
    assert event == expected
    assert (refcnt(cache, SHELL), refcnt(cache, INIT)) == (0, 1)


def test_exit_of_a_parent_leaves_it_to_its_children(cache: ProcessCache) -> None:
    """It is collected only when the last child is gone."""
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL), exited(SHELL))
    for _ in range(5):
        cache.collect()
    assert refcnt(cache, SHELL) == 1
    (event,) = feed(cache, exited(CHILD))
    assert event.parent is cache.find(SHELL)
    assert refcnt(cache, SHELL) == 0


def test_a_second_exit_drops_no_reference(cache: ProcessCache) -> None:
    """Children keep their parent, whatever is said of it twice."""
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL), exited(SHELL), exited(SHELL))
    assert refcnt(cache, SHELL) == 1
    assert refcnt(cache, INIT) == 1
    assert cache.stats().early_deletions == 1


# -- ancestors -----------------------------------------------------------------------------------


def test_ancestors_come_nearest_first_down_to_init() -> None:
    """From the grandparent up; pid 0 is never one."""
    cache = new_cache(ancestors=True)
    seeded = cache.seed([scanned((0, 1)), scanned(INIT, (0, 1)), scanned((5, 50), INIT)])
    assert [event.ancestors for event in seeded] == [(), (), ()]
    shell, child, grandchild = feed(
        cache, execed(SHELL, (5, 50)), execed(CHILD, SHELL), execed(GRANDCHILD, CHILD)
    )
    init, five = cache.find(INIT), cache.find((5, 50))
    assert shell.ancestors == (init,)
    assert child.ancestors == (five, init)
    assert grandchild.ancestors == (shell.process, five, init)
    (gone,) = feed(cache, exited(GRANDCHILD))
    assert gone.ancestors == grandchild.ancestors


def test_ancestors_are_kept_as_long_as_their_descendants() -> None:
    """With ancestors on, the whole chain is referred to, and let go of again."""
    cache = new_cache(ancestors=True)
    cache.seed([scanned(INIT)])
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL), execed(GRANDCHILD, CHILD))
    feed(cache, exited(SHELL), exited(CHILD))
    counts = [refcnt(cache, key) for key in (INIT, SHELL, CHILD, GRANDCHILD)]
    assert counts == [2, 1, 1, 1]
    feed(cache, exited(GRANDCHILD))
    assert [refcnt(cache, key) for key in (INIT, SHELL, CHILD, GRANDCHILD)] == [1, 0, 0, 0]


def test_no_ancestors_unless_asked_for(cache: ProcessCache) -> None:
    """Events carry the parent alone, and only that is referred to."""
    feed(cache, execed(SHELL, INIT), execed(CHILD, SHELL))
    (event,) = feed(cache, execed(GRANDCHILD, CHILD))
    assert event.ancestors == ()
    assert refcnt(cache, SHELL) == 2


# -- options -------------------------------------------------------------------------------------


def with_everything() -> dict[str, object]:
    """Return what a record holds when the kernel half collects all it can."""
    return {
        "environment": (("PATH", "/bin"), ("TOKEN", "s3cret"), ("HOME", "/")),
        "credentials": Credentials(1, 2, 3, 4, 5, 6, 7, 8),
        "cap": Capabilities(1, 1, 0),
        "ns": namespaces(host=True),
    }


def test_options_decide_what_of_a_record_is_shown() -> None:
    """Namespaces fetched only for user names, say, are not shown."""
    hidden, shown = new_cache(), new_cache(credentials=True, namespaces=True)
    for cache in (hidden, shown):
        record = execed(SHELL, (0, 0), **with_everything())
        record.properties = BinaryProperties(inode=5)
        feed(cache, record)
    process = hidden.find(SHELL)
    assert process is not None
    assert (process.ns, process.credentials, process.cap) == (None, None, None)
    process = shown.find(SHELL)
    assert process is not None
    assert (process.ns, process.credentials, process.cap) == (
        namespaces(host=True),
        Credentials(1, 2, 3, 4, 5, 6, 7, 8),
        Capabilities(1, 1, 0),
    )


@pytest.mark.parametrize("credentials", [True, False])
def test_binary_properties_need_credentials_and_stay_out_of_the_cache(credentials: bool) -> None:
    """They are the exec event's alone."""
    cache = new_cache(credentials=credentials)
    record = execed(SHELL, (0, 0))
    record.properties = BinaryProperties(inode=5)
    (event,) = feed(cache, record)
    assert isinstance(event, ExecEvent)
    assert event.binary_properties == (BinaryProperties(inode=5) if credentials else None)


def test_redaction_comes_before_anybody_sees_a_process() -> None:
    """Arguments and environment are blacked out by binary; names are filtered first."""
    seen: list[object] = []

    def redact(binary: str, arguments: str) -> str:
        seen.append((binary, arguments))
        return arguments.replace("s3cret", "*****")

    def redact_environment(
        binary: str, pairs: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        seen.append((binary, pairs))
        return tuple((name, value.replace("s3cret", "*****")) for name, value in pairs)

    cache = new_cache(
        redact=redact,
        redact_environment=redact_environment,
        environment_names=frozenset({"TOKEN", "HOME"}),
    )
    (event,) = feed(cache, execed(SHELL, (0, 0), arguments="--key s3cret", **with_everything()))
    assert event.process is not None
    assert event.process.arguments == "--key *****"
    assert event.process.environment == (("TOKEN", "*****"), ("HOME", "/"))
    assert seen == [
        ("/bin/prog", (("TOKEN", "s3cret"), ("HOME", "/"))),
        ("/bin/prog", "--key s3cret"),
    ]


@pytest.mark.parametrize(("host", "name"), [(True, "user1000"), (False, None)])
def test_user_names_are_for_processes_of_the_host(host: bool, name: str | None) -> None:
    """The host's accounts mean nothing in other mount or user namespaces."""
    cache = new_cache(user_name=lambda uid: f"user{uid}")
    (event,) = feed(cache, execed(SHELL, (0, 0), ns=namespaces(host)))
    assert event.process is not None
    assert event.process.user == name
    assert event.process.ns is None


def test_without_the_cache_events_carry_their_own_process_alone() -> None:
    """Nothing is kept: no parents, no waiting, and an exit tells pid and start only."""
    cache = new_cache(keep=False, ancestors=True, environment_names=frozenset({"HOME"}))
    seeded = cache.seed([scanned((0, 1)), scanned(INIT, (0, 1))])
    assert [(event.parent, event.ancestors) for event in seeded] == [(None, ()), (None, ())]
    start, end = feed(
        cache,
        CloneRecord(CHILD, SHELL, 0, 0),
        execed(SHELL, INIT, cleanup=(10, 90), **with_everything()),
        exited(SHELL, INIT, code=0x100),
    )
    assert start.process is not None
    assert start.process.exec_id == cache.exec_id(*SHELL)
    assert start.process.parent_exec_id == cache.exec_id(*INIT)
    assert start.process.environment == (("HOME", "/"),)
    assert (start.parent, start.ancestors, start.time) == (None, (), OFFSET + 100)
    assert isinstance(end, ExitEvent)
    assert end.process is not None
    assert (end.process.complete, end.process.pid, end.status) == (False, 10, 1)
    assert (len(cache), cache.waiting) == (0, 0)


# -- start ---------------------------------------------------------------------------------------


def test_seed_makes_an_event_for_all_but_the_silent() -> None:
    """Kernel threads are known as parents, without an event; pid 0 is its own parent."""
    cache = new_cache()
    kernel, init, thread = scanned((0, 1)), scanned(INIT, (0, 1)), scanned((2, 2), (0, 1))
    worker, daemon = scanned((9, 9), (2, 2)), scanned((50, 5), INIT)
    events = cache.seed([kernel, init, thread, worker, daemon], silent={2, 9})
    assert [(event.process, event.parent) for event in events] == [
        (kernel, kernel),
        (init, kernel),
        (daemon, init),
    ]
    assert [event.time for event in events] == [OFFSET + 1, OFFSET + 1, OFFSET + 5]
    assert cache.find((9, 9)) is worker
    assert [process.refcnt for process in (kernel, init, thread)] == [3, 2, 2]


def test_a_seeded_process_whose_parent_is_unknown_refers_to_nobody() -> None:
    """A parent that comes later under this key does not lose a reference it never counted."""
    cache = new_cache()
    orphan = scanned((50, 5), SHELL)
    cache.seed([orphan])
    assert orphan.parent_key is None
    feed(cache, execed(SHELL, (0, 0)), exited((50, 5)))
    assert refcnt(cache, SHELL) == 1
