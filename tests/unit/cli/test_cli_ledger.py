"""tetra status --ledger: the agent's books as tables."""

import pytest

from tetragon.api import messages as api
from tetragon.api.books import LEDGER, encode_books
from tetragon.cli.ledger import request, show
from tetragon.errors import RpcError
from tetragon.model.ledger import Ledger


def answer(*ledgers: Ledger) -> api.GetHealthStatusResponse:
    """Return what an agent with these books answers."""
    response = api.GetHealthStatusResponse()
    response.health_status.add(event=1, status=1, details="running")
    response.health_status.add(event=LEDGER, status=1, details=encode_books(ledgers))
    return response


def test_stages_and_losses_are_tables() -> None:
    """A row for each stage, and one for each reason it lost something."""
    kernel, file = Ledger("kernel"), Ledger("file")
    kernel.produced = kernel.delivered = 12
    file.produced, file.delivered = 12, 8
    file.lose("rate_limit", "PROCESS_EXEC", count=3)
    assert [line.split() for line in show(answer(kernel, file)).splitlines()] == [
        ["STAGE", "PRODUCED", "DELIVERED", "FILTERED", "MERGED", "WAITING", "LOST"],
        ["kernel", "12", "12", "0", "0", "0", "0"],
        ["file", "12", "8", "0", "0", "1", "3"],
        [],
        ["STAGE", "REASON", "OP", "POLICY", "LOST"],
        ["file", "rate_limit", "PROCESS_EXEC", "-", "3"],
    ]


def test_without_losses_there_is_one_table() -> None:
    """Nothing was lost: nothing to explain."""
    assert "REASON" not in show(answer(Ledger("kernel")))


def test_agent_without_a_ledger_is_told() -> None:
    """Upstream's agent answers the request like any other."""
    response = api.GetHealthStatusResponse()
    response.health_status.add(event=1, status=1, details="running")
    assert show(response) == "Ledger: this agent keeps none"
    assert list(request().event_set) == [LEDGER]


def test_unreadable_ledger_is_an_error() -> None:
    """One line, with the reason."""
    response = api.GetHealthStatusResponse()
    response.health_status.add(event=LEDGER, details="?")
    with pytest.raises(RpcError, match="cannot be read"):
        show(response)
