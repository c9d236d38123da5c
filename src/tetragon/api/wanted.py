"""Wanted: what one client asked for, as the stream that serves it applies it.

Owns    nothing; apart from `stream.py` so that who only compiles requests needs no event loop
"""

from collections.abc import Callable
from typing import NamedTuple

from tetragon.api.messages import GetEventsRequest
from tetragon.model.event import Event


class StreamFilter(NamedTuple):
    """
    What one client wants.

    Args:
        accept: whether it wants an event, None for all.
        fields: an event and its frame in, the frame this client gets out; None for whole ones.
    """

    accept: Callable[[Event], bool] | None = None
    fields: Callable[[Event, bytes], bytes] | None = None


CompileRequest = Callable[[GetEventsRequest], StreamFilter]
"""Turns a request into its filter; raises FilterError."""
