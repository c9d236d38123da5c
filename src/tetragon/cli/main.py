"""tetra: the words of a command line in, an exit code out; errors are one line."""

import os
import signal
import sys
from collections.abc import Sequence

import click

from tetragon.cli.command import Entry, Group
from tetragon.errors import TetragonError

ROOT = Group(
    "tetra",
    {
        "completion": Entry(
            "completion:COMPLETION", "Generate the autocompletion script for the specified shell"
        ),
        "debug": Entry("debug:DEBUG", "Tools to debug tetragon", hidden=True),
        "dump": Entry("debug:DUMP", "Dump information from tetragon maps and caches", hidden=True),
        "eventlog": Entry("agent:EVENTLOG", "Manage event exporter logging parameters"),
        "getevents": Entry("getevents:GETEVENTS", "Print events"),
        "help": Entry("completion:HELP", "Help about any command"),
        "info": Entry("agent:INFO", "Retrieve information from the server"),
        "loglevel": Entry("agent:LOGLEVEL", "Get and dynamically change the log level", ("log",)),
        "sensors": Entry("old:SENSORS", "Manage sensors", hidden=True),
        "status": Entry("agent:STATUS", "Print health status"),
        "tracingpolicy": Entry("policies:POLICIES", "Manage tracing policies", ("tp",)),
        "version": Entry("agent:VERSION", "Print version from CLI and server"),
    },
    short="Tetragon CLI",
    long=(
        "Tetragon CLI: shows what an agent sees, and manages its policies and settings.\n\n"
        "The agent is found by --server-address, else by what the agent of this host has written\n"
        "to /var/run/tetragon/tetragon-info.json, else at localhost:54321."
    ),
)
"""The tree of commands; each is imported when it is used."""

COMPLETE = "_TETRA_COMPLETE"
"""Environment variable in which a shell's completion script asks for words."""


def main() -> None:
    """Run the command line of this process."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone: end as programs do that never heard of exceptions.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        raise
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """
    Run ``words`` as a command line; return the exit code.

    Raises:
        BrokenPipeError: nobody reads our output any more.
    """
    asked = os.environ.get(COMPLETE)
    if asked:
        from click.shell_completion import shell_complete

        return shell_complete(ROOT, {}, "tetra", COMPLETE, asked)
    try:
        with ROOT.make_context("tetra", list(words)) as ctx:
            ROOT.invoke(ctx)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        return _fail(exc.format_message())
    except TetragonError as exc:
        return _fail(str(exc))
    except (KeyboardInterrupt, click.Abort):
        return 130
    return 0


def _fail(text: str) -> int:
    print(f"Error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
