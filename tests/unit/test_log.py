"""The agent's own log: forms, levels, and outputs that fail."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tetragon.errors import ConfigError
from tetragon.log import Log, get_level, get_log, set_level, set_up, tear_down
from tetragon.model.settings import LogFormat, LogLevel

STAMP = r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z" '


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream to log to; logging is as before afterwards."""
    level = logging.getLogger("tetragon").level
    yield io.StringIO()
    tear_down()
    logging.getLogger("tetragon").setLevel(level)


@pytest.fixture
def log(stream: io.StringIO) -> Log:
    """A module's log, written to ``stream`` as text."""
    set_up(LogLevel.INFO, LogFormat.TEXT, stream=stream)
    return get_log("tetragon.test")


def test_text_line(log: Log, stream: io.StringIO) -> None:
    """Time, level, message and fields, quoted where needed."""
    log.info("policy loaded", policy="connect", hooks=3, on=True, empty="", path="/a b", none=None)

    line = stream.getvalue()
    assert re.fullmatch(
        STAMP + r'level=info msg="policy loaded" policy=connect hooks=3 on=true empty="" '
        r'path="/a b" none=None\n',
        line,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("a\nlevel=error", r'"a\nlevel=error"'),
        ("\x1b[31m", r'"\u001b[31m"'),
        ("\x9b31m", r'"\u009b31m"'),
        ("\u202egpj.exe", r'"\u202egpj.exe"'),
        ("a\u2028b", r'"a\u2028b"'),
        ("b\udcffd", r'"b\\udcffd"'),
        ("é", '"é"'),
        (b"raw\xff", r'"raw\\xff"'),
        (ValueError("why not"), '"why not"'),
        (KeyError(), "KeyError"),
        (("a", 1, True), '"a,1,true"'),
        (Path("/run/x"), "/run/x"),
        (1.5, "1.5"),
    ],
)
def test_no_value_breaks_out_of_its_line(
    log: Log, stream: io.StringIO, value: object, text: str
) -> None:
    """What a watched process named itself cannot forge a line or drive a terminal."""
    log.warning("seen", value=value)

    assert stream.getvalue().endswith(f" level=warn msg=seen value={text}\n")
    assert stream.getvalue().count("\n") == 1


def test_json_line_keeps_types(stream: io.StringIO) -> None:
    """Numbers, switches and lists stay what they are; all else is text."""
    set_up(LogLevel.INFO, LogFormat.JSON, stream=stream)

    get_log("tetragon.test").error(
        "failed\x9b",
        n=1,
        f=0.5,
        on=False,
        none=None,
        items=("a", 2),
        error=OSError(2, "no"),
        bad="\udc80",
    )

    line = stream.getvalue()
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", entry.pop("time"))
    assert entry == {
        "level": "error",
        "msg": "failed\x9b",
        "n": 1,
        "f": 0.5,
        "on": False,
        "none": None,
        "items": ["a", 2],
        "error": "[Errno 2] no",
        "bad": "\\udc80",
    }
    assert "\x9b" not in line


@pytest.mark.parametrize("form", LogFormat)
def test_field_named_like_a_part_of_the_line_is_kept(stream: io.StringIO, form: LogFormat) -> None:
    """Nor do names of the standard library's record clash."""
    set_up(LogLevel.INFO, form, stream=stream)

    get_log("tetragon.test").info("x", msg="mine", level=9, process="p", name="n", message="m")

    for part in ("fields.msg", "fields.level", "process", "name", "message", "mine"):
        assert part in stream.getvalue()
    if form is LogFormat.JSON:
        assert json.loads(stream.getvalue())["msg"] == "x"


@pytest.mark.usefixtures("log")
def test_lines_of_the_standard_library_look_the_same(stream: io.StringIO) -> None:
    """Their ``extra`` becomes fields, their arguments are filled in; others from warning up."""
    logging.getLogger("tetragon.export").info("opened %s", "x", extra={"file": "/a"})
    logging.getLogger("library").warning("odd")
    logging.getLogger("library").info("chatter")

    lines = [re.sub(STAMP, "", line) for line in stream.getvalue().splitlines()]
    assert lines == ['level=info msg="opened x" file=/a', "level=warn msg=odd"]


