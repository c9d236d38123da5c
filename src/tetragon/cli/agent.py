"""Commands on the agent as a whole: status, version, info, loglevel, eventlog."""

import json
import platform
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from tetragon import __version__
from tetragon.cli.command import Command, Entry, Flag, Globals, Group
from tetragon.cli.values import DURATION, INT32
from tetragon.errors import TetragonError
from tetragon.model.duration import format_duration

if TYPE_CHECKING:
    from tetragon.api import messages as api
    from tetragon.cli.connect import Agent

_EVENT_LOG = "/tetragon.EventLogService/"
_LEVELS = ("panic", "fatal", "error", "warn", "info", "debug", "trace")


def agent_of(ctx: click.Context) -> "Agent":
    """Return the agent the command line leads to."""
    from tetragon.cli.connect import Agent

    return Agent(Globals.of(ctx))


@contextmanager
def doing(what: str) -> Generator[None, None, None]:
    """Begin the text of our errors with ``what``."""
    try:
        yield
    except TetragonError as exc:
        raise click.ClickException(f"{what}: {exc}") from exc


# --- status, version, info --------------------------------------------------------------------


@click.pass_context
def _status(ctx: click.Context, ledger: bool) -> None:
    """Print health status

    Asks the agent how it is and prints its answer. The exit code is 0 when there was one.
    """
    from tetragon.api import messages as api
    from tetragon.cli import ledger as books

    agent = agent_of(ctx)
    with doing("failed to get health status"):
        request = books.request() if ledger else api.GetHealthStatusRequest()
        response = agent.call("GetHealth", request, api.GetHealthStatusResponse)
        shown = books.show(response) if ledger else ""
    if response.health_status:
        click.echo(f"Health Status: {response.health_status[0].details}")
    else:
        click.echo("Health Status: no status available")
    if shown:
        click.echo(shown)


STATUS = Command(
    "status",
    _status,
    short="Print health status",
    arity=None,
    params=[Flag(["--ledger"], help="Also show what each stage delivered, left out and lost")],
    examples="""\
  # The agent of this host
  tetra status

  # Whether it lost events, where and why
  tetra status --ledger

  # Another one, without waiting for it to come up
  tetra --server-address node-7:54321 --retries 0 status""",
)


@click.pass_context
def _version(ctx: click.Context, server: bool, build: bool) -> None:
    """Print version from CLI and server

    Without flags only the version of tetra itself, and no agent is asked.
    """
    click.echo(f"CLI version: {__version__}")
    if server:
        from tetragon.api import messages as api

        agent = agent_of(ctx)
        with doing("failed to retrieve server version"):
            response = agent.call("GetVersion", api.GetVersionRequest(), api.GetVersionResponse)
        click.echo(f"Server version: {response.version}")
    if build:
        click.echo(f"PythonVersion: {platform.python_version()}")


VERSION = Command(
    "version",
    _version,
    short="Print version from CLI and server",
    params=[
        Flag(["-b", "--build"], help="Show CLI build information"),
        Flag(["-s", "--server"], help="Connect and retrieve version from server"),
    ],
)


@click.pass_context
def _info(ctx: click.Context) -> None:
    """Retrieve information from the server

    Prints one JSON object: version and name of the agent, the kernel features it found (Probes),
    its settings (Conf) and how it was built (Build).
    """
    from tetragon.api import messages as api
    from tetragon.api.json import Converter

    agent = agent_of(ctx)
    with doing("failed to retrieve info"):
        response = agent.call("GetInfo", api.GetInfoRequest(), api.GetInfoResponse)
    told: dict[str, Any] = Converter().object(response)
    conf = {entry["key"]: entry.get("value", {}) for entry in told.get("conf", ())}
    values = {key: value.get("value", value) for key, value in sorted(conf.items())}
    build = response.build
    text = {
        "Name": response.name,
        "Version": response.version,
        "Probes": {probe.Name: probe.Enabled.value for probe in sorted(response.probes, key=_name)},
        "Conf": {key: _number(conf[key], value) for key, value in values.items()},
        "Build": {
            "GoVersion": build.go_version,
            "Commit": build.commit,
            "Time": build.time,
            "Modified": build.modified,
        },
    }
    click.echo(json.dumps(text, ensure_ascii=False, separators=(",", ":")))


def _name(probe: "api.GetInfoResponse.Probe") -> str:
    return probe.Name


def _number(packed: dict[str, Any], value: Any) -> Any:
    """Return a 64-bit number as such: ProtoJSON writes it as text."""
    return int(value) if str(packed.get("@type", "")).endswith("Int64Value") else value


