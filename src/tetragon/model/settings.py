"""Settings: every option of the agent as one frozen value, with its type and default.

A field is the flag's name with ``_`` for ``-``; what an option means, its text form and its bounds
stand beside it in ``tetragon.config.options``. The defaults stand here and nowhere else.

Units   a span of time is int nanoseconds, also where the flag takes plain seconds;
        a size is int bytes; a file mode is an int of mode bits; a list is a tuple.
Empty   an empty text or tuple, and None, mean off, unless the option's help says otherwise.
"""

from enum import StrEnum
from typing import Final

import msgspec

SECOND: Final = 1_000_000_000
"""One second in the unit of every span of time here."""


class LogLevel(StrEnum):
    """How much the agent says about itself, most first."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogFormat(StrEnum):
    """Shape of the agent's own log lines."""

    TEXT = "text"
    JSON = "json"


class UsernameMetadata(StrEnum):
    """Whether a host process's uid is resolved to a user name."""

    DISABLED = "disabled"
    UNIX = "unix"


class UdpFormat(StrEnum):
    """What a datagram holds: the JSON line, or that line in an RFC 5424 frame."""

    JSON = "json"
    SYSLOG = "syslog"


class StdoutFormat(StrEnum):
    """How events are shown on the terminal."""

    COMPACT = "compact"
    JSON = "json"


class CgroupRate(msgspec.Struct, frozen=True, gc=False):
    """At most ``events`` base events of one cgroup per ``interval`` nanoseconds."""

    events: int
    interval: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the agent was told to do, after all sources were read and checked.

    ``settings_given`` holds the fields an administrator named (flag, variable, ``--config-dir``,
    ``/etc/tetragon`` or ``./tetragon.yaml``); a value of a package's drop-in below ``/usr`` counts
    as a default. Minimal mode keeps a service only when it is named.
    """

    # General
    config_dir: str = ""
    debug: bool = False
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
    log_file: str = ""
    generate_docs: bool = False
    procfs: str = "/proc/"
    cluster_name: str = ""
    observe_self: bool = False
    kernel: str = ""
    netns_dir: str = "/var/run/docker/netns/"

    # Terminal and JSON file
    export_stdout: bool = False
    export_stdout_format: StdoutFormat = StdoutFormat.COMPACT
    export_filename: str = ""
    export_file_max_size_mb: int = 10
    export_file_max_backups: int = 5
    export_file_rotation_interval: int = 0
    export_file_compress: bool = False
    export_file_perm: int = 0o600

    # UDP
    udp_output_enabled: bool = False
    udp_output_address: str = "127.0.0.1"
    udp_output_port: int = 514
    udp_buffer_size: int = 65536
    udp_max_size: int = 0
    udp_format: UdpFormat = UdpFormat.JSON
    udp_metadata_interval: int = 0

    # Webhook and OpenTelemetry
    webhook_url: str = ""
    webhook_headers_file: str = ""
    webhook_ca_file: str = ""
    otlp_endpoint: str = ""
    otlp_headers_file: str = ""

    # What is exported
    export_allowlist: str = ""
    export_denylist: str = ""
    field_filters: str = ""
    redaction_filters: str = ""
    export_rate_limit: int = -1
    export_sequence: bool = False
    enable_export_aggregation: bool = False
    export_aggregation_window_size: int = 15 * SECOND
    export_aggregation_buffer_size: int = 10_000
    enable_pid_set_filter: bool = False

    # Process information
    enable_process_cred: bool = False
    enable_process_ns: bool = False
    enable_process_environment_variables: bool = False
    filter_environment_variables: tuple[str, ...] = ()
    enable_ancestors: tuple[str, ...] = ()
    username_metadata: UsernameMetadata = UsernameMetadata.DISABLED
    process_cache_size: int = 65536
    process_cache_gc_interval: int = 30 * SECOND
    disable_process_cache: bool = False
    event_cache_retries: int = 15
    event_cache_retry_delay: int = 2 * SECOND
    event_queue_size: int = 10_000
    enable_msg_handling_latency: bool = False

    # Servers
    server_address: str = "localhost:54321"
    grpc_enabled: bool = False
    server_tls_cert_file: str = ""
    server_tls_key_file: str = ""
    server_tls_client_ca_files: tuple[str, ...] = ()
    server_tls_require_client_cert: bool = False
    health_server_address: str = ":6789"
    health_server_interval: int = 10 * SECOND
    metrics_server: str = ""
    metrics_label_filter: tuple[str, ...] = ("namespace", "workload", "pod", "binary")
    enable_event_metrics: bool = True
    gops_address: str = ""
    pprof_address: str = ""

    # Policies
    tracing_policy: str = ""
    tracing_policy_dir: str = "/etc/tetragon/tetragon.tp.d"
    persist_grpc_policies: bool = False
    persist_grpc_policies_dir: str = "/var/run/tetragon/grpc-policies"
    enable_deprecated_tracingpolicy_grpc: bool = False

    # Kubernetes
    enable_k8s_api: bool = False
    k8s_kubeconfig_path: str = ""
    k8s_controlplane_retry: int = 1
    enable_tracing_policy_crd: bool = True
    enable_policy_filter: bool = False
    enable_policy_filter_cgroup_map: bool = False
    enable_policy_filter_debug: bool = False
    enable_pod_info: bool = False
    enable_pod_annotations: bool = False
    deleted_pod_cache_size: int = 1024
    enable_cgidmap: bool = False
    enable_cgidmap_debug: bool = False
    enable_cgtrackerid: bool = True
    enable_cri: bool = False
    cri_endpoint: str = ""

    # BPF
    bpf_dir: str = "tetragon"
    bpf_lib: str = "/var/lib/tetragon/"
    btf: str = ""
    verbose: int = 0
    force_large_progs: bool = False
    force_small_progs: bool = False
    disable_kprobe_multi: bool = False
    use_perf_ring_buffer: bool = False
    rb_size: int = 0
    rb_size_total: int = 0
    rb_queue_size: int = 65535
    execve_map_entries: int = 0
    execve_map_size: int = 0
    parents_map_enabled: bool = False
    parents_map_entries: int = 0
    parents_map_size: int = 0
    sleepable_preload_size: int = 32768
    retprobes_cache_size: int = 4096
    data_cache_size: int = 1024
    keep_sensors_on_exit: bool = False
    release_pinned_bpf: bool = True
    cgroup_rate: CgroupRate | None = None
    expose_stack_addresses: bool = False

    # Hidden
    cpuprofile: str = ""
    memprofile: str = ""

    settings_given: frozenset[str] = frozenset()
