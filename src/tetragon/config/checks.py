"""Checks: rules between options; Settings in, the same with what follows from them out.

What needs the host (a path, a name server, the kernel) is checked by whoever opens it.
"""

from typing import Final

import msgspec

from tetragon.config.given import Warn
from tetragon.errors import ConfigError
from tetragon.model.settings import LogLevel, Settings

ANCESTOR_KINDS: Final = ("base", "kprobe", "tracepoint", "loader", "uprobe", "lsm", "usdt")
METRIC_LABELS: Final = ("namespace", "workload", "pod", "binary", "node_name")

_EXCLUSIVE: Final = (
    ("rb-size", "rb-size-total"),
    ("force-large-progs", "force-small-progs"),
    ("execve-map-entries", "execve-map-size"),
    ("parents-map-entries", "parents-map-size"),
)
_NEED_CACHE: Final = (
    "process-cache-size",
    "process-cache-gc-interval",
    "event-cache-retries",
    "event-cache-retry-delay",
)


def check(settings: Settings, warn: Warn) -> Settings:
    """
    Refuse options that contradict each other, drop unknown names of lists with a warning.

    Raises:
        ConfigError: names both options and what to do.
    """
    for one, other in _EXCLUSIVE:
        if _is_on(settings, one) and _is_on(settings, other):
            raise ConfigError(f"--{one} and --{other} exclude each other: give one of them")
    _check_tls(settings)
    _check_outputs(settings)
    settings = _with_known_names(settings, warn)
    _check_cache(settings, warn)
    if settings.debug and settings.log_level is not LogLevel.TRACE:
        settings = msgspec.structs.replace(settings, log_level=LogLevel.DEBUG)
    return settings


def _is_on(settings: Settings, name: str) -> bool:
    return bool(getattr(settings, name.replace("-", "_")))


def _check_tls(settings: Settings) -> None:
    cert, key = settings.server_tls_cert_file, settings.server_tls_key_file
    authorities = settings.server_tls_client_ca_files
    if bool(cert) != bool(key):
        there, missing = ("cert", "key") if cert else ("key", "cert")
        raise ConfigError(f"--server-tls-{there}-file needs --server-tls-{missing}-file")
    if settings.server_tls_require_client_cert and not (cert and authorities):
        raise ConfigError(
            "--server-tls-require-client-cert needs --server-tls-cert-file, "
            "--server-tls-key-file and --server-tls-client-ca-files"
        )
    if authorities and not settings.server_tls_require_client_cert:
        raise ConfigError(
            "--server-tls-client-ca-files has no effect without --server-tls-require-client-cert: "
            "give both or none"
        )
    address = settings.server_address
    if cert and (not address or address.startswith(("unix://", "/"))):
        raise ConfigError(
            f"--server-tls-cert-file is for TCP, but --server-address is {address!r}: "
            "give host:port"
        )


def _check_outputs(settings: Settings) -> None:
    file = settings.export_filename
    if file == "-" and settings.export_stdout:
        raise ConfigError(
            "--export-stdout and --export-filename - both write to standard output: give one of "
            "them (--export-stdout-format=json shows JSON lines)"
        )
    if file and file == settings.log_file:
        raise ConfigError(
            f"--export-filename and --log-file are both {file!r}: events and log need two files"
        )


def _with_known_names(settings: Settings, warn: Warn) -> Settings:
    ancestors = _known("enable-ancestors", settings.enable_ancestors, ANCESTOR_KINDS, warn)
    if ancestors and "base" not in ancestors:
        warn(
            f"--enable-ancestors: {','.join(ancestors)} needs base too, without it no event gets "
            f"ancestors; give base,{','.join(ancestors)}"
        )
        ancestors = ()
    labels = _known("metrics-label-filter", settings.metrics_label_filter, METRIC_LABELS, warn)
    return msgspec.structs.replace(
        settings, enable_ancestors=ancestors, metrics_label_filter=labels
    )


def _known(
    name: str, given: tuple[str, ...], known: tuple[str, ...], warn: Warn
) -> tuple[str, ...]:
    unknown = [word for word in given if word not in known]
    if unknown:
        warn(f"--{name}: unknown {', '.join(unknown)} ignored; known are {', '.join(known)}")
    return tuple(word for word in given if word in known)


def _check_cache(settings: Settings, warn: Warn) -> None:
    if not settings.disable_process_cache:
        return
    if settings.enable_ancestors:
        raise ConfigError(
            "--enable-ancestors needs the process cache: drop it or --disable-process-cache"
        )
    for name in _NEED_CACHE:
        if name.replace("-", "_") in settings.settings_given:
            warn(f"--{name} has no effect with --disable-process-cache")
