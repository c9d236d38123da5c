"""Text: raw values in, what users see out: flags, signals, times, ids, bytes that should be UTF-8.

What every event needs comes from C (fast/*.c) where that was built, else from text_plain.py. Plain
Python alone missed the goal for an exec on the way from ring bytes to JSON line, 7 us, by over a
quarter; with these functions in C there is a third to spare: docs/performance.md has the figures.

Source  docs/outputs.md; flag order and words as the public event schema prints them.
"""

import signal
from functools import lru_cache
from typing import Final

from tetragon.abi.records import ProcessFlag
from tetragon.model.text_plain import clean

try:
    from tetragon.model._fast import exec_id, join_arguments, join_line, json_object, timestamp
except ImportError:  # not built: the same in Python
    from tetragon.model.text_plain import exec_id, join_arguments, join_line, json_object, timestamp

__all__ = [
    "add_flag",
    "clean",
    "exec_id",
    "flag_words",
    "join_arguments",
    "join_line",
    "json_object",
    "signal_name",
    "timestamp",
]

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


@lru_cache(maxsize=1024)
def flag_words(flags: int) -> str:
    """Return the words of process flags, space separated, in the schema's order."""
    return " ".join(word for bit, word in _FLAG_WORDS if flags & bit)


def add_flag(words: str, flag: ProcessFlag) -> str:
    """Return flag words with one more among them."""
    shown = words.split()
    return flag_words(flag | sum(bit for bit, word in _FLAG_WORDS if word in shown))


@lru_cache(maxsize=256)
def signal_name(number: int) -> str:
    """Return ``SIGKILL`` and the like; empty for 0 and for numbers without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
