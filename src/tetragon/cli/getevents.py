"""getevents: flags in, the events of an agent or of standard input out, one line each.

Flow    source -> [filters, only for standard input] -> line -> standard output
"""

import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from tetragon.cli.command import Command, Flag, Globals, ListFlag
from tetragon.cli.values import DURATION, STRINGS, TEXT, choice
from tetragon.errors import TetragonError
from tetragon.model.duration import format_duration

if TYPE_CHECKING:
    from tetragon.api import messages as api

_TYPES = (
    "PROCESS_EXEC",
    "PROCESS_EXIT",
    "PROCESS_KPROBE",
    "PROCESS_LOADER",
    "PROCESS_LSM",
    "PROCESS_THROTTLE",
    "PROCESS_TRACEPOINT",
    "PROCESS_UPROBE",
    "PROCESS_USDT",
    "RATE_LIMIT_INFO",
    "TEST",
    "UNDEF",
)
_ABIS = {"aarch64": "arm64", "arm64": "arm64", "i686": "i386", "i386": "i386", "armv7l": "arm32"}
_SECOND = 1_000_000_000

Lines = Callable[[Iterable[Any]], bytes]
"""Turns some events into what is written for them."""


class _Stopped(BaseException):
    """A signal asked us to end."""


class Shape(NamedTuple):
    """How events are written; the fields are the flags of the same names."""

    output: str = "json"
    color: str = "auto"
    timestamps: bool = False
    stack_traces: bool = True
    ima_hash: bool = True
    tty_encode: str = ""


@click.pass_context
def _getevents(
    ctx: click.Context,
    /,
    *,
    reconnect: bool,
    reconnect_wait: int,
    output: str,
    color: str,
    timestamps: bool,
    stack_traces: bool,
    ima_hash: bool,
    tty_encode: str,
    **asked: Any,
) -> None:
    """Print events

    Prints the events of an agent as they happen, or those that come as JSON lines on standard
    input when it is a pipe or a file. Filters of different flags must all match; of the values of
    one flag, one must.

    With -o json every event is a line of JSON with all its fields; with -o compact a short line
    for people. Ends when the agent does, at the end of standard input, or on SIGINT or SIGTERM.
    """
    flags = Globals.of(ctx)
    request = build_request(**asked)
    shape = Shape(output, color, timestamps, stack_traces, ima_hash, tty_encode)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        if _standard_input():
            _from_input(request, shape, flags)
        elif reconnect:
            _forever(request, shape, flags, reconnect_wait)
        else:
            _from_agent(request, shape, flags)
    except _Stopped:
        return


