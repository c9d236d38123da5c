"""Under a storm of short-lived processes nothing is lost and nobody is without a parent."""

import os
from collections import Counter

from kernel.watch import IN_VM, Watch, everything
from tetragon.model.event import ExitEvent

TOTAL = 600 if IN_VM else 20_000
AT_ONCE = 4


def test_every_process_of_a_storm_is_seen_once(actor: str) -> None:
    """
    posix_spawn, four at a time, while the events are read: each pid one exec and one exit.

    The exit status tells which was which; the pids are those waitpid(2) gave.
    """
    watch = Watch(everything(credentials=False, namespaces=False, environment=False))
    try:
        watch.start_test()
        waited: dict[int, list[int]] = {}
        for number in range(TOTAL):
            os.posix_spawn(actor, [actor, "exit", str(number % 256)], {})
            if number >= AT_ONCE:
                _wait_one(waited)
            if number % 64 == 0:
                watch.drain()
        for _ in range(AT_ONCE):
            _wait_one(waited)
        watch.wait("all exits", lambda: _exits(watch) == TOTAL)
        assert watch.losses() == {}
        assert watch.cache.waiting == 0
        assert watch.pipeline.ledger.lost == {}
        begun, ended = _by_pid(watch, "process_exec"), _by_pid(watch, "process_exit")
        assert begun == Counter({pid: len(codes) for pid, codes in waited.items()})
        assert ended == begun
        codes: dict[int, list[int]] = {}
        for one in watch.seen:
            assert one.event.parent is not None
            assert one.event.parent.pid == os.getpid()
            if isinstance(one.event, ExitEvent):
                codes.setdefault(one.process.pid, []).append(one.event.status)
        assert codes == waited
        counters = watch.sensor.counters()
        assert counters["exec", "produced"] >= TOTAL <= counters["exit", "produced"]
    finally:
        watch.close()


def _wait_one(waited: dict[int, list[int]]) -> None:
    pid, status = os.waitpid(-1, 0)
    waited.setdefault(pid, []).append(os.waitstatus_to_exitcode(status))


def _exits(watch: Watch) -> int:
    return sum(isinstance(one.event, ExitEvent) for one in watch.seen)


def _by_pid(watch: Watch, kind: str) -> Counter[int]:
    return Counter(one.process.pid for one in watch.seen if one.kind == kind)
