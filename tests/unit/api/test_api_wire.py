"""What gRPC writes around messages, and what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetragon.api import wire
from tetragon.api.wire import Code, Unwrapper
from tetragon.errors import RpcError


@given(st.lists(st.binary(max_size=60)), st.integers(1, 13))
def test_messages_survive_any_cut(messages: list[bytes], step: int) -> None:
    """However the flow is cut into pieces, the same messages come out."""
    flow = b"".join(map(wire.enclose, messages))
    unwrapper, found = Unwrapper(100), []
    for at in range(0, len(flow), step):
        unwrapper.feed(flow[at : at + step])
        found += list(unwrapper.messages())
    assert found == messages
    assert unwrapper.pending == 0


def test_large_message_is_refused_by_its_prefix() -> None:
    """Before its bytes are waited for; those before it are still given."""
    unwrapper = Unwrapper(4)
    unwrapper.feed(wire.enclose(b"abcd") + wire.enclose(b"abcde")[:5])
    found = unwrapper.messages()
    assert next(found) == b"abcd"
    with pytest.raises(RpcError) as raised:
        next(found)
    assert raised.value.code == Code.RESOURCE_EXHAUSTED
    assert "5 vs. 4" in raised.value.text


def test_compressed_message_is_refused() -> None:
    """We never said that we could read one."""
    unwrapper = Unwrapper(4)
    unwrapper.feed(b"\1\0\0\0\0")
    with pytest.raises(RpcError, match="compressed"):
        next(unwrapper.messages())


@given(st.integers(1, 16), st.text(st.characters(codec="utf-8"), min_size=1))
def test_status_survives_its_headers(code: int, text: str) -> None:
    """Any message text, in any script, comes back; the header itself is printable ASCII."""
    headers = dict(wire.trailers(code, text))
    assert headers["grpc-message"].isascii()
    assert headers["grpc-message"].isprintable()
    error = wire.status(headers)
    assert error is not None
    assert (error.code, error.text) == (code, text)


def test_status_of_success_and_of_none() -> None:
    """Zero is success; an answer without a status is an error that names the HTTP status."""
    assert wire.status(dict(wire.trailers(0, ""))) is None
    missing = wire.status({":status": "200"})
    assert missing is not None
    assert missing.code == Code.UNKNOWN
    proxy = wire.status({":status": "503"})
    assert proxy is not None
    assert proxy.code == Code.UNAVAILABLE


@given(st.floats(1e-6, 1e9))
def test_timeout_survives_its_header(seconds: float) -> None:
    """Eight digits and a unit keep at least one part in a million."""
    word = wire.format_timeout(seconds)
    assert len(word) <= 9
    parsed = wire.parse_timeout(word)
    assert parsed is not None
    assert parsed <= seconds * 1.000001
    assert parsed >= seconds * 0.99 - 1e-6


@pytest.mark.parametrize("word", ["", "5", "s", "123456789S", "-1S", "1.5S", "1 S"])
def test_senseless_timeout_is_none(word: str) -> None:
    """A header nobody can read sets no limit."""
    assert wire.parse_timeout(word) is None
