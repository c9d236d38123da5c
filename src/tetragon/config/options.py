"""Options: the one table of what can be configured; no input, the tuple OPTIONS out.

An option is a line here and a field in ``tetragon.model.settings`` (type and default). Names,
types and defaults are those of upstream's agent v1.8 and of its UDP output; ``ready`` is False
for an option that is accepted but does nothing yet.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tetragon.config import values as v
from tetragon.model import settings as model

_DEFAULTS: Final = model.Settings()


class Group(StrEnum):
    """Headings of the help text, in its order."""

    GENERAL = "General"
    OUTPUT = "Output to the terminal and to a file"
    UDP = "Output over UDP"
    REMOTE = "Output to a webhook and to OpenTelemetry"
    FILTER = "What is exported"
    PROCESS = "Process information"
    SERVER = "Servers"
    POLICY = "Policies"
    KUBERNETES = "Kubernetes"
    BPF = "BPF programs and buffers"


class Option(NamedTuple):
    """
    One option.

    Args:
        name: the flag without its dashes.
        help: what it does, one or two sentences for a user.
        ready: False while it is only accepted.
        hidden: left out of ``--help``.
        short: one-letter form.
        lenient: outside the command line a bad value is a warning and the default is used.
    """

    name: str
    kind: v.Kind
    group: Group
    help: str
    ready: bool = True
    hidden: bool = False
    short: str = ""
    lenient: bool = False

    @property
    def field(self) -> str:
        """Name of the Settings field."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"TETRAGON_{self.field.upper()}"

    @property
    def default(self) -> object:
        """Value when nothing gives one."""
        return getattr(_DEFAULTS, self.field)


_S: Final = v.SWITCH
_COUNT: Final = v.whole(least=1)
_COUNT_OR_0: Final = v.whole(least=0)

_GENERAL: Final = (
    Option(
        "config-dir",
        v.text("dir"),
        Group.GENERAL,
        "Read options from this directory: a file is named like an option and holds its value.",
    ),
    Option("debug", _S, Group.GENERAL, "Log at level debug.", short="d"),
    Option(
        "log-level",
        v.choice(model.LogLevel, (("warning", "warn"),)),
        Group.GENERAL,
        "How much the agent logs about itself.",
    ),
    Option(
        "log-format",
        v.choice(model.LogFormat, (("text-ts", "text"), ("json-ts", "json"))),
        Group.GENERAL,
        "Shape of the agent's log lines.",
    ),
    Option(
        "log-file",
        v.text("file"),
        Group.GENERAL,
        "Write the agent's log to this file too, besides standard error.",
    ),
    Option(
        "procfs",
        v.absolute("dir"),
        Group.GENERAL,
        "Where the host's procfs is mounted; containers mount it elsewhere.",
    ),
    Option("cluster-name", v.text("name"), Group.GENERAL, "Cluster name put in every event."),
    Option("observe-self", _S, Group.GENERAL, "Report the agent's own processes too."),
    Option("generate-docs", _S, Group.GENERAL, "Print a YAML description of all options and exit."),
    Option(
        "kernel",
        v.text("version"),
        Group.GENERAL,
        "Act as on this kernel version instead of the running one.",
        ready=False,
    ),
    Option(
        "netns-dir",
        v.text("dir"),
        Group.GENERAL,
        "Directory with the container runtime's network namespaces.",
        ready=False,
    ),
)

_OUTPUT: Final = (
    Option(
        "export-stdout",
        _S,
        Group.OUTPUT,
        "Show events on standard output; the quick way to look at a host.",
    ),
    Option(
        "export-stdout-format",
        v.choice(model.StdoutFormat),
        Group.OUTPUT,
        "Shape of the events on standard output.",
    ),
    Option(
        "export-filename",
        v.text("file"),
        Group.OUTPUT,
        "Append events as JSON lines to this file; - is standard output. Empty for off.",
    ),
    Option(
        "export-file-max-size-mb",
        _COUNT_OR_0,
        Group.OUTPUT,
        "Rotate the file before it grows beyond this many MiB; 0 means 100.",
    ),
    Option(
        "export-file-max-backups",
        _COUNT_OR_0,
        Group.OUTPUT,
        "Keep this many rotated files; 0 keeps all.",
    ),
    Option(
        "export-file-rotation-interval",
        v.duration(),
        Group.OUTPUT,
        "Rotate the file this often as well; 0 rotates by size only.",
    ),
    Option("export-file-compress", _S, Group.OUTPUT, "Compress rotated files with gzip."),
    Option(
        "export-file-perm",
        v.MODE,
        Group.OUTPUT,
        "Octal mode of the file. The owner always may read and write, nobody may execute and "
        "others may not write.",
        lenient=True,
    ),
)

