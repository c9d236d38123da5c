"""Scan: the kernel's list of processes and what /proc says of each, joined to first Processes.

The task iterator decides who exists and under which key; /proc only describes. So a process that
hides from /proc is still known, and is reported. The other way round, some kernels' iterators leave
out the host's init: who is only in /proc is taken from there.

Flow    BaseSensor.scan + /proc -> [running_processes] -> ProcessCache.seed
Owns    nothing
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

from tetragon.abi.records import ProcessFlag
from tetragon.errors import DecodeError, KernelError
from tetragon.model.process import Capabilities, Credentials, Key, Namespaces, Process
from tetragon.model.text import clean, flag_words, join_arguments
from tetragon.procfs.cgroup import CgroupMode, find_container
from tetragon.procfs.namespaces import NsInodes, describe
from tetragon.procfs.process import ProcProcess, Want, list_pids, read_process

UNSET_UID = 4294967295
KERNEL_KEY: Key = (0, 1)
_WANT = Want.CMDLINE | Want.CGROUP | Want.EXE | Want.CWD
_WANT_UNLISTED = Want.CREDS | Want.AUID | Want.NS
_TICK_NS = 10_000_000
"""Precision of a start time in /proc."""
_COMM_MAX = 15
"""Bytes of a task's name; commit d6986ce24fc0 ("kthread: dynamically allocate memory to store
kthread's full name", v5.17) keeps longer ones of kernel threads elsewhere."""


class ScanOptions(NamedTuple):
    """
    How to describe what is found.

    Args:
        root: where /proc is.
        exec_id: (pid, ktime) -> exec_id.
        wall_offset: Unix time minus CLOCK_BOOTTIME, ns.
        host: the host's namespaces, see host_namespaces.
        mode: which cgroup hierarchy names containers.
        hooked: since when hooks tell of new processes, ns of CLOCK_BOOTTIME; 0: not yet.
    """

    root: str
    exec_id: Callable[[int, int], str]
    wall_offset: int
    host: NsInodes
    mode: CgroupMode
    credentials: bool = False
    namespaces: bool = False
    user_name: Callable[[int], str | None] | None = None
    hooked: int = 0


class Found(NamedTuple):
    """Processes, parents first; kernel threads' pids; pids that run but are not in /proc."""

    processes: list[Process]
    kernel_threads: frozenset[int]
    hidden: list[int]


def running_processes(tasks: Iterable[Mapping[str, int | bytes]], options: ScanOptions) -> Found:
    """
    Describe every process of the iterator's list that no hook has seen begin.

    Args:
        tasks: ``task_record`` fields by name, as BaseSensor.scan gives them.
    """
    known: dict[int, Mapping[str, int | bytes]] = {int(task["key_pid"]): task for task in tasks}
    hidden = _hidden(known, options.root)
    known |= _unlisted(known, options)
    begun = [task for task in known.values() if int(task["flags"]) & ProcessFlag.PROCFS]
    begun.sort(key=lambda task: (int(task["parent_pid"]), int(task["key_pid"])))
    processes = {0: _kernel(options)}
    for task in begun:
        _describe(task, processes, options)
    threads = frozenset(pid for pid, task in known.items() if task["kthread"])
    return Found(_parents_first(processes), threads, hidden)


def host_namespaces(tasks: Iterable[Mapping[str, int | bytes]]) -> NsInodes:
    """
    Return the namespaces of the host's init, from the iterator's list.

    The kernel shows them where /proc/1/ns may refuse even root. Where it hides init altogether,
    the parent of kernel threads stands in: it never leaves the first namespaces.
    """
    known = {int(task["key_pid"]): task for task in tasks if int(task["key_pid"]) <= 2}
    task = known.get(1) or known.get(2)
    if task is None:
        return NsInodes()
    return NsInodes(*(int(task[f"namespaces_{name}"]) for name in NsInodes._fields))


def _kernel(options: ScanOptions) -> Process:
    return Process(
        0,
        1,
        options.exec_id(*KERNEL_KEY),
        parent_exec_id=options.exec_id(*KERNEL_KEY),
        binary="<kernel>",
        flags=flag_words(ProcessFlag.PROCFS),
        start_time=1 + options.wall_offset,
    )


def _describe(
    task: Mapping[str, int | bytes], processes: dict[int, Process], options: ScanOptions
) -> None:
    pid, ktime = int(task["key_pid"]), int(task["key_ktime"])
    parent_pid = int(task["parent_pid"])
    parent_key = (parent_pid, int(task["parent_ktime"])) if parent_pid else KERNEL_KEY
    process = Process(
        pid,
        ktime,
        options.exec_id(pid, ktime),
        options.exec_id(*parent_key),
        parent_key,
        pid,
        uid=int(task["uid"]),
        auid=int(task["auid"]),
        start_time=ktime + options.wall_offset,
    )
    comm = cast("bytes", task["comm"]).split(b"\0", 1)[0]
    flags: int = ProcessFlag.PROCFS
    if task["kthread"]:
        process.binary = f"[{clean(_kernel_thread_name(options.root, pid, comm))}]"
        process.auid = UNSET_UID
    else:
        flags |= _add_image(process, comm, int(task["nspid"]), options)
        _add_context(process, task, options)
    if process.docker and int(task["flags"]) & ProcessFlag.IN_INIT_TREE:
        process.in_init_tree = True
        flags |= ProcessFlag.IN_INIT_TREE
    process.flags = flag_words(flags)
    processes[pid] = process


