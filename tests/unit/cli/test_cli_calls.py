"""Commands ask the agent the right thing and print its answer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from api_support import Running

from tetragon import __version__
from tetragon.cli.connect import running_agent
from tetragon.cli.output import decimal_bytes, table
from tetragon.errors import ConfigError, PolicyError
from tetragon.model.control import (
    ActionCounts,
    EventLogParams,
    HookState,
    HookStatus,
    PolicyMode,
    PolicyState,
    PolicyStatus,
)

Tetra = Callable[..., tuple[int, str, str]]


def test_status(ask: Tetra) -> None:
    """One line; arguments are ignored, as they always were."""
    assert ask("status", "whatever") == (0, "Health Status: running\n", "")


def test_version(tetra: Tetra, ask: Tetra) -> None:
    """Ours without asking anybody; the server's on demand."""
    assert tetra("version") == (0, f"CLI version: {__version__}\n", "")
    assert ask("version", "-s")[1] == f"CLI version: {__version__}\nServer version: v1.2.3\n"
    assert "PythonVersion: 3." in tetra("version", "--build")[1]
    code, out, err = tetra("--server-address=unix:///no", "--retries=0", "version", "-s")
    assert (code, out) == (1, f"CLI version: {__version__}\n")
    assert err.startswith("Error: failed to retrieve server version: rpc error: ")


def test_info_is_one_json_object(ask: Tetra) -> None:
    """Settings keep their types."""
    code, out, _ = ask("info")
    assert code == 0
    assert json.loads(out) == {
        "Name": "tetragon",
        "Version": "v1.2.3",
        "Probes": {"large": True},
        "Conf": {"count": 3, "list": ["a", "b"], "odd": {}, "on": True, "text": "x"},
        "Build": {"GoVersion": "cpython", "Commit": "abc", "Time": "2024", "Modified": "false"},
    }


def test_loglevel(ask: Tetra, running: Running) -> None:
    """Any case, and both words for warnings."""
    assert ask("loglevel", "get")[1] == "Current log level: LOG_LEVEL_INFO\n"
    assert ask("log", "set", "DEBUG")[1] == "Log level set to: LOG_LEVEL_DEBUG\n"
    assert running.agent.level == "debug"
    assert ask("loglevel", "set", "Warning")[1] == "Log level set to: LOG_LEVEL_WARN\n"


def test_eventlog(ask: Tetra, running: Running) -> None:
    """Only flags that are given are sent."""
    shown = 'Current logging parameters: max_size:10 rotation_interval:"0s" max_backups:5\n'
    assert ask("eventlog", "get") == (0, shown, "")
    assert ask("eventlog", "set", "--rotation-interval", "90s", "--max-backups=0") == (0, "", "")
    assert running.agent.log_params == EventLogParams(10, 0, 90_000_000_000)


def test_policy_commands(ask: Tetra, running: Running, tmp_path: Path) -> None:
    """Each says what it did, and reaches the agent with name, namespace and domain."""
    file = tmp_path / "p.yaml"
    file.write_text("kind: TracingPolicy\n")
    said = [
        ask("tp", "add", str(file))[1],
        ask("tp", "delete", "a", "-n", "s")[1],
        ask("tp", "enable", "a", "--domain", "k8s")[1],
        ask("tp", "disable", "a")[1],
        ask("tp", "set-mode", "a", "monitor")[1],
    ]
    assert said == [
        f'tracing policy "{file}" added\n',
        'tracing policy "a" deleted\n',
        'tracing policy "a" enabled\n',
        'tracing policy "a" disabled\n',
        'tracing policy "a" set to mode "monitor"\n',
    ]
    assert running.agent.calls == [
        ("add", "kind: TracingPolicy\n", "grpc"),
        ("delete", "a", "s", "grpc"),
        ("configure", "a", "", "k8s", True, None),
        ("configure", "a", "", "grpc", False, None),
        ("configure", "a", "", "grpc", None, PolicyMode.MONITOR),
    ]


def test_policy_error_is_shown(ask: Tetra, running: Running) -> None:
    """With what was tried before it."""
    running.agent.failure = PolicyError("tracing policy grpc:a does not exist")
    assert ask("tp", "delete", "a") == (
        1,
        "",
        "Error: failed to delete tracing policy: rpc error: code = Unknown desc = "
        "tracing policy grpc:a does not exist\n",
    )


POLICY = """\
kind: TracingPolicy
metadata:
  name: x
spec:
  options:
  - {name: policy-mode, value: enforce}
  - {name: other, value: '1'}
"""


def test_mode_is_set_in_the_yaml(
    ask: Tetra, tetra: Tetra, running: Running, tmp_path: Path
) -> None:
    """An older mode goes, other options stay; without a mode the file is echoed."""
    file = tmp_path / "p.yaml"
    file.write_text(POLICY)
    changed = """\
kind: TracingPolicy
metadata:
  name: x
spec:
  options:
  - name: other
    value: '1'
  - name: policy-mode
    value: monitor
"""
    assert tetra("tp", "modify", "-m", "monitor", str(file)) == (0, changed, "")
    assert tetra("tp", "modify", str(file)) == (0, POLICY, "")
    ask("tp", "add", "-m", "monitor", str(file))
    assert running.agent.calls == [("add", changed, "grpc")]


@pytest.mark.parametrize(
    ("yaml", "words"),
    [("a: [", "yaml cannot be read"), ("a: 1", "yaml does not include spec section"),
     ("x", "yaml does not include spec section")],
)  # fmt: skip
def test_mode_needs_a_policy(tetra: Tetra, tmp_path: Path, yaml: str, words: str) -> None:
    """And says what is wrong with the file."""
    file = tmp_path / "p.yaml"
    file.write_text(yaml)
    code, _, err = tetra("tp", "modify", "-m", "monitor", str(file))
    assert code == 1
    assert words in err
    assert 'invalid mode: "loud"' in tetra("tp", "modify", "-m", "loud", str(file))[2]


