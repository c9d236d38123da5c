"""Commands on sensors, which agents no longer answer; kept so that old scripts get told."""

from typing import Any

import click

from tetragon.cli.agent import agent_of, doing
from tetragon.cli.command import Command, Entry, Group


def _call(ctx: click.Context, method: str, failing: str, **fields: str) -> Any:
    from tetragon.api import messages as api

    request = getattr(api, f"{method}Request")(**fields)
    agent = agent_of(ctx)
    with doing(failing):
        return agent.call(method, request, getattr(api, f"{method}Response"))


@click.pass_context
def _list(ctx: click.Context) -> None:
    """List available sensors"""
    for sensor in _call(ctx, "ListSensors", "failed to list sensors").sensors:
        state = "(enabled)" if sensor.enabled else "(not enabled)"
        click.echo(f"{sensor.name} {state} {sensor.collection}".rstrip())


@click.pass_context
def _enable(ctx: click.Context) -> None:
    """Enable sensor"""
    _call(ctx, "EnableSensor", f"failed to enable sensor {ctx.args[0]}", name=ctx.args[0])
    click.echo(f"sensor {ctx.args[0]} enabled")


@click.pass_context
def _disable(ctx: click.Context) -> None:
    """Disable sensor"""
    _call(ctx, "DisableSensor", f"failed to disable sensor {ctx.args[0]}", name=ctx.args[0])
    click.echo(f"sensor {ctx.args[0]} disabled")


@click.pass_context
def _remove(ctx: click.Context) -> None:
    """Remove a sensor"""
    _call(ctx, "RemoveSensor", "failed to remove sensor", name=ctx.args[0])
    click.echo(f"sensor {ctx.args[0]} removed")


LIST = Command("list", _list, short="List available sensors")
ENABLE = Command("enable", _enable, short="Enable sensor", arity=1, usage="SENSOR")
DISABLE = Command("disable", _disable, short="Disable sensor", arity=1, usage="SENSOR")
RM = Command("rm", _remove, short="remove a sensor", arity=1, usage="SENSOR")

SENSORS = Group(
    "sensors",
    {
        "disable": Entry("old:DISABLE", "Disable sensor"),
        "enable": Entry("old:ENABLE", "Enable sensor"),
        "list": Entry("old:LIST", "List available sensors"),
        "rm": Entry("old:RM", "remove a sensor"),
    },
    short="Manage sensors",
    deprecation=('Command "sensors" is deprecated, please use the tracingpolicy command instead.'),
)
