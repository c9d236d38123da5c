"""The error tree: every error of ours that may leave the function that raised it.

Caught in three places: the pipeline counts, the sensor manager keeps it as policy state, the
edges (agent start, gRPC, CLI) turn it into one clear line.
"""


class TetragonError(Exception):
    """Root of everything this project raises on purpose."""


class ConfigError(TetragonError):
    """A setting is wrong: names the flag, variable or file, the value and the fix."""


class FilterError(TetragonError):
    """A filter text or message cannot be compiled: names the field, position and reason."""


class DecodeError(TetragonError):
    """A record from a ring is not what its layout says; the record is dropped and counted."""


class ExportError(TetragonError):
    """An output cannot be opened: names the file or address and the reason."""


class PolicyError(TetragonError):
    """A policy is refused: path into the YAML, reason and fix."""


class KernelError(TetragonError):
    """
    The kernel or libbpf refused an operation.

    Args:
        operation: what was tried, such as ``load``.
        subject: the object, program, map or file it was tried on.
        errno: positive errno, 0 when there is none.
        log: libbpf and verifier output; the line that matters ends the message.
    """

    def __init__(self, operation: str, subject: str, errno: int = 0, log: str = "") -> None:
        self.operation = operation
        self.subject = subject
        self.errno = errno
        self.log = log
        super().__init__(operation, subject, errno, log)

    def __str__(self) -> str:
        import os

        text = f"{self.operation} {self.subject}"
        if self.errno:
            text += f": {os.strerror(self.errno)}"
        lines = [line for line in self.log.splitlines() if line.strip()]
        return f"{text}: {lines[-1].strip()}" if lines else text


class UnsupportedError(KernelError):
    """This kernel lacks a feature; ``log`` names the first kernel that has it."""
