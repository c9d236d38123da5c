"""Which kernels a test can boot: a series such as 6.12 in, its unpacked files out.

Owns    CACHE/SERIES/: files/ (the packages' files) and kernel.json, written last
Source  Debian's linux-image-*-cloud-amd64
"""

import fcntl
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guest.apt import Suite, install
from guest.errors import SetupError, say

# Suites that have, or had, a kernel of the series; small lists first. A new kernel adds its line.
SERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "5.10": ("bullseye-security", "bullseye"),
    "6.1": ("bookworm-security", "bookworm"),
    "6.12": ("trixie-security", "trixie", "bookworm-backports"),
    "7.2": ("sid", "forky"),
}

_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One unpacked kernel."""

    series: str
    release: str  # what uname -r says in the guest
    image: Path
    modules: Path  # becomes /lib/modules/RELEASE


@dataclass(frozen=True, slots=True)
class Tools:
    """The host's programs that make a guest."""

    qemu: Path
    virtiofsd: Path
    busybox: Path  # statically linked
    depmod: Path


def get_kernel(series: str, cache: Path) -> Kernel:
    """Find the kernel of `series` below `cache`; download it first where it is missing."""
    if series not in SERIES:
        raise SetupError(f"--kernel {series}: not one of {', '.join(SERIES)}")
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        if not (cache / series / "kernel.json").exists():
            _fetch(series, cache)
    facts = json.loads((cache / series / "kernel.json").read_text())
    files = cache / series / "files"
    return Kernel(series, facts["release"], files / facts["image"], files / facts["modules"])


def get_tools() -> Tools:
    """Find QEMU, virtiofsd and a static busybox; install their packages where one is missing."""
    found = _find_tools()
    if not found:
        # In Debian 12 virtiofsd is part of qemu-system-common; later it is a package.
        install(["qemu-system-x86", "virtiofsd", "busybox-static", "kmod"])
        found = _find_tools()
    if not found:
        raise SetupError(
            "no qemu-system-x86_64, virtiofsd, depmod or static busybox after installing them"
        )
    return found


def _find_tools() -> Tools | None:
    virtiofsd = next((path for path in _VIRTIOFSD if Path(path).exists()), None)
    qemu, busybox, depmod = (
        shutil.which(name, path=_PATH) for name in ("qemu-system-x86_64", "busybox", "depmod")
    )
    if not (qemu and virtiofsd and busybox and depmod and _is_static(Path(busybox))):
        return None
    return Tools(Path(qemu), Path(virtiofsd), Path(busybox), Path(depmod))


def _is_static(program: Path) -> bool:
    """Say whether an x86-64 ELF file names no interpreter (PT_INTERP) in its program headers."""
    head = program.read_bytes()[:4096]
    start, size, count = (
        int.from_bytes(head[32:40], "little"),
        int.from_bytes(head[54:56], "little"),
        int.from_bytes(head[56:58], "little"),
    )
    interpreter = (3).to_bytes(4, "little")
    return all(head[start + i * size :][:4] != interpreter for i in range(count))


def _fetch(series: str, cache: Path) -> None:
    """Unpack the newest kernel of `series` from the first suite that has one; all or nothing."""
    failures: list[str] = []
    for name in SERIES[series]:
        say(f"downloading a kernel {series} of Debian's {name}")
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{series}-") as scratch:
            work = Path(scratch, series)
            try:
                suite = Suite(name, Path(scratch, "apt"))
                facts = _unpack(suite, series, work / "files")
            except SetupError as exc:
                failures.append(f"{name}: {exc}")
                continue
            (work / "kernel.json").write_text(json.dumps(facts, indent=1) + "\n")
            shutil.rmtree(cache / series, ignore_errors=True)
            work.rename(cache / series)
            return
    raise SetupError(f"no kernel {series} to be had\n" + "\n".join(failures))


def _unpack(suite: Suite, series: str, into: Path) -> dict[str, str]:
    """Unpack the kernel's packages and say where in them the image and the modules are."""
    pattern = re.compile(rf"linux-image-({re.escape(series)}[.+-].*cloud-amd64)")
    releases = [
        match[1] for name in suite.packages("linux-image-") if (match := pattern.fullmatch(name))
    ]
    if not releases:
        raise SetupError(f"has no linux-image-{series}*-cloud-amd64")
    release = max(releases, key=_numbers)
    fields = suite.fields(f"linux-image-{release}")
    # Newer packaging has the files in linux-binary-, linux-modules- and linux-base-RELEASE.
    parts = re.findall(rf"\blinux-[a-z]+-{re.escape(release)}", fields.get("Depends", ""))
    suite.unpack(sorted({f"linux-image-{release}", *parts}), into)
    image = _only(into, f"boot/vmlinuz-{release}", f"usr/lib/modules/{release}/vmlinuz")
    modules = _only(into, f"usr/lib/modules/{release}", f"lib/modules/{release}")
    # modules.dep: the guest's modprobe needs it, and so does the initramfs.
    base = (into / modules).parents[2]
    subprocess.run([get_tools().depmod, "-b", base, release], check=True)
    return {
        "release": release,
        "suite": suite.name,
        "version": fields["Version"],
        "image": image,
        "modules": modules,
    }


def _numbers(release: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", release)]


def _only(base: Path, *places: str) -> str:
    for place in places:
        if (base / place).exists():
            return place
    raise SetupError(f"the packages have none of {', '.join(places)}")


@contextmanager
def _alone(cache: Path) -> Generator[None]:
    """Let one process at a time change `cache`."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