INFO = Command("info", _info, short="Retrieve information from the server")


# --- loglevel ----------------------------------------------------------------------------------


@click.pass_context
def _loglevel_get(ctx: click.Context) -> None:
    """Prints the current log level"""
    from tetragon.api import messages as api

    agent = agent_of(ctx)
    with doing("failed to get current Tetragon log level"):
        response = agent.call("GetDebug", api.GetDebugRequest(), api.GetDebugResponse)
    click.echo(f"Current log level: {api.LogLevel.Name(response.level)}")


@click.pass_context
def _loglevel_set(ctx: click.Context) -> None:
    """Set the log level

    LEVEL is trace, debug, info, warn (or warning), error, fatal or panic, in any case. It holds
    until the agent stops.
    """
    if len(ctx.args) != 1:
        words = "trace|debug|info|warning|error|fatal|panic"
        raise click.UsageError(f"usage: tetra loglevel set [{words}]", ctx)
    word = ctx.args[0].lower()
    level = "warn" if word == "warning" else word
    if level not in _LEVELS:
        raise click.UsageError(f"invalid log level: {ctx.args[0]}", ctx)
    from tetragon.api import messages as api

    agent = agent_of(ctx)
    request = api.SetDebugRequest(level=_LEVELS.index(level))
    with doing("failed to set log level"):
        response = agent.call("SetDebug", request, api.SetDebugResponse)
    click.echo(f"Log level set to: {api.LogLevel.Name(response.level)}")


LOGLEVEL_GET = Command("get", _loglevel_get, short="Prints the current log level", arity=None)
LOGLEVEL_SET = Command(
    "set",
    _loglevel_set,
    short="Set the log level",
    arity=-1,
    usage="LEVEL",
    examples="  tetra loglevel set debug",
)
LOGLEVEL = Group(
    "loglevel",
    {
        "get": Entry("agent:LOGLEVEL_GET", "Prints the current log level"),
        "set": Entry("agent:LOGLEVEL_SET", "Set the log level"),
    },
    short="Get and dynamically change the log level",
    long="Shows or changes how much the agent logs, without restarting it.",
    aliases=("log",),
)


# --- eventlog -----------------------------------------------------------------------------------


@click.pass_context
def _eventlog_get(ctx: click.Context) -> None:
    """Get event exporter logging parameters

    Prints the settings of the JSON export file that are in force.
    """
    from tetragon.api import messages as api

    response = agent_of(ctx).call(
        "GetEventLogParams",
        api.GetEventLogParamsRequest(),
        api.GetEventLogParamsResponse,
        _EVENT_LOG,
    )
    shown: list[str] = []
    for field, value in response.ListFields():
        shown.append(
            f'{field.name}:"{value}"' if isinstance(value, str) else f"{field.name}:{value}"
        )
    click.echo(f"Current logging parameters: {' '.join(shown)}")


@click.pass_context
def _eventlog_set(
    ctx: click.Context,
    max_size: int | None,
    max_backups: int | None,
    rotation_interval: int | None,
) -> None:
    """Set event exporter logging parameters

    Changes the JSON export file while it is written. What is not given stays as it is.
    """
    from tetragon.api import messages as api

    request = api.SetEventLogParamsRequest(
        max_size=max_size,
        max_backups=max_backups,
        rotation_interval=None if rotation_interval is None else format_duration(rotation_interval),
    )
    agent_of(ctx).call("SetEventLogParams", request, api.SetEventLogParamsResponse, _EVENT_LOG)


EVENTLOG_GET = Command(
    "get", _eventlog_get, short="Get event exporter logging parameters", arity=None
)
EVENTLOG_SET = Command(
    "set",
    _eventlog_set,
    short="Set event exporter logging parameters",
    params=[
        Flag(["--max-size"], INT32, help="Megabytes of a file before it is rotated"),
        Flag(["--max-backups"], INT32, help="Rotated files to keep"),
        Flag(["--rotation-interval"], DURATION, help="Rotate after this time too; 0s for not"),
    ],
    arity=None,
    examples="  tetra eventlog set --max-size 100 --rotation-interval 1h",
)
EVENTLOG = Group(
    "eventlog",
    {
        "get": Entry("agent:EVENTLOG_GET", "Get event exporter logging parameters"),
        "set": Entry("agent:EVENTLOG_SET", "Set event exporter logging parameters"),
    },
    short="Manage event exporter logging parameters",
)