_UDP: Final = (
    Option(
        "udp-output-enabled",
        _S,
        Group.UDP,
        "Send each event as one datagram. Services that are not named explicitly are then off "
        "(minimal mode).",
    ),
    Option(
        "udp-output-address", v.HOST, Group.UDP, "Host the datagrams go to, by name or address."
    ),
    Option("udp-output-port", v.PORT, Group.UDP, "Port the datagrams go to."),
    Option(
        "udp-buffer-size",
        v.size(least=None, most=2**31 - 1),
        Group.UDP,
        "Send buffer of the socket; 0 or less leaves the system's default.",
    ),
    Option(
        "udp-max-size",
        v.size(least=1024, most=65507, zero=True),
        Group.UDP,
        "Largest datagram: longer events are shortened, still valid JSON. 0 means 65507.",
    ),
    Option(
        "udp-format",
        v.choice(model.UdpFormat),
        Group.UDP,
        "What a datagram holds: a JSON line, or that line in an RFC 5424 syslog frame.",
    ),
    Option(
        "udp-metadata-interval",
        v.duration(),
        Group.UDP,
        "Repeat the datagram that describes the agent this often; 0 sends it at start only.",
    ),
    Option(
        "grpc-enabled",
        _S,
        Group.UDP,
        "Keep the gRPC server running together with UDP output; means nothing without it.",
    ),
)

_REMOTE: Final = (
    Option(
        "webhook-url",
        v.text("url"),
        Group.REMOTE,
        "Send batches of JSON lines to this URL, http or https, by POST. Empty for off.",
    ),
    Option(
        "webhook-headers-file",
        v.text("file"),
        Group.REMOTE,
        "File with a line NAME: VALUE for each header to add, such as a bearer token.",
    ),
    Option(
        "webhook-ca-file",
        v.text("file"),
        Group.REMOTE,
        "PEM file of the authorities that sign the webhook's certificate; empty for the system's.",
    ),
    Option(
        "otlp-endpoint",
        v.text("url"),
        Group.REMOTE,
        "Send events as OpenTelemetry log records: grpc://, grpcs://, http:// or https://. Needs "
        "the extra tetragon[otlp]. Empty for off.",
    ),
    Option(
        "otlp-headers-file",
        v.text("file"),
        Group.REMOTE,
        "File with a line NAME: VALUE for each header to add.",
    ),
)

_FILTER: Final = (
    Option(
        "export-allowlist",
        v.text("filters"),
        Group.FILTER,
        "Export an event only if one of these filters matches. JSON objects one after another, "
        'such as {"event_set":["PROCESS_EXEC"]}.',
    ),
    Option(
        "export-denylist",
        v.text("filters"),
        Group.FILTER,
        "Do not export events that one of these filters matches; written as the allow list.",
    ),
    Option(
        "field-filters",
        v.text("filters"),
        Group.FILTER,
        "Keep or remove fields of exported events, such as "
        '{"fields":"process.cwd","action":"EXCLUDE"}.',
    ),
    Option(
        "redaction-filters",
        v.text("filters"),
        Group.FILTER,
        "Replace what a regular expression captures in arguments and environment by *****, in "
        'every output: {"redact":["--password=(\\\\S+)"]}.',
    ),
    Option(
        "export-rate-limit",
        v.whole(),
        Group.FILTER,
        "Export at most this many events a minute. Below 0 there is no limit; 0 exports none.",
        lenient=True,
    ),
    Option(
        "export-sequence",
        _S,
        Group.FILTER,
        "Number exported events, so that a consumer sees gaps.",
    ),
    Option(
        "enable-export-aggregation", _S, Group.FILTER, "Merge like events within a time window."
    ),
    Option(
        "export-aggregation-window-size",
        v.duration(least=1),
        Group.FILTER,
        "Length of the window that --enable-export-aggregation merges in.",
    ),
    Option(
        "export-aggregation-buffer-size",
        _COUNT,
        Group.FILTER,
        "Most events held by --enable-export-aggregation.",
    ),
    Option(
        "enable-pid-set-filter",
        _S,
        Group.FILTER,
        "Permit pid_set in export filters; it follows descendants as well as it can.",
    ),
)

