"""The table: complete, consistent with Settings, and honest about what does not work yet."""

import importlib.util
from pathlib import Path

import msgspec
import pytest
from config_host import Host

from tetragon.config.options import BY_NAME, OPTIONS, Option, suggest
from tetragon.model.settings import SECOND, Settings

ROOT = Path(__file__).parents[3]

# Name, kind of value and default of every flag of upstream's agent v1.8, as `tetragon --help`
# and its documentation list them; then those of its UDP output.
UPSTREAM = """
bpf-dir string tetragon
bpf-lib string /var/lib/tetragon/
btf string
cgroup-rate string
cluster-name string
config-dir string
cpuprofile string
cri-endpoint string
data-cache-size int 1024
debug bool false
deleted-pod-cache-size int 1024
disable-kprobe-multi bool false
disable-process-cache bool false
enable-ancestors strings
enable-cgidmap bool false
enable-cgidmap-debug bool false
enable-cgtrackerid bool true
enable-cri bool false
enable-deprecated-tracingpolicy-grpc bool false
enable-event-metrics bool true
enable-export-aggregation bool false
enable-k8s-api bool false
enable-msg-handling-latency bool false
enable-pid-set-filter bool false
enable-pod-annotations bool false
enable-pod-info bool false
enable-policy-filter bool false
enable-policy-filter-cgroup-map bool false
enable-policy-filter-debug bool false
enable-process-cred bool false
enable-process-environment-variables bool false
enable-process-ns bool false
enable-tracing-policy-crd bool true
event-cache-retries int 15
event-cache-retry-delay int 2
event-queue-size int 10000
execve-map-entries int 0
execve-map-size string 0
export-aggregation-buffer-size int 10000
export-aggregation-window-size duration 15s
export-allowlist string
export-denylist string
export-file-compress bool false
export-file-max-backups int 5
export-file-max-size-mb int 10
export-file-perm string 600
export-file-rotation-interval duration 0s
export-filename string
export-rate-limit int -1
expose-stack-addresses bool false
field-filters string
filter-environment-variables strings
force-large-progs bool false
force-small-progs bool false
generate-docs bool false
gops-address string
health-server-address string :6789
health-server-interval int 10
k8s-controlplane-retry int 1
k8s-kubeconfig-path string
keep-sensors-on-exit bool false
kernel string
log-file string
log-format string text
log-level string info
memprofile string
metrics-label-filter string namespace,workload,pod,binary
metrics-server string
netns-dir string /var/run/docker/netns/
parents-map-enabled bool false
parents-map-entries int 0
parents-map-size string 0
persist-grpc-policies bool false
persist-grpc-policies-dir string /var/run/tetragon/grpc-policies
pprof-address string
process-cache-gc-interval duration 30s
process-cache-size int 65536
procfs string /proc/
rb-queue-size string 65535
rb-size string 0
rb-size-total string 0
redaction-filters string
release-pinned-bpf bool true
retprobes-cache-size int 4096
server-address string localhost:54321
server-tls-cert-file string
server-tls-client-ca-files strings
server-tls-key-file string
server-tls-require-client-cert bool false
sleepable-preload-size int 32768
tracing-policy string
tracing-policy-dir string /etc/tetragon/tetragon.tp.d
use-perf-ring-buffer bool false
username-metadata string disabled
verbose int 0
udp-output-enabled bool false
udp-output-address string 127.0.0.1
udp-output-port int 514
udp-buffer-size string 64K
grpc-enabled bool false
"""
FLAGS = [[*line.split(), ""][:3] for line in UPSTREAM.split("\n") if line]

# A value other than the default for options that take none of the usual ones.
SAMPLES = {
    "enable-ancestors": "base",
    "metrics-label-filter": "pod",
    "cgroup-rate": "10,1s",
    "udp-max-size": "1472",
    "health-server-address": ":1",
    "server-address": ":1",
    "metrics-server": ":1",
    "gops-address": ":1",
    "pprof-address": ":1",
    "export-file-perm": "640",
    "verbose": "2",
    "procfs": "/p",
    "tracing-policy-dir": "/t",
    "persist-grpc-policies-dir": "/g",
    "k8s-kubeconfig-path": "/k",
    "username-metadata": "unix",
    "log-level": "trace",
    "log-format": "json",
    "udp-format": "syslog",
    "export-stdout-format": "json",
}


def sample(option: Option) -> str:
    """Return the text of a value that is not the option's default."""
    if option.name in SAMPLES:
        return SAMPLES[option.name]
    if not option.kind.word:
        return "false" if option.default else "true"
    return {"duration": "7s", "names": "a", "paths": "/a"}.get(option.kind.word, "4321")


@pytest.mark.parametrize(("name", "kind", "default"), FLAGS, ids=[flag[0] for flag in FLAGS])
def test_every_upstream_flag_is_known_with_its_default(name: str, kind: str, default: str) -> None:
    """Same name, same default, a switch where upstream has one."""
    option = BY_NAME[name]

    assert option.kind.show(option.default) == default
    assert (option.kind.word == "") is (kind == "bool")
    assert option.kind.many is (kind == "strings" or name == "metrics-label-filter")


