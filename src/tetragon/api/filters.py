"""Filters of requests: GetEventsRequest in, filter values or the filter of its stream out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tetragon.api.fields import FrameFields
from tetragon.api.messages import FieldFilter as FieldFilterMessage
from tetragon.api.messages import Filter as FilterMessage
from tetragon.api.messages import GetEventsRequest
from tetragon.api.wanted import StreamFilter
from tetragon.errors import FilterError
from tetragon.event.fields import compile_field_filters
from tetragon.event.filter import compile_filters
from tetragon.model.filters import (
    AggregationOptions,
    CapFilter,
    CapFilterSet,
    FieldFilter,
    Filter,
    FilterOptions,
)

_WRAPPED = ("health_check", "in_init_tree")
_CAP_SETS = ("permitted", "effective", "inheritable")


class RequestFilters(NamedTuple):
    """What a request asks for; ``aggregation`` is None when it asks for none."""

    allow: tuple[Filter, ...]
    deny: tuple[Filter, ...]
    fields: tuple[FieldFilter, ...]
    aggregation: AggregationOptions | None


def request_filters(request: GetEventsRequest) -> RequestFilters:
    """
    Return the filters of a request as values; unknown enum numbers stay and match nothing.

    Raises:
        FilterError: the aggregation window is not positive; names the field.
    """
    return RequestFilters(
        tuple(filter_value(one) for one in request.allow_list),
        tuple(filter_value(one) for one in request.deny_list),
        tuple(field_filter_value(one) for one in request.field_filters),
        _aggregation(request),
    )


def stream_filter(request: GetEventsRequest, options: FilterOptions) -> StreamFilter:
    """
    Return the compiled filter of a request's stream.

    Raises:
        FilterError: names the list, the filter by its place, the field and the reason.
    """
    asked = request_filters(request)
    accept = compile_filters(asked.allow, asked.deny, options=options)
    try:
        fields = compile_field_filters(asked.fields)
    except FilterError as exc:
        reason = f"failed to create field filters: {exc.reason}"
        raise FilterError(reason, exc.field) from None
    return StreamFilter(accept, FrameFields(fields).frame if fields else None)


def filter_value(message: FilterMessage) -> Filter:
    """Return a Filter message as a value; what is empty counts as not given."""
    given: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "capabilities":
            given[field.name] = _cap_filter(value)
        elif field.name in _WRAPPED:
            given[field.name] = value.value
        else:
            given[field.name] = tuple(value)
    return Filter(**given)


def field_filter_value(message: FieldFilterMessage) -> FieldFilter:
    """Return a FieldFilter message as a value."""
    return FieldFilter(
        fields=tuple(message.fields.paths),
        action=message.action,
        event_set=tuple(message.event_set),
        invert_event_set=message.invert_event_set.value,
    )


def _cap_filter(message: Any) -> CapFilter:
    return CapFilter(
        **{name: _cap_set(getattr(message, name)) for name in _CAP_SETS if message.HasField(name)}
    )


def _cap_set(message: Any) -> CapFilterSet:
    given: dict[str, Sequence[int]] = {
        field.name: tuple(value) for field, value in message.ListFields()
    }
    return CapFilterSet(**given)  # type: ignore[arg-type]


def _aggregation(request: GetEventsRequest) -> AggregationOptions | None:
    if not request.HasField("aggregation_options"):
        return None
    options = request.aggregation_options
    if not options.HasField("window_size"):
        return AggregationOptions(channel_buffer_size=options.channel_buffer_size)
    window = options.window_size.seconds * 1_000_000_000 + options.window_size.nanos
    if window <= 0:
        raise FilterError(f"{window} ns is no window", "aggregation_options.window_size")
    return AggregationOptions(window_size=window, channel_buffer_size=options.channel_buffer_size)
