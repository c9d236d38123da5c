"""Ledger: the agent's answer to ``tetra status --ledger`` in, a table for people out.

Owns    nothing
"""

from tetragon.api import messages as api
from tetragon.api.books import LEDGER, StageBooks, decode_books
from tetragon.cli.output import table

_TITLES = ("STAGE", "PRODUCED", "DELIVERED", "FILTERED", "MERGED", "WAITING", "LOST")


def request() -> api.GetHealthStatusRequest:
    """Return what asks for the ledger too; an agent without one does not mind."""
    return api.GetHealthStatusRequest(event_set=[LEDGER])


def show(response: api.GetHealthStatusResponse) -> str:
    """
    Return the ledger of an answer as text.

    Raises:
        RpcError: it cannot be read.
    """
    for status in response.health_status:
        if status.event == LEDGER:
            return "\n".join(_lines(decode_books(status.details)))
    return "Ledger: this agent keeps none"


def _lines(books: list[StageBooks]) -> list[str]:
    rows = [_TITLES, *map(_row, books)]
    reasons = [
        (stage.stage, lost.reason, lost.op or "-", lost.policy or "-", str(lost.count))
        for stage in books
        for lost in stage.lost
    ]
    if not reasons:
        return table(rows)
    titles = ("STAGE", "REASON", "OP", "POLICY", "LOST")
    return [*table(rows), "", *table([titles, *reasons])]


def _row(books: StageBooks) -> tuple[str, ...]:
    counts = (books.produced, books.delivered, books.filtered, books.merged, books.waiting)
    return (books.stage, *map(str, counts), str(sum(lost.count for lost in books.lost)))
