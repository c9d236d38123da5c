"""Minimal mode: what UDP output turns off, and what naming a service brings back."""

import msgspec
import pytest
from config_host import Host

from tetragon.config.minimal import apply_minimal_mode
from tetragon.model.settings import Settings

ALL_ON = Settings(
    udp_output_enabled=True,
    server_address="localhost:54321",
    health_server_address=":6789",
    gops_address="localhost:8118",
    metrics_server=":2112",
    pprof_address="localhost:6060",
    enable_k8s_api=True,
    k8s_kubeconfig_path="/root/.kube/config",
    enable_policy_filter=True,
    enable_policy_filter_cgroup_map=True,
    enable_policy_filter_debug=True,
    enable_pod_info=True,
    enable_tracing_policy_crd=True,
    enable_cri=True,
)
ALL_OFF = {
    "server_address": "",
    "health_server_address": "",
    "gops_address": "",
    "metrics_server": "",
    "pprof_address": "",
    "enable_k8s_api": False,
    "k8s_kubeconfig_path": "",
    "enable_policy_filter": False,
    "enable_policy_filter_cgroup_map": False,
    "enable_policy_filter_debug": False,
    "enable_pod_info": False,
    "enable_tracing_policy_crd": False,
    "enable_cri": False,
}
LINES = {
    "health_server_address": "Health server",
    "gops_address": "Gops server",
    "metrics_server": "Metrics server",
    "pprof_address": "Pprof server",
    "enable_k8s_api": "Kubernetes API access",
    "enable_policy_filter": "Policy filtering",
    "enable_cri": "CRI client",
}


def disabled(*titles: str) -> list[str]:
    """Return the documented log lines."""
    return [f"{title} disabled for UDP-only operation" for title in titles]


def test_without_udp_output_nothing_changes() -> None:
    """Also with --grpc-enabled, which means nothing then."""
    settings = msgspec.structs.replace(ALL_ON, udp_output_enabled=False, grpc_enabled=True)

    assert apply_minimal_mode(settings) == (settings, [])


def test_with_udp_output_everything_unnamed_is_off() -> None:
    """Nothing else changes, and each line is logged once, none for gRPC."""
    settings, messages = apply_minimal_mode(ALL_ON)

    assert settings == msgspec.structs.replace(ALL_ON, **ALL_OFF)
    assert messages == disabled(*LINES.values(), "Pod info and tracing policy CRD")


def test_defaults_with_udp_output(host: Host) -> None:
    """Out of the box: health and CRD watching were on, gRPC goes without a line."""
    settings, messages = apply_minimal_mode(host.load("--udp-output-enabled").settings)

    assert settings.server_address == ""
    assert settings.health_server_address == ""
    assert settings.enable_tracing_policy_crd is False
    assert messages == disabled("Health server", "Pod info and tracing policy CRD")


def test_what_is_off_already_is_not_mentioned() -> None:
    """No line about a service nobody had."""
    off = msgspec.structs.replace(ALL_ON, **ALL_OFF)

    assert apply_minimal_mode(off) == (off, [])


@pytest.mark.parametrize("address", [":9999", "localhost:6789", "unix:///run/health.sock"])
def test_other_health_address_stays(address: str) -> None:
    """Somebody chose it, even if a package did."""
    settings = msgspec.structs.replace(ALL_ON, health_server_address=address)

    changed, messages = apply_minimal_mode(settings)

    assert changed.health_server_address == address
    assert disabled("Health server")[0] not in messages


def test_other_gops_address_stays() -> None:
    """As with health."""
    settings = msgspec.structs.replace(ALL_ON, gops_address="localhost:9999")

    changed, messages = apply_minimal_mode(settings)

    assert changed.gops_address == "localhost:9999"
    assert disabled("Gops server")[0] not in messages


