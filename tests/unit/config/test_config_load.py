"""Which source wins, and what is said about it."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from config_host import Host

from tetragon.config.argv import Action
from tetragon.config.load import describe
from tetragon.errors import ConfigError
from tetragon.model.settings import LogLevel, Settings

Give = Callable[[Host, str], object]
"""Puts one value of cluster-name into one source."""

ARGV: list[str] = []
ENVIRON: dict[str, str] = {}


def _flag(_: Host, text: str) -> None:
    ARGV.append(f"--cluster-name={text}")


def _variable(_: Host, text: str) -> None:
    ENVIRON["TETRAGON_CLUSTER_NAME"] = text


def _config_dir(host: Host, text: str) -> None:
    host.option(host.config_dir, "cluster-name", text)
    ARGV.append(f"--config-dir={host.config_dir}")


LOWEST_FIRST: list[tuple[str, Give]] = [
    ("/usr/lib", lambda host, text: host.option(host.usr_lib, "cluster-name", text)),
    ("/usr/local", lambda host, text: host.option(host.usr_local, "cluster-name", text)),
    ("./yaml", lambda host, text: host.yaml(f"cluster-name: {text}", host.working_yaml)),
    ("/etc yaml", lambda host, text: host.yaml(f"cluster-name: {text}")),
    ("/etc dir", lambda host, text: host.option(host.etc_dir, "cluster-name", text)),
    ("config-dir", _config_dir),
    ("variable", _variable),
    ("flag", _flag),
]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ARGV.clear()
    ENVIRON.clear()


@pytest.mark.parametrize(
    ("low", "high"),
    [pytest.param(a, b, id=f"{b[0]} over {a[0]}") for a, b in combinations(LOWEST_FIRST, 2)],
)
def test_higher_source_wins_over_each_lower_one(
    host: Host, low: tuple[str, Give], high: tuple[str, Give]
) -> None:
    """Every pair of sources: the higher one's value is taken, in whichever order they appear."""
    high[1](host, "high")
    low[1](host, "low")

    assert host.load(*ARGV, environ=ENVIRON).settings.cluster_name == "high"


@pytest.mark.parametrize("source", [pytest.param(s, id=s[0]) for s in LOWEST_FIRST])
def test_each_source_alone_overrides_the_default_and_is_named(
    host: Host, source: tuple[str, Give]
) -> None:
    """One source alone gives its value; a package's drop-in does not count as named."""
    source[1](host, "mine")

    loaded = host.load(*ARGV, environ=ENVIRON)

    assert loaded.settings.cluster_name == "mine"
    assert loaded.warnings == ()
    named = "cluster_name" in loaded.settings.settings_given
    assert named is not source[0].startswith("/usr")


@pytest.mark.parametrize("source", [pytest.param(s, id=s[0]) for s in LOWEST_FIRST[:6]])
def test_empty_value_in_a_file_clears_what_a_lower_one_gave(
    host: Host, source: tuple[str, Give]
) -> None:
    """An empty text wins like any other."""
    host.option(host.usr_lib, "cluster-name", "low")
    source[1](host, "")

    assert host.load(*ARGV).settings.cluster_name == ""


def test_empty_value_of_a_number_means_its_default(host: Host) -> None:
    """Only texts and lists have an empty value; a cleared number is not named either."""
    host.option(host.usr_lib, "process-cache-size", "5")
    host.yaml("process-cache-size:\nenable-tracing-policy-crd: ''\nhealth-server-address: ''\n")

    loaded = host.load()

    assert loaded.settings.process_cache_size == Settings().process_cache_size
    assert loaded.settings.enable_tracing_policy_crd is True
    assert loaded.settings.health_server_address == ""
    assert loaded.settings.settings_given == {"health_server_address"}
    assert set(loaded.sources) == {"health_server_address"}


