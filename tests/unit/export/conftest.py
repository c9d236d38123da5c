"""What the tests of the outputs share: a kind of event, a listener, a small disk."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from export_support import HookEvent, Receiver

from tetragon.model.event import TYPES, EventType


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make HookEvent a known kind."""
    monkeypatch.setitem(TYPES, HookEvent, EventType.PROCESS_KPROBE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A listener on 127.0.0.1."""
    listener = Receiver(socket.AF_INET, "127.0.0.1")
    yield listener
    listener.socket.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
