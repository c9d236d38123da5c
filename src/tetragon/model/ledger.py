"""Ledger: how many events each stage produced, delivered, filtered and lost, and why.

Owns    its counters. Each Ledger has one writing thread; any thread may read a copy.

The books balance per stage: produced = delivered + filtered + merged + lost + still queued.
``merged`` are events that aggregation made part of an equal one; without it there are none.
"""

from typing import NamedTuple


class Loss(NamedTuple):
    """Why something was lost: ``reason`` (a short word), ``op`` (event kind), ``policy``."""

    reason: str
    op: str = ""
    policy: str = ""


class Ledger:
    """
    Counters of one stage, such as a ring, a queue or a sink.

    Args:
        stage: name shown to users, such as ``udp`` or ``lifecycle_ring``.
    """

    __slots__ = ("delivered", "filtered", "lost", "merged", "produced", "stage")

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.produced = 0
        self.delivered = 0
        self.filtered = 0
        self.merged = 0
        self.lost: dict[Loss, int] = {}

    def lose(self, reason: str, op: str = "", policy: str = "", count: int = 1) -> None:
        """Count ``count`` things lost for ``reason``."""
        loss = Loss(reason, op, policy)
        self.lost[loss] = self.lost.get(loss, 0) + count

    @property
    def lost_total(self) -> int:
        """All losses of this stage, whatever the reason."""
        return sum(self.lost.copy().values())
