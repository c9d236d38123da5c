"""Commands on policies: tracingpolicy list, add, delete, enable, disable, set-mode, domains."""

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from tetragon.cli.agent import agent_of, doing
from tetragon.cli.command import Command, Entry, Flag, Group
from tetragon.cli.output import decimal_bytes, table
from tetragon.cli.values import TEXT, choice

if TYPE_CHECKING:
    from tetragon.api import messages as api

_MODES = {"enforce": 1, "monitor": 2}
_OUTPUT = choice(("text", "json"))
_HEADER = (
    "ID",
    "NAME",
    "DOMAIN",
    "STATE",
    "FILTERID",
    "NAMESPACE",
    "SENSORS",
    "KERNELMEMORY",
    "MODE",
    "NPOST",
    "NENFORCE",
    "NMONITOR",
)
_HOOKS = ("SECTION", "CFGIDX", "DESCRIPTION", "STATUS")


def _domain() -> Flag:
    return Flag(["--domain"], TEXT, default="", help="Domain of the policy (default: grpc)")


def _namespace() -> Flag:
    return Flag(["-n", "--namespace"], TEXT, default="", help="Namespace of the policy")


def _output() -> Flag:
    return Flag(["-o", "--output"], _OUTPUT, default="text", help="Output format (text, json)")


# --- change ---------------------------------------------------------------------------------


@click.pass_context
def _add(ctx: click.Context, mode: str, domain: str) -> None:
    """Add a tracing policy

    Sends the YAML file to the agent, which loads the policy. With --mode the policy is loaded in
    that mode, whatever its file says.
    """
    path = ctx.args[0]
    number = _mode(mode) if mode else None
    try:
        with click.open_file(path, "rb") as file:
            yaml = file.read().decode()
    except OSError as exc:
        reason = f"open {path}: {(exc.strerror or str(exc)).lower()}"
        raise click.ClickException(f"failed to read yaml file {path}: {reason}") from exc
    except UnicodeDecodeError as exc:
        raise click.ClickException(f"failed to read yaml file {path}: not UTF-8: {exc}") from exc
    if number is not None:
        yaml = with_mode(yaml, mode)
    from tetragon.api import messages as api

    agent = agent_of(ctx)
    with doing("failed to add tracing policy"):
        agent.call(
            "AddTracingPolicy",
            api.AddTracingPolicyRequest(yaml=yaml, domain=domain),
            api.AddTracingPolicyResponse,
        )
    click.echo(f'tracing policy "{path}" added')


@click.pass_context
def _delete(ctx: click.Context, namespace: str, domain: str) -> None:
    """Delete a tracing policy

    Unloads the policy NAME and forgets it.
    """
    from tetragon.api import messages as api

    name = ctx.args[0]
    request = api.DeleteTracingPolicyRequest(name=name, namespace=namespace, domain=domain)
    agent = agent_of(ctx)
    with doing("failed to delete tracing policy"):
        agent.call("DeleteTracingPolicy", request, api.DeleteTracingPolicyResponse)
    click.echo(f'tracing policy "{name}" deleted')


@click.pass_context
def _enable(ctx: click.Context, namespace: str, domain: str) -> None:
    """Enable a tracing policy

    Loads a policy that was disabled.
    """
    _configure(ctx, "failed to enable tracing policy", namespace, domain, enable=True)
    click.echo(f'tracing policy "{ctx.args[0]}" enabled')


@click.pass_context
def _disable(ctx: click.Context, namespace: str, domain: str) -> None:
    """Disable a tracing policy

    Unloads the policy, but keeps it: enable loads it again.
    """
    _configure(ctx, "failed to disable tracing policy", namespace, domain, enable=False)
    click.echo(f'tracing policy "{ctx.args[0]}" disabled')


@click.pass_context
def _set_mode(ctx: click.Context, namespace: str, domain: str) -> None:
    """Set the mode of a tracing policy

    MODE is enforce (its actions run) or monitor (they are only reported).
    """
    name, mode = ctx.args
    number = _mode(mode)
    failing = f'failed set mode to "{mode}" tracing policy'
    _configure(ctx, failing, namespace, domain, mode=number)
    click.echo(f'tracing policy "{name}" set to mode "{mode}"')


