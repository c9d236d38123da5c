"""Pid set: pids in, a running answer to "is this event of one of them or a descendant?" out.

A process counts as descendant when its parent was in the set as its event came. Best effort: pids
are reused, and grandparents are not looked at.

Owns    the pids of descendants, at most ``budget`` of them: the one longest not seen is forgotten
        and counted. One thread.
"""

from collections.abc import Sequence

from tetragon.model.event import Event


class PidSet:
    """
    The pids of one filter and of the descendants seen so far.

    Args:
        roots: never forgotten.
        budget: most descendants remembered; about 100 bytes each.
    """

    __slots__ = ("_budget", "_children", "_roots", "forgotten")

    def __init__(self, roots: Sequence[int], budget: int) -> None:
        self._roots = frozenset(roots)
        self._children: dict[int, None] = {}  # in the order they were last seen
        self._budget = budget
        self.forgotten = 0

    def observe(self, event: Event) -> None:
        """Learn from an event, whether it passes or not."""
        process, parent = event.process, event.parent
        if process is None:
            return
        pid, children = process.pid, self._children
        if pid in children:
            del children[pid]
            children[pid] = None
        elif (
            parent is not None
            and pid not in self._roots
            and (parent.pid in self._roots or parent.pid in children)
        ):
            children[pid] = None
            if len(children) > self._budget:
                del children[next(iter(children))]
                self.forgotten += 1

    def matches(self, event: Event) -> bool:
        """Tell whether the event's process is in the set; `observe` the event first."""
        process = event.process
        return process is not None and (process.pid in self._roots or process.pid in self._children)
