"""The command line is understood, refused and explained as users of Go programs expect."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tetragon.cli.main import run

Tetra = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--foo", "unknown flag: --foo"),
        ("-x", "unknown shorthand flag: 'x' in -x"),
        ("getevents --foo=1", "unknown flag: --foo"),
        ("getevents -dx", "unknown shorthand flag: 'x' in -dx"),
        ("getevents -o", "flag needs an argument: 'o' in -o"),
        ("getevents --output", "flag needs an argument: --output"),
        (
            "getevents -o yaml",
            'invalid argument "yaml" for "-o, --output" flag: invalid argument yaml, '
            "please provide one of (json, compact)",
        ),
        (
            "getevents --color=blue",
            'invalid argument "blue" for "--color" flag: invalid argument blue, '
            "please provide one of (auto, always, never)",
        ),
        (
            "getevents --reconnect-wait 3x",
            'invalid argument "3x" for "--reconnect-wait" flag: '
            'time: unknown unit "x" in duration "3x"',
        ),
        (
            "getevents --stack-traces=maybe",
            'invalid argument "maybe" for "--stack-traces" flag: '
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            "--retries x status",
            'invalid argument "x" for "--retries" flag: '
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            "eventlog set --max-size 2147483648",
            'invalid argument "2147483648" for "--max-size" flag: '
            'strconv.ParseInt: parsing "2147483648": value out of range',
        ),
        ("version extra", 'unknown command "extra" for "tetra version"'),
        ("tp add", "accepts 1 arg(s), received 0"),
        ("tp set-mode a b c", "accepts 2 arg(s), received 3"),
        ("tp set-mode a b", "invalid mode: b"),
        ("loglevel set loud", "invalid log level: loud"),
        (
            "loglevel set",
            "usage: tetra loglevel set [trace|debug|info|warning|error|fatal|panic]",
        ),
        (
            "status --tls-key-file x",
            "failed to create gRPC client: building TLS credentials: "
            "--tls-cert-file and --tls-key-file must be set together",
        ),
        (
            "tp add /no/such.yaml",
            "failed to read yaml file /no/such.yaml: open /no/such.yaml: no such file or directory",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_1(tetra: Tetra, words: str, text: str) -> None:
    """On standard error, without the usage."""
    assert tetra(*words.split()) == (1, "", f"Error: {text}\n")


def test_event_type_that_does_not_exist_lists_those_that_do(tetra: Tetra) -> None:
    """By their exact names; a comma does not split them."""
    code, _, err = tetra("getevents", "-e", "PROCESS_EXEC,PROCESS_EXIT")
    assert code == 1
    assert 'invalid argument "PROCESS_EXEC,PROCESS_EXIT" for "-e, --event-types" flag' in err
    assert "PROCESS_USDT, RATE_LIMIT_INFO, TEST, UNDEF)" in err


def test_unknown_command_suggests_near_ones(tetra: Tetra) -> None:
    """And says how to get help."""
    assert tetra("statu") == (
        1,
        "",
        'Error: unknown command "statu" for "tetra"\n\nDid you mean this?\n\tstatus\n\n'
        "Run 'tetra --help' for usage.\n",
    )
    assert tetra("zzz")[2] == (
        'Error: unknown command "zzz" for "tetra"\nRun \'tetra --help\' for usage.\n'
    )


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("help",)])
def test_help_of_the_root(tetra: Tetra, words: tuple[str, ...]) -> None:
    """Without arguments too; hidden commands stay hidden."""
    code, out, err = tetra(*words)
    assert (code, err) == (0, "")
    assert "\nAvailable Commands:\n  completion    " in out
    assert "  getevents     Print events\n" in out
    assert "sensors" not in out
    assert '\nUse "tetra [command] --help" for more information about a command.\n' in out


@pytest.mark.parametrize("words", [("tp",), ("tracingpolicy", "--help"), ("tp", "nonsense")])
def test_help_of_a_group(tetra: Tetra, words: tuple[str, ...]) -> None:
    """Also for a command it does not have."""
    code, out, _ = tetra(*words)
    assert code == 0
    assert "Aliases:\n  tracingpolicy, tp\n" in out
    assert "\n  set-mode    set the mode of a tracing policy\n" in out


def test_help_shows_flags_aligned_with_their_defaults(tetra: Tetra) -> None:
    """Own flags first, those of every command below."""
    _, out, _ = tetra("getevents", "--help")
    flags, shared = out.split("\nGlobal Flags:\n")
    lines = flags.split("\nFlags:\n")[1].splitlines()
    [output] = [line for line in lines if "-o, --output string " in line]
    [wait] = [line for line in lines if "--reconnect-wait duration " in line]
    assert output.endswith('Output format (json, compact) (default "json")')
    assert wait.endswith("Pause before connecting again (default 2s)")
    assert output.index("Output") == wait.index("Pause")
    assert "--namespaces" not in flags
    assert "      --timeout duration            Most time a call may take" in shared
    assert "(default 30s)\n" in shared


def test_every_command_has_help(tetra: Tetra) -> None:
    """No command is only half there."""
    from tetragon.cli.command import Group
    from tetragon.cli.main import ROOT

    def walk(group: Group, path: list[str]) -> None:
        for name, entry in group.entries.items():
            code, out, err = tetra(*path, name, "--help")
            assert (code, err) == (0, ""), name
            assert "\nUsage:\n" in out
            assert out.startswith(entry.short) or len(out.splitlines()[0]) > 10
            command: object = group.get_command(None, name)  # type: ignore[arg-type]
            assert command is not None
            if isinstance(command, Group):
                walk(command, [*path, name])

    walk(ROOT, [])


def test_unknown_help_topic_shows_the_root(tetra: Tetra) -> None:
    """After saying so."""
    code, out, err = tetra("help", "nope")
    assert (code, err) == (0, "Unknown help topic [`nope`]\n")
    assert "Available Commands:" in out


@pytest.mark.parametrize(
    "words",
    [
        "--server-address unix:///no/where --retries 0 status",
        "status --server-address unix:///no/where --retries 0",
        "status --server-address=unix:///no/where --retries=0 ignored",
        "--server-address localhost:1 status --retries 0 --server-address unix:///no/where",
        "-d=false --server-address unix:///no/where status --retries -3",
    ],
)
def test_global_flags_stand_anywhere(tetra: Tetra, words: str) -> None:
    """Before or behind the command; the innermost one counts."""
    assert tetra(*words.split()) == (
        1,
        "",
        "Error: failed to get health status: rpc error: code = Unavailable desc = connection "
        'error: desc = "transport: Error while dialing: dial unix /no/where: connect: '
        'no such file or directory"\n',
    )


def test_debug_tells_where_it_connects(tetra: Tetra) -> None:
    """On standard error."""
    _, _, err = tetra("-d", "--server-address", "unix:///no/where", "--retries", "0", "status")
    assert "DEBUG: connecting to unix:///no/where\n" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tetra: Tetra, shell: str) -> None:
    """For the shell asked for."""
    code, out, _ = tetra("completion", shell)
    assert code == 0
    assert "_TETRA_COMPLETE" in out


def test_completion_knows_commands_and_flags(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the script asks for them."""
    monkeypatch.setenv("_TETRA_COMPLETE", "bash_complete")
    for words, found in (("tetra get", "getevents"), ("tetra getevents --outp", "--output")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert run([]) == 0
        assert found in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        ("version", ["h2", "google", "msgspec", "asyncio", "rich", "yaml", "grpc", "ssl"]),
        ("getevents --help", ["h2", "google", "msgspec", "asyncio", "rich", "yaml", "grpc"]),
        ("--retries 0 --server-address unix:///no status", ["asyncio", "rich", "yaml", "grpc"]),
    ],
)
def test_nothing_is_imported_that_is_not_needed(words: str, absent: list[str]) -> None:
    """A command line starts quickly."""
    code = (
        "import sys; from tetragon.cli.main import run\n"
        f"run({words.split()!r}); print(*sorted(set({absent!r}) & set(sys.modules)), 'end')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "end"
