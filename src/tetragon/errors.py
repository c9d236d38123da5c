"""The error tree: every error of ours that may leave the function that raised it.

Caught in three places: the pipeline counts, the sensor manager keeps it as policy state, the
edges (agent start, gRPC, CLI) turn it into one clear line.
"""


class TetragonError(Exception):
    """Root of everything this project raises on purpose."""


class ConfigError(TetragonError):
    """A setting is wrong: names the flag, variable or file, the value and the fix."""


class FilterError(TetragonError):
    """
    A filter text or message cannot be compiled.

    Args:
        reason: what is wrong and, where it helps, what may have been meant.
        field: path to the value, such as ``allow_list[0].binary_regex[2]``; may be empty.
        position: line and column, both from 1, in the text it came from; None for messages.
    """

    def __init__(
        self, reason: str, field: str = "", position: tuple[int, int] | None = None
    ) -> None:
        self.reason = reason
        self.field = field
        self.position = position
        super().__init__(reason, field, position)

    def __str__(self) -> str:
        where = [] if self.position is None else ["line {}, column {}".format(*self.position)]
        return ": ".join([*where, *filter(None, [self.field]), self.reason])


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


class RpcError(TetragonError):
    """
    A gRPC call failed, here or at the other end.

    Args:
        code: gRPC status code number, never 0.
        text: the status message.
    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(code, text)

    def __str__(self) -> str:
        return f"rpc error: code = {_RPC_CODES.get(self.code, self.code)} desc = {self.text}"


_RPC_CODES = {
    1: "Canceled",
    2: "Unknown",
    3: "InvalidArgument",
    4: "DeadlineExceeded",
    5: "NotFound",
    6: "AlreadyExists",
    7: "PermissionDenied",
    8: "ResourceExhausted",
    9: "FailedPrecondition",
    10: "Aborted",
    11: "OutOfRange",
    12: "Unimplemented",
    13: "Internal",
    14: "Unavailable",
    15: "DataLoss",
    16: "Unauthenticated",
}
