"""Every RPC answers Google's client as the API promises."""

from typing import Any

import grpc
import pytest
from api_support import Call, Running

from tetragon.api import messages as api
from tetragon.api.wire import Code
from tetragon.errors import PolicyError
from tetragon.model.control import (
    ActionCounts,
    EventLogParams,
    HookState,
    HookStatus,
    PolicyMode,
    PolicyState,
    PolicyStatus,
    SelectorCounts,
)

EVENT_LOG = "/tetragon.EventLogService/"


def failure(call: Call, *args: Any, **options: Any) -> tuple[Code, str]:
    """Return code and text of the error a call ends with."""
    with pytest.raises(grpc.RpcError) as raised:
        call(*args, **options)
    error: Any = raised.value
    return Code(error.code().value[0]), error.details()


def test_health_is_one_running_status(google: Call) -> None:
    """Whatever the request asks for."""
    request = api.GetHealthStatusRequest(event_set=[1])
    answer = google("GetHealth", request, api.GetHealthStatusResponse)
    assert [(s.event, s.status, s.details) for s in answer.health_status] == [(1, 1, "running")]


def test_version_and_info(google: Call) -> None:
    """Settings keep their type; one of no type the API has comes without a value."""
    assert google("GetVersion").version == "v1.2.3"
    info = google("GetInfo")
    assert (info.version, info.name, info.build.commit) == ("v1.2.3", "tetragon", "abc")
    assert [(p.Name, p.Enabled.value) for p in info.probes] == [("large", True)]
    kinds = {entry.key: entry.value.TypeName().rpartition(".")[2] for entry in info.conf}
    assert kinds == {
        "text": "StringValue", "on": "BoolValue", "count": "Int64Value", "list": "ListValue",
        "odd": "",
    }  # fmt: skip


def test_log_level_is_shown_and_set(google: Call, running: Running) -> None:
    """A level nobody knows becomes info."""
    assert google("GetDebug").level == api.LogLevel.Value("LOG_LEVEL_INFO")
    trace = api.LogLevel.Value("LOG_LEVEL_TRACE")
    assert google("SetDebug", api.SetDebugRequest(level=trace)).level == trace
    assert running.agent.level == "trace"
    google("SetDebug", api.SetDebugRequest(level=99))
    assert running.agent.level == "info"


def test_unknown_debug_flag_is_an_error(google: Call) -> None:
    """With the text clients know."""
    wrong: Any = failure(google, "GetDebug", api.GetDebugRequest(flag=5))
    assert wrong == (Code.UNKNOWN, "client requested unknown config flag 5")
    wrong = failure(google, "SetDebug", api.SetDebugRequest(flag=1))
    assert wrong == (Code.UNKNOWN, "client requested change of unknown config flag 1")


def test_process_cache_dump(google: Call, running: Running) -> None:
    """Each entry with its state; the arguments reach the agent."""
    request = api.GetDebugRequest(flag=1)
    request.dump.skip_zero_refcnt = True
    [entry] = google("GetDebug", request).processes.processes
    assert entry.process.pid.value == 7
    assert (entry.color, entry.refcnt.value) == ("inUse", 2)
    assert dict(entry.refcnt_ops) == {"process++": 1, "parent++": 1}
    assert running.agent.calls == [("processes", True, False)]


def test_policy_calls_reach_the_manager(google: Call, running: Running) -> None:
    """With the domain grpc where none is given; what is unset stays None."""
    google("AddTracingPolicy", api.AddTracingPolicyRequest(yaml="y"))
    google("DeleteTracingPolicy", api.DeleteTracingPolicyRequest(name="n", domain="k8s"))
    google("ConfigureTracingPolicy", api.ConfigureTracingPolicyRequest(name="n", enable=False))
    request = api.ConfigureTracingPolicyRequest(name="n", namespace="s", mode=2)
    google("ConfigureTracingPolicy", request)
    assert running.agent.calls == [
        ("add", "y", "grpc"),
        ("delete", "n", "", "k8s"),
        ("configure", "n", "", "grpc", False, None),
        ("configure", "n", "s", "grpc", None, PolicyMode.MONITOR),
    ]


def test_policy_error_is_status_unknown_with_its_text(google: Call, running: Running) -> None:
    """As handlers of this API have always answered."""
    running.agent.failure = PolicyError("tracing policy grpc:n does not exist")
    request = api.DeleteTracingPolicyRequest(name="n")
    wrong = failure(google, "DeleteTracingPolicy", request)
    assert wrong == (Code.UNKNOWN, "tracing policy grpc:n does not exist")


