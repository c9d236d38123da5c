"""What is told to the user: progress, and what went wrong around a guest.

Each class of error has the exit status that scripts/vm.py ends with.

The command's own status passes through as it is. These begin at 120, which pytest, make and
shells leave alone.
"""

import sys
from typing import ClassVar


def say(text: str) -> None:
    """Tell the user something that is not the command's output."""
    print(f"vm: {text}", file=sys.stderr, flush=True)


class VmError(Exception):
    """The harness failed, not the command; `exit_status` says in which way."""

    exit_status: ClassVar[int] = 125


class SetupError(VmError):
    """Something the host should have is missing and could not be fetched."""


class BootError(VmError):
    """The guest never came as far as the command; worth another try."""

    exit_status = 121


class PanicError(VmError):
    """The kernel gave up while the command ran."""

    exit_status = 122


class LostError(VmError):
    """The guest ended while the command ran, and neither said why."""

    exit_status = 123


class DeadlineError(VmError):
    """The command was still running when its time was up (124, as timeout(1) has it)."""

    exit_status = 124