def _add_image(process: Process, comm: bytes, nspid: int, options: ScanOptions) -> int:
    found = _read(options.root, process.pid)
    if found is None:  # ended, or hidden: the kernel's name for it is all there is
        process.binary = clean(comm)
        return ProcessFlag.ROOT_CWD
    process.binary = clean(found.exe)
    process.arguments = join_arguments(found.cmdline)
    process.docker = find_container(found.cgroup, options.mode)
    if process.docker:
        process.nspid = nspid
    cwd = clean(found.cwd).strip()
    process.cwd = cwd or "/"
    truncated = ProcessFlag.TRUNC_ARGS if found.cmdline_cut else 0
    return truncated | (ProcessFlag.ROOT_CWD if process.cwd == "/" else 0)


def _add_context(process: Process, task: Mapping[str, int | bytes], options: ScanOptions) -> None:
    inodes = NsInodes(*(int(task[f"namespaces_{name}"]) for name in NsInodes._fields))
    namespaces: Namespaces = describe(inodes, options.host)
    if options.namespaces:
        process.ns = namespaces
    if options.credentials:
        names = ("uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid", "securebits")
        process.credentials = Credentials(*(int(task[f"credentials_{name}"]) for name in names))
        sets = ("permitted", "effective", "inheritable")
        process.cap = Capabilities(*(int(task[f"credentials_{name}"]) for name in sets))
    if options.user_name and namespaces.mnt.is_host and namespaces.user.is_host:
        process.user = options.user_name(process.uid)


def _read(root: str, pid: int) -> ProcProcess | None:
    try:
        return read_process(root, pid, _WANT)
    except (DecodeError, KernelError):
        return None  # described by what the kernel itself told


def _kernel_thread_name(root: str, pid: int, comm: bytes) -> bytes:
    """Return the whole name, which /proc alone has when it is longer than a task's."""
    if len(comm) < _COMM_MAX:
        return comm
    try:
        return Path(root, str(pid), "comm").read_bytes().removesuffix(b"\n")
    except OSError:
        return comm


def _parents_first(processes: dict[int, Process]) -> list[Process]:
    """Order by parent pid, but never a child before its parent: pids wrap around."""
    ordered: dict[int, Process] = {}
    for process in processes.values():
        chain: list[Process] = []
        at: Process | None = process
        while at is not None and at.pid not in ordered and at not in chain:
            chain.append(at)
            at = processes.get(at.parent_key[0]) if at.parent_key else None
        for one in reversed(chain):
            ordered[one.pid] = one
    return list(ordered.values())


def _unlisted(
    known: Mapping[int, Mapping[str, int | bytes]], options: ScanOptions
) -> dict[int, Mapping[str, int | bytes]]:
    """Return those who ran before the hooks and are in /proc alone, as the iterator would have."""
    found: dict[int, Mapping[str, int | bytes]] = {}
    for pid in sorted(set(list_pids(options.root)) - known.keys()):
        try:
            process = read_process(options.root, pid, _WANT_UNLISTED)
        except (DecodeError, KernelError):
            continue  # a thread's or another's directory: nothing to tell of it
        if process is None or process.exited:
            continue
        if options.hooked and process.ktime + _TICK_NS > options.hooked:
            continue  # its fork was seen: the ring tells of it
        above = found.get(process.ppid) or known.get(process.ppid)
        namespaces = process.ns if process.ns and process.ns.mnt else None
        if namespaces is None and pid == 1:
            namespaces = options.host  # which are init's, though /proc does not show them
        parent_ktime = int(above["key_ktime"]) if above else 0
        found[pid] = _as_task(process, parent_ktime, namespaces or NsInodes())
    return found


def _as_task(
    process: ProcProcess, parent_ktime: int, namespaces: NsInodes
) -> Mapping[str, int | bytes]:
    """Return the fields of a ``task_record``."""
    task: dict[str, int | bytes] = {
        "key_pid": process.pid,
        "key_ktime": process.ktime,
        "parent_pid": process.ppid,
        "parent_ktime": parent_ktime,
        "flags": int(ProcessFlag.PROCFS),
        "nspid": process.nspid,
        "uid": process.credentials.euid if process.credentials else 0,
        "auid": process.auid,
        "kthread": process.kernel_thread,
        "comm": process.comm,
    }
    for values in (process.credentials, process.capabilities):
        if values is not None:
            fields = values.__struct_fields__
            task |= {f"credentials_{name}": getattr(values, name) for name in fields}
    return task | {f"namespaces_{name}": inum for name, inum in namespaces._asdict().items()}


def _hidden(known: Mapping[int, object], root: str) -> list[int]:
    """Return pids that run, by the kernel's list and by kill(2), but do not stand in /proc."""
    shown = set(list_pids(root))
    return [pid for pid in known if pid not in shown and _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
