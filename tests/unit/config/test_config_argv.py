"""The command line's forms, and what is refused."""

import pytest
from config_host import Host

from tetragon.config.argv import Action
from tetragon.errors import ConfigError
from tetragon.model.settings import LogLevel


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--export-filename", "/tmp/x"], "export_filename", "/tmp/x"),
        (["--export-filename=/tmp/x"], "export_filename", "/tmp/x"),
        (["--export-filename=a=b"], "export_filename", "a=b"),
        (["--export-filename="], "export_filename", ""),
        (["--export-filename", "-"], "export_filename", "-"),
        (["--export-rate-limit", "-1"], "export_rate_limit", -1),
        (["--log-level", "debug"], "log_level", LogLevel.DEBUG),
        (["--debug"], "debug", True),
        (["-d"], "debug", True),
        (["-d=false"], "debug", False),
        (["--debug=0"], "debug", False),
        (["--enable-event-metrics=F"], "enable_event_metrics", False),
        (["--debug", "--debug=false"], "debug", False),
        (["--cluster-name=a", "--cluster-name=b"], "cluster_name", "b"),
        (
            ["--enable-ancestors=base", "--enable-ancestors", "lsm"],
            "enable_ancestors",
            ("base", "lsm"),
        ),
        (["--enable-ancestors", "base,kprobe"], "enable_ancestors", ("base", "kprobe")),
        (["--debug", "--"], "debug", True),
    ],
)
def test_forms_of_a_flag(host: Host, words: list[str], field: str, value: object) -> None:
    """Separate and joined values, switches, short form; the last wins, lists add up."""
    assert getattr(host.load(*words).settings, field) == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nonsense"], "unknown flag: --nonsense"),
        (
            ["--udp-output-adress=x"],
            "unknown flag: --udp-output-adress; did you mean --udp-output-address?",
        ),
        (
            ["--export_filename", "x"],
            "unknown flag: --export_filename; did you mean --export-filename?",
        ),
        (["-debug"], "unknown flag: -debug; did you mean --debug?"),
        (["-x"], "unknown flag: -x"),
        (["--", "x"], "unknown flag: --"),
        (["stray"], "unexpected argument 'stray': options begin with --"),
        (["--debug", "false"], "unexpected argument 'false' after --debug: write --debug=false"),
        (["--export-filename"], "flag needs an argument: --export-filename; give any text"),
        (
            ["--export-filename", "--debug"],
            "flag needs an argument: --export-filename; give any text (found '--debug')",
        ),
        (["--process-cache-size="], "--process-cache-size: '' is not a whole number"),
        (["--debug="], "--debug: '' is neither true nor false"),
        (["--log-level=loud"], "--log-level: 'loud' is not one of the choices; give one of trace"),
    ],
)
def test_refused_command_line(host: Host, words: list[str], message: str) -> None:
    """The message names the flag and the fix."""
    with pytest.raises(ConfigError) as error:
        host.load(*words)

    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (["--help"], Action.HELP),
        (["-h"], Action.HELP),
        (["--debug", "--help", "--nonsense"], Action.HELP),
        (["--version"], Action.VERSION),
        (["--generate-docs"], Action.DOCS),
        (["--generate-docs=false"], Action.RUN),
        ([], Action.RUN),
    ],
)
def test_actions(host: Host, words: list[str], action: Action) -> None:
    """What prints something instead of running."""
    assert host.load(*words).action is action


def test_help_is_given_on_a_host_with_broken_files(host: Host) -> None:
    """Whoever asks for help may have just that problem."""
    host.yaml("][")

    assert host.load("--help").action is Action.HELP
