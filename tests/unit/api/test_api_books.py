"""The ledger over gRPC: for those who ask, and for nobody else."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from tetragon.api import messages as api
from tetragon.api.books import LEDGER, Lost, StageBooks, decode_books, encode_books
from tetragon.api.service import AgentService
from tetragon.api.stream import GrpcSink
from tetragon.errors import RpcError
from tetragon.model.ledger import Ledger


def ledgers() -> list[Ledger]:
    """Return books of two stages, one with losses."""
    kernel, udp = Ledger("kernel"), Ledger("udp")
    kernel.produced = kernel.delivered = 10
    udp.produced, udp.delivered, udp.filtered, udp.merged = 10, 3, 2, 1
    udp.lose("rate_limit", "PROCESS_EXEC", count=2)
    udp.lose("udp_enobufs", "PROCESS_KPROBE", 'my "policy"')
    return [kernel, udp]


class Control:
    """The part of the agent that GetHealth asks."""

    def ledgers(self) -> Iterable[Ledger]:
        """Return the same as the function."""
        return ledgers()


def get_health(request: Any) -> Any:
    """Ask the service as a call does."""
    sink = GrpcSink(lambda _: b"")
    service = AgentService(cast(Any, Control()), sink, cast(Any, None))
    method = service.methods()["/tetragon.FineGuidanceSensors/GetHealth"]
    return asyncio.run(cast(Any, method.serve)(request, None))


def test_clients_that_do_not_ask_get_the_plain_answer() -> None:
    """One status, as upstream has it, also for those who name the known types."""
    for request in (
        api.GetHealthStatusRequest(),
        api.GetHealthStatusRequest(event_set=[0, 1]),
    ):
        (status,) = get_health(request).health_status
        assert (status.event, status.status, status.details) == (1, 1, "running")


def test_clients_that_ask_get_the_books_too() -> None:
    """The plain status still comes first; the request survives the wire."""
    asked = api.GetHealthStatusRequest(event_set=[LEDGER]).SerializeToString()
    answer = get_health(api.GetHealthStatusRequest.FromString(asked))
    first, second = api.GetHealthStatusResponse.FromString(answer.SerializeToString()).health_status
    assert (first.event, first.details) == (1, "running")
    assert second.event == LEDGER
    kernel, udp = decode_books(second.details)
    assert kernel == StageBooks("kernel", 10, 10)
    assert udp.lost == (
        Lost("rate_limit", 2, "PROCESS_EXEC"),
        Lost("udp_enobufs", 1, "PROCESS_KPROBE", 'my "policy"'),
    )
    assert (kernel.waiting, udp.waiting) == (0, 1)


def test_books_go_both_ways() -> None:
    """What is encoded is what is decoded, in the same order."""
    assert [books.stage for books in decode_books(encode_books(ledgers()))] == ["kernel", "udp"]
    assert decode_books(encode_books([])) == []


@pytest.mark.parametrize("details", ["", "running", "{}", '[{"stage":1}]'])
def test_details_that_are_no_books_are_refused(details: str) -> None:
    """With the reason, rather than a traceback in the client."""
    with pytest.raises(RpcError, match="ledger cannot be read"):
        decode_books(details)
