"""Agent: settings in, a running tetragon out: it builds every part, connects them, ends them.

Flow    main -> Agent (start) -> Reader.run on this thread -> Agent.close
Owns    the order of start and stop. Nothing else in the project knows all parts.
"""

import gc
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from tetragon import __version__
from tetragon.config.argv import Action
from tetragon.config.load import Loaded, describe, load
from tetragon.config.minimal import apply_minimal_mode
from tetragon.control import Control
from tetragon.diagnostics import Diagnostics
from tetragon.errors import ConfigError, TetragonError
from tetragon.event.decode import Decoder
from tetragon.export import metadata
from tetragon.kernel.memory import keep_freed_memory
from tetragon.log import get_log, set_up
from tetragon.model.event import Event
from tetragon.model.ledger import Ledger
from tetragon.model.settings import Settings, UsernameMetadata
from tetragon.outputs import Outputs
from tetragon.pipeline import Pipeline
from tetragon.process.cache import ProcessCache
from tetragon.process.options import Options as CacheOptions
from tetragon.procfs import host, mounts, pidfile, privileges, rundir
from tetragon.procfs.cgroup import (
    CgroupMode,
    container_id,
    detect_mode,
    parse_controllers,
    pick_controller,
)
from tetragon.procfs.users import UserNames
from tetragon.reader import Reader, Timer, wall_offset
from tetragon.sensor.base import BaseOptions, BaseSensor
from tetragon.sensor.books import kernel_books
from tetragon.sensor.scan import Found, ScanOptions, host_namespaces, running_processes

RUN_DIR = "/var/run/tetragon/"
"""Pid file, unix socket and info file; clients look here."""

CLOSE_TIMEOUT = 1.5
"""Seconds the outputs have to deliver what they queued when the agent stops."""

RING_PER_CPU = 512 << 10
RING_MIN = 1 << 20
"""Ring size when no flag gives one: room for a burst of some thousand execs."""

ANNOUNCE_INTERVAL = 5.0
"""Seconds between looks for children that neither exec nor exit; a parent is kept far longer."""

log = get_log(__name__)


