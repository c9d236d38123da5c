"""Drop-in directories and YAML files: what counts, what is skipped, what is refused."""

import os
from pathlib import Path

import pytest
from config_host import Host

from tetragon.errors import ConfigError


def test_drop_in_is_trimmed_inside_it_is_kept(host: Host) -> None:
    """White space around a value does not count, line ends within do."""
    host.option(host.etc_dir, "cluster-name", "\n  mine \n\n")
    host.option(host.etc_dir, "export-allowlist", '{"pid":[1]}\n{"pid":[2]}\n')

    settings = host.load().settings

    assert settings.cluster_name == "mine"
    assert settings.export_allowlist == '{"pid":[1]}\n{"pid":[2]}'


def test_drop_in_may_be_a_link_to_a_file(host: Host, tmp_path: Path) -> None:
    """Also through a second link."""
    target = host.option(tmp_path / "elsewhere", "name", "linked")
    host.etc_dir.mkdir(parents=True)
    (tmp_path / "hop").symlink_to(target)
    (host.etc_dir / "cluster-name").symlink_to(tmp_path / "hop")

    assert host.load().settings.cluster_name == "linked"


def test_config_map_volume_is_read(host: Host) -> None:
    """Kubernetes' layout: options are links through ..data to a directory with a dated name."""
    dated = host.config_dir / "..2026_01_02_03_04_05.678"
    host.option(dated, "cluster-name", "pod")
    host.option(dated, "enable-ancestors", "base,kprobe")
    host.option(dated, "server-address", "")
    (host.config_dir / "..data").symlink_to(dated.name)
    for name in ("cluster-name", "enable-ancestors", "server-address"):
        (host.config_dir / name).symlink_to(f"..data/{name}")

    loaded = host.load(f"--config-dir={host.config_dir}")

    assert loaded.settings.cluster_name == "pod"
    assert loaded.settings.enable_ancestors == ("base", "kprobe")
    assert loaded.settings.server_address == ""
    assert loaded.warnings == ()


def test_directories_and_dot_names_are_skipped_silently(host: Host, tmp_path: Path) -> None:
    """Also a directory, or a link to one, that is named like an option."""
    host.option(host.etc_dir, ".cluster-name.swp", "x")
    (host.etc_dir / "cluster-name").mkdir()
    (host.etc_dir / "log-file").symlink_to(tmp_path)

    loaded = host.load()

    assert loaded.sources == {}
    assert loaded.warnings == ()


@pytest.mark.parametrize("target", ["nothing", "cluster-name"])
def test_unreadable_drop_in_is_skipped_with_a_warning(host: Host, target: str) -> None:
    """A dangling link and a link to itself: one warning, the other options count."""
    host.option(host.etc_dir, "procfs", "/other")
    (host.etc_dir / "cluster-name").symlink_to(target)

    loaded = host.load()

    assert loaded.settings.procfs == "/other"
    assert loaded.settings.cluster_name == ""
    assert len(loaded.warnings) == 1
    assert f"{host.etc_dir}/cluster-name: cannot be read, skipped" in loaded.warnings[0]


def test_drop_in_that_is_a_pipe_is_skipped_without_waiting(host: Host) -> None:
    """Opening it would block the start for good."""
    host.etc_dir.mkdir(parents=True)
    os.mkfifo(host.etc_dir / "cluster-name")

    assert host.load().warnings == (f"{host.etc_dir}/cluster-name: not a regular file, skipped",)


def test_file_that_is_no_option_is_warned_about(host: Host) -> None:
    """With the nearest option, if one is near; a YAML file there is not read."""
    host.option(host.etc_dir, "udp-output-adress", "10.0.0.1")
    host.option(host.etc_dir, "udp.yaml", "cluster-name: never")

    loaded = host.load()

    assert loaded.settings.cluster_name == ""
    assert loaded.warnings == (
        f"{host.etc_dir}/udp-output-adress: no such option, ignored; "
        "did you mean udp-output-address?",
        f"{host.etc_dir}/udp.yaml: no such option, ignored",
    )


