"""The shipped example configurations work as they are."""

from pathlib import Path

import pytest
from config_host import Host

from tetragon.config.minimal import apply_minimal_mode
from tetragon.config.options import BY_NAME
from tetragon.event.filter_text import (
    parse_field_filters,
    parse_filters,
    parse_redaction_filters,
)
from tetragon.model.settings import Settings

EXAMPLES = Path(__file__).parents[3] / "examples" / "configuration"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))


def read(host: Host, name: str) -> Settings:
    """Install an example as /etc/tetragon/tetragon.yaml and load it."""
    host.yaml((EXAMPLES / name).read_bytes())
    loaded = host.load()
    assert loaded.warnings == ()
    return loaded.settings


def test_every_promised_example_is_there() -> None:
    """One for each way to use UDP, and one without."""
    assert NAMES == [
        "basic.yaml",
        "udp-output-filtered.yaml",
        "udp-output-high-throughput.yaml",
        "udp-output-with-grpc.yaml",
        "udp-output.yaml",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_example_loads_without_warning_and_uses_only_what_works(host: Host, name: str) -> None:
    """Nothing in it is ignored."""
    settings = read(host, name)

    assert settings.settings_given
    for field in settings.settings_given:
        assert BY_NAME[field.replace("_", "-")].ready


@pytest.mark.parametrize("name", NAMES)
def test_filters_of_an_example_compile(host: Host, name: str) -> None:
    """They are JSON objects with fields that exist, not lists of words."""
    settings = read(host, name)

    parsed = [
        *parse_filters(settings.export_allowlist),
        *parse_filters(settings.export_denylist),
        *parse_field_filters(settings.field_filters),
        *parse_redaction_filters(settings.redaction_filters),
    ]

    assert len(parsed) == {"basic.yaml": 1, "udp-output-filtered.yaml": 6}.get(name, 0)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("udp")])
def test_udp_examples_open_only_what_they_name(host: Host, name: str) -> None:
    """Minimal mode leaves gRPC and health to the one example that is about them."""
    settings, _ = apply_minimal_mode(read(host, name))

    opened = {settings.server_address, settings.health_server_address, settings.metrics_server}
    if name == "udp-output-with-grpc.yaml":
        assert opened == {"localhost:54321", "localhost:6789", ""}
    else:
        assert opened == {""}


def test_documented_values(host: Host) -> None:
    """The values the guides quote."""
    plain = read(host, "udp-output.yaml")
    filtered = read(host, "udp-output-filtered.yaml")
    fast = read(host, "udp-output-high-throughput.yaml")

    assert (plain.udp_output_address, plain.udp_output_port) == ("127.0.0.1", 514)
    assert plain.udp_buffer_size == 65536
    assert (filtered.udp_output_port, filtered.udp_buffer_size) == (12201, 131072)
    assert (fast.udp_buffer_size, fast.event_queue_size) == (262144, 50_000)
    assert fast.process_cache_size == 131072