class Agent:
    """
    The running agent; ``run`` blocks until ``stop``.

    Raises:
        TetragonError: it cannot start; nothing of it is left behind.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started = time.monotonic()
        self._stack = ExitStack()
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise

    def _start(self) -> None:
        settings = self.settings
        check_host(settings)
        rundir.make_run_dir(RUN_DIR)
        self._stack.enter_context(pidfile.claim(f"{RUN_DIR}tetragon.pid", settings.procfs))
        mode, controller = cgroup_layout(settings.procfs)
        self.node_name = host.node_name(os.environ)
        self.outputs = Outputs(settings, self.node_name, RUN_DIR, self)
        self._stack.callback(self.outputs.close, CLOSE_TIMEOUT)
        log.info(
            "Tetragon agent metadata",
            **metadata.fields(self.outputs.metadata, metadata.INIT, time.time_ns(), fraction=False),
        )
        self.outputs.open()
        self.diagnostics = Diagnostics(settings, self.node_name)
        self.outputs.sinks += self.diagnostics.sinks
        self.sensor = BaseSensor(base_options(settings, controller))
        self._stack.callback(self.sensor.close)
        # Called first, and then once more for nothing: while the kernel half can still be read.
        self._stack.callback(self.outputs.close, CLOSE_TIMEOUT)
        tasks = self.sensor.scan()
        namespaces = host_namespaces(tasks)
        users = UserNames()
        self.cache = ProcessCache(cache_options(settings, self.node_name, self.outputs, users))
        self.pipeline = Pipeline(
            Decoder(container_id, namespaces._asdict()),
            self.cache,
            self.outputs.sinks,
            0 if settings.observe_self else os.getpid(),
            lambda reason: log.warning("record dropped", reason=reason),
        )
        found = running_processes(
            tasks,
            ScanOptions(
                settings.procfs,
                self.cache.exec_id,
                wall_offset(),
                namespaces,
                mode,
                settings.enable_process_cred,
                settings.enable_process_ns,
                users.find if settings.username_metadata is UsernameMetadata.UNIX else None,
                self.sensor.hooked,
            ),
        )
        self._seed(found)
        self.reader = Reader(
            [self.sensor.ring], self.pipeline, self.sensor.set_asleep, self._timers()
        )
        self._stack.callback(self.reader.close)
        control = Control(settings, (), self.cache.snapshot, self.outputs.ledgers)
        self.outputs.serve(control)
        self._stack.callback(self.diagnostics.stop)
        self.diagnostics.start(
            control, self.sensor.counters, self.cache.stats, lambda: list(self.outputs.sinks)
        )
        self._write_info()
        # What lives now mostly lives for good: leave it out of collections, and make those rare.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)

    def _write_info(self) -> None:
        """Tell local clients where to find the agent."""
        settings = self.settings
        path = f"{RUN_DIR}tetragon-info.json"
        rundir.write_info(
            path,
            rundir.AgentInfo(
                export_fname=settings.export_filename,
                lib_dir=settings.bpf_lib,
                btf_fname=settings.btf,
                server_address=self.outputs.unix_address,
                metrics_address=settings.metrics_server,
                gops_address=settings.gops_address,
                map_dir=f"/sys/fs/bpf/{settings.bpf_dir}",
                pid=os.getpid(),
            ),
        )
        self._stack.callback(Path(path).unlink, missing_ok=True)

    def ledgers(self) -> list[Ledger]:
        """Return the books of the stages before the sinks."""
        if not hasattr(self, "pipeline"):
            return []
        return [kernel_books(self.sensor.counters()), self.pipeline.ledger]

    def _seed(self, found: Found) -> None:
        for pid in found.hidden:
            log.warning("process runs but /proc does not show it", pid=pid)
        events = self.cache.seed(found.processes, found.kernel_threads)
        log.info("processes found at start", processes=len(found.processes), hidden=found.hidden)
        self.pipeline.deliver(events)

    def _timers(self) -> list[Timer]:
        settings = self.settings
        return [
            Timer(1.0, lambda: self.outputs.tick(time.time_ns())),
            Timer(settings.event_cache_retry_delay / 1e9, self.pipeline.tick),
            Timer(settings.process_cache_gc_interval / 1e9, self.cache.collect),
            Timer(ANNOUNCE_INTERVAL, self.sensor.announce_silent),
        ]

    def run(self) -> None:
        """Read events until ``stop``."""
        log.info("Listening for events...", after=f"{time.monotonic() - self.started:.3f}s")
        self.reader.run()

    def stop(self) -> None:
        """End ``run``; safe from any thread and from a signal handler."""
        self.reader.stop()

    def close(self) -> None:
        """Deliver what is left, close outputs, unload everything."""
        self.sensor.detach()
        while self.reader.drain():
            pass
        events: list[Event] = []
        self.cache.flush(events)
        self.pipeline.deliver(events)
        self.outputs.close(CLOSE_TIMEOUT)  # while the kernel half's books can still be read
        self._stack.close()


def check_host(settings: Settings) -> None:
    """
    Say in one line what keeps the agent from running here.

    Raises:
        ConfigError, KernelError: with the fix.
    """
    if os.geteuid() != 0:
        raise ConfigError("tetragon must run as root: it loads BPF programs; use sudo")
    if problem := host.procfs_problem(settings.procfs):
        raise ConfigError(problem)
    host.find_btf(settings.btf, settings.bpf_lib, host.kernel_release())
    if problem := privileges.own_privilege_problem(settings.procfs):
        raise ConfigError(problem)
    mounts.ensure_mounted(mounts.BPFFS, settings.procfs)


def cgroup_layout(procfs: str) -> tuple[CgroupMode, str]:
    """Return the cgroup mode, and the v1 controller to follow (empty: v2)."""
    cgroups = Path(procfs, "cgroups").read_bytes()
    mode = detect_mode(Path(procfs, "mounts").read_bytes(), cgroups)
    controller = pick_controller(parse_controllers(cgroups))
    return mode, controller.name if controller else ""


def base_options(settings: Settings, cgroup_controller: str) -> BaseOptions:
    """Return what the kernel half is to collect."""
    cpus = os.cpu_count() or 1
    size = settings.rb_size_total or settings.rb_size * cpus
    names = settings.username_metadata is UsernameMetadata.UNIX
    return BaseOptions(
        size or max(RING_MIN, RING_PER_CPU * cpus),
        settings.enable_process_cred,
        settings.enable_process_ns or names,
        settings.enable_process_environment_variables,
        cgroup_controller,
    )


def cache_options(
    settings: Settings, node_name: str, outputs: Outputs, users: UserNames
) -> CacheOptions:
    """Return how the process cache is to work."""
    return CacheOptions(
        node_name,
        settings.process_cache_size,
        "base" in settings.enable_ancestors,
        settings.enable_process_cred,
        settings.enable_process_ns,
        settings.event_cache_retries,
        outputs.redact,
        outputs.redact_environment,
        users.find if settings.username_metadata is UsernameMetadata.UNIX else None,
        frozenset(settings.filter_environment_variables),
        not settings.disable_process_cache,
    )


def main() -> None:
    """Run the ``tetragon`` command."""
    try:
        loaded = load(sys.argv[1:], os.environ)
        if loaded.action is not Action.RUN:
            from tetragon.config.help import answer, fit

            sys.stdout.write(answer(loaded.action, *fit(sys.stdout, os.environ)))
            return
        run(loaded)
    except TetragonError as exc:
        sys.exit(f"Error: {exc}")


def run(loaded: Loaded) -> None:
    """Start, run until SIGINT or SIGTERM, stop."""
    settings, messages = apply_minimal_mode(loaded.settings)
    set_up(settings.log_level, settings.log_format, settings.log_file)
    log.info("Starting tetragon", version=__version__)
    for warning in loaded.warnings:
        log.warning(warning)
    for message in messages:
        log.info(message)
    for one in describe(settings, loaded.sources):
        log.info("setting", name=one.name, value=one.value, source=one.source)
    keep_freed_memory()
    agent = Agent(settings)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        agent.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        agent.run()
    finally:
        agent.close()
    log.info(
        "Tetragon agent shutdown",
        **metadata.shutdown_fields(agent.outputs.metadata, time.time_ns()),
    )


if __name__ == "__main__":
    main()
