"""Renew tests/bpf/instructions.json: what each program costs the verifier, on each kernel.

Usage: verifier_table.py [KERNEL ...]. Loads the base sensor here, and in a VM for each KERNEL named
(scripts/vm.py), under each set of options, and writes how many instructions the verifier walked.
A change of the table is part of a change's review.

       verifier_table.py --print. Prints this kernel's part alone, as JSON.
"""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tetragon.sensor.base import BaseOptions, BaseSensor

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE: Final = ROOT / "tests" / "bpf" / "instructions.json"
OPTION_SETS: Final = {
    "plain": BaseOptions(1 << 16),
    "everything": BaseOptions(1 << 16, True, True, True, "memory"),
    "without_bpf_loop": BaseOptions(1 << 16, without_bpf_loop=True),
    "without_storage": BaseOptions(1 << 16, without_storage=True),
}

Counts = dict[str, dict[str, int]]
"""Option set -> program -> instructions."""


def series() -> str:
    """Return this kernel's release as far as the table tells kernels apart, such as 6.12."""
    found = re.match(r"\d+\.\d+", platform.release())
    return found[0] if found else platform.release()


def compiler() -> str:
    """Return the compiler's major version, by which counts differ: ``clang 14``."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from build_bpf import find_tool

    said = subprocess.run(
        [find_tool("clang", "CLANG"), "--version"], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"clang version (\d+)", said)
    return f"clang {found[1] if found else '?'}"


def measure() -> Counts:
    """Load each option set on this kernel; return what the verifier walked."""
    counts: Counts = {}
    for name, options in OPTION_SETS.items():
        sensor = BaseSensor(options)
        counts[name] = dict(sorted(sensor.verified_instructions().items()))
        sensor.close()
    return counts


def measure_in_vm(kernel: str) -> Counts:
    """Do the same in a VM."""
    command = [ROOT / "scripts" / "vm.py", "--kernel", kernel, "--"]
    inner = [sys.executable, Path(__file__).resolve(), "--print"]
    done = subprocess.run(
        [sys.executable, *command, *inner], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    counts: Counts = json.loads(done.stdout)
    return counts


def main() -> None:
    """Write the table, or print this kernel's part."""
    if sys.argv[1:] == ["--print"]:
        print(json.dumps(measure()))
        return
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"kernels": {}}
    table["compiler"] = compiler()
    table["kernels"][series()] = measure()
    for kernel in sys.argv[1:]:
        table["kernels"][kernel] = measure_in_vm(kernel)
    TABLE.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