POLICIES = [
    PolicyStatus(
        id=12, name="long-policy-name", namespace="ns", domain="k8s", filter_id=3,
        state=PolicyState.PARTIALLY_ENABLED, mode=PolicyMode.MONITOR, kernel_memory_bytes=999,
        hooks=(
            HookStatus("kprobes", 0, HookState.LOADED, "sys_write"),
            HookStatus("tracepoints", 1, HookState.CALL_NOT_FOUND, "x/y"),
        ),
    ),
    PolicyStatus(
        id=1, name="first", domain="grpc", state=PolicyState.ENABLED, mode=PolicyMode.ENFORCE,
        sensors=("kprobe", "enforcer"), kernel_memory_bytes=4459128,
        counts=ActionCounts(post=5, signal=2, override=1, monitor_signal=4, nopost=9),
    ),
]  # fmt: skip
TABLE = """\
ID   NAME               DOMAIN   STATE               FILTERID   NAMESPACE   SENSORS           \
KERNELMEMORY   MODE      NPOST   NENFORCE   NMONITOR
1    first              grpc     enabled             0          (global)    kprobe,enforcer   \
4.46 MB        enforce   5       3          4
12   long-policy-name   k8s      partially_enabled   3          ns                            \
999 B          monitor   0       0          0
     SECTION       CFGIDX   DESCRIPTION   STATUS
     kprobes       0        sys_write     loaded
     tracepoints   1        x/y           call_not_found
"""


def test_policy_list(ask: Tetra, running: Running) -> None:
    """A table for people, the response itself for programs."""
    running.agent.policies = POLICIES
    assert ask("tp", "list") == (0, TABLE, "")
    told = json.loads(ask("tp", "list", "-o", "json", "--domain", "grpc")[1])
    assert [policy["name"] for policy in told["policies"]] == ["long-policy-name", "first"]
    assert told["policies"][1]["stats"]["action_counters"]["post"] == "5"
    assert running.agent.calls == [("list", ""), ("list", "grpc")]


def test_policy_domains(ask: Tetra, running: Running) -> None:
    """In both forms."""
    running.agent.policies = POLICIES
    assert ask("tp", "domains")[1] == "[grpc k8s]\n"
    assert json.loads(ask("tp", "domains", "-o", "json")[1]) == {"domains": ["grpc", "k8s"]}


def test_process_cache_is_a_json_object_per_line(ask: Tetra, running: Running) -> None:
    """Under both its names."""
    for words in (("debug", "dump", "processcache"), ("dump", "processCache")):
        [entry] = map(json.loads, ask(*words, "--skip-zero-refcnt")[1].splitlines())
        assert entry["process"]["pid"] == 7
        assert (entry["color"], entry["refcnt"]) == ("inUse", 2)
    assert running.agent.calls == [("processes", True, False)] * 2


def test_sensors_are_deprecated(ask: Tetra) -> None:
    """The bare command says so; the others get the agent's answer."""
    notice = 'Command "sensors" is deprecated, please use the tracingpolicy command instead.\n'
    assert ask("sensors")[1].startswith(notice)
    assert ask("sensors", "list")[2] == (
        "Error: failed to list sensors: rpc error: code = Unknown desc = "
        "ListSensors is deprecated\n"
    )


def test_retries_end_with_the_number_of_attempts(
    tetra: Tetra, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause doubles; only an agent that cannot be reached is tried again."""
    pauses: list[float] = []
    monkeypatch.setattr("tetragon.cli.connect.time.sleep", pauses.append)
    _, _, err = tetra("--server-address", "unix:///no/where", "--retries", "3", "status")
    assert err.startswith(
        "Error: failed to get health status: max retries exhausted: failed after 4 attempts: "
        "rpc error: code = Unavailable desc = "
    )
    assert pauses == [1.0, 2.0, 4.0]


def test_other_errors_are_not_tried_again(
    tetra: Tetra, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent has answered."""
    pauses: list[float] = []
    monkeypatch.setattr("tetragon.cli.connect.time.sleep", pauses.append)
    address = f"unix://{running.path}"
    assert tetra("--server-address", address, "--retries", "3", "sensors", "list")[0] == 1
    assert pauses == []


def test_timeout_of_a_call(tmp_path: Path, tetra: Tetra) -> None:
    """A server that accepts and says nothing is given up on."""
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        _, _, err = tetra("--server-address", f"unix://{tmp_path}/s", "--timeout", "50ms", "status")
    assert err.endswith("rpc error: code = DeadlineExceeded desc = context deadline exceeded\n")


def test_address_of_the_running_agent(tmp_path: Path) -> None:
    """As it says, even when it says that there is none."""
    told = tmp_path / "info.json"
    assert running_agent(told) == "localhost:54321"
    told.write_text('{"server_address":"unix:///x.sock"}')
    assert running_agent(told) == "unix:///x.sock"
    told.write_text('{"server_address":""}')
    with pytest.raises(ConfigError, match="serves no gRPC"):
        running_agent(told)
    told.write_text("{")
    with pytest.raises(ConfigError, match="use --server-address"):
        running_agent(told)


def test_table_pads_all_columns_but_the_last() -> None:
    """Also where rows differ in length."""
    rows = [("A", "LONG", "Z"), ("bbb", "", "z z"), ("c",)]
    assert table(rows) == ["A     LONG   Z", "bbb          z z", "c"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (4_459_128, "4.46 MB"), (10**18, "1.00 EB")],
)
def test_bytes_in_decimal_units(count: int, text: str) -> None:
    """Steps of a thousand."""
    assert decimal_bytes(count) == text