def test_empty_variable_counts_as_not_set(host: Host) -> None:
    """An orchestrator that sets every variable, some to nothing, changes nothing."""
    host.yaml("cluster-name: mine")

    loaded = host.load(environ={"TETRAGON_CLUSTER_NAME": "", "TETRAGON_DEBUG": ""})

    assert loaded.settings.cluster_name == "mine"
    assert loaded.settings.debug is False


def test_nothing_configured_gives_the_defaults(host: Host) -> None:
    """A bare host: no warning, no source, Settings as built in."""
    loaded = host.load()

    assert loaded.settings == Settings()
    assert loaded.warnings == ()
    assert loaded.sources == {}
    assert loaded.action is Action.RUN


def test_sources_name_flag_variable_and_file_with_line(host: Host) -> None:
    """A reader finds the place that gave a value."""
    host.yaml("# comment\nlog-file: /tmp/log\n")
    path = host.option(host.etc_dir, "export-filename", "/tmp/events\n")

    loaded = host.load("--cluster-name=a", environ={"TETRAGON_PROCFS": "/host/proc"})

    assert loaded.sources == {
        "log_file": f"{host.etc_yaml}:2: log-file",
        "export_filename": str(path),
        "procfs": "TETRAGON_PROCFS (--procfs)",
        "cluster_name": "--cluster-name",
    }


@pytest.mark.parametrize("by", ["flag", "variable", "yaml", "drop-in"])
def test_config_dir_may_be_named_by_any_source(host: Host, by: str) -> None:
    """The directory ranks below variables, whoever names it."""
    host.option(host.config_dir, "cluster-name", "from-dir")
    host.option(host.config_dir, "procfs", "/from-dir")
    directory, argv, environ = str(host.config_dir), [], {"TETRAGON_PROCFS": "/from-variable"}
    match by:
        case "flag":
            argv = [f"--config-dir={directory}"]
        case "variable":
            environ["TETRAGON_CONFIG_DIR"] = directory
        case "yaml":
            host.yaml(f"config-dir: {directory}\ncluster-name: low\n")
        case _:
            host.option(host.etc_dir, "config-dir", directory)
            host.option(host.etc_dir, "cluster-name", "low")

    settings = host.load(*argv, environ=environ).settings

    assert (settings.cluster_name, settings.procfs) == ("from-dir", "/from-variable")


def test_relative_config_dir_is_below_the_working_directory(host: Host) -> None:
    """As a shell user expects."""
    host.option(host.roots.working / "conf", "cluster-name", "here")

    assert host.load("--config-dir", "conf").settings.cluster_name == "here"


def test_missing_config_dir_is_an_error_that_names_it(host: Host) -> None:
    """A default place may be missing, one that was asked for may not."""
    with pytest.raises(ConfigError) as error:
        host.load(environ={"TETRAGON_CONFIG_DIR": "/nowhere/at/all"})

    text = str(error.value)
    assert "TETRAGON_CONFIG_DIR (--config-dir)" in text
    assert "/nowhere/at/all" in text
    assert "No such file" in text


def test_config_dir_that_is_a_file_is_an_error(host: Host) -> None:
    """Not silently nothing."""
    path = host.yaml("cluster-name: x", host.config_dir / "file.yaml")

    with pytest.raises(ConfigError, match="Not a directory"):
        host.load(f"--config-dir={path}")


def test_default_place_that_is_no_directory_is_a_warning(host: Host) -> None:
    """The agent starts, and says what it skipped."""
    host.etc_dir.parent.mkdir(parents=True)
    host.etc_dir.write_text("")

    warnings = host.load().warnings

    assert len(warnings) == 1
    assert str(host.etc_dir) in warnings[0]
    assert "Not a directory" in warnings[0]