_PROCESS: Final = (
    Option("enable-process-cred", _S, Group.PROCESS, "Add credentials and capabilities to events."),
    Option("enable-process-ns", _S, Group.PROCESS, "Add namespaces to events."),
    Option(
        "enable-process-environment-variables",
        _S,
        Group.PROCESS,
        "Add the environment to exec events. It may hold secrets: see --redaction-filters.",
    ),
    Option(
        "filter-environment-variables",
        v.NAMES,
        Group.PROCESS,
        "Of the environment add only the variables with these names.",
    ),
    Option(
        "enable-ancestors",
        v.NAMES,
        Group.PROCESS,
        "Add grandparents upward to these kinds of events: base (exec and exit, needed by the "
        "others), kprobe, tracepoint, loader, uprobe, lsm, usdt.",
    ),
    Option(
        "username-metadata",
        v.choice(model.UsernameMetadata),
        Group.PROCESS,
        "With unix, add the user name of host processes, looked up by uid.",
    ),
    Option("process-cache-size", _COUNT, Group.PROCESS, "Processes the process cache holds."),
    Option(
        "process-cache-gc-interval",
        v.duration(least=1),
        Group.PROCESS,
        "How often ended processes are collected from the cache.",
    ),
    Option(
        "disable-process-cache",
        _S,
        Group.PROCESS,
        "Run without process cache: events then lack parents.",
    ),
    Option(
        "event-cache-retries",
        _COUNT_OR_0,
        Group.PROCESS,
        "How often an event that lacks its process, parent or pod is tried again before it is "
        "sent as it is.",
    ),
    Option("event-cache-retry-delay", v.SECONDS, Group.PROCESS, "Time between those attempts."),
    Option(
        "event-queue-size",
        _COUNT,
        Group.PROCESS,
        "Events that wait for one reader before its newest are dropped and counted.",
    ),
    Option(
        "enable-msg-handling-latency",
        _S,
        Group.PROCESS,
        "Measure how long records take to be handled, as a metric.",
        ready=False,
    ),
)

_SERVER: Final = (
    Option(
        "server-address",
        v.LISTEN,
        Group.SERVER,
        "Where the gRPC server listens: host:port or unix:///path. Empty for off.",
    ),
    Option(
        "server-tls-cert-file",
        v.text("file"),
        Group.SERVER,
        "Certificate (PEM) for TLS on the TCP listener.",
        ready=False,
    ),
    Option(
        "server-tls-key-file",
        v.text("file"),
        Group.SERVER,
        "Private key (PEM) of --server-tls-cert-file.",
        ready=False,
    ),
    Option(
        "server-tls-client-ca-files",
        v.PATHS,
        Group.SERVER,
        "Bundles (PEM) of the authorities that clients' certificates must come from.",
        ready=False,
    ),
    Option(
        "server-tls-require-client-cert",
        _S,
        Group.SERVER,
        "Let in only clients with a certificate (mutual TLS).",
        ready=False,
    ),
    Option(
        "health-server-address",
        v.LISTEN,
        Group.SERVER,
        "Where the gRPC health service listens. Empty for off.",
    ),
    Option("health-server-interval", v.SECONDS, Group.SERVER, "How often health is looked at."),
    Option(
        "metrics-server",
        v.TCP,
        Group.SERVER,
        "Where Prometheus finds /metrics, such as :2112. Empty for off.",
    ),
    Option(
        "metrics-label-filter",
        v.NAMES,
        Group.SERVER,
        "Labels of event metrics that are filled in; node_name is one more.",
    ),
    Option("enable-event-metrics", _S, Group.SERVER, "Count events by type, pod and binary."),
    Option("gops-address", v.TCP, Group.SERVER, "Address of the gops diagnostics. Empty for off."),
    Option(
        "pprof-address",
        v.TCP,
        Group.SERVER,
        "Where profiles are served over HTTP, such as localhost:6060. Empty for off.",
    ),
)

