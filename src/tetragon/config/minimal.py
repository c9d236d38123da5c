"""Minimal mode: with UDP output on, everything off that nobody named; Settings in and out.

A service stays when its option was named explicitly: by flag, variable, ``--config-dir``, a file
in ``/etc/tetragon`` or ``./tetragon.yaml``. What a package set below ``/usr`` is not named.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from tetragon.model.settings import Settings


class _Service(NamedTuple):
    """
    What one row turns off.

    Args:
        title: as its log line begins.
        fields: its options, each turned off unless named.
        only: turned off at this address alone; another one was chosen by somebody.
    """

    title: str
    fields: tuple[str, ...]
    only: str = ""


_SERVICES: Final = (
    _Service("Health server", ("health_server_address",), only=":6789"),
    _Service("Gops server", ("gops_address",), only="localhost:8118"),
    _Service("Metrics server", ("metrics_server",)),
    _Service("Pprof server", ("pprof_address",)),
    _Service("Kubernetes API access", ("enable_k8s_api", "k8s_kubeconfig_path")),
    _Service(
        "Policy filtering",
        (
            "enable_policy_filter",
            "enable_policy_filter_cgroup_map",
            "enable_policy_filter_debug",
        ),
    ),
    _Service("CRI client", ("enable_cri",)),
)


def apply_minimal_mode(settings: Settings) -> tuple[Settings, list[str]]:
    """Turn off what was not named if UDP output is on; also return the lines to log (info)."""
    if not settings.udp_output_enabled:
        return settings, []
    off: dict[str, object] = {}
    messages: list[str] = []
    if not _grpc_is_named(settings):
        off["server_address"] = ""
    for title, fields in _rows(settings):
        off |= {field: type(getattr(settings, field))() for field in fields}
        messages.append(f"{title} disabled for UDP-only operation")
    return msgspec.structs.replace(settings, **off), messages


def _grpc_is_named(settings: Settings) -> bool:
    """``--grpc-enabled`` decides when given; else an address somebody named is enough."""
    if settings.grpc_enabled or "grpc_enabled" in settings.settings_given:
        return settings.grpc_enabled
    return "server_address" in settings.settings_given


def _rows(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield title and fields of each service to turn off."""
    for service in _SERVICES:
        fields = tuple(f for f in service.fields if _is_unnamed(settings, f))
        if fields and service.only in ("", getattr(settings, fields[0])):
            yield service.title, fields
    info = _is_unnamed(settings, "enable_pod_info")
    policies = _is_unnamed(settings, "enable_tracing_policy_crd")
    if policies and settings.enable_pod_info and not info:
        yield "Tracing policy CRD", ("enable_tracing_policy_crd",)
    elif info and settings.enable_tracing_policy_crd and not policies:
        yield "Pod info", ("enable_pod_info",)
    elif info or policies:
        yield "Pod info and tracing policy CRD", ("enable_pod_info", "enable_tracing_policy_crd")


def _is_unnamed(settings: Settings, field: str) -> bool:
    return bool(getattr(settings, field)) and field not in settings.settings_given
