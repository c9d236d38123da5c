"""Compile every bpf/*/*.bpf.c to src/tetragon/sensor/objects/, those that changed.

Usage: build_bpf.py [--force]. Needs clang >= 14, llvm-strip (any) and libbpf's headers.
Programs go into the wheel, so no compiler is needed where tetragon runs. abi.bpf.c is not a
program: it goes to build/abi.bpf.o, which scripts/gen_abi.py reads.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BPF = ROOT / "bpf"
OBJECTS = ROOT / "src" / "tetragon" / "sensor" / "objects"
ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64"}


def find_tool(name: str, variable: str) -> str:
    """Return the newest of NAME, NAME-19 ... NAME-14 on PATH, or what the variable names."""
    for candidate in (os.environ.get(variable), name, *(f"{name}-{n}" for n in range(21, 13, -1))):
        if candidate and shutil.which(candidate):
            return candidate
    sys.exit(f"build_bpf: {name} not found; install it (apt install clang llvm) or set {variable}")


def sources() -> list[Path]:
    """Return every C file the loader or the ABI generator needs as an object."""
    return sorted(BPF.glob("*/*.bpf.c"))


def newest_input() -> float:
    """Return the time of the newest file an object may depend on."""
    inputs = [path for path in BPF.rglob("*") if path.suffix in {".c", ".h"}]
    return max(path.stat().st_mtime for path in [*inputs, Path(__file__)])


def target(source: Path) -> Path:
    """Return where the object of ``source`` goes."""
    folder = ROOT / "build" if source.parent.name == "abi" else OBJECTS
    return folder / source.with_suffix(".o").name


def compile_command(clang: str, architecture: str, source: Path, output: Path) -> list[str]:
    """Return the command that compiles one source; architecture is x86 or arm64."""
    # fmt: off
    return [
        clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror",
        "-Wno-unused-parameter", "-Wno-sign-compare", "-Wno-unused-function",
        f"-D__TARGET_ARCH_{architecture}", f"-I{BPF}", f"-I{BPF / 'include'}",
        f"-fdebug-prefix-map={ROOT}=.", "-c", str(source), "-o", str(output),
    ]
    # fmt: on


def compile_one(source: Path, clang: str, strip: str) -> None:
    """Compile one source; strips DWARF, keeps BTF."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        sys.exit(f"build_bpf: no register names for {machine}; known: {', '.join(ARCHITECTURES)}")
    output = target(source)
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = output.with_suffix(f".{os.getpid()}.tmp")
    command = compile_command(clang, ARCHITECTURES[machine], source, scratch)
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"build_bpf: {source.relative_to(ROOT)} does not compile")
    subprocess.run([strip, "-g", str(scratch)], check=True)
    scratch.replace(output)


def main() -> None:
    """Compile what is older than its inputs."""
    newest = newest_input()
    stale = [
        source
        for source in sources()
        if "--force" in sys.argv
        or not target(source).exists()
        or target(source).stat().st_mtime < newest
    ]
    if not stale:
        return
    clang, strip = find_tool("clang", "CLANG"), find_tool("llvm-strip", "LLVM_STRIP")
    for source in stale:
        print(f"bpf  {source.relative_to(ROOT)}", flush=True)
        compile_one(source, clang, strip)


if __name__ == "__main__":
    main()
