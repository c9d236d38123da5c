"""Help: a command in, its help text out, laid out as Go programs lay it out."""

import click

from tetragon.cli.command import Command, Flag, Group, ListFlag, global_flags


def help_text(command: click.Command, ctx: click.Context) -> str:
    """Return the help of ``command`` without its last newline."""
    parts = [command.help or command.short_help or "", _usage(command, ctx)]
    if isinstance(command, Command | Group) and command.aliases:
        parts.append(f"Aliases:\n  {', '.join((command.name or '', *command.aliases))}")
    if isinstance(command, Command) and command.examples:
        parts.append(f"Examples:\n{command.examples}")
    if isinstance(command, Group):
        parts.append(_commands(command, ctx))
    shared = {flag.name for flag in global_flags()}
    flags = [p for p in command.get_params(ctx) if isinstance(p, Flag) and not p.hidden]
    own = [flag for flag in flags if flag.name not in shared]
    others = [flag for flag in flags if flag.name in shared]
    if ctx.parent is None:
        parts.append(f"Flags:\n{_table([*own, *others])}")
    else:
        parts += [f"Flags:\n{_table(own)}", f"Global Flags:\n{_table(others)}"]
    if isinstance(command, Group):
        parts.append(
            f'Use "{ctx.command_path} [command] --help" for more information about a command.'
        )
    return "\n\n".join(parts)


def _usage(command: click.Command, ctx: click.Context) -> str:
    if isinstance(command, Group):
        return f"Usage:\n  {ctx.command_path} [command]"
    arguments = f" {command.usage}" if isinstance(command, Command) and command.usage else ""
    return f"Usage:\n  {ctx.command_path}{arguments} [flags]"


def _commands(group: Group, ctx: click.Context) -> str:
    names = group.list_commands(ctx)
    width = max(11, *map(len, names))
    lines = [f"  {name:<{width}} {group.entries[name].short}" for name in names]
    return "Available Commands:\n" + "\n".join(lines)


def _table(flags: list[Flag]) -> str:
    """Lay out flags, sorted by name, in two columns."""
    rows = [(_left(flag), _right(flag)) for flag in sorted(flags, key=_long)]
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"{left:<{width}}   {right}" for left, right in rows)


def _long(flag: Flag) -> str:
    return max(flag.opts, key=len)


def _left(flag: Flag) -> str:
    short = next((name for name in flag.opts if len(name) == 2), None)
    left = f"  {short}, {_long(flag)}" if short else f"      {_long(flag)}"
    return f"{left} {flag.kind.name}" if flag.kind is not None else left


def _right(flag: Flag) -> str:
    text = flag.help or ""
    if isinstance(flag, ListFlag) or flag.shown_default in (None, "", False, ()):
        return text
    if flag.kind is None:
        return f"{text} (default true)"
    return f"{text} (default {flag.kind.show(flag.shown_default)})"