def _configure(
    ctx: click.Context,
    failing: str,
    namespace: str,
    domain: str,
    *,
    enable: bool | None = None,
    mode: int | None = None,
) -> None:
    from tetragon.api import messages as api

    request = api.ConfigureTracingPolicyRequest(
        name=ctx.args[0], namespace=namespace, domain=domain, enable=enable, mode=mode
    )
    agent = agent_of(ctx)
    with doing(failing):
        agent.call("ConfigureTracingPolicy", request, api.ConfigureTracingPolicyResponse)


def _mode(word: str) -> int:
    if word not in _MODES:
        raise click.ClickException(f"invalid mode: {word}")
    return _MODES[word]


@click.pass_context
def _modify(ctx: click.Context, mode: str) -> None:
    """Modify a tracing policy YAML file

    Prints the policy of FILE with another mode; without --mode the file as it is. No agent is
    asked.
    """
    path = ctx.args[0]
    try:
        with click.open_file(path, "rb") as file:
            content = file.read()
    except OSError as exc:
        reason = f"open {path}: {(exc.strerror or str(exc)).lower()}"
        raise click.ClickException(f"failed to read yaml file {path}: {reason}") from exc
    if not mode:
        sys.stdout.buffer.write(content)
        return
    if mode not in _MODES:
        raise click.ClickException(f'invalid mode: "{mode}"')
    click.echo(with_mode(content.decode(), mode), nl=False)


