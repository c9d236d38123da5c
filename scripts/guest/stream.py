"""What comes from the guest: bytes of its port in, the command's output and our two marks out.

Layout  NUL MARK " ready\\n", then output, then NUL MARK " exit STATUS\\n"; MARK is random, so no
        output is taken for it
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from guest.errors import LostError


@dataclass(slots=True)
class Stream:
    """The guest's port so far."""

    mark: bytes
    is_ready: bool = False
    status: int | None = None  # of the command, once it has ended
    _held: bytes = field(default=b"", repr=False)

    def feed(self, data: bytes) -> bytes:
        """Take what came; return what of it, and of what was held back before, is output."""
        start = b"\0" + self.mark
        rest, output = self._held + data, b""
        while (at := rest.find(start)) >= 0 and (end := rest.find(b"\n", at)) >= 0:
            output += rest[:at]
            self._note(rest[at + len(start) : end].split())
            rest = rest[end + 1 :]
        if at < 0:
            # The end may be the beginning of a mark, which has one NUL, its first byte.
            last = rest.rfind(b"\0")
            at = last if last >= 0 and start.startswith(rest[last:]) else len(rest)
        self._held = rest[at:]
        return output + rest[:at]

    def _note(self, words: Sequence[bytes]) -> None:
        match words:
            case [b"ready"]:
                self.is_ready = True
            case [b"exit", status]:
                self.status = int(status)
            case _:
                raise LostError(f"stage2.sh in the guest said {words!r}")
