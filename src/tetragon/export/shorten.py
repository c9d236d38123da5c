"""Shortening: a JSON line too long for its datagram in, the same event in fewer bytes out.

What is cut, in this order and only as far as needed: arguments, stack traces, ancestors,
environment variables, what is known of the parent, labels and other details, any long text, and
at last everything but who did it. The result is valid JSON and, but for one key, valid protojson
of the same message: no number, time or enumeration is cut, base64 stays base64. That key,
``truncated``, tells the length of the whole line and what was cut::

    "truncated":{"size":70311,"cut":["arguments"]}

Owns    nothing: pure functions.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

SMALLEST: Final = 512
"""A limit that every event can be shortened to."""

_ARGUMENTS_LEFT: Final = 128
"""Bytes of each argument that stay while other things can be cut."""

_TEXT_LEFT: Final = 48
"""Bytes of any text that stay: more than the longest name of an enumeration."""

_IDENTITY: Final = ("exec_id", "pid", "uid", "binary", "arguments", "start_time", "parent_exec_id")
"""What stays of a parent."""

_DETAILS: Final = (
    "pod", "cap", "ns", "process_credentials", "binary_properties", "environment_variables",
)  # fmt: skip
_ENVELOPE: Final = frozenset({"node_labels", "aggregation_info", "truncated"})
_IDS: Final = frozenset({"exec_id", "parent_exec_id", "node_name"})
_BASE64: Final = frozenset({"bytes_arg", "buildid"})

_encode: Final = msgspec.json.Encoder().encode


def shorten(line: bytes, limit: int) -> bytes:
    """
    Return ``line`` as it is when it is no longer than ``limit``, else a shorter one.

    Args:
        line: one event with its newline.
        limit: longest result in bytes, newline included; ``SMALLEST`` or more.
    """
    if len(line) <= limit:
        return line
    root = _decode(line)
    cut: list[Json] = []
    root["truncated"] = {"size": len(line), "cut": cut}
    over = len(line) + len(b',"truncated":{"size":12345678,"cut":[]}') - limit
    for word, step in _STEPS:
        cost = len(word) + 3
        while saved := step(root, over + cost):
            if cost:
                cut.append(word)
            over, cost = over + cost - saved, 0
            if over <= 0:
                short = _encode(root) + b"\n"
                if len(short) <= limit:
                    return short
                over = len(short) - limit
    return _skeleton(root, len(line), limit)


# --- the steps: each cuts about ``over`` bytes if it can, and returns how many it cut -------------


def _cut_arguments(root: dict[str, Json], over: int) -> int:
    body = _body(root)
    texts = [text for process in _processes(body) for text in _texts(process, "arguments")]
    for key in ("args", "return", "data"):
        texts += _texts(body, key)
    return _cut_texts(texts, over, _ARGUMENTS_LEFT)


def _cut_stack_traces(root: dict[str, Json], over: int) -> int:
    saved = 0
    for key in ("user_stack_trace", "kernel_stack_trace"):
        saved += _cut_list(_body(root), key, over - saved)
    return saved


def _cut_ancestors(root: dict[str, Json], over: int) -> int:
    return _cut_list(_body(root), "ancestors", over)


def _cut_environment(root: dict[str, Json], over: int) -> int:
    saved = 0
    for process in reversed(list(_processes(_body(root)))):
        saved += _cut_list(process, "environment_variables", over - saved)
    return saved


def _cut_parent(root: dict[str, Json], over: int) -> int:
    parent = _body(root).get("parent")
    if not isinstance(parent, dict):
        return 0
    return _remove(parent, [key for key in parent if key not in _IDENTITY], over)


def _cut_details(root: dict[str, Json], over: int) -> int:
    saved = _remove(root, ["node_labels"], over)
    process = _body(root).get("process")
    if isinstance(process, dict):
        pod = process.get("pod")
        if isinstance(pod, dict):
            saved += _remove(pod, ["pod_annotations", "pod_labels"], over - saved)
        saved += _remove(process, list(reversed(_DETAILS)), over - saved)
    return saved


def _cut_any_text(root: dict[str, Json], over: int) -> int:
    return _cut_texts([text for key in root for text in _texts(root, key)], over, _TEXT_LEFT)


_STEPS: Final[Sequence[tuple[str, Callable[[dict[str, Json], int], int]]]] = (
    ("arguments", _cut_arguments),
    ("stack_traces", _cut_stack_traces),
    ("ancestors", _cut_ancestors),
    ("environment", _cut_environment),
    ("parent", _cut_parent),
    ("details", _cut_details),
    ("text", _cut_any_text),
)


def _skeleton(root: dict[str, Json], size: int, limit: int) -> bytes:
    """Return who did what when, in at most ``SMALLEST`` bytes: for events nothing else helps."""
    small: dict[str, Json] = {}
    for kind, body in root.items():
        if isinstance(body, dict) and kind not in _ENVELOPE:
            process = body.get("process")
            small[kind] = {}
            if isinstance(process, dict):
                who = ("exec_id", "pid", "binary")
                keep: dict[str, Json] = {key: process[key] for key in who if key in process}
                small[kind] = {"process": keep}
            break
    for key in ("node_name", "time", "sequence"):
        if key in root:
            small[key] = root[key]
    small["truncated"] = {"size": size, "cut": ["all"]}
    _cut_texts(list(_long_texts(small)), len(_encode(small)) + 1 - limit, _TEXT_LEFT)
    return _encode(small) + b"\n"


def _decode(line: bytes) -> dict[str, Json]:
    root: Json = msgspec.json.decode(line)
    if not isinstance(root, dict):
        raise ValueError("not a JSON object")
    return root


# --- finding and cutting -----------------------------------------------------------------------


class _Text(NamedTuple):
    """A text in the event: what holds it, under which key, and its length as JSON."""

    holder: dict[str, Json]
    key: str
    size: int


def _body(root: dict[str, Json]) -> dict[str, Json]:
    """Return the event inside the envelope."""
    for key, value in root.items():
        if isinstance(value, dict) and key not in _ENVELOPE:
            return value
    return {}


def _processes(body: dict[str, Json]) -> Iterator[dict[str, Json]]:
    ancestors = body.get("ancestors")
    above = ancestors if isinstance(ancestors, list) else []
    for process in (body.get("process"), body.get("parent"), *above):
        if isinstance(process, dict):
            yield process


def _texts(holder: dict[str, Json], key: str) -> list[_Text]:
    """Return the texts at and below ``holder[key]`` that may be cut; lists of texts stay."""
    value = holder.get(key)
    if isinstance(value, str):
        return [] if key in _IDS else [_Text(holder, key, len(_encode(value)) - 2)]
    inner = value if isinstance(value, list) else [value]
    return [
        text
        for member in inner
        if isinstance(member, dict)
        for below in member
        for text in _texts(member, below)
    ]


def _long_texts(small: dict[str, Json]) -> Iterator[_Text]:
    """Yield the texts of a skeleton, identifiers too."""
    for key, value in small.items():
        if isinstance(value, str):
            yield _Text(small, key, len(_encode(value)) - 2)
        elif isinstance(value, dict):
            yield from _long_texts(value)


def _cut_texts(texts: Sequence[_Text], over: int, floor: int) -> int:
    """Cut the longest texts to one length, so that ``over`` bytes go, but not below ``floor``."""
    top = _level([text.size for text in texts], over, floor)
    saved = 0
    for holder, key, size in texts:
        if size > top:
            value = holder[key] = _cut_text(str(holder[key]), top, key in _BASE64)
            saved += size - (len(_encode(value)) - 2)
    return saved


def _level(sizes: Sequence[int], over: int, floor: int) -> int:
    """Return the greatest length, at least ``floor``, to which cutting saves ``over`` bytes."""
    low, high = floor, max(sizes, default=floor)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(size - middle for size in sizes if size > middle) >= over:
            low = middle
        else:
            high = middle - 1
    return low


def _cut_text(text: str, size: int, base64: bool) -> str:
    """Return a beginning of ``text`` that takes at most ``size`` bytes as JSON."""
    if base64:
        return text[: size // 4 * 4]
    quoted = _encode(text[:size])[: size + 1]
    while True:  # at most five times: an escape has six bytes, a character four
        try:
            return msgspec.json.decode(quoted + b'"', type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            quoted = quoted[:-1]


def _cut_list(holder: dict[str, Json], key: str, over: int) -> int:
    """Remove members from the end of a list, and the list when it is empty."""
    members = holder.get(key)
    saved = 0
    if isinstance(members, list):
        while members and saved < over:
            saved += len(_encode(members.pop())) + 1
        if not members:
            del holder[key]
    return saved


def _remove(holder: dict[str, Json], keys: Sequence[str], over: int) -> int:
    """Remove members one after the other while ``over`` bytes are not reached."""
    saved = 0
    for key in keys:
        if saved < over and key in holder:
            saved += len(_encode(holder.pop(key))) + len(_encode(key)) + 2
    return saved