@pytest.mark.parametrize("field", LINES)
def test_naming_a_service_brings_it_back(field: str) -> None:
    """Alone: every other one is still off. Metrics and pprof too, at any address."""
    settings = msgspec.structs.replace(ALL_ON, settings_given=frozenset((field,)))

    changed, messages = apply_minimal_mode(settings)

    assert getattr(changed, field) == getattr(ALL_ON, field)
    others = [title for other, title in LINES.items() if other != field]
    partly = field in ("enable_k8s_api", "enable_policy_filter")
    if partly:  # the options beside it were not named
        others = list(LINES.values())
    assert messages == disabled(*others, "Pod info and tracing policy CRD")


@pytest.mark.parametrize(
    ("given", "title", "left"),
    [
        (("enable_pod_info",), "Tracing policy CRD", (True, False)),
        (("enable_tracing_policy_crd",), "Pod info", (False, True)),
        (("enable_pod_info", "enable_tracing_policy_crd"), "", (True, True)),
    ],
)
def test_pod_info_and_policies_come_back_one_by_one(
    given: tuple[str, ...], title: str, left: tuple[bool, bool]
) -> None:
    """The line names only what is off."""
    settings = msgspec.structs.replace(ALL_ON, settings_given=frozenset(given))

    changed, messages = apply_minimal_mode(settings)

    assert (changed.enable_pod_info, changed.enable_tracing_policy_crd) == left
    assert messages == disabled(*LINES.values(), *([title] if title else []))


@pytest.mark.parametrize(
    ("argv", "address"),
    [
        ([], "localhost:54321"),
        (["--grpc-enabled"], "localhost:54321"),
        (["--udp-output-enabled"], ""),
        (["--udp-output-enabled", "--grpc-enabled"], "localhost:54321"),
        (["--udp-output-enabled", "--grpc-enabled=false"], ""),
        (["--udp-output-enabled", "--grpc-enabled", "--server-address=:1"], ":1"),
        (["--udp-output-enabled", "--server-address=:1"], ":1"),
        (["--udp-output-enabled", "--server-address=:1", "--grpc-enabled=false"], ""),
        (["--udp-output-enabled", "--server-address=", "--grpc-enabled"], ""),
    ],
)
def test_grpc_server(host: Host, argv: list[str], address: str) -> None:
    """--grpc-enabled decides when given, else whether its address was named."""
    assert apply_minimal_mode(host.load(*argv).settings)[0].server_address == address


def test_any_source_of_the_administrator_names_a_service(host: Host) -> None:
    """Flag, variable, YAML and drop-in, with values equal to the defaults too."""
    host.yaml("health-server-address: ':6789'\n")
    host.option(host.etc_dir, "pprof-address", "localhost:6060")
    loaded = host.load(
        "--udp-output-enabled",
        "--enable-tracing-policy-crd",
        environ={"TETRAGON_METRICS_SERVER": ":2112"},
    )

    settings, messages = apply_minimal_mode(loaded.settings)

    assert settings.health_server_address == ":6789"
    assert settings.pprof_address == "localhost:6060"
    assert settings.metrics_server == ":2112"
    assert settings.enable_tracing_policy_crd is True
    assert messages == []


def test_what_a_package_set_is_not_named(host: Host) -> None:
    """Upstream's tarball puts an address into /usr/local/lib; that is no wish of the user."""
    host.option(host.usr_local, "server-address", "unix:///var/run/tetragon/tetragon.sock")
    host.option(host.usr_local, "metrics-server", ":2112")

    settings, messages = apply_minimal_mode(host.load("--udp-output-enabled").settings)

    assert (settings.server_address, settings.metrics_server) == ("", "")
    assert disabled("Metrics server")[0] in messages


def test_outputs_and_policies_are_kept() -> None:
    """File export, policies and redaction are not services."""
    settings = msgspec.structs.replace(
        ALL_ON, export_filename="/tmp/x", tracing_policy="/tmp/p", redaction_filters="{}"
    )

    changed, _ = apply_minimal_mode(settings)

    assert (changed.export_filename, changed.tracing_policy) == ("/tmp/x", "/tmp/p")
    assert changed.redaction_filters == "{}"
