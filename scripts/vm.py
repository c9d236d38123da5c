#!/usr/bin/env python3
"""Run a command under another kernel: command line in, the command's output and exit status out.

    scripts/vm.py --kernel 6.12 -- .venv/bin/pytest tests/kernel
    scripts/vm.py --kernel 6.12 --fetch

The guest sees this host's files, in this directory, and cannot change them, except below the
directories named by --write. See docs/testing-vm.md.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from guest.errors import SetupError, VmError, say
from guest.kernels import SERIES, Tools, get_kernel, get_tools
from guest.machine import Job, kvm_works, run

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "vm"


def main() -> int:
    """Do what the command line says; return the exit status."""
    options = _parse()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        return _main(options)
    except VmError as exc:
        say(str(exc))
        return exc.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nobody reads the output any more; keep Python's own last flush quiet as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _main(options: argparse.Namespace) -> int:
    if platform.machine() != "x86_64":
        raise SetupError(f"host is {platform.machine()}: the guests' kernels are x86_64")
    if os.geteuid() != 0:
        raise SetupError("must be root: the guest sees the host's files as their owners do")
    tools = get_tools()
    kernel = get_kernel(options.kernel, options.cache)
    if options.fetch:
        say(f"Linux {kernel.release} is in {options.cache / options.kernel}")
        return 0
    job = Job(
        command=options.command,
        directory=Path.cwd(),
        environment=_environment(options.kernel, options.env),
        writable=[_directory(path) for path in options.write],
        memory=options.memory,
        cpus=options.cpus,
        seconds=options.timeout,
        boot_seconds=options.boot_timeout,
        kernel_options=options.append,
        kernel_log=options.kernel_log and options.kernel_log.absolute(),
    )
    return run(kernel, tools, job, sys.stdout.buffer, _accelerators(options.accel, tools))


def _parse() -> argparse.Namespace:
    """Read the command line; a mistake in it ends the program with a usage message."""
    parser = _parser()
    options = parser.parse_args()
    if bool(options.command) == options.fetch:
        parser.error("give a COMMAND after --, or --fetch: one of the two")
    for setting in options.env:
        if not setting.partition("=")[0] or "=" not in setting:
            parser.error(f"--env {setting}: write it as NAME=VALUE")
    return options


def _environment(kernel: str, settings: Sequence[str]) -> dict[str, str]:
    """Make COMMAND's environment: nothing of the host's but PATH, which finds the same programs."""
    path = os.environ.get("PATH", "").split(":") + _PATH.split(":")
    return {
        "PATH": ":".join(dict.fromkeys(filter(None, path))),
        "HOME": os.environ.get("HOME", "/root"),
        "USER": "root",
        "LANG": "C.UTF-8",
        "VM_KERNEL": kernel,  # tells a test that it may do to this kernel what it likes
        **dict(setting.split("=", 1) for setting in settings),
    }


def _directory(path: Path) -> Path:
    path = path.resolve()
    if {",", "\n"} & set(str(path)):
        raise SetupError(f"--write {str(path)!r}: give a directory without comma and newline")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _accelerators(choice: str, tools: Tools) -> Sequence[str]:
    if choice != "auto":
        return [choice]
    return ["kvm", "tcg"] if kvm_works(tools) else ["tcg"]


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End by exception, so that every process of ours ends with us."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vm.py",
        description="Boot a kernel under QEMU on top of this host's files and run COMMAND there.",
        epilog="Exit status: COMMAND's own; else 121 no boot, 122 kernel panic, 123 guest lost, "
        "124 time is up, 125 the host lacks something.",
    )
    parser.add_argument("--kernel", required=True, choices=SERIES, help="series of the kernel")
    parser.add_argument("--fetch", action="store_true", help="only download what is missing")
    parser.add_argument("--memory", default="2G", help="of the guest (%(default)s)")
    parser.add_argument("--cpus", type=int, default=2, help="of the guest (%(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=1500, help="seconds COMMAND may take (%(default)s)"
    )
    parser.add_argument(
        "--boot-timeout", type=float, default=90, help="seconds a boot may take (%(default)s)"
    )
    parser.add_argument(
        "--write",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="let COMMAND change this directory of the host; made if missing",
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="for COMMAND"
    )
    parser.add_argument(
        "--append", action="append", default=[], metavar="OPTION", help="for the kernel"
    )
    parser.add_argument(
        "--accel", choices=("auto", "kvm", "tcg"), default="auto", help="(%(default)s)"
    )
    parser.add_argument(
        "--kernel-log", type=Path, metavar="FILE", help="keep what the kernel prints"
    )
    parser.add_argument(
        "--cache", type=Path, default=_CACHE, metavar="DIR", help="of kernels (%(default)s)"
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after --, with arguments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
