"""The guest's first file system: files and kernel modules in, one cpio archive out.

Layout  cpio "newc", as Documentation/driver-api/early-userspace/buffer-format.rst of the kernel
"""

import lzma
import stat
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from guest.errors import SetupError
from guest.kernels import Kernel

# What the way to the host's files needs; built into the kernel or a module, as each kernel likes.
_MODULES: Final = ("virtio_pci", "virtio_console", "virtiofs", "overlay")
_CONSOLE: Final = (5, 1)
_HERE: Final = Path(__file__).parent


def build(kernel: Kernel, busybox: Path, files: Mapping[str, bytes]) -> bytes:
    """
    Pack an initramfs for `kernel`.

    Args:
        busybox: a static one; becomes /bin/busybox.
        files: contents by name, found in the guest below /run/vm.
    """
    entries = [
        _entry(name, stat.S_IFDIR | 0o755) for name in ("bin", "dev", "modules", "vm", "root")
    ]
    entries.append(_entry("dev/console", stat.S_IFCHR | 0o600, device=_CONSOLE))
    entries.append(_file("bin/busybox", busybox.read_bytes()))
    entries.append(_file("init", (_HERE / "stage1.sh").read_bytes()))
    entries.append(_file("vm/stage2", (_HERE / "stage2.sh").read_bytes()))
    entries += [_file(f"vm/{name}", content) for name, content in files.items()]
    # Numbered: the shell's * gives them to insmod in this order.
    for number, path in enumerate(_load_order(kernel.modules)):
        entries.append(_file(f"modules/{number:02}.ko", _decompress(path)))
    entries.append(_entry("TRAILER!!!", 0))
    return b"".join(entries)


def _load_order(modules: Path) -> list[Path]:
    """Files of the modules to load, each after those it depends on."""
    order: list[str] = []
    # A line is "file: its dependencies, the last to be loaded first".
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, dependencies = line.partition(":")
        if _module_name(file) in _MODULES:
            order += [*reversed(dependencies.split()), file]
    _check_complete(order, (modules / "modules.builtin").read_text().split())
    return [modules / file for file in dict.fromkeys(order)]


def _check_complete(loaded: Iterable[str], builtin: Iterable[str]) -> None:
    there = {_module_name(file) for file in (*loaded, *builtin)}
    if missing := [name for name in _MODULES if name not in there]:
        raise SetupError(f"the kernel has no {', '.join(missing)}: no guest can boot from it")


def _module_name(file: str) -> str:
    return Path(file).name.partition(".ko")[0].replace("-", "_")


def _decompress(path: Path) -> bytes:
    match path.suffix:
        case ".ko":
            return path.read_bytes()
        case ".xz":
            return lzma.decompress(path.read_bytes())
        case ".zst":
            return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
        case _:
            raise SetupError(f"{path}: a module neither plain nor xz nor zstd")


def _file(name: str, content: bytes) -> bytes:
    return _entry(name, stat.S_IFREG | 0o755, content)


def _entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    # Inode numbers only tell hard links apart, and there are none.
    raw = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
