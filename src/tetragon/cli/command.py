"""Command: commands, groups and flags that behave as those of Go programs do.

Click runs them; what differs is done here: flags of all levels are understood at every level,
``--flag=false``, the words of complaints, and the layout of help.
"""

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple, cast

import click
from click.core import ParameterSource

from tetragon.cli.values import DURATION, INT, STRINGS, TEXT, Value, parse_switch, refusal

_GLOBALS: Final = "tetragon.cli.globals"
_SECOND: Final = 1_000_000_000

# --- flags ------------------------------------------------------------------------------------


class Flag(click.Option):
    """An option; ``kind`` is None for a switch."""

    def __init__(
        self,
        names: Sequence[str],
        kind: Value | None = None,
        *,
        default: Any = None,
        help: str = "",
        hidden: bool = False,
        expose_value: bool = True,
        callback: Callable[[click.Context, click.Parameter, Any], Any] | None = None,
    ) -> None:
        self.kind = kind
        self.shown_default = default
        super().__init__(
            list(names),
            type=kind if kind is not None else click.BOOL,
            default=default if default is not None or kind is not None else False,
            is_flag=kind is None,
            help=help,
            hidden=hidden,
            expose_value=expose_value,
            callback=callback,
        )


class ListFlag(Flag):
    """An option that may come several times; its value is the tuple of all of them."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> tuple[str, ...]:
        """Join what each use gave."""
        texts = cast("list[str]", value) if isinstance(value, list) else []
        found: list[str] = []
        for text in texts:
            item = self.type.convert(text, self, ctx)
            found += [item] if isinstance(item, str) else item
        return tuple(found)


class _Parser:
    """Sorts arguments into flags and the rest, by the rules of Go's flags."""

    def __init__(self, command: click.Command, ctx: click.Context, groups: bool) -> None:
        self._ctx = ctx
        self._opt_prefixes = {"-", "--"}  # click's completion asks its parser for these
        self._groups = groups  # the rest begins at the first word that is not a flag
        self._flags = {
            name: param
            for param in command.get_params(ctx)
            if isinstance(param, click.Option)
            for name in param.opts
        }
        self._given: dict[str, Any] = {}
        self._order: list[click.Parameter] = []

    def parse_args(
        self, args: list[str]
    ) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
        """Return values by parameter name, what is no flag, and the order of the flags."""
        rest: list[str] = []
        words = list(args)
        while words:
            word = words.pop(0)
            if word == "--":
                return self._given, rest + words, self._order
            if word.startswith("--"):
                self._long(word, words)
            elif word.startswith("-") and word != "-":
                self._short(word, words)
            elif self._groups:
                return self._given, [*rest, word, *words], self._order
            else:
                rest.append(word)
        return self._given, rest, self._order

    def _long(self, word: str, words: list[str]) -> None:
        name, equals, value = word.partition("=")
        flag = self._flags.get(name)
        if flag is None:
            raise click.UsageError(f"unknown flag: {name}", self._ctx)
        if equals:
            self._set(flag, value)
        elif flag.is_flag:
            self._set(flag, None)
        elif words:
            self._set(flag, words.pop(0))
        else:
            raise click.UsageError(f"flag needs an argument: {name}", self._ctx)

    def _short(self, word: str, words: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._flags.get(f"-{letter}")
            if flag is None:
                text = f"unknown shorthand flag: {letter!r} in {word}"
                raise click.UsageError(text, self._ctx)
            if letters.startswith("="):
                self._set(flag, letters[1:])
                return
            if flag.is_flag:
                self._set(flag, None)
                continue
            if not letters and not words:
                text = f"flag needs an argument: {letter!r} in {word}"
                raise click.UsageError(text, self._ctx)
            self._set(flag, letters or words.pop(0))
            return

    def _set(self, flag: click.Option, value: str | None) -> None:
        name = flag.name or ""
        self._order.append(flag)
        if flag.is_flag:
            try:
                self._given[name] = value is None or parse_switch(value)
            except ValueError as exc:
                raise refusal(value or "", flag, str(exc), self._ctx) from exc
        elif isinstance(flag, ListFlag):
            self._given.setdefault(name, []).append(value)
        else:
            self._given[name] = value


# --- flags every command has ------------------------------------------------------------------


class Globals(NamedTuple):
    """What the flags that every command has say; ``timeout`` is ns."""

    debug: bool = False
    server_address: str | None = None
    timeout: int = 30 * _SECOND
    retries: int = 1
    max_recv_size: int = 10 << 20
    tls_ca_cert_files: tuple[str, ...] = ()
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False

    @classmethod
    def of(cls, ctx: click.Context) -> "Globals":
        """Return those given anywhere on the command line of ``ctx``."""
        return cls(**ctx.meta.get(_GLOBALS, {}))


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep a global flag that was given; the innermost level wins."""
    if param.name and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        ctx.meta.setdefault(_GLOBALS, {})[param.name] = value


def _global(kind: type[Flag], name: str, value: Value | None, default: Any, help: str) -> Flag:
    short = ["-d"] if name == "--debug" else []
    return kind(
        [*short, name], value, default=default, help=help, expose_value=False, callback=_remember
    )


def global_flags() -> list[Flag]:
    """Return new global flags, in the order help shows them."""
    return [
        _global(Flag, "--debug", None, None, "Print what tetra itself does to standard error"),
        _global(
            Flag,
            "--max-recv-size",
            INT,
            Globals().max_recv_size,
            "Largest message, or line of standard input, in bytes",
        ),
        _global(
            Flag,
            "--retries",
            INT,
            1,
            "Further attempts when the agent cannot be reached; the pause doubles from 1s on",
        ),
        _global(
            Flag,
            "--server-address",
            TEXT,
            None,
            "Where the agent is: unix:///path or host:port "
            "(default: as the running agent says, else localhost:54321)",
        ),
        _global(
            Flag, "--timeout", DURATION, 30 * _SECOND, "Most time a call may take; not for streams"
        ),
        _global(
            ListFlag,
            "--tls-ca-cert-files",
            STRINGS,
            None,
            "CA bundles (PEM) that sign the agent's certificate",
        ),
        _global(Flag, "--tls-cert-file", TEXT, "", "Our own certificate (PEM), for mTLS"),
        _global(Flag, "--tls-key-file", TEXT, "", "Key (PEM) of our own certificate"),
        _global(Flag, "--tls-server-name", TEXT, "", "Name to expect in the agent's certificate"),
        _global(
            Flag,
            "--tls-skip-verify",
            None,
            None,
            "Trust any certificate; for development only",
        ),
    ]


# --- commands -----------------------------------------------------------------------------------


class _Shared(click.Command):
    """What commands and groups have in common; a mixin before click's class."""

    examples: str = ""
    aliases: tuple[str, ...] = ()
    deprecation: str = ""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the own flags, help, and the global ones."""
        if not hasattr(self, "_all_params"):
            help_flag = Flag(
                ["-h", "--help"],
                help=f"help for {ctx.info_name}",
                expose_value=False,
                callback=_show_help,
            )
            help_flag.is_eager = True
            self._all_params: list[click.Parameter] = [*self.params, help_flag, *global_flags()]
        return self._all_params

    def make_parser(self, ctx: click.Context) -> Any:
        """Return our parser instead of click's."""
        return _Parser(self, ctx, isinstance(self, click.Group))

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text, in the layout of Go programs."""
        from tetragon.cli.help import help_text

        return help_text(self, ctx)


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help())
        ctx.exit()


class Command(_Shared, click.Command):
    """
    A command that does something.

    Args:
        arity: how many arguments it wants; None ignores them, -1 takes what comes.
        usage: how its arguments are written in help, such as ``FILE``.
    """

    def __init__(
        self,
        name: str,
        callback: Callable[..., Any],
        *,
        short: str,
        params: Sequence[click.Parameter] = (),
        arity: int | None = 0,
        usage: str = "",
        examples: str = "",
        aliases: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            name,
            callback=callback,
            params=list(params),
            help=inspect.getdoc(callback),
            short_help=short,
        )
        self.allow_extra_args = True
        self._arity = arity
        self.usage = usage
        self.examples = examples
        self.aliases = aliases

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, then check the number of arguments."""
        rest = super().parse_args(ctx, args)
        arity = self._arity
        if arity == 0 and ctx.args and not ctx.resilient_parsing:
            text = f'unknown command "{ctx.args[0]}" for "{ctx.command_path}"'
            raise click.UsageError(text, ctx)
        if arity and arity > 0 and len(ctx.args) != arity and not ctx.resilient_parsing:
            raise click.UsageError(f"accepts {arity} arg(s), received {len(ctx.args)}", ctx)
        return rest


class Entry(NamedTuple):
    """
    A command of a group, not imported until it is used.

    Args:
        where: ``module:attribute``, below tetragon.cli.
        short: one line for lists of commands.
        aliases: other names.
        hidden: not in lists.
    """

    where: str
    short: str
    aliases: tuple[str, ...] = ()
    hidden: bool = False


class Group(_Shared, click.Group):
    """
    A command that only has others.

    Args:
        entries: its commands by name.
        long: what help says first.
        deprecation: printed when it is used without a command.
    """

    def __init__(
        self,
        name: str,
        entries: dict[str, Entry],
        *,
        short: str,
        long: str = "",
        aliases: tuple[str, ...] = (),
        deprecation: str = "",
        params: Sequence[click.Parameter] = (),
    ) -> None:
        super().__init__(
            name,
            help=long or short,
            short_help=short,
            params=list(params),
            invoke_without_command=True,
            callback=_show_group,
        )
        self.entries = entries
        self.aliases = aliases
        self.deprecation = deprecation

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that are not hidden."""
        del ctx
        return sorted(name for name, entry in self.entries.items() if not entry.hidden)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, by name or alias."""
        del ctx
        name = self._name(cmd_name)
        if name is None:
            return None
        module, _, attribute = self.entries[name].where.partition(":")
        found: click.Command = getattr(import_module(f"tetragon.cli.{module}"), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the arguments; below the root an unknown one means help."""
        command = self.get_command(ctx, args[0])
        if command is not None:
            return command.name, command, args[1:]
        if ctx.parent is not None:
            click.echo(ctx.get_help())
            ctx.exit()
        raise click.UsageError(self._unknown(args[0]), ctx)

    def _name(self, word: str) -> str | None:
        if word in self.entries:
            return word
        return next((name for name, e in self.entries.items() if word in e.aliases), None)

    def _unknown(self, word: str) -> str:
        near = [name for name in self.list_commands(click.Context(self)) if _near(word, name)]
        text = f'unknown command "{word}" for "tetra"'
        if near:
            names = "".join(f"\t{name}\n" for name in near)
            text += f"\n\nDid you mean this?\n{names}"
        return f"{text}\nRun 'tetra --help' for usage."


@click.pass_context
def _show_group(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        command = ctx.command
        if isinstance(command, Group) and command.deprecation:
            click.echo(command.deprecation)
        click.echo(ctx.get_help())


def _near(word: str, name: str) -> bool:
    return name.startswith(word.lower()) or _distance(word.lower(), name) <= 2


def _distance(a: str, b: str) -> int:
    """Return how many letters to add, drop or change to get from one word to the other."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (one != other))
    return row[-1]
