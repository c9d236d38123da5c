"""Request: a GetEventsRequest in, the filter of its stream out."""

from tetragon.api.messages import GetEventsRequest
from tetragon.api.wanted import StreamFilter
from tetragon.errors import FilterError


def whole_stream(request: GetEventsRequest) -> StreamFilter:
    """
    Return the filter that lets every event pass whole; an empty allow filter asks for just that.

    Raises:
        FilterError: the request asks for less; names the field.
    """
    asked = [f"allow_list.{f.name}" for allow in request.allow_list for f, _ in allow.ListFields()]
    asked += [field.name for field, _ in request.ListFields() if field.name != "allow_list"]
    if asked:
        raise FilterError(f"{asked[0]}: this agent sends every event whole; leave it out")
    return StreamFilter()
