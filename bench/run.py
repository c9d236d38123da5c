"""Every bench, one after the other: nothing in, their tables out; `make bench`.

    python bench/run.py [--quick] [NAME ...]

Names are those of the files; without any, all are run but `soak`, which takes ten minutes.
--quick gives each so little to do that the figures mean nothing: to see that all still run.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Bench(NamedTuple):
    """
    A file of this folder.

    Args:
        quick: flags that make it short.
        root: it loads BPF programs.
        asked: it runs only by name.
    """

    name: str
    quick: tuple[str, ...]
    root: bool = False
    asked: bool = False


# The whole list: a new bench adds its line here.
BENCHES = (
    Bench("pipeline", ("--rounds", "1", "--events", "8")),
    Bench("udp", ("--rounds", "1", "--events", "8", "--batch", "4")),
    Bench("filters", ("--rounds", "1", "--events", "4")),
    Bench("spawn", ("--count", "100", "--rounds", "1"), root=True),
    Bench("soak", ("--rate", "1000", "--seconds", "2"), asked=True),
)


def chosen(names: Sequence[str]) -> list[Bench]:
    """Return the benches to run, in their order; ValueError names one that is not there."""
    unknown = set(names) - {bench.name for bench in BENCHES}
    if unknown:
        known = ", ".join(bench.name for bench in BENCHES)
        raise ValueError(f"no bench called {', '.join(sorted(unknown))}; there are {known}")
    return [bench for bench in BENCHES if (bench.name in names if names else not bench.asked)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run benches; return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(argv)
    try:
        benches = chosen(asked.names)
    except ValueError as error:
        parser.error(str(error))
    failed: list[str] = []
    for bench in benches:
        print(f"\n== {bench.name}", flush=True)
        if bench.root and os.geteuid() != 0:
            print("left out: it loads BPF programs, which takes root")
            continue
        flags = bench.quick if asked.quick else ()
        command = [sys.executable, HERE / f"{bench.name}.py", *flags]
        if subprocess.run(command, check=False).returncode:
            failed.append(bench.name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
