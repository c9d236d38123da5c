"""Environment variables arrive when they are asked for, short or long."""

from typing import Any

from kernel.children import run
from kernel.watch import Watch, everything
from tetragon.abi.records import ExecLimit


def _pairs(shown: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["Key"], one.get("Value", "")) for one in shown.get("environment_variables", [])]


def test_environment_is_whole_when_short(watch: Watch, actor: str) -> None:
    """Names and values as given, = in a value, empty values and bad bytes included."""
    done = run(
        actor, env={b"PLAIN": b"value", b"EQUALS": b"a=b", b"EMPTY": b"", b"BAD": b"\xff\xfex\n"}
    )
    shown = watch.wait_exec(done.pid).shown
    assert _pairs(shown) == [
        ("PLAIN", "value"),
        ("EQUALS", "a=b"),
        ("EMPTY", ""),
        ("BAD", "\ufffdx\n"),
    ]
    assert shown["flags"] == "execve clone"


def test_environment_is_whole_when_long(watch: Watch, actor: str) -> None:
    """Many large variables, beside large arguments: each text keeps to itself."""
    variables = {f"NAME_{n}": chr(97 + n) * 30_000 for n in range(8)}
    done = run(actor, "exit", "0", "x" * 50_000, env=variables)
    assert done.code == 0
    seen = watch.wait_exec(done.pid)
    assert dict(_pairs(seen.shown)) == variables
    assert seen.process.arguments == "exit 0 " + "x" * 50_000
    assert seen.shown["flags"] == "execve clone dataArgs"


def test_environment_is_cut_when_too_long(watch: Watch, actor: str) -> None:
    """The first part arrives; the arguments are not said to be cut."""
    limit = ExecLimit.DATA_CHUNK_MAX * ExecLimit.DATA_CHUNKS_MAX
    variables = {f"NAME_{n}": chr(97 + n) * 60_000 for n in range(8)}
    done = run(actor, "exit", "0", env=variables)
    assert done.code == 0
    seen = watch.wait_exec(done.pid)
    given = "".join(f"{name}={value}\0" for name, value in variables.items())
    shown = "".join(f"{name}={value}\0" for name, value in _pairs(seen.shown))
    assert shown == given[:limit] + "\0"
    assert seen.shown["flags"] == "execve clone"


def test_environment_is_absent_when_not_asked_for(actor: str) -> None:
    """Without the option not a byte of it leaves the kernel."""
    other = Watch(everything(environment=False))
    try:
        other.start_test()
        done = run(actor, env={"SECRET": "value"})
        assert "environment_variables" not in other.wait_exec(done.pid).shown
    finally:
        other.close()
