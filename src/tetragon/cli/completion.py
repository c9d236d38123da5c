"""Commands for the shell user: completion and help."""

import click

from tetragon.cli.command import Command, Entry, Group


def _source(shell: str) -> None:
    from click.shell_completion import get_completion_class

    from tetragon.cli.main import COMPLETE, ROOT

    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"{shell} needs a newer click; use bash, fish or zsh")
    click.echo(found(ROOT, {}, "tetra", COMPLETE).source())


@click.pass_context
def _completion(ctx: click.Context) -> None:
    _source(ctx.info_name or "")


def _shell(name: str, load: str) -> Command:
    command = Command(
        name,
        _completion,
        short=f"Generate the autocompletion script for {name}",
        params=[],
        examples=load,
    )
    command.help = f"Generate the autocompletion script for {name}\n\nPrints it to standard output."
    return command


BASH = _shell("bash", "  source <(tetra completion bash)")
FISH = _shell("fish", "  tetra completion fish | source")
ZSH = _shell("zsh", "  source <(tetra completion zsh)")
POWERSHELL = _shell("powershell", "  tetra completion powershell | Out-String | Invoke-Expression")

COMPLETION = Group(
    "completion",
    {
        name: Entry(f"completion:{name.upper()}", f"Generate the autocompletion script for {name}")
        for name in ("bash", "fish", "powershell", "zsh")
    },
    short="Generate the autocompletion script for the specified shell",
    long=(
        "Generate the autocompletion script for tetra for the specified shell.\n"
        "See each sub-command's help for details on how to use the generated script."
    ),
)


@click.pass_context
def _help(ctx: click.Context) -> None:
    """Help about any command

    Shows the help of the command named, as --help does.
    """
    root = ctx.find_root()
    command, at = root.command, root
    for word in ctx.args:
        found = command.get_command(at, word) if isinstance(command, Group) else None
        if found is None:
            words = " ".join(f"`{word}`" for word in ctx.args)
            click.echo(f"Unknown help topic [{words}]", err=True)
            command, at = root.command, root
            break
        command, at = found, click.Context(found, info_name=found.name, parent=at)
    click.echo(command.get_help(at))


HELP = Command("help", _help, short="Help about any command", arity=-1, usage="[COMMAND]")