def test_drop_in_that_is_not_utf8_is_refused(host: Host) -> None:
    """Rather than run with half a value."""
    host.option(host.etc_dir, "cluster-name", "").write_bytes(b"caf\xe9")

    with pytest.raises(ConfigError, match=r"cluster-name: not UTF-8 text \(byte 3\)"):
        host.load()


def test_yaml_values_are_taken_as_written(host: Host) -> None:
    """Octal, sizes, on/off, quoted, lists and blocks mean what they mean everywhere else."""
    host.yaml(
        "export-file-perm: 0640\n"
        "udp-buffer-size: 64K\n"
        "udp-output-port: 0514\n"
        "debug: True\n"
        "enable-process-cred: 'true'\n"
        "enable-ancestors: [base, 'kprobe']\n"
        "filter-environment-variables: PATH,HOME\n"
        "export-allowlist: |\n"
        '  {"pid":[1]}\n'
        '  {"pid":[2]}\n'
        "btf:\n"
        "kernel: ~\n"
        "cluster-name: null\n"
        "log-file: 'null'\n"
    )

    settings = host.load().settings

    assert settings.export_file_perm == 0o640
    assert settings.udp_buffer_size == 65536
    assert settings.udp_output_port == 514
    assert settings.debug is True
    assert settings.enable_process_cred is True
    assert settings.enable_ancestors == ("base", "kprobe")
    assert settings.filter_environment_variables == ("PATH", "HOME")
    assert settings.export_allowlist == '{"pid":[1]}\n{"pid":[2]}'
    assert (settings.btf, settings.kernel, settings.cluster_name) == ("", "", "")
    assert settings.log_file == "null"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}\n"])
def test_empty_yaml_gives_nothing(host: Host, text: str) -> None:
    """A file with everything commented out is fine."""
    host.yaml(text)

    assert host.load().sources == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("debug: true\nudp-output-adress: x\n", ":2: unknown option 'udp-output-adress'; did you"),
        ("Export_Filename: x\n", ":1: unknown option 'Export_Filename'; did you mean export-fil"),
        ("zzz: 1\n", ":1: unknown option 'zzz'"),
        ("debug: true\n\ndebug: false\n", ":3: option debug is given twice (first in line 1)"),
        ("debug: [true]\n", ":1: debug: a list is not accepted; give true or false"),
        ("cluster-name:\n  a: b\n", ":1: cluster-name: a mapping is not accepted"),
        ("field-filters:\n  - fields: [a]\n", "JSON objects one after another, in a block"),
        ("enable-ancestors: [base, [x]]\n", ":1: enable-ancestors: a list with other than plain"),
        ("debug: yes\n", ":1: debug: 'yes' is neither true nor false; give true or false"),
        ("- debug\n", ":1: not a mapping of options"),
        ("debug\n", ":1: not a mapping of options"),
        ("? [a]\n: b\n", ":1: an option's name must be plain text"),
        ("debug: true\n\tlog-level: info\n", ":2: not YAML"),
        ("debug: true\n---\ndebug: false\n", ":2: not YAML"),
        ("debug: *none\n", ":1: not YAML: found undefined alias"),
        ("debug: true\ncluster-name: caf\xe9\n".encode("latin-1"), ":2: not UTF-8 text"),
        ("cluster-name: a\x00b\n", "not YAML"),
        ("[" * 30_000, "nested too deep"),
    ],
)
def test_malformed_yaml_is_refused_with_its_line(
    host: Host, text: str | bytes, expected: str
) -> None:
    """File, line and reason; never half of the file."""
    path = host.yaml(text)

    with pytest.raises(ConfigError) as error:
        host.load()

    assert str(error.value).startswith(str(path))
    assert expected in str(error.value)


def test_yaml_that_cannot_be_read_is_refused(host: Host) -> None:
    """A directory in its place."""
    host.etc_yaml.mkdir(parents=True)

    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        host.load()