def test_bad_domain_and_mode_never_reach_the_manager(google: Call, running: Running) -> None:
    """Both are refused by name."""
    request: Any = api.AddTracingPolicyRequest(yaml="y", domain="sensors")
    assert "reserved for internal use" in failure(google, "AddTracingPolicy", request)[1]
    request = api.ConfigureTracingPolicyRequest(name="n", mode=3)
    wrong = failure(google, "ConfigureTracingPolicy", request)
    assert wrong == (Code.UNKNOWN, "invalid mode: TP_MODE_MONITOR_ONLY")
    assert running.agent.calls == []


def test_policies_are_listed_whole(google: Call, running: Running) -> None:
    """Every part of a status is in its message."""
    running.agent.policies = [
        PolicyStatus(
            id=3, name="p", domain="k8s", namespace="ns", state=PolicyState.PARTIALLY_ENABLED,
            mode=PolicyMode.ENFORCE, error="e", sensors=("a", "b"), filter_id=9,
            kernel_memory_bytes=10, counts=ActionCounts(post=1, monitor_set=2),
            selectors=(SelectorCounts("kprobe:f", 0, 1, ActionCounts(signal=4), "l"),),
            hooks=(HookStatus("kprobes", 2, HookState.CALL_NOT_FOUND, "f"),),
        )
    ]  # fmt: skip
    [status] = google("ListTracingPolicies").policies
    assert (status.id, status.name, status.namespace, status.domain) == (3, "p", "ns", "k8s")
    assert (status.state, status.mode, status.enabled, status.filter_id) == (8, 1, True, 9)
    assert list(status.sensors) == ["a", "b"]
    assert (status.stats.action_counters.post, status.stats.action_counters.monitor_set) == (1, 2)
    [selector] = status.stats.selector_action_counters
    assert (selector.hook, selector.selector_index.value) == ("kprobe:f", 1)
    assert selector.action_counters.signal == 4
    [hook] = status.hook_statuses
    assert (hook.section, hook.hook_idx, hook.state) == ("kprobes", 2, 3)
    assert list(google("ListDomains").domains) == ["k8s"]


@pytest.mark.parametrize("name", ["ListSensors", "EnableSensor", "DisableSensor", "RemoveSensor"])
def test_calls_on_sensors_are_gone(google: Call, name: str) -> None:
    """They exist, and say that they are deprecated."""
    assert failure(google, name) == (Code.UNKNOWN, f"{name} is deprecated")


@pytest.mark.parametrize("name", ["EnableTracingPolicy", "DisableTracingPolicy"])
def test_deprecated_policy_calls_name_their_flag(google: Call, name: str) -> None:
    """Off unless the agent was started with it."""
    code, text = failure(google, name)
    assert code == Code.UNKNOWN
    assert text.startswith(f"{name} is deprecated and will be removed in the next release.")


def test_runtime_hook_is_unimplemented(google: Call) -> None:
    """So that a hook knows nobody acted on it."""
    assert failure(google, "RuntimeHook")[0] == Code.UNIMPLEMENTED


def test_unknown_method_and_service_are_unimplemented(google: Call) -> None:
    """Named in the answer."""
    assert failure(google, "Nope") == (
        Code.UNIMPLEMENTED,
        "unknown method Nope for service tetragon.FineGuidanceSensors",
    )
    assert failure(google, "/a.B/C") == (Code.UNIMPLEMENTED, "unknown service a.B")


def test_event_log_is_shown_and_changed(google: Call, running: Running) -> None:
    """Only what is set changes; the interval is Go's duration text."""
    before = google(EVENT_LOG + "GetEventLogParams")
    assert (before.max_size, before.max_backups, before.rotation_interval) == (10, 5, "0s")
    request = api.SetEventLogParamsRequest(rotation_interval="1h30m", max_backups=0)
    google(EVENT_LOG + "SetEventLogParams", request)
    assert running.agent.log_params == EventLogParams(10, 0, 5_400_000_000_000)
    assert google(EVENT_LOG + "GetEventLogParams").rotation_interval == "1h30m0s"


def test_event_log_refuses_a_bad_interval(google: Call) -> None:
    """With the text of Go's parser."""
    request = api.SetEventLogParamsRequest(rotation_interval="5x")
    wrong = failure(google, EVENT_LOG + "SetEventLogParams", request)
    assert wrong == (Code.UNKNOWN, 'time: unknown unit "x" in duration "5x"')


def test_bug_in_an_answer_ends_only_that_call(google: Call, running: Running) -> None:
    """INTERNAL for its client, the log for us, and the server goes on."""
    running.agent.failure = ZeroDivisionError("bug")
    code, text = failure(google, "AddTracingPolicy")
    assert (code, "bug" in text) == (Code.INTERNAL, False)
    assert google("GetVersion").version == "v1.2.3"
