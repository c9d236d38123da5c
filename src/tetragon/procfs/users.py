"""Users: user ids in, names of the host's passwd file out.

Owns    the table of that file as last read; one thread
Source  passwd(5). Users of a directory service (LDAP, SSSD) are not in that file.
"""

from pathlib import Path
from typing import Final

_FILE_MAX: Final = 4 << 20
_USERS_MAX: Final = 65536
_NAME_MAX: Final = 256
_Stamp = tuple[int, int, int]


def parse_passwd(text: bytes) -> dict[int, str]:
    """
    Parse a passwd file: uid to name, the first line of a uid wins, malformed lines do not count.

    At most 65536 users are kept, names cut to 256 characters.
    """
    names: dict[int, str] = {}
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) != 7 or not fields[0] or not fields[2].isdigit() or len(fields[2]) > 10:
            continue
        if len(names) < _USERS_MAX:
            names.setdefault(int(fields[2]), fields[0].decode("utf-8", "replace")[:_NAME_MAX])
    return names


class UserNames:
    """
    Looks up names; reads the file at the first look-up and again when it was changed.

    Args:
        path: passwd file; in a container the host's, as mounted there.
    """

    __slots__ = ("_names", "_path", "_stamp")

    def __init__(self, path: str = "/etc/passwd") -> None:
        self._path = Path(path)
        self._stamp: _Stamp | None = None
        self._names: dict[int, str] = {}

    def find(self, uid: int) -> str | None:
        """Return the user's name; None when the file has none or cannot be read."""
        try:
            self._refresh()
        except OSError:
            self._names, self._stamp = {}, None
        return self._names.get(uid)

    def _refresh(self) -> None:
        seen = self._path.stat()
        stamp = (seen.st_mtime_ns, seen.st_ino, seen.st_size)
        if stamp == self._stamp:
            return
        with self._path.open("rb") as file:
            text = file.read(_FILE_MAX + 1)
        if len(text) > _FILE_MAX:
            text = text[: text.rfind(b"\n", 0, _FILE_MAX) + 1]
        self._names, self._stamp = parse_passwd(text), stamp
