"""Run directory: made safe to put sockets in; and the info file that clients read there.

Owns    nothing
"""

import json
import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from tetragon.errors import ConfigError

_DIRECTORY_MODE: Final = 0o755
_INFO_MODE: Final = 0o644
_WRITE_OF_OTHERS: Final = 0o022


class AgentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the info file says of the running agent; the names are the file's keys.

    Args:
        server_address: ``unix://`` form of the unix socket, empty when gRPC is off.
        map_dir: directory of the pinned maps.
        bpftool_path, gops_path, max_recv_size: kept for readers that expect the keys; the agent
            leaves them empty.
    """

    export_fname: str = ""
    lib_dir: str = ""
    btf_fname: str = ""
    server_address: str = ""
    metrics_address: str = ""
    gops_address: str = ""
    map_dir: str = ""
    bpftool_path: str = ""
    gops_path: str = ""
    max_recv_size: int = 0
    pid: int = 0


def make_run_dir(path: str) -> None:
    """
    Make the directory with mode 0755, or check that an existing one is safe.

    Others who can write there could replace the agent's sockets and files: an existing one must
    belong to this user or root, and loses the write permission of others. Nothing is added.

    Raises:
        ConfigError: it cannot be made, is no directory, or belongs to another user.
    """
    try:
        if not _create(Path(path)):
            _restrict(Path(path))
    except OSError as exc:
        raise ConfigError(f"run directory {path}: {exc.strerror}; run as root") from exc


def _create(path: Path) -> bool:
    """Return False when something is there already."""
    path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    try:
        path.mkdir(mode=_DIRECTORY_MODE)
    except FileExistsError:
        return False
    path.chmod(_DIRECTORY_MODE)  # whatever the umask took away
    return True


def _restrict(path: Path) -> None:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"run directory {path}: something else is there; remove it")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"run directory {path} belongs to user {found.st_uid}, who could replace the "
            "agent's files: make it root's or remove it"
        )
    if mode & _WRITE_OF_OTHERS:
        path.chmod(mode & ~_WRITE_OF_OTHERS)


def write_info(path: str, info: AgentInfo) -> None:
    """
    Write the info file, whole or not at all: readers never see half of it.

    Mode 0644: everybody may find the agent's address. Upstream's 0744 differs only in a bit
    that makes JSON executable.

    Raises:
        ConfigError: it cannot be written; an earlier file stays as it was.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    text = json.dumps(msgspec.structs.asdict(info)).encode() + b"\n"
    try:
        draft_fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _INFO_MODE)
        try:
            _fill(draft_fd, text)
            draft.replace(target)
        except OSError:
            draft.unlink()
            raise
        finally:
            os.close(draft_fd)
    except OSError as exc:
        raise ConfigError(f"info file {path}: {exc.strerror}") from exc


def _fill(draft_fd: int, text: bytes) -> None:
    os.fchmod(draft_fd, _INFO_MODE)
    while text:
        text = text[os.write(draft_fd, text) :]
