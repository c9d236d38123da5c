"""Stream: every byte the command printed comes out once, however the bytes were cut."""

import pytest

from guest.errors import LostError
from guest.stream import Stream

_MARK = b"0123456789abcdef"
_OUTPUT = b"one\n\0two\0" + _MARK[:5] + b"three\0"


@pytest.mark.parametrize("size", [1, 2, 7, 16, 1000])
def test_output_is_whole_when_cut_anywhere(size: int) -> None:
    """Marks never show in the output, and NULs and halves of a mark always do."""
    stream = Stream(_MARK)
    sent = b"\0%s ready\n%s\0%s exit 42\n" % (_MARK, _OUTPUT, _MARK)
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert b"".join(stream.feed(piece) for piece in pieces) == _OUTPUT
    assert (stream.is_ready, stream.status) == (True, 42)


def test_output_is_not_held_back_when_no_mark_can_begin() -> None:
    """A line shows when it is printed, not when the next one is."""
    stream = Stream(_MARK)
    assert stream.feed(b"half a line") == b"half a line"
    assert stream.feed(b"zero \0 in it") == b"zero \0 in it"
    assert stream.feed(b"perhaps\0") == b"perhaps"
    assert stream.feed(b"not") == b"\0not"
    assert stream.status is None


def test_unknown_word_is_refused() -> None:
    """A guest script of another version cannot pass for a success."""
    with pytest.raises(LostError, match="leave"):
        Stream(_MARK).feed(b"\0%s leave\n" % _MARK)
