"""Control: what the edges may ask of the running agent, as Protocols and the values they return.

Every method is called on an edge's thread, never the reader's, and must be safe there. Those of
PolicyControl may take long; the others must not.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from tetragon.model.ledger import Ledger
from tetragon.model.process import Process

ConfValue = str | bool | int | tuple[str, ...] | None
"""A setting as clients see it; None has no form a client could read."""


class BuildInfo(msgspec.Struct, frozen=True):
    """How this agent was built; what is unknown is empty. ``runtime`` names the interpreter."""

    runtime: str = ""
    commit: str = ""
    time: str = ""
    modified: str = ""


class AgentInfo(msgspec.Struct, frozen=True):
    """Who the agent is: ``probes`` are the kernel features it looked for, in display order."""

    version: str
    name: str = "tetragon"
    probes: tuple[tuple[str, bool], ...] = ()
    conf: Mapping[str, ConfValue] = {}
    build: BuildInfo = BuildInfo()


class CachedProcess(msgspec.Struct, frozen=True):
    """
    One entry of the process cache.

    Args:
        color: inUse, deletePending, deleteReady or deleted.
        refcnt_ops: how often each kind of reference was taken (``parent++``) and dropped.
    """

    process: Process
    color: str
    refcnt: int
    refcnt_ops: Mapping[str, int] = {}


class AgentControl(Protocol):
    """The agent as a whole."""

    def version(self) -> str:
        """Return the version, perhaps empty."""
        ...

    def info(self) -> AgentInfo:
        """Return what is known of agent, kernel and settings."""
        ...

    def ledgers(self) -> Iterable[Ledger]:
        """Return the books of every stage, from the kernel half to the outputs."""
        ...

    def log_level(self) -> str:
        """Return the level in force, a word such as ``info``."""
        ...

    def set_log_level(self, level: str) -> None:
        """Log from ``level`` on: trace, debug, info, warn, error, fatal or panic."""
        ...

    def processes(
        self, skip_zero_refcnt: bool, exclude_execve_map: bool
    ) -> Iterable[CachedProcess]:
        """Return a copy of the process cache, without unreferenced or still running processes."""
        ...


class EventLogParams(msgspec.Struct, frozen=True):
    """Settings of the JSON file that can change while it is open; the interval is ns, 0 is off."""

    max_size_mb: int
    max_backups: int
    rotation_interval: int


class EventLogControl(Protocol):
    """The JSON export file."""

    def params(self) -> EventLogParams:
        """Return the settings in force."""
        ...

    def set_params(
        self, max_size_mb: int | None, max_backups: int | None, rotation_interval: int | None
    ) -> None:
        """
        Change what is not None.

        Raises:
            ExportError: the exporter cannot change it.
        """
        ...


class PolicyState(IntEnum):
    """Where a policy is in its life; the API's TracingPolicyState."""

    UNKNOWN = 0
    ENABLED = 1
    DISABLED = 2
    LOAD_ERROR = 3
    ERROR = 4
    LOADING = 5
    UNLOADING = 6
    SKIPPED = 7
    PARTIALLY_ENABLED = 8


class PolicyMode(IntEnum):
    """Whether a policy acts or only reports; the API's TracingPolicyMode."""

    UNKNOWN = 0
    ENFORCE = 1
    MONITOR = 2
    MONITOR_ONLY = 3


class HookState(IntEnum):
    """What became of a hook; the API's HookState."""

    UNSPECIFIED = 0
    LOADED = 1
    DIGEST_REJECTED = 2
    CALL_NOT_FOUND = 3
    PARTIAL_CALL_NOT_FOUND = 4


class HookStatus(msgspec.Struct, frozen=True):
    """One hook: ``section`` and ``index`` say where it stands in the policy."""

    section: str
    index: int
    state: HookState
    description: str = ""


class ActionCounts(msgspec.Struct, frozen=True):
    """How often each action ran; ``monitor_`` ones would have, were the policy enforcing."""

    post: int = 0
    signal: int = 0
    monitor_signal: int = 0
    override: int = 0
    monitor_override: int = 0
    notify_enforcer: int = 0
    monitor_notify_enforcer: int = 0
    set: int = 0
    monitor_set: int = 0
    nopost: int = 0


class SelectorCounts(msgspec.Struct, frozen=True):
    """Counts of one selector of one hook, such as ``kprobe:sys_write``."""

    hook: str
    hook_index: int
    selector_index: int
    counts: ActionCounts
    label: str = ""


class PolicyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A policy the agent knows; ``counts`` is None unless it is loaded and has some."""

    id: int
    name: str
    domain: str
    namespace: str = ""
    state: PolicyState = PolicyState.UNKNOWN
    mode: PolicyMode = PolicyMode.UNKNOWN
    error: str = ""
    sensors: tuple[str, ...] = ()
    filter_id: int = 0
    kernel_memory_bytes: int = 0
    counts: ActionCounts | None = None
    selectors: tuple[SelectorCounts, ...] = ()
    hooks: tuple[HookStatus, ...] = ()


class PolicyControl(Protocol):
    """
    The policies. ``domain`` is who owns them: ``grpc``, ``k8s`` or ``static``.

    Every method raises PolicyError or KernelError, whose text the caller is shown.
    """

    def add(self, yaml: str, domain: str) -> None:
        """Parse and load the policy in ``yaml``."""
        ...

    def delete(self, name: str, namespace: str, domain: str) -> None:
        """Unload and forget a policy."""
        ...

    def configure(
        self, name: str, namespace: str, domain: str, enable: bool | None, mode: PolicyMode | None
    ) -> None:
        """Set the mode, then enable or disable; None leaves a thing as it is."""
        ...

    def list(self, domain: str) -> Sequence[PolicyStatus]:
        """Return the policies of one domain, of all when it is empty."""
        ...

    def domains(self) -> Sequence[str]:
        """Return the domains that have policies, sorted."""
        ...