def _stop(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise _Stopped


def _standard_input() -> bool:
    """Tell whether events come from standard input: anything but a terminal or /dev/null."""
    import stat

    try:
        return not stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError:
        return False  # closed


def _forever(request: "api.GetEventsRequest", shape: Shape, flags: Globals, wait: int) -> NoReturn:
    while True:
        ended = "<nil>"
        try:
            _from_agent(request, shape, flags)
        except (TetragonError, click.ClickException) as exc:
            ended = str(exc)
        text = f"getevents: err:{ended} retrying in {format_duration(wait)}"
        print(text, file=sys.stderr)
        time.sleep(wait / _SECOND)


# --- sources ------------------------------------------------------------------------------------


def _from_agent(request: "api.GetEventsRequest", shape: Shape, flags: Globals) -> None:
    from tetragon.api.messages import GetEventsResponse
    from tetragon.cli.agent import doing
    from tetragon.cli.connect import Agent

    agent = Agent(flags)
    with doing("failed to call GetEvents"):
        batches = agent.stream("GetEvents", request)
    read = GetEventsResponse.FromString
    lines = _message_lines(shape)
    out = sys.stdout.buffer
    with doing("failed to receive events"):
        for batch in batches:
            out.write(lines(map(read, batch)))
            out.flush()


def _from_input(request: "api.GetEventsRequest", shape: Shape, flags: Globals) -> None:
    from tetragon.cli.source import read_events

    lines = _object_lines(shape)
    out = sys.stdout.buffer
    for event in read_events(request, flags.max_recv_size, flags.debug):
        out.write(lines((event,)))
    out.flush()


# --- lines --------------------------------------------------------------------------------------


def _message_lines(shape: Shape) -> Lines:
    from tetragon.api.json import Converter

    if shape.output == "json" and not shape.tty_encode:
        line = Converter(raw=True).line
        return lambda messages: b"".join(map(line, messages))
    of_objects, convert = _object_lines(shape), Converter().object
    return lambda messages: of_objects(map(convert, messages))


def _object_lines(shape: Shape) -> Lines:
    if shape.tty_encode:
        return lambda events: b"".join(terminal_data(shape.tty_encode, events))
    if shape.output == "json":
        import msgspec

        encode = msgspec.json.encode
        return lambda events: b"".join(encode(event) + b"\n" for event in events)
    from tetragon.event.compact import CompactEncoder

    compact = CompactEncoder(
        _colored(shape.color),
        shape.timestamps,
        shape.stack_traces,
        shape.ima_hash,
        abi=_ABIS.get(platform.machine(), "x64"),
    ).encode

    def lines(events: Iterable[Any]) -> bytes:
        try:
            return "".join(f"{compact(event)}\n" for event in events).encode()
        except ValueError as exc:
            raise click.ClickException(f"failed to encode event: {exc}") from exc

    return lines


def _colored(when: str) -> bool:
    if when != "auto":
        return when == "always"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and sys.stdout.isatty()


def terminal_data(path: str, events: Iterable[Any]) -> Iterator[bytes]:
    """Yield what was written to the terminal at ``path``: bytes of kprobe events, no others."""
    from base64 import b64decode

    for event in events:
        args = event.get("process_kprobe", {}).get("args", ())
        if len(args) > 1 and args[0].get("file_arg", {}).get("path") == path:
            yield b64decode(args[1].get("bytes_arg", ""))


# --- request ------------------------------------------------------------------------------------


def build_request(
    *,
    process: Iterable[str] = (),
    processes: Iterable[str] = (),
    namespace: Iterable[str] = (),
    namespaces: Iterable[str] = (),
    namespace_regex: Iterable[str] = (),
    host: bool = False,
    pod: Iterable[str] = (),
    pods: Iterable[str] = (),
    containers: Iterable[str] = (),
    event_types: Iterable[str] = (),
    policy_names: Iterable[str] = (),
    cel_expression: Iterable[str] = (),
    include_fields: Iterable[str] = (),
    exclude_fields: Iterable[str] = (),
) -> "api.GetEventsRequest":
    """Return the request for the events the flags of the same names ask for."""
    from tetragon.api import messages as api

    request = api.GetEventsRequest()
    allow = request.allow_list.add()
    allow.binary_regex.extend([*processes, *process])
    allow.namespace.extend([*namespaces, *namespace, *([""] if host else [])])
    allow.namespace_regex.extend(namespace_regex)
    allow.pod_regex.extend([*pods, *pod])
    allow.container_name_regex.extend(containers)
    allow.event_set.extend(map(api.EventType.Value, event_types))
    allow.policy_names.extend(policy_names)
    allow.cel_expression.extend(cel_expression)
    for action, paths in (("INCLUDE", include_fields), ("EXCLUDE", exclude_fields)):
        if paths:
            one = request.field_filters.add(action=api.FieldFilterAction.Value(action))
            one.fields.paths.extend(paths)
    return request


def _list(name: str, help: str, short: str = "", hidden: bool = False) -> ListFlag:
    names = [f"-{short}", f"--{name}"] if short else [f"--{name}"]
    return ListFlag(names, STRINGS, help=help, hidden=hidden)


GETEVENTS = Command(
    "getevents",
    _getevents,
    short="Print events",
    arity=None,
    params=[
        Flag(
            ["-o", "--output"],
            choice(("json", "compact")),
            default="json",
            help="Output format (json, compact)",
        ),
        Flag(
            ["--color"],
            choice(("auto", "always", "never")),
            default="auto",
            help="Colours of compact output (auto, always, never); auto means on a terminal",
        ),
        Flag(["--timestamps"], help="Begin each compact line with the time of its event"),
        Flag(
            ["--stack-traces"],
            default=True,
            help="Show stack traces below the compact lines that have some",
        ),
        Flag(["--ima-hash"], default=True, help="Show IMA hashes below the compact lines"),
        Flag(
            ["-t", "--tty-encode"],
            TEXT,
            default="",
            help="Write only the data written to the terminal at this path",
        ),
        _list("include-fields", "Print only these fields, such as process.binary", "f"),
        _list("exclude-fields", "Leave out these fields", "F"),
        ListFlag(
            ["-e", "--event-types"],
            choice(_TYPES, "sliceString"),
            help="Only events of this type; may come several times",
        ),
        _list("namespace", "Only events of these Kubernetes namespaces", "n"),
        _list("namespaces", "Former name of --namespace", hidden=True),
        _list("namespace-regex", "Only events of namespaces that match"),
        _list("process", "Only events of programs whose path matches (RE2)"),
        _list("processes", "Former name of --process", hidden=True),
        _list("pod", "Only events of pods whose name matches (RE2)"),
        _list("pods", "Former name of --pod", hidden=True),
        _list("containers", "Only events of containers whose name matches", hidden=True),
        Flag(["--host"], help="Only events of processes outside pods"),
        _list("policy-names", "Only events of these tracing policies"),
        _list("cel-expression", "Only events for which this CEL expression is true"),
        Flag(["--reconnect"], help="Connect again whenever the stream ends"),
        Flag(
            ["--reconnect-wait"],
            DURATION,
            default=2 * _SECOND,
            help="Pause before connecting again",
        ),
    ],
    examples="""\
  # Every process of this host, for people
  tetra getevents -o compact

  # Processes of one namespace that a shell started, without their parents
  tetra getevents -n default --cel-expression 'process_exec.parent.binary == "/bin/sh"' -F parent

  # The same from an export file
  tetra getevents -n default -o compact < /var/log/tetragon/tetragon.log

  # Only time and program of what is executed
  tetra getevents -e PROCESS_EXEC -f process.binary,process.start_time""",
)
