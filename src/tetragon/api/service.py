"""Service: requests in, what the agent answers out; one method per RPC.

Flow    Connection -> Method -> [AgentService] -> AgentControl, PolicyControl, EventLogControl
Owns    nothing. Runs on the loop's thread; what may take long is done on a thread of its own.

An error of ours becomes status UNKNOWN with its text, which is what clients of this API expect;
a filter that cannot be compiled becomes INVALID_ARGUMENT.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message

from tetragon.api import messages as api
from tetragon.api.books import LEDGER, encode_books
from tetragon.api.encode import process_message
from tetragon.api.http2 import Call, Method
from tetragon.api.stream import GrpcSink
from tetragon.api.wanted import CompileRequest
from tetragon.api.wire import Code
from tetragon.errors import FilterError, RpcError
from tetragon.model.control import (
    ActionCounts,
    AgentControl,
    AgentInfo,
    CachedProcess,
    ConfValue,
    EventLogControl,
    PolicyControl,
    PolicyMode,
    PolicyStatus,
)
from tetragon.model.duration import format_duration, parse_duration

_LEVELS: Final = ("panic", "fatal", "error", "warn", "info", "debug", "trace")
_LOG_LEVEL, _DUMP_PROCESS_CACHE = 0, 1


class AgentService:
    """
    All RPCs of both services.

    Args:
        control: the agent.
        sink: where GetEvents gets its events.
        compile_request: turns a GetEventsRequest into the filter of its stream.
        policies: the policies, None while there is nothing that could load one.
        event_log: the JSON export file, None when there is none.
        deprecated_calls: answer EnableTracingPolicy and DisableTracingPolicy.
    """

    def __init__(
        self,
        control: AgentControl,
        sink: GrpcSink,
        compile_request: CompileRequest,
        *,
        policies: PolicyControl | None = None,
        event_log: EventLogControl | None = None,
        deprecated_calls: bool = False,
    ) -> None:
        self._control = control
        self._sink = sink
        self._compile_request = compile_request
        self._policies = policies
        self._event_log = event_log
        self._deprecated_calls = deprecated_calls

    def methods(self) -> dict[str, Method]:
        """Return every RPC by its path."""
        sensors, event_log = "/tetragon.FineGuidanceSensors/", "/tetragon.EventLogService/"
        # The whole dispatch: request class and answer, by method name.
        return {
            sensors + "GetEvents": Method(api.GetEventsRequest, self._get_events),
            sensors + "GetHealth": Method(api.GetHealthStatusRequest, self._get_health),
            sensors + "GetVersion": Method(api.GetVersionRequest, self._get_version),
            sensors + "GetInfo": Method(api.GetInfoRequest, self._get_info),
            sensors + "GetDebug": Method(api.GetDebugRequest, self._get_debug),
            sensors + "SetDebug": Method(api.SetDebugRequest, self._set_debug),
            sensors + "AddTracingPolicy": Method(api.AddTracingPolicyRequest, self._add_policy),
            sensors + "DeleteTracingPolicy": Method(
                api.DeleteTracingPolicyRequest, self._delete_policy
            ),
            sensors + "ConfigureTracingPolicy": Method(
                api.ConfigureTracingPolicyRequest, self._configure_policy
            ),
            sensors + "ListTracingPolicies": Method(
                api.ListTracingPoliciesRequest, self._list_policies
            ),
            sensors + "ListDomains": Method(api.ListDomainsRequest, self._list_domains),
            sensors + "EnableTracingPolicy": Method(
                api.EnableTracingPolicyRequest, self._enable_policy
            ),
            sensors + "DisableTracingPolicy": Method(
                api.DisableTracingPolicyRequest, self._disable_policy
            ),
            sensors + "ListSensors": Method(api.ListSensorsRequest, _gone("ListSensors")),
            sensors + "EnableSensor": Method(api.EnableSensorRequest, _gone("EnableSensor")),
            sensors + "DisableSensor": Method(api.DisableSensorRequest, _gone("DisableSensor")),
            sensors + "RemoveSensor": Method(api.RemoveSensorRequest, _gone("RemoveSensor")),
            sensors + "RuntimeHook": Method(api.RuntimeHookRequest, _runtime_hook),
            event_log + "SetEventLogParams": Method(
                api.SetEventLogParamsRequest, self._set_event_log
            ),
            event_log + "GetEventLogParams": Method(
                api.GetEventLogParamsRequest, self._get_event_log
            ),
        }

    # --- events and state -------------------------------------------------------------------

    async def _get_events(self, request: api.GetEventsRequest, call: Call) -> None:
        try:
            wanted = self._compile_request(request)
        except FilterError as exc:
            raise RpcError(Code.INVALID_ARGUMENT, str(exc)) from exc
        call.open()
        await self._sink.serve(wanted, call.send)

    async def _get_health(self, request: api.GetHealthStatusRequest, _: Call) -> Message:
        response = api.GetHealthStatusResponse()
        response.health_status.add(
            event=api.HealthStatusType.Value("HEALTH_STATUS_TYPE_STATUS"),
            status=api.HealthStatusResult.Value("HEALTH_STATUS_RUNNING"),
            details="running",
        )
        if LEDGER in request.event_set:
            response.health_status.add(
                event=LEDGER,
                status=api.HealthStatusResult.Value("HEALTH_STATUS_RUNNING"),
                details=encode_books(self._control.ledgers()),
            )
        return response

    async def _get_version(self, _: api.GetVersionRequest, __: Call) -> Message:
        return api.GetVersionResponse(version=self._control.version())

    async def _get_info(self, _: api.GetInfoRequest, __: Call) -> Message:
        return _info(self._control.info())

    async def _get_debug(self, request: api.GetDebugRequest, _: Call) -> Message:
        if request.flag == _LOG_LEVEL:
            level = _LEVELS.index(self._control.log_level())
            return api.GetDebugResponse(flag=request.flag, level=level)
        if request.flag == _DUMP_PROCESS_CACHE:
            dump = request.dump
            found = self._control.processes(
                dump.skip_zero_refcnt, dump.exclude_execve_map_processes
            )
            return await asyncio.to_thread(_process_cache, list(found))
        raise RpcError(Code.UNKNOWN, f"client requested unknown config flag {request.flag}")

    async def _set_debug(self, request: api.SetDebugRequest, _: Call) -> Message:
        if request.flag != _LOG_LEVEL:
            text = f"client requested change of unknown config flag {request.flag}"
            raise RpcError(Code.UNKNOWN, text)
        level = request.level if 0 <= request.level < len(_LEVELS) else _LEVELS.index("info")
        self._control.set_log_level(_LEVELS[level])
        return api.SetDebugResponse(flag=request.flag, level=level)

    # --- policies ---------------------------------------------------------------------------

    def _manager(self) -> PolicyControl:
        if self._policies is None:
            raise RpcError(Code.UNIMPLEMENTED, "this agent cannot load tracing policies")
        return self._policies

    async def _add_policy(self, request: api.AddTracingPolicyRequest, _: Call) -> Message:
        await asyncio.to_thread(self._manager().add, request.yaml, _domain(request.domain))
        return api.AddTracingPolicyResponse()

    async def _delete_policy(self, request: api.DeleteTracingPolicyRequest, _: Call) -> Message:
        domain = _domain(request.domain)
        await asyncio.to_thread(self._manager().delete, request.name, request.namespace, domain)
        return api.DeleteTracingPolicyResponse()

    async def _configure_policy(
        self, request: api.ConfigureTracingPolicyRequest, _: Call
    ) -> Message:
        enable = request.enable if request.HasField("enable") else None
        mode = _mode(request.mode) if request.HasField("mode") else None
        await self._configure(request.name, request.namespace, request.domain, enable, mode)
        return api.ConfigureTracingPolicyResponse()

    async def _enable_policy(self, request: api.EnableTracingPolicyRequest, _: Call) -> Message:
        self._check_deprecated("EnableTracingPolicy")
        await self._configure(request.name, request.namespace, request.domain, True, None)
        return api.EnableTracingPolicyResponse()

    async def _disable_policy(self, request: api.DisableTracingPolicyRequest, _: Call) -> Message:
        self._check_deprecated("DisableTracingPolicy")
        await self._configure(request.name, request.namespace, request.domain, False, None)
        return api.DisableTracingPolicyResponse()

    async def _configure(
        self, name: str, namespace: str, domain: str, enable: bool | None, mode: PolicyMode | None
    ) -> None:
        configure = self._manager().configure
        await asyncio.to_thread(configure, name, namespace, _domain(domain), enable, mode)

    def _check_deprecated(self, name: str) -> None:
        if not self._deprecated_calls:
            raise RpcError(
                Code.UNKNOWN,
                f"{name} is deprecated and will be removed in the next release. Use "
                "ConfigureTracingPolicy, or start the agent with "
                "--enable-deprecated-tracingpolicy-grpc.",
            )

    async def _list_policies(self, request: api.ListTracingPoliciesRequest, _: Call) -> Message:
        response = api.ListTracingPoliciesResponse()
        if self._policies is not None:
            _check_domain(request.domain)
            for status in await asyncio.to_thread(self._policies.list, request.domain):
                _fill_policy(response.policies.add(), status)
        return response

    async def _list_domains(self, _: api.ListDomainsRequest, __: Call) -> Message:
        domains = () if self._policies is None else self._policies.domains()
        return api.ListDomainsResponse(domains=domains)

    # --- JSON export file ---------------------------------------------------------------------

    def _log_file(self) -> EventLogControl:
        if self._event_log is None:
            raise RpcError(Code.UNKNOWN, "no log params setters available")
        return self._event_log

    async def _set_event_log(self, request: api.SetEventLogParamsRequest, _: Call) -> Message:
        log_file = self._log_file()
        interval = None
        if request.HasField("rotation_interval"):
            try:
                interval = parse_duration(request.rotation_interval)
            except ValueError as exc:
                raise RpcError(Code.UNKNOWN, str(exc)) from exc
        log_file.set_params(
            request.max_size if request.HasField("max_size") else None,
            request.max_backups if request.HasField("max_backups") else None,
            interval,
        )
        return api.SetEventLogParamsResponse()

    async def _get_event_log(self, _: api.GetEventLogParamsRequest, __: Call) -> Message:
        params = self._log_file().params()
        return api.GetEventLogParamsResponse(
            max_size=params.max_size_mb,
            max_backups=params.max_backups,
            rotation_interval=format_duration(params.rotation_interval),
        )


def _gone(name: str) -> Callable[[Any, Call], Any]:
    """Return the answer of an RPC that exists for old clients only."""

    async def answer(_: Message, __: Call) -> Message:
        raise RpcError(Code.UNKNOWN, f"{name} is deprecated")

    return answer


async def _runtime_hook(_: api.RuntimeHookRequest, __: Call) -> Message:
    raise RpcError(Code.UNIMPLEMENTED, "this agent does not serve runtime hooks")


# --- values of the model as messages --------------------------------------------------------


def _info(info: AgentInfo) -> api.GetInfoResponse:
    response = api.GetInfoResponse(version=info.version, name=info.name)
    for name, enabled in info.probes:
        probe = response.probes.add(Name=name)
        probe.Enabled.value = enabled
    for key, value in info.conf.items():
        entry = response.conf.add(key=key)
        packed = _conf_value(value)
        if packed is not None:
            entry.value.Pack(packed)
    build = response.build
    build.go_version, build.commit = info.build.runtime, info.build.commit
    build.time, build.modified = info.build.time, info.build.modified
    return response


def _conf_value(value: ConfValue) -> Message | None:
    match value:
        case bool():
            return api.BoolValue(value=value)
        case int():
            return api.Int64Value(value=value)
        case str():
            return api.StringValue(value=value)
        case tuple():
            values = api.ListValue()
            for item in value:
                values.values.add(string_value=item)
            return values
        case None:
            return None


def _process_cache(entries: list[CachedProcess]) -> api.GetDebugResponse:
    response = api.GetDebugResponse(flag=_DUMP_PROCESS_CACHE)
    response.processes.SetInParent()
    for entry in entries:
        into = response.processes.processes.add(color=entry.color)
        into.process.CopyFrom(process_message(entry.process))
        into.refcnt.value = entry.refcnt
        into.refcnt_ops.update(entry.refcnt_ops)
    return response


def _domain(domain: str) -> str:
    _check_domain(domain)
    return domain or "grpc"


def _check_domain(domain: str) -> None:
    if domain == "sensors":
        raise RpcError(Code.UNKNOWN, "domain sensors is reserved for internal use")


def _mode(number: int) -> PolicyMode:
    if number not in (PolicyMode.ENFORCE, PolicyMode.MONITOR):
        try:
            name = api.TracingPolicyMode.Name(number)
        except ValueError:
            name = str(number)
        raise RpcError(Code.UNKNOWN, f"invalid mode: {name}")
    return PolicyMode(number)


def _fill_policy(into: api.TracingPolicyStatus, status: PolicyStatus) -> None:
    for name in ("id", "name", "namespace", "domain", "error", "filter_id", "state", "mode"):
        setattr(into, name, getattr(status, name))
    into.kernel_memory_bytes = status.kernel_memory_bytes
    into.enabled = status.state.name in ("ENABLED", "PARTIALLY_ENABLED")
    into.sensors.extend(status.sensors)
    if status.counts is not None:
        _fill_counts(into.stats.action_counters, status.counts)
    for selector in status.selectors:
        each = into.stats.selector_action_counters.add(
            hook=selector.hook, selector_label=selector.label
        )
        each.hook_index.value = selector.hook_index
        each.selector_index.value = selector.selector_index
        _fill_counts(each.action_counters, selector.counts)
    for hook in status.hooks:
        into.hook_statuses.add(
            section=hook.section,
            state=hook.state,
            hook_description=hook.description,
            hook_idx=hook.index,
        )


def _fill_counts(into: api.TracingPolicyActionCounters, counts: ActionCounts) -> None:
    for name in counts.__struct_fields__:
        setattr(into, name, getattr(counts, name))
    into.SetInParent()