_POLICY: Final = (
    Option(
        "tracing-policy",
        v.text("file"),
        Group.POLICY,
        "Load this policy at start, after those of --tracing-policy-dir.",
        ready=False,
    ),
    Option(
        "tracing-policy-dir",
        v.absolute("dir"),
        Group.POLICY,
        "Load the policies in this directory and one level below at start.",
        ready=False,
    ),
    Option(
        "persist-grpc-policies",
        _S,
        Group.POLICY,
        "Load policies that came over gRPC again after a restart.",
        ready=False,
    ),
    Option(
        "persist-grpc-policies-dir",
        v.absolute("dir"),
        Group.POLICY,
        "Where --persist-grpc-policies keeps them.",
        ready=False,
    ),
    Option(
        "enable-deprecated-tracingpolicy-grpc",
        _S,
        Group.POLICY,
        "Offer the old gRPC calls that work on sensors.",
        ready=False,
    ),
)

_KUBERNETES: Final = (
    Option(
        "enable-k8s-api",
        _S,
        Group.KUBERNETES,
        "Ask the Kubernetes API which pod a process belongs to.",
        ready=False,
    ),
    Option(
        "k8s-kubeconfig-path",
        v.absolute("file"),
        Group.KUBERNETES,
        "How to reach the Kubernetes API from outside a cluster.",
        ready=False,
    ),
    Option(
        "k8s-controlplane-retry",
        v.NONZERO,
        Group.KUBERNETES,
        "Attempts to reach the Kubernetes API; a negative number never gives up.",
        ready=False,
    ),
    Option(
        "enable-tracing-policy-crd",
        _S,
        Group.KUBERNETES,
        "Load the TracingPolicy resources of the cluster.",
        ready=False,
    ),
    Option(
        "enable-policy-filter",
        _S,
        Group.KUBERNETES,
        "Let policies choose namespaces, pods and containers.",
        ready=False,
    ),
    Option(
        "enable-policy-filter-cgroup-map",
        _S,
        Group.KUBERNETES,
        "Keep a map from cgroups to policies, for inspection.",
        ready=False,
    ),
    Option(
        "enable-policy-filter-debug",
        _S,
        Group.KUBERNETES,
        "Log what the policy filter does.",
        ready=False,
    ),
    Option(
        "enable-pod-info",
        _S,
        Group.KUBERNETES,
        "Watch PodInfo resources, which tell the pod of an address.",
        ready=False,
    ),
    Option(
        "enable-pod-annotations",
        _S,
        Group.KUBERNETES,
        "Add the pod's annotations to events.",
        ready=False,
    ),
    Option(
        "deleted-pod-cache-size",
        _COUNT,
        Group.KUBERNETES,
        "Deleted pods that are remembered for late events.",
        ready=False,
    ),
    Option("enable-cgidmap", _S, Group.KUBERNETES, "Find pods by cgroup id.", ready=False),
    Option(
        "enable-cgidmap-debug",
        _S,
        Group.KUBERNETES,
        "Log what --enable-cgidmap does.",
        ready=False,
    ),
    Option(
        "enable-cgtrackerid",
        _S,
        Group.KUBERNETES,
        "With --enable-cgidmap, count a container's child cgroups as the container.",
        ready=False,
    ),
    Option(
        "enable-cri",
        _S,
        Group.KUBERNETES,
        "Ask the container runtime about containers that ran before the agent.",
        ready=False,
    ),
    Option(
        "cri-endpoint",
        v.text("address"),
        Group.KUBERNETES,
        "Socket of the container runtime; empty tries those of containerd and CRI-O.",
        ready=False,
    ),
)

