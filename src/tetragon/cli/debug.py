"""Commands that look inside an agent: debug and dump."""

import sys

import click

from tetragon.cli.agent import agent_of, doing
from tetragon.cli.command import Command, Entry, Flag, Group

_DUMP_PROCESS_CACHE = 1


@click.pass_context
def _process_cache(
    ctx: click.Context, skip_zero_refcnt: bool, exclude_execve_map_processes: bool
) -> None:
    """Dump process cache

    Prints a JSON object per line: each process the agent remembers, with its state in the cache
    and its references.
    """
    from tetragon.api import messages as api
    from tetragon.api.json import Converter

    request = api.GetDebugRequest(flag=_DUMP_PROCESS_CACHE)
    request.dump.skip_zero_refcnt = skip_zero_refcnt
    request.dump.exclude_execve_map_processes = exclude_execve_map_processes
    request.dump.SetInParent()
    agent = agent_of(ctx)
    with doing("process cache dump failed: failed to get process dump debug info"):
        response = agent.call("GetDebug", request, api.GetDebugResponse)
    out, converter = sys.stdout.buffer, Converter()
    for entry in response.processes.processes:
        out.write(converter.line(entry))


PROCESSCACHE = Command(
    "processcache",
    _process_cache,
    short="dump process cache",
    params=[
        Flag(
            ["--exclude-execve-map-processes"],
            help="Leave out processes that still run in the kernel's view",
        ),
        Flag(["--skip-zero-refcnt"], help="Leave out entries nothing refers to"),
    ],
    arity=None,
    aliases=("processCache",),
)
DUMP = Group(
    "dump",
    {"processcache": Entry("debug:PROCESSCACHE", "dump process cache", ("processCache",))},
    short="Dump information from tetragon maps and caches",
)
DEBUG = Group(
    "debug",
    {"dump": Entry("debug:DUMP", "Dump information from tetragon maps and caches")},
    short="Tools to debug tetragon",
)
