"""Text: raw values in, what users see out: flags, signals, times, bytes that should be UTF-8.

Source  docs/outputs.md; flag order and words as the public event schema prints them.
"""

import re
import signal
import time
from functools import lru_cache
from typing import Final

from tetragon.abi.records import ProcessFlag

_FLAG_WORDS: Final = (
    (ProcessFlag.EXECVE, "execve"),
    (ProcessFlag.PROCFS, "procFS"),
    (ProcessFlag.ERROR_ENVS, "errorEnvs"),
    (ProcessFlag.TRUNC_ARGS, "truncArgs"),
    (ProcessFlag.MISS, "miss"),
    (ProcessFlag.ERROR_FILENAME, "errorFilename"),
    (ProcessFlag.ERROR_ARGS, "errorArgs"),
    (ProcessFlag.NO_CWD, "nocwd"),
    (ProcessFlag.ROOT_CWD, "rootcwd"),
    (ProcessFlag.ERROR_CWD, "errorCWD"),
    (ProcessFlag.CLONE, "clone"),
    (ProcessFlag.ERROR_CGROUP_NAME, "errorCgroupName"),
    (ProcessFlag.ERROR_CGROUP_ID, "errorCgroupID"),
    (ProcessFlag.ERROR_CGROUP_SUBSYS_CGRP, "errorCgroupSubsysCgrp"),
    (ProcessFlag.ERROR_CGROUP_SUBSYS, "errorCgroupSubsys"),
    (ProcessFlag.ERROR_CGROUPS, "errorCgroups"),
    (ProcessFlag.ERROR_PATH_CWD, "errorPathResolutionCwd"),
    (ProcessFlag.DATA_FILENAME, "dataFilename"),
    (ProcessFlag.DATA_ARGS, "dataArgs"),
    (ProcessFlag.IN_INIT_TREE, "inInitTree"),
)
_INVALID: Final = re.compile("[\udc80-\udcff]+")


@lru_cache(maxsize=1024)
def flag_words(flags: int) -> str:
    """Return the words of process flags, space separated, in the schema's order."""
    return " ".join(word for bit, word in _FLAG_WORDS if flags & bit)


@lru_cache(maxsize=256)
def signal_name(number: int) -> str:
    """Return ``SIGKILL`` and the like; empty for 0 and for numbers without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def clean(raw: bytes) -> str:
    """Return bytes as text; each run of bytes that is not UTF-8 becomes one U+FFFD."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _INVALID.sub("\ufffd", raw.decode(errors="surrogateescape"))


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=256)  # an event's time stands in it twice
def timestamp(unix_ns: int) -> str:
    """Return RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second, as protojson prints it."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    if ns % 1000:
        return f"{_second(seconds)}.{ns:09d}Z"
    if ns % 1_000_000:
        return f"{_second(seconds)}.{ns // 1000:06d}Z"
    if ns:
        return f"{_second(seconds)}.{ns // 1_000_000:03d}Z"
    return f"{_second(seconds)}Z"