_BPF: Final = (
    Option(
        "rb-size",
        v.size(),
        Group.BPF,
        "Ring buffer bytes for each CPU; 0 means 64K. Excludes --rb-size-total.",
    ),
    Option("rb-size-total", v.size(), Group.BPF, "Ring buffer bytes for all CPUs together."),
    Option(
        "rb-queue-size",
        v.size(least=1),
        Group.BPF,
        "Records that wait between ring buffer and processing.",
        ready=False,
    ),
    Option(
        "bpf-dir",
        v.text("dir"),
        Group.BPF,
        "Directory below the BPF file system for pinned maps and programs.",
        ready=False,
    ),
    Option(
        "bpf-lib",
        v.text("dir"),
        Group.BPF,
        "Directory with BPF objects and BTF files.",
        ready=False,
    ),
    Option("btf", v.text("file"), Group.BPF, "Kernel BTF to use.", ready=False),
    Option(
        "verbose",
        v.whole(0, 2),
        Group.BPF,
        "How much of the verifier's log is shown: 0 none, 1 some, 2 all.",
        ready=False,
    ),
    Option(
        "force-large-progs",
        _S,
        Group.BPF,
        "Load the large programs whatever the kernel.",
        ready=False,
    ),
    Option(
        "force-small-progs",
        _S,
        Group.BPF,
        "Load the small programs whatever the kernel.",
        ready=False,
    ),
    Option(
        "disable-kprobe-multi",
        _S,
        Group.BPF,
        "Attach kprobes one by one only.",
        ready=False,
    ),
    Option(
        "use-perf-ring-buffer",
        _S,
        Group.BPF,
        "Use perf buffers instead of BPF ring buffers.",
        ready=False,
    ),
    Option(
        "execve-map-entries",
        _COUNT_OR_0,
        Group.BPF,
        "Processes the kernel's process map holds; 0 means 32768.",
        ready=False,
    ),
    Option(
        "execve-map-size",
        v.size(),
        Group.BPF,
        "The same in bytes. Excludes --execve-map-entries.",
        ready=False,
    ),
    Option(
        "parents-map-enabled",
        _S,
        Group.BPF,
        "Keep the parents' binaries, for policies with matchParentBinaries.",
        ready=False,
    ),
    Option(
        "parents-map-entries",
        _COUNT_OR_0,
        Group.BPF,
        "Entries of that map; 0 means 32768.",
        ready=False,
    ),
    Option(
        "parents-map-size",
        v.size(),
        Group.BPF,
        "The same in bytes. Excludes --parents-map-entries.",
        ready=False,
    ),
    Option(
        "sleepable-preload-size",
        _COUNT,
        Group.BPF,
        "Entries of the map for user strings read ahead.",
        ready=False,
    ),
    Option(
        "retprobes-cache-size",
        _COUNT,
        Group.BPF,
        "Calls of one probe that may wait for their return.",
        ready=False,
    ),
    Option(
        "data-cache-size",
        _COUNT,
        Group.BPF,
        "Long values that wait for their event.",
        ready=False,
    ),
    Option(
        "keep-sensors-on-exit",
        _S,
        Group.BPF,
        "Leave programs in the kernel when the agent ends.",
        ready=False,
    ),
    Option(
        "release-pinned-bpf",
        _S,
        Group.BPF,
        "Remove what an earlier agent left in the kernel.",
        ready=False,
    ),
    Option(
        "cgroup-rate",
        v.RATE,
        Group.BPF,
        "Throttle exec and exit events of a cgroup above this rate: 1000,1s is 1000 a second.",
        ready=False,
    ),
    Option(
        "expose-stack-addresses",
        _S,
        Group.BPF,
        "Put real addresses into stack traces.",
        ready=False,
    ),
    Option(
        "cpuprofile",
        v.text("file"),
        Group.BPF,
        "Write a CPU profile of the run to this file.",
        ready=False,
        hidden=True,
    ),
    Option(
        "memprofile",
        v.text("file"),
        Group.BPF,
        "Write a memory profile of the run to this file.",
        ready=False,
        hidden=True,
    ),
)

OPTIONS: Final[tuple[Option, ...]] = (
    *_GENERAL,
    *_OUTPUT,
    *_UDP,
    *_REMOTE,
    *_FILTER,
    *_PROCESS,
    *_SERVER,
    *_POLICY,
    *_KUBERNETES,
    *_BPF,
)
"""Every option; a new one adds its entry above and its field in Settings."""

BY_NAME: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}
BY_SHORT: Final[Mapping[str, Option]] = {o.short: o for o in OPTIONS if o.short}


def suggest(name: str, cutoff: float = 0.72) -> str:
    """Return the name of the option nearest to ``name``, or an empty text if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower().replace("_", "-"), BY_NAME, n=1, cutoff=cutoff)
    return near[0] if near else ""