def with_mode(text: str, mode: str) -> str:
    """
    Return the YAML of a policy with its mode set.

    Raises:
        click.ClickException: not YAML, or not a policy.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Leaves times as they are written."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        policy: Any = yaml.load(text, Loader)
    except yaml.YAMLError as exc:
        raise click.ClickException(f"yaml cannot be read: {exc}") from exc
    spec = cast("dict[str, Any]", policy).get("spec") if isinstance(policy, dict) else None
    if not isinstance(spec, dict):
        raise click.ClickException("yaml does not include spec section")
    options = cast("dict[str, list[dict[str, str]] | None]", spec)
    kept = [one for one in options.get("options") or [] if one.get("name") != "policy-mode"]
    options["options"] = [*kept, {"name": "policy-mode", "value": mode}]
    return yaml.safe_dump(policy, sort_keys=True, allow_unicode=True)


# --- show -----------------------------------------------------------------------------------


@click.pass_context
def _list(ctx: click.Context, output: str, domain: str) -> None:
    """List loaded tracing policies

    One line per policy: its state, the sensors and the kernel memory it takes, its mode, and how
    often its actions ran (NPOST events sent, NENFORCE enforced, NMONITOR only reported). For a
    policy that is enabled in part, the hooks follow.
    """
    from tetragon.api import messages as api

    agent = agent_of(ctx)
    with doing("failed to list tracing policies"):
        response = agent.call(
            "ListTracingPolicies",
            api.ListTracingPoliciesRequest(domain=domain),
            api.ListTracingPoliciesResponse,
        )
    if output == "json":
        from tetragon.api.json import Converter

        sys.stdout.buffer.write(Converter().line(response))
        return
    policies = sorted(response.policies, key=lambda policy: policy.id)
    lines = table([_HEADER, *map(_row, policies)])
    click.echo(lines[0])
    indent = lines[0].index("NAME")
    for policy, line in zip(policies, lines[1:], strict=True):
        click.echo(line)
        for hook in _hook_lines(policy):
            click.echo(" " * indent + hook)


def _row(policy: "api.TracingPolicyStatus") -> tuple[str, ...]:
    from tetragon.api import messages as api

    state = api.TracingPolicyState.Name(policy.state).lower().removeprefix("tp_state_")
    mode = api.TracingPolicyMode.Name(policy.mode).lower().removeprefix("tp_mode_")
    counts = policy.stats.action_counters
    enforced = counts.signal + counts.override + counts.notify_enforcer + counts.set
    monitored = counts.monitor_signal + counts.monitor_override
    monitored += counts.monitor_notify_enforcer + counts.monitor_set
    return (
        str(policy.id),
        policy.name,
        policy.domain,
        state,
        str(policy.filter_id),
        policy.namespace or "(global)",
        ",".join(policy.sensors),
        decimal_bytes(policy.kernel_memory_bytes),
        mode,
        str(counts.post),
        str(enforced),
        str(monitored),
    )


def _hook_lines(policy: "api.TracingPolicyStatus") -> list[str]:
    from tetragon.api import messages as api

    if api.TracingPolicyState.Name(policy.state) != "TP_STATE_PARTIALLY_ENABLED":
        return []
    rows = [
        (
            hook.section,
            str(hook.hook_idx),
            hook.hook_description,
            api.HookState.Name(hook.state).lower().removeprefix("status_"),
        )
        for hook in policy.hook_statuses
    ]
    return table([_HOOKS, *rows]) if rows else []


@click.pass_context
def _domains(ctx: click.Context, output: str) -> None:
    """List loaded tracing policies domains

    A domain tells who owns a policy: grpc (added by a client), k8s (a resource of the cluster),
    static (a file the agent loaded at start).
    """
    from tetragon.api import messages as api

    agent = agent_of(ctx)
    with doing("failed to list domains"):
        response = agent.call("ListDomains", api.ListDomainsRequest(), api.ListDomainsResponse)
    if output == "json":
        from tetragon.api.json import Converter

        sys.stdout.buffer.write(Converter().line(response))
    else:
        click.echo(f"[{' '.join(response.domains)}]")


ADD = Command(
    "add",
    _add,
    short="add a tracing policy",
    params=[_domain(), Flag(["-m", "--mode"], TEXT, default="", help="Mode (enforce, monitor)")],
    arity=1,
    usage="FILE",
    examples="  tetra tracingpolicy add --mode monitor policy.yaml",
)
DELETE = Command(
    "delete",
    _delete,
    short="delete a tracing policy",
    params=[_domain(), _namespace()],
    arity=1,
    usage="NAME",
)
ENABLE = Command(
    "enable",
    _enable,
    short="enable a tracing policy",
    params=[_domain(), _namespace()],
    arity=1,
    usage="NAME",
)
DISABLE = Command(
    "disable",
    _disable,
    short="disable a tracing policy",
    params=[_domain(), _namespace()],
    arity=1,
    usage="NAME",
)
SET_MODE = Command(
    "set-mode",
    _set_mode,
    short="set the mode of a tracing policy",
    params=[_domain(), _namespace()],
    arity=2,
    usage="NAME MODE",
    examples="  tetra tracingpolicy set-mode block-writes monitor",
)
MODIFY = Command(
    "modify",
    _modify,
    short="modify a tracing policy YAML file",
    params=[Flag(["-m", "--mode"], TEXT, default="", help="Mode (enforce, monitor)")],
    arity=1,
    usage="FILE",
    examples="  tetra tp modify -m monitor policy.yaml > monitor.yaml",
)
LIST = Command(
    "list",
    _list,
    short="list loaded tracing policies",
    params=[
        Flag(["--domain"], TEXT, default="", help="Only policies of this domain"),
        _output(),
    ],
    arity=None,
)
DOMAINS = Command(
    "domains",
    _domains,
    short="list loaded tracing policies domains",
    params=[_output()],
    arity=None,
)
POLICIES = Group(
    "tracingpolicy",
    {
        "add": Entry("policies:ADD", "add a tracing policy"),
        "delete": Entry("policies:DELETE", "delete a tracing policy"),
        "disable": Entry("policies:DISABLE", "disable a tracing policy"),
        "domains": Entry("policies:DOMAINS", "list loaded tracing policies domains"),
        "enable": Entry("policies:ENABLE", "enable a tracing policy"),
        "list": Entry("policies:LIST", "list loaded tracing policies"),
        "modify": Entry("policies:MODIFY", "modify a tracing policy YAML file"),
        "set-mode": Entry("policies:SET_MODE", "set the mode of a tracing policy"),
    },
    short="Manage tracing policies",
    aliases=("tp",),
)
