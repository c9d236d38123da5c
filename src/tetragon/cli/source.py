"""Source: JSON lines of standard input in, the objects of the events that pass out."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec

from tetragon.api.json import Converter
from tetragon.api.messages import GetEventsRequest, GetEventsResponse
from tetragon.api.parse import Parser
from tetragon.errors import DecodeError

_SMALLEST_LIMIT = 64 << 10
_Event = dict[str, Any]


def read_events(request: GetEventsRequest, limit: int, debug: bool) -> Iterator[_Event]:
    """
    Yield the events of standard input that a request asks for, with the fields it asks for.

    Args:
        limit: most bytes of a line.
        debug: tell of lines that are no event; they are skipped.

    Raises:
        FilterError: a filter of the request.
        click.ClickException: a line is too long.
    """
    change = _compile(request)
    parse, convert = Parser().line, Converter().object
    for line in _lines(max(limit, _SMALLEST_LIMIT)):
        message = GetEventsResponse()
        try:
            parse(line, message)
            event = change(convert(message))
        except (ValueError, DecodeError, msgspec.DecodeError) as exc:
            if debug:
                print(f"DEBUG: failed unmarshal: {exc}", file=sys.stderr)
            continue
        if event is not None:
            yield event


def _compile(request: GetEventsRequest) -> Callable[[_Event], _Event | None]:
    """Return what turns an event into what leaves of it, None when it does not pass."""
    if not request.field_filters and not any(allow.ListFields() for allow in request.allow_list):
        return lambda event: event
    from tetragon.api.filters import request_filters
    from tetragon.event.fields import compile_field_filters
    from tetragon.event.filter import compile_filters
    from tetragon.event.from_json import event_from_json
    from tetragon.model.event import EventType
    from tetragon.model.filters import FilterOptions

    asked = request_filters(request)
    everything = FilterOptions(process_cred=True, ancestors=frozenset(map(int, EventType)))
    accept = compile_filters(asked.allow, asked.deny, options=everything)
    fields = compile_field_filters(asked.fields)

    def change(event: _Event) -> _Event | None:
        if accept is not None and not accept(event_from_json(event)):
            return None
        return event if fields is None else fields.apply(event)

    return change


def _lines(limit: int) -> Iterator[bytes]:
    lines = sys.stdin.buffer
    while line := lines.readline(limit + 1):
        if len(line) > limit and not line.endswith(b"\n"):
            text = f"failed to receive events: line is longer than --max-recv-size ({limit} bytes)"
            raise click.ClickException(text)
        yield line
