"""Rules between options: contradictions are refused, what does nothing is said."""

import pytest
from config_host import Host

from tetragon.errors import ConfigError
from tetragon.model.settings import LogLevel

TLS = ["--server-tls-cert-file=c", "--server-tls-key-file=k"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("--rb-size=1M", "--rb-size-total=8M"),
        ("--force-large-progs", "--force-small-progs"),
        ("--execve-map-entries=10", "--execve-map-size=1M"),
        ("--parents-map-entries=10", "--parents-map-size=1M"),
        ("--export-stdout", "--export-filename=-"),
        ("--export-filename=/tmp/a", "--log-file=/tmp/a"),
        ("--disable-process-cache", "--enable-ancestors=base"),
    ],
)
def test_options_that_exclude_each_other_are_refused(host: Host, one: str, other: str) -> None:
    """Both are named; each alone is fine."""
    with pytest.raises(ConfigError) as error:
        host.load(one, other)

    assert one.split("=", maxsplit=1)[0] in str(error.value)
    assert other.split("=", maxsplit=1)[0] in str(error.value)
    host.load(one)
    host.load(other)


def test_zero_is_no_choice_between_exclusive_sizes(host: Host) -> None:
    """A file that lists both defaults contradicts nothing."""
    host.yaml("rb-size: 0\nrb-size-total: 0\n")

    assert host.load("--rb-size=1M").settings.rb_size == 1 << 20


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (TLS[:1], "--server-tls-cert-file needs --server-tls-key-file"),
        (TLS[1:], "--server-tls-key-file needs --server-tls-cert-file"),
        (["--server-tls-require-client-cert"], "needs --server-tls-cert-file"),
        ([*TLS, "--server-tls-require-client-cert"], "--server-tls-client-ca-files"),
        ([*TLS, "--server-tls-client-ca-files=a"], "has no effect without"),
        ([*TLS, "--server-address=unix:///run/t.sock"], "is for TCP"),
        ([*TLS, "--server-address="], "is for TCP"),
    ],
)
def test_incomplete_tls_is_refused(host: Host, argv: list[str], message: str) -> None:
    """Never a listener that is less protected than asked for."""
    with pytest.raises(ConfigError, match=message):
        host.load(*argv)


def test_tls_options_warn_one_line_each(host: Host) -> None:
    """A complete set is accepted."""
    argv = [*TLS, "--server-tls-require-client-cert", "--server-tls-client-ca-files=/a.pem"]

    assert [line.split(":")[0] for line in host.load(*argv).warnings] == [
        word.split("=")[0] for word in argv
    ]


def test_unknown_ancestor_kinds_are_ignored_with_a_warning(host: Host) -> None:
    """As documented; the known ones count."""
    loaded = host.load("--enable-ancestors=base,fork,lsm")

    assert loaded.settings.enable_ancestors == ("base", "lsm")
    assert len(loaded.warnings) == 1
    assert "unknown fork ignored" in loaded.warnings[0]


def test_ancestors_without_base_are_off_with_a_warning(host: Host) -> None:
    """Reference counts need the base events; the fix is in the line."""
    loaded = host.load("--enable-ancestors=kprobe")

    assert loaded.settings.enable_ancestors == ()
    assert len(loaded.warnings) == 1
    assert "give base,kprobe" in loaded.warnings[0]


def test_unknown_metric_labels_are_ignored_with_a_warning(host: Host) -> None:
    """node_name is a label too."""
    loaded = host.load("--metrics-label-filter=pod,node_name,colour")

    assert loaded.settings.metrics_label_filter == ("pod", "node_name")
    assert len(loaded.warnings) == 1
    assert "unknown colour ignored" in loaded.warnings[0]


def test_cache_options_do_nothing_without_cache_and_say_so(host: Host) -> None:
    """Only those that were given."""
    loaded = host.load(
        "--disable-process-cache", "--process-cache-size=9", "--event-cache-retries=1"
    )

    assert loaded.warnings == (
        "--process-cache-size has no effect with --disable-process-cache",
        "--event-cache-retries has no effect with --disable-process-cache",
    )
    assert host.load("--disable-process-cache").warnings == ()


@pytest.mark.parametrize(("level", "result"), [("info", LogLevel.DEBUG), ("trace", LogLevel.TRACE)])
def test_debug_is_level_debug_at_least(host: Host, level: str, result: LogLevel) -> None:
    """It never makes the log quieter."""
    assert host.load("-d", f"--log-level={level}").settings.log_level is result


@pytest.mark.parametrize("name", ["tracing-policy-dir", "procfs", "k8s-kubeconfig-path"])
def test_paths_that_must_be_absolute(host: Host, name: str) -> None:
    """A relative one would depend on where the agent was started."""
    with pytest.raises(ConfigError, match=f"--{name}: 'here' is not an absolute path"):
        host.load(f"--{name}=here")


@pytest.mark.parametrize(
    "word",
    [
        "--process-cache-size=0",
        "--process-cache-gc-interval=0",
        "--export-file-rotation-interval=-1s",
        "--export-aggregation-window-size=0s",
        "--event-queue-size=0",
        "--health-server-interval=0",
        "--k8s-controlplane-retry=0",
        "--verbose=3",
        "--username-metadata=windows",
        "--udp-format=xml",
        "--udp-output-port=0",
        "--export-file-max-backups=-1",
    ],
)
def test_values_out_of_bounds_are_refused(host: Host, word: str) -> None:
    """Naming the flag."""
    with pytest.raises(ConfigError, match=word.split("=", maxsplit=1)[0] + ": "):
        host.load(word)
