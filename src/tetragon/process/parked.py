"""Parked: events that wait for a process not known yet, by the key of that process; pure code.

Owns    what waits, in the order of arrival; used by the reader thread alone.
"""

from typing import Final

import msgspec

from tetragon.model.event import ExecEvent
from tetragon.model.process import Key
from tetragon.model.record import CloneRecord, ExitRecord

PROCESS: Final = "process_info"
PARENT: Final = "parent_info"

_EVENT_TYPES: Final[dict[type, str]] = {
    ExecEvent: "PROCESS_EXEC",
    ExitRecord: "PROCESS_EXIT",
    CloneRecord: "PROCESS_CLONE",
}


class Parked(msgspec.Struct):
    """
    What waits: an exec event for its parent, or a record for a process it names.

    Args:
        missing: what it lacks, PROCESS or PARENT.
        tries: ticks that found it waiting.
    """

    what: ExecEvent | CloneRecord | ExitRecord
    missing: str
    tries: int = 0

    @property
    def kind(self) -> tuple[str, str]:
        """Event type, and what it lacks."""
        return _EVENT_TYPES[self.what.__class__], self.missing


class ParkedEvents:
    """All that waits; len() is how many."""

    def __init__(self) -> None:
        self.groups: dict[Key, list[Parked]] = {}
        """What waits, by the process it waits for."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: Key, parked: Parked) -> None:
        """Let something wait for the process ``key``, behind what waits for it already."""
        self.groups.setdefault(key, []).append(parked)
        self._count += 1

    def take(self, key: Key) -> list[Parked]:
        """Remove and return what waits for a process, in the order of arrival."""
        taken = self.groups.pop(key, [])
        self._count -= len(taken)
        return taken

    def oldest(self) -> Key:
        """Return the process that something has waited for longest; KeyError if nothing waits."""
        for key in self.groups:
            return key
        raise KeyError("nothing waits")

    def count_try(self, retries: dict[str, int], most: int) -> list[Key]:
        """
        Count one more try for everything.

        Args:
            retries: tries by what is missing; added to.
            most: how many tries there are.

        Returns:
            The processes to wait for no longer.
        """
        over: list[Key] = []
        for key, group in self.groups.items():
            for parked in group:
                parked.tries += 1
                retries[parked.missing] = retries.get(parked.missing, 0) + 1
            if group[0].tries >= most:
                over.append(key)
        return over
