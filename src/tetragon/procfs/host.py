"""Host: what the machine says of itself in; release, names, namespaces, boot time, BTF file out.

Owns    nothing: every call reads anew; the environment is an argument
Source  uname(2), proc_stat(5), kernel_lockdown(7)
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tetragon.errors import ConfigError, DecodeError, KernelError
from tetragon.procfs.namespaces import NsInodes
from tetragon.procfs.process import Want, read_process

KERNEL_BTF: Final = "/sys/kernel/btf/vmlinux"
_LOCKDOWN: Final = "/sys/kernel/security/lockdown"
_KTHREADD: Final = 2
"""Parent of the kernel threads; it has this pid in the initial pid namespace, and only there."""
_RELEASE: Final = re.compile(r"(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?")
_BTF_MAGIC: Final = (b"\x9f\xeb", b"\xeb\x9f", b"\x7fELF")
"""How raw BTF of either byte order begins, and an ELF file, which may carry BTF as a section."""


def kernel_release() -> str:
    """Return the running kernel's release, such as ``6.1.0-27-amd64``."""
    return os.uname().release


def parse_release(release: str) -> tuple[int, int, int]:
    """
    Take the comparable numbers out of a kernel release; a missing third one is 0.

    Raises:
        ConfigError: it does not begin with two numbers.
    """
    found = _RELEASE.match(release)
    if found is None:
        raise ConfigError(f"kernel version {release[:80]!r}: expected a number such as 6.1.0")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def node_name(environ: Mapping[str, str]) -> str:
    """Return the node's name for events: HUBBLE_NODE_NAME, else NODE_NAME, else the host name."""
    return environ.get("HUBBLE_NODE_NAME") or environ.get("NODE_NAME") or os.uname().nodename


def kubernetes_node_name(environ: Mapping[str, str]) -> str:
    """Return the node's name for Kubernetes look-ups, where NODE_NAME comes first."""
    return environ.get("NODE_NAME") or environ.get("HUBBLE_NODE_NAME") or os.uname().nodename


def own_pid(root: str = "/proc/") -> int:
    """
    Return this process's pid as the procfs at ``root`` counts, which may be the host's.

    Raises:
        ConfigError: ``root`` is no procfs, or one that does not show this process.
    """
    try:
        return int(os.readlink(Path(root, "self")))  # noqa: PTH115 (a number, not a path)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(
            f"--procfs={root}: cannot read the link self in it ({reason}); it must name a mounted "
            "procfs that shows this process, such as the host's /proc"
        ) from exc


def procfs_problem(root: str = "/proc/") -> str | None:
    """
    Say in one line why the procfs at ``root`` is not the host's; None when it is.

    The host's, and no other, shows the kernel's threads.

    Raises:
        ConfigError: ``root`` is no procfs at all.
    """
    own_pid(root)
    if _is_kernel_thread(root, _KTHREADD):
        return None
    return (
        f"--procfs={root} shows the processes of a container only: processes outside it will "
        "be unknown; mount the host's /proc into the container and name that"
    )


def host_namespaces(root: str = "/proc/") -> NsInodes:
    """
    Read the host's namespaces: those of its init process.

    That takes CAP_SYS_PTRACE, and some locked-down hosts refuse it all the same. There those of
    kthreadd are taken: it is in the same initial ones and has no memory to protect.

    Raises:
        KernelError: neither can be read, so nobody's namespaces could be told from the host's.
    """
    init = _namespaces(root, 1)
    if init.mnt and init.pid and init.user:
        return init
    if _is_kernel_thread(root, _KTHREADD) and (kthreadd := _namespaces(root, _KTHREADD)).mnt:
        return kthreadd
    hint = "run as root with CAP_SYS_PTRACE, and let --procfs name the host's /proc"
    raise KernelError("read", str(Path(root, "1/ns")), log=hint)


def _namespaces(root: str, pid: int) -> NsInodes:
    try:
        process = read_process(root, pid, Want.NS)
    except (DecodeError, KernelError):
        return NsInodes()
    return (process and process.ns) or NsInodes()


def _is_kernel_thread(root: str, pid: int) -> bool:
    try:
        process = read_process(root, pid, Want(0))
    except (DecodeError, KernelError):
        return False
    return process is not None and process.kernel_thread


def boot_time(root: str = "/proc/") -> int:
    """
    Return when the kernel started, Unix time in ns, as /proc/stat has it: in whole seconds.

    Raises:
        KernelError: the file cannot be read.
        DecodeError: it has no such line.
    """
    path = Path(root, "stat")
    try:
        text = path.read_bytes()
    except OSError as exc:
        raise KernelError("read", str(path), exc.errno or 0) from exc
    found = re.search(rb"^btime (\d{1,12})$", text, re.MULTILINE)
    if found is None:
        raise DecodeError(f"{path}: no line btime")
    return int(found[1]) * 1_000_000_000


def parse_lockdown(text: str) -> str:
    """Take the mode in brackets out of the lockdown file's text; empty when there is none."""
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else ""


def read_lockdown(path: str = _LOCKDOWN) -> str:
    """Return none, integrity or confidentiality; empty where securityfs does not show it."""
    try:
        return parse_lockdown(Path(path).read_text("ascii", "replace"))
    except OSError:
        return ""


def find_btf(given: str, library: str, release: str, kernel: str = KERNEL_BTF) -> str:
    """
    Choose the BTF file of the kernel: the one given, the kernel's own, one of the library.

    Raises:
        ConfigError: the one given is missing or no BTF, or none was found.
    """
    if given:
        problem = _btf_problem(given)
        if problem:
            raise ConfigError(f"--btf={given}: {problem}; name a BTF file of kernel {release}")
        return given
    shelf = [Path(library, name) for name in ("btf", f"vmlinux-{release}")]
    candidates = [kernel, *map(str, shelf), str(Path(library, "metadata", f"vmlinux-{release}"))]
    for path in candidates:
        if not _btf_problem(path):
            return path
    raise ConfigError(
        f"no BTF of this kernel ({_btf_problem(kernel)}: {kernel}): use a kernel built with "
        f"CONFIG_DEBUG_INFO_BTF, or give --btf a BTF file of kernel {release}"
    )


def _btf_problem(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            begin = file.read(4)
    except OSError as exc:
        return exc.strerror or str(exc)
    return "" if begin.startswith(_BTF_MAGIC) else "not a BTF file"
