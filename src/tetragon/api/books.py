"""Books: the loss ledger as an answer of GetHealth in, StageBooks out, and the other way round.

A client that names LEDGER in ``event_set`` of its request gets one more status, of that type, whose
``details`` are a JSON list of StageBooks. Who does not ask gets what the API promises and no more;
an agent that does not know the number leaves it out.

Owns    nothing
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from tetragon.errors import RpcError
from tetragon.model.ledger import Ledger

LEDGER: Final = 1000
"""Number of our own in enum HealthStatusType, which is open."""

_INTERNAL: Final = 13


class Lost(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much was lost for one reason."""

    reason: str
    count: int
    op: str = ""
    policy: str = ""


class StageBooks(msgspec.Struct, frozen=True):
    """Books of one stage; what is missing of ``produced`` still waits in it."""

    stage: str
    produced: int
    delivered: int
    filtered: int = 0
    merged: int = 0
    lost: tuple[Lost, ...] = ()

    @property
    def waiting(self) -> int:
        """How many are in the stage."""
        gone = sum(lost.count for lost in self.lost)
        return self.produced - self.delivered - self.filtered - self.merged - gone


def encode_books(ledgers: Iterable[Ledger]) -> str:
    """Return the ledgers as ``details``, from the kernel half to the outputs."""
    return msgspec.json.encode([_stage(ledger) for ledger in ledgers]).decode()


def decode_books(details: str) -> list[StageBooks]:
    """
    Return what ``details`` says.

    Raises:
        RpcError: it is not what an agent of ours sends.
    """
    try:
        return msgspec.json.decode(details, type=list[StageBooks])
    except msgspec.MsgspecError as exc:
        raise RpcError(_INTERNAL, f"the agent's ledger cannot be read: {exc}") from exc


def _stage(ledger: Ledger) -> StageBooks:
    # Produced is counted first and so read last: nothing seems gone that is not.
    lost = tuple(
        Lost(loss.reason, count, loss.op, loss.policy) for loss, count in ledger.lost.copy().items()
    )
    merged, filtered, delivered = ledger.merged, ledger.filtered, ledger.delivered
    return StageBooks(ledger.stage, ledger.produced, delivered, filtered, merged, lost)