@pytest.mark.parametrize("name", [flag[0] for flag in FLAGS if flag[0] != "config-dir"])
def test_every_upstream_flag_is_accepted_everywhere(host: Host, name: str) -> None:
    """By flag, by variable, by drop-in and in YAML, each giving the same settings."""
    option = BY_NAME[name]
    text = sample(option)
    # What must stand beside it, for options that are refused alone.
    beside = {
        "server-tls-cert-file": ["--server-tls-key-file=k"],
        "server-tls-key-file": ["--server-tls-cert-file=c"],
        "server-tls-client-ca-files": [
            "--server-tls-cert-file=c",
            "--server-tls-key-file=k",
            "--server-tls-require-client-cert",
        ],
        "server-tls-require-client-cert": [
            "--server-tls-cert-file=c",
            "--server-tls-key-file=k",
            "--server-tls-client-ca-files=a",
        ],
    }.get(name, [])
    by_flag = host.load(f"--{name}={text}", *beside).settings
    by_variable = host.load(*beside, environ={option.variable: text}).settings
    host.option(host.config_dir, name, text)
    by_dir = host.load(f"--config-dir={host.config_dir}", *beside).settings
    host.yaml(f"{name}: {text}")
    by_yaml = host.load(*beside).settings

    assert getattr(by_flag, option.field) != option.default
    for other in (by_variable, by_dir, by_yaml):
        assert getattr(other, option.field) == getattr(by_flag, option.field)


# TLS options need each other: test_config_checks.py has them.
PLANNED = [o for o in OPTIONS if not o.ready and not o.name.startswith("server-tls")]


@pytest.mark.parametrize("option", PLANNED, ids=lambda o: o.name)
def test_option_not_implemented_yet_gives_one_warning(host: Host, option: Option) -> None:
    """One line that names the flag and, from a file, the place."""
    by_flag = host.load(f"--{option.name}={sample(option)}").warnings
    host.yaml(f"{option.name}: {sample(option)}")
    by_file = host.load().warnings

    line = f"--{option.name}: accepted, not implemented yet, ignored"
    assert by_flag == (line,)
    assert by_file == (f"{line} (from {host.etc_yaml}:1: {option.name})",)


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.ready], ids=lambda o: o.name)
def test_option_that_works_gives_no_warning(host: Host, option: Option) -> None:
    """Nobody is told about nothing."""
    host.config_dir.mkdir()
    text = str(host.config_dir) if option.name == "config-dir" else sample(option)

    assert host.load(f"--{option.name}={text}").warnings == ()


def test_file_that_only_repeats_defaults_gives_no_warning(host: Host) -> None:
    """Upstream's annotated default file names options that do not work yet; nothing is lost."""
    shown = {option.name: option.kind.show(option.default) for option in OPTIONS}
    host.yaml("".join(f"{name}: '{text}'\n" for name, text in shown.items()))

    loaded = host.load()

    assert loaded.warnings == ()
    assert msgspec.structs.replace(loaded.settings, settings_given=frozenset()) == Settings()


def test_table_and_settings_have_the_same_options() -> None:
    """A new option needs both; none is left out of either."""
    fields = [name for name in Settings.__struct_fields__ if name != "settings_given"]

    assert sorted(option.field for option in OPTIONS) == sorted(fields)
    assert len(BY_NAME) == len(OPTIONS)


def test_values_have_the_types_settings_declare(host: Host) -> None:
    """What the kinds parse is what the fields promise."""
    argv = [
        f"--{option.name}={sample(option)}"
        for option in OPTIONS
        if option.name not in ("config-dir", "rb-size-total", "force-small-progs")
        and not option.name.endswith("-map-size")
        and option.name not in ("export-stdout", "disable-process-cache", "log-file")
    ]
    settings = host.load(*argv).settings

    assert msgspec.convert(msgspec.structs.asdict(settings), Settings, strict=True) == settings


def test_spans_are_nanoseconds_whatever_the_flag_takes(host: Host) -> None:
    """One unit: durations, and upstream's plain seconds."""
    settings = host.load("--event-cache-retry-delay=3", "--process-cache-gc-interval=3s").settings

    assert settings.event_cache_retry_delay == 3 * SECOND
    assert settings.process_cache_gc_interval == 3 * SECOND


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.name)
def test_help_is_a_sentence(option: Option) -> None:
    """Every option says what it does."""
    assert option.help[0].isupper() or option.help.startswith("-")
    assert option.help.endswith(".")
    assert len(option.help) > 10


def test_suggestions() -> None:
    """Near names, in any spelling; nothing for what is far from all."""
    assert suggest("export_filename") == "export-filename"
    assert suggest("UDP-OUTPUT-ENABLE") == "udp-output-enabled"
    assert suggest("zzzz") == ""


def test_flags_document_is_fresh() -> None:
    """docs/flags.md is what scripts/gen_flags.py makes of the table."""
    spec = importlib.util.spec_from_file_location("gen_flags", ROOT / "scripts" / "gen_flags.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert (ROOT / "docs" / "flags.md").read_text(encoding="utf-8") == module.render()
