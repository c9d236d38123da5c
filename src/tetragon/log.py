"""Log: a constant message and fields in, one line per entry out, on standard error and in a file.

    log = get_log(__name__)
    log.info("policy loaded", policy=name, hooks=3)

gives ``time="2026-01-02T03:04:05.678Z" level=info msg="policy loaded" policy=x hooks=3`` or the
same as a JSON object. Lines of the standard library's loggers, ours and other libraries', come out
in the same form; what they pass as ``extra`` becomes fields.

Owns    the handlers set_up puts on the root logger. Any thread may log: logging locks per handler.
"""

import errno
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final, TextIO, cast

import msgspec

from tetragon.errors import ConfigError
from tetragon.model.settings import LogFormat, LogLevel

_LEVELS: Final = {
    LogLevel.TRACE: 5,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_WORDS: Final = {number: level.value for level, number in _LEVELS.items()}
_OURS: Final = "tetragon"
_FIELDS: Final = "log_fields"
"""Attribute of a record that holds the fields: names such as ``process`` are the record's own."""

_STANDARD: Final = frozenset(
    (*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", _FIELDS)
)
_BARE: Final = r"[A-Za-z0-9_./@^+:%-]+"
_UNSAFE: Final = "[\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
"""What JSON leaves alone but a terminal may act on."""


class Log:
    """A logger whose fields are keyword arguments; the message stays constant."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def trace(self, message: str, /, **fields: object) -> None:
        """Log what only a search for a bug needs, such as a line per record."""
        self._log(_LEVELS[LogLevel.TRACE], message, fields)

    def debug(self, message: str, /, **fields: object) -> None:
        """Log what helps to follow the agent, at most a line per event."""
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """Log a step an administrator wants to know of."""
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """Log what is wrong and does not stop the agent."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Log what failed."""
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: object) -> None:
        """Log what failed unexpectedly, with the traceback of the exception being handled."""
        self._log(logging.ERROR, message, fields, traceback=True)

    def is_on(self, level: LogLevel) -> bool:
        """Whether lines of ``level`` are written: ask before building costly fields."""
        return self._logger.isEnabledFor(_LEVELS[level])

    def _log(
        self, level: int, message: str, fields: dict[str, object], traceback: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            # No arguments, so a % in the message stays as it is.
            self._logger.log(level, message, extra={_FIELDS: fields}, exc_info=traceback)


def get_log(name: str) -> Log:
    """Return the log of a module; ``name`` is its ``__name__``."""
    return Log(logging.getLogger(name))


def set_up(level: LogLevel, form: LogFormat, file: str = "", stream: TextIO | None = None) -> None:
    """
    Write the log to standard error (or ``stream``) and to ``file``; calling again replaces that.

    Other libraries' lines are written from warning up, whatever the level.

    Raises:
        ConfigError: the file cannot be opened.
    """
    stream = stream or sys.stderr
    outputs: list[_Output] = [_StreamOutput(stream)] if stream else []  # a daemon may have none
    if file:
        try:
            outputs.append(_FileOutput(file))
        except OSError as exc:
            raise ConfigError(
                f"--log-file: cannot open {file!r}: {exc.strerror}; give a file in an existing "
                "directory that can be written"
            ) from exc
    tear_down()
    for output in outputs:
        output.setFormatter(_JsonFormatter() if form is LogFormat.JSON else _TextFormatter())
        logging.getLogger().addHandler(output)
    set_level(level)


def tear_down() -> None:
    """Remove and close what set_up added."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Output)]:
        root.removeHandler(handler)
        handler.close()


def set_level(level: LogLevel) -> None:
    """Change how much is logged from now on."""
    logging.getLogger(_OURS).setLevel(_LEVELS[level])


def get_level() -> LogLevel:
    """Return how much is logged now."""
    number = logging.getLogger(_OURS).getEffectiveLevel()
    return next((level for level in LogLevel if _LEVELS[level] >= number), LogLevel.ERROR)


class _Output(logging.Handler):
    """A place for lines that may fail, as a full disk: lost ones are counted and told of later."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._lost and self._write(_notice(self._lost)):
            self._lost = 0
        if not self._write(record):
            self._lost += 1

    def _write(self, record: logging.LogRecord) -> bool:
        try:
            self.put(f"{self.format(record)}\n")
        except (OSError, ValueError):  # ValueError: the stream was closed
            return False
        return True

    def put(self, line: str) -> None:
        """Write one line, whole."""
        raise NotImplementedError


class _StreamOutput(_Output):
    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def put(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()


class _FileOutput(_Output):
    """A file, unbuffered; opened again when it was moved away, as logrotate does."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._torn = False
        self._open()

    def put(self, line: str) -> None:
        self._follow()
        data = f"{chr(10) * self._torn}{line}".encode()
        written = os.write(self._descriptor, data)
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def close(self) -> None:
        os.close(self._descriptor)
        super().close()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)

    def _follow(self) -> None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - on every line
            moved = (status.st_dev, status.st_ino) != self._identity
        except FileNotFoundError:
            moved = True
        if moved:
            before = self._descriptor
            self._open()
            os.close(before)
            self._torn = False


def _notice(lost: int) -> logging.LogRecord:
    fields = {"lines": lost}
    entry = {"name": _OURS, "levelno": logging.WARNING, "msg": "log lines were lost"}
    return logging.makeLogRecord({**entry, _FIELDS: fields})


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return ``key=value`` pairs; no value can break out of its line."""
        pairs = [f'time="{_time(record)}" level={_word(record)} msg={_quote(record.getMessage())}']
        pairs += [f"{name}={_quote(_text(value))}" for name, value in _fields(record)]
        return " ".join(pairs)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object; numbers, switches and lists keep their types."""
        entry: dict[str, object] = {
            "time": _time(record),
            "level": _word(record),
            "msg": _clean(record.getMessage()),
        }
        for name, value in _fields(record):
            entry[name] = _plain(value)
        return _escape(msgspec.json.encode(entry).decode())


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    given: dict[str, object] = getattr(record, _FIELDS, {})
    extra = {name: record.__dict__[name] for name in record.__dict__.keys() - _STANDARD}
    for name, value in (given | extra).items():
        yield (f"fields.{name}" if name in ("time", "level", "msg") else name), value
    if record.exc_info and record.exc_info[0] is not None:
        yield "traceback", logging.Formatter().formatException(record.exc_info)


def _time(record: logging.LogRecord) -> str:
    seconds, thousandths = divmod(int(record.created * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{thousandths:03d}Z"


def _word(record: logging.LogRecord) -> str:
    return _WORDS.get(record.levelno) or record.levelname.lower()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, BaseException):
        return str(value) or type(value).__name__
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, cast("Sequence[object]", value)))
    return str(value)


def _plain(value: object) -> object:
    """Return what JSON has a form for as it is, all else as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return _clean(_text(value))


def _clean(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _quote(text: str) -> str:
    if re.fullmatch(_BARE, text):
        return text
    return _escape(msgspec.json.encode(_clean(text)).decode())


def _escape(text: str) -> str:
    return re.sub(_UNSAFE, lambda match: f"\\u{ord(match[0]):04x}", text)
