"""Backups: a log file's path in; names for its rotated files, and their removal and compression.

A backup of ``dir/tetragon.log`` is ``dir/tetragon-2024-01-31T12-00-00.000.log`` (UTC, when it was
rotated), or that with ``.gz``. Only files so named are ever touched.
"""

import gzip
import os
import re
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.log import get_log

log = get_log(__name__)

_STAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}\.[0-9]{3}")
_FORMAT: Final = "%Y-%m-%dT%H-%M-%S.%f"
_GZ: Final = ".gz"


class Backup(NamedTuple):
    """One rotated file: when it was rotated, and what exists of it (plain, compressed, both)."""

    when: datetime
    files: tuple[Path, ...]


def _split(path: Path) -> tuple[str, str]:
    """Return what stands before and after the time in a backup's name."""
    stem, dot, suffix = path.name.rpartition(".")
    return (f"{stem}-", f"{dot}{suffix}") if dot else (f"{suffix}-", "")


def free_name(path: Path, now: int) -> Path:
    """Return a name no backup has yet for rotating ``path`` at ``now`` (Unix ns)."""
    prefix, suffix = _split(path)
    when = datetime.fromtimestamp(now // 1_000_000 / 1000, UTC)
    while True:
        stamp = when.strftime(_FORMAT)[:-3]
        name = path.with_name(f"{prefix}{stamp}{suffix}")
        if not name.exists() and not name.with_name(name.name + _GZ).exists():
            return name
        when += timedelta(milliseconds=1)


def find_backups(path: Path) -> list[Backup]:
    """Return the backups of ``path``, newest first."""
    prefix, suffix = _split(path)
    found: dict[datetime, list[Path]] = {}
    for entry in path.parent.iterdir():
        name = entry.name.removesuffix(_GZ)
        if not (name.startswith(prefix) and name.endswith(suffix)):
            continue
        when = _when(name[len(prefix) : len(name) - len(suffix)])
        if when is not None and entry.is_file():
            found.setdefault(when, []).append(entry)
    return [Backup(when, tuple(files)) for when, files in sorted(found.items(), reverse=True)]


def _when(stamp: str) -> datetime | None:
    if not _STAMP.fullmatch(stamp):
        return None
    try:
        return datetime.strptime(f"{stamp}000", _FORMAT).replace(tzinfo=UTC)
    except ValueError:  # digits in place, but no such day or hour
        return None


def remove_old(path: Path, keep: int) -> None:
    """Remove all backups of ``path`` but the newest ``keep``; 0 keeps all."""
    if keep > 0:
        for backup in find_backups(path)[keep:]:
            for file in backup.files:
                file.unlink(missing_ok=True)


def compress_all(path: Path) -> None:
    """Turn every plain backup of ``path`` into a ``.gz`` with the same mode and owner."""
    for backup in find_backups(path):
        for file in backup.files:
            if file.suffix != _GZ:
                _compress(file)


def _compress(source: Path) -> None:
    """Replace ``source`` by its compressed form; a crash leaves at least one of them whole."""
    target = source.with_name(source.name + _GZ)
    partial = source.with_name(source.name + _GZ + ".tmp")
    try:
        with source.open("rb") as plain:
            status = os.fstat(plain.fileno())
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with (
                os.fdopen(descriptor, "wb") as raw,
                gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6) as packed,
            ):
                shutil.copyfileobj(plain, packed, 1 << 18)
                copy_owner(raw.fileno(), status)
                os.fchmod(raw.fileno(), status.st_mode & 0o7777)
        partial.replace(target)
        source.unlink()
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def copy_owner(descriptor: int, status: os.stat_result) -> None:
    """Give an open file the owner in ``status``; only root can, so others keep theirs."""
    if os.geteuid() == 0:
        os.fchown(descriptor, status.st_uid, status.st_gid)


class Janitor:
    """
    Cleans up behind rotations, on a thread of its own that runs while there is work.

    Args:
        path: the log file whose backups are kept in order.
        compress: turn plain backups into ``.gz``.
    """

    def __init__(self, path: Path, compress: bool) -> None:
        self._path = path
        self._compress = compress
        self._keep = 0
        self._lock = threading.Lock()
        self._wanted = False
        self._thread: threading.Thread | None = None

    def clean(self, keep: int) -> None:
        """Remove all but the newest ``keep`` backups (0: none) and compress; does not wait."""
        with self._lock:
            self._keep, self._wanted = keep, True
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="export-backups", daemon=True
                )
                self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until nothing is left to do, at most ``timeout`` seconds."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        while self._still_wanted():
            try:
                remove_old(self._path, self._keep)
                if self._compress:
                    compress_all(self._path)
            except OSError as error:
                log.warning("Failed to clean up rotated export files", file=self._path, error=error)

    def _still_wanted(self) -> bool:
        with self._lock:
            wanted, self._wanted = self._wanted, False
            if not wanted:
                self._thread = None
            return wanted