def test_percent_in_a_message_is_no_format(log: Log, stream: io.StringIO) -> None:
    """Messages are constants, not templates."""
    log.info("100 %s full")

    assert 'msg="100 %s full"' in stream.getvalue()


def test_level_changes_while_running(log: Log, stream: io.StringIO) -> None:
    """Each level shows itself and what is above."""
    seen = {}
    for level in LogLevel:
        set_level(level)
        stream.truncate(0)
        for method in (log.trace, log.debug, log.info, log.warning, log.error):
            method("x")
        seen[level] = re.findall("level=([a-z]+)", stream.getvalue())
        assert get_level() is level

    words = [level.value for level in LogLevel]
    assert seen == {level: words[index:] for index, level in enumerate(LogLevel)}


def test_is_on_tells_whether_a_line_would_be_written(log: Log) -> None:
    """So that costly fields are not built in vain."""
    assert log.is_on(LogLevel.INFO)
    assert not log.is_on(LogLevel.DEBUG)


def test_exception_carries_its_traceback_on_one_line(log: Log, stream: io.StringIO) -> None:
    """With the place it came from."""
    try:
        raise RuntimeError("boom")
    except RuntimeError as exc:
        log.exception("unexpected", error=exc)

    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "error=boom" in line
    assert "test_log.py" in line
    assert "RuntimeError: boom" in line


def test_file_gets_the_same_lines_and_is_appended_to(stream: io.StringIO, tmp_path: Path) -> None:
    """Readable by its owner only; an earlier run's lines stay."""
    file = tmp_path / "agent.log"
    for _ in range(2):
        set_up(LogLevel.INFO, LogFormat.TEXT, str(file), stream=stream)
        get_log("tetragon.test").info("started")

    assert file.read_text() == stream.getvalue()
    assert file.read_text().count("started") == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_file_is_opened_again_after_it_was_moved(stream: io.StringIO, tmp_path: Path) -> None:
    """logrotate needs no signal."""
    file = tmp_path / "agent.log"
    set_up(LogLevel.INFO, LogFormat.TEXT, str(file), stream=stream)
    log = get_log("tetragon.test")

    log.info("first")
    file.rename(tmp_path / "agent.log.1")
    log.info("second")

    assert "first" in (tmp_path / "agent.log.1").read_text()
    assert "second" not in (tmp_path / "agent.log.1").read_text()
    assert "second" in file.read_text()


def test_lines_lost_to_a_full_disk_are_counted(stream: io.StringIO, tmp_path: Path) -> None:
    """The other output is not harmed; once there is room the file tells how many it lacks."""
    file = tmp_path / "agent.log"
    file.symlink_to("/dev/full")
    set_up(LogLevel.INFO, LogFormat.TEXT, str(file), stream=stream)
    log = get_log("tetragon.test")
    for number in range(3):
        log.info("lost", number=number)

    file.unlink()
    log.info("kept")

    lines = [re.sub(STAMP, "", line) for line in file.read_text().splitlines()]
    assert lines == ['level=warn msg="log lines were lost" lines=3', "level=info msg=kept"]
    assert stream.getvalue().count("msg=lost") == 3


@pytest.mark.usefixtures("stream")
def test_closed_stream_does_not_harm_the_caller(tmp_path: Path) -> None:
    """A terminal that went away."""
    gone = io.StringIO()
    gone.close()
    set_up(LogLevel.INFO, LogFormat.TEXT, str(tmp_path / "log"), stream=gone)

    get_log("tetragon.test").info("still here")

    assert "still here" in (tmp_path / "log").read_text()


def test_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """Naming option and reason; what was set up before stays."""
    with pytest.raises(ConfigError, match=r"--log-file: cannot open .*No such file"):
        set_up(LogLevel.INFO, LogFormat.TEXT, str(tmp_path / "no" / "x"))


def test_setting_up_again_replaces_outputs(stream: io.StringIO) -> None:
    """No line twice."""
    other = io.StringIO()
    set_up(LogLevel.INFO, LogFormat.TEXT, stream=stream)
    set_up(LogLevel.INFO, LogFormat.TEXT, stream=other)

    get_log("tetragon.test").info("once")

    assert stream.getvalue() == ""
    assert other.getvalue().count("once") == 1