@pytest.mark.parametrize(
    ("argv", "environ", "yaml", "origin"),
    [
        (["--process-cache-size=many"], {}, "", "--process-cache-size"),
        ([], {"TETRAGON_PROCESS_CACHE_SIZE": "many"}, "", "TETRAGON_PROCESS_CACHE_SIZE"),
        ([], {}, "debug: true\nprocess-cache-size: many\n", "tetragon.yaml:2: process-cache-size"),
    ],
)
def test_bad_value_names_source_value_and_what_is_accepted(
    host: Host, argv: list[str], environ: dict[str, str], yaml: str, origin: str
) -> None:
    """One line is enough to mend it."""
    if yaml:
        host.yaml(yaml)
    with pytest.raises(ConfigError) as error:
        host.load(*argv, environ=environ)

    text = str(error.value)
    assert origin in text
    assert "'many' is not a whole number; give a whole number, 1 or more" in text


def test_bad_value_in_a_drop_in_names_its_file(host: Host) -> None:
    """The file's name is the option's."""
    path = host.option(host.etc_dir, "udp-output-port", "65536")

    with pytest.raises(ConfigError) as error:
        host.load()

    assert str(error.value) == f"{path}: '65536' is not a port; give a port from 1 to 65535"


def test_overridden_bad_value_does_not_matter(host: Host) -> None:
    """What is not used is not judged: a flag gets a host with a broken file going."""
    host.option(host.etc_dir, "udp-output-port", "none")

    assert host.load("--udp-output-port=515").settings.udp_output_port == 515


@pytest.mark.parametrize(
    ("name", "field", "default"),
    [("export-rate-limit", "export_rate_limit", -1), ("export-file-perm", "export_file_perm", 384)],
)
def test_lenient_option_warns_and_uses_its_default_outside_the_command_line(
    host: Host, name: str, field: str, default: int
) -> None:
    """Documented of these two; on the command line they are errors like all others."""
    host.yaml(f"{name}: nonsense")

    loaded = host.load()

    assert getattr(loaded.settings, field) == default
    assert len(loaded.warnings) == 1
    assert "'nonsense'" in loaded.warnings[0]
    assert f"{host.etc_yaml}:1: {name}" in loaded.warnings[0]
    with pytest.raises(ConfigError, match=f"--{name}: 'nonsense'"):
        host.load(f"--{name}=nonsense")


def test_misspelt_variable_is_warned_about_and_foreign_ones_are_not(host: Host) -> None:
    """Kubernetes puts TETRAGON_SERVICE_HOST and the like into every pod beside a service."""
    environ = {
        "TETRAGON_UDP_OUTPUT_ADRESS": "10.0.0.1",
        "TETRAGON_SERVICE_HOST": "10.0.0.2",
        "TETRAGON_PORT_2112_TCP_ADDR": "10.0.0.3",
        "HOME": "/root",
    }

    warnings = host.load(environ=environ).warnings

    assert warnings == (
        "TETRAGON_UDP_OUTPUT_ADRESS: no such option, ignored; "
        "did you mean TETRAGON_UDP_OUTPUT_ADDRESS?",
    )


def test_describe_tells_what_is_not_as_built_in(host: Host) -> None:
    """Given values with their source, and what follows from them."""
    loaded = host.load("-d", "--udp-buffer-size=131072", environ={"TETRAGON_PROCFS": "/proc/"})

    described = [tuple(line) for line in describe(loaded.settings, loaded.sources)]

    assert described == [
        ("debug", "true", "--debug"),
        ("log-level", "debug", "follows from others"),
        ("procfs", "/proc/", "TETRAGON_PROCFS (--procfs)"),
        ("udp-buffer-size", "128K", "--udp-buffer-size"),
    ]
    assert loaded.settings.log_level is LogLevel.DEBUG


def test_unused_yaml_is_not_imported(tmp_path: Path) -> None:
    """Without a YAML file neither its parser nor any command line library is loaded."""
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\n"
        "from tetragon.config.files import Roots; from tetragon.config.load import load\n"
        f"nowhere = Path({str(tmp_path)!r})\n"
        "load(['--udp-output-enabled'], {}, Roots(nowhere, nowhere))\n"
        "print([m for m in ('yaml', 'click', 'argparse', 'logging', 'difflib', 'grpc', "
        "'google.protobuf', 'rich', 'json') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.strip() == "[]"
