"""Control: what clients may ask of the running agent, answered from any thread.

Owns    nothing: it reads the agent's parts, and sets the log level.
"""

import platform
from collections.abc import Callable, Iterable
from typing import cast

from tetragon import __version__, log
from tetragon.model.control import AgentInfo, BuildInfo, CachedProcess, ConfValue
from tetragon.model.ledger import Ledger
from tetragon.model.settings import LogLevel, Settings

_SAME = {"fatal": "error", "panic": "error", "warning": "warn"}


class Control:
    """
    Implements model.control.AgentControl.

    Args:
        probes: kernel features that were looked for, in display order.
        dump: the process cache's own snapshot.
        ledgers: the books of every stage.
    """

    def __init__(
        self,
        settings: Settings,
        probes: tuple[tuple[str, bool], ...],
        dump: Callable[[], Iterable[CachedProcess]],
        ledgers: Callable[[], Iterable[Ledger]],
    ) -> None:
        self._settings = settings
        self._probes = probes
        self._dump = dump
        self._ledgers = ledgers

    def version(self) -> str:
        """Return the version, as upstream's tools expect it, with a leading v."""
        return f"v{__version__}"

    def info(self) -> AgentInfo:
        """Return what is known of agent, kernel and settings."""
        conf: dict[str, ConfValue] = {
            field.replace("_", "-"): _conf_value(getattr(self._settings, field))
            for field in self._settings.__struct_fields__
            if field != "settings_given"
        }
        runtime = f"{platform.python_implementation()} {platform.python_version()}"
        return AgentInfo(
            self.version(), probes=self._probes, conf=conf, build=BuildInfo(runtime=runtime)
        )

    def ledgers(self) -> Iterable[Ledger]:
        """Return the books of every stage, from the kernel half to the outputs."""
        return self._ledgers()

    def log_level(self) -> str:
        """Return the level in force."""
        return log.get_level().value

    def set_log_level(self, level: str) -> None:
        """Log from ``level`` on; what is above error counts as error."""
        log.set_level(LogLevel(_SAME.get(level, level)))

    def processes(
        self, skip_zero_refcnt: bool, exclude_execve_map: bool
    ) -> Iterable[CachedProcess]:
        """Return a copy of the process cache."""
        return [
            entry
            for entry in self._dump()
            if not (skip_zero_refcnt and entry.refcnt == 0)
            and not (exclude_execve_map and entry.color == "inUse")
        ]


def _conf_value(value: object) -> ConfValue:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        texts = tuple(item for item in items if isinstance(item, str))
        return texts if len(texts) == len(items) else None
    return None
