"""Debian's package client with a state of its own: a suite in, package files and facts out.

The system's apt configuration, lists and installed packages stay as they are, except in
`install`. The mirror is the one the system uses, so no host name is written here; a system
that is not Debian names one in DEBIAN_MIRROR (and DEBIAN_SECURITY_MIRROR).
"""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from guest.errors import SetupError, say

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TRIES = 2  # each with apt's own
_WAIT = ("-o", "DPkg::Lock::Timeout=300")

# Read after the system's own configuration (apt-get -c), so these win. Suites past their support
# carry an expired Valid-Until; their signature is still checked.
_CONFIG = """\
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
"""


class Suite:
    """One suite of Debian, its package list downloaded and its signature checked."""

    def __init__(self, name: str, root: Path) -> None:
        """Download the list of suite `name`; `root` is an empty directory for apt's state."""
        self.name = name
        self._config = root / "apt.conf"
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources.list").write_text(
            f"deb [signed-by={_keyring()}] {_mirror(name)} {name} main\n"
        )
        self._config.write_text(_CONFIG.format(root=root))
        _retry(["apt-get", "-q", "-c", str(self._config), "update"])

    def packages(self, prefix: str) -> list[str]:
        """Names of the packages that begin with `prefix`."""
        return _run(["apt-cache", "-c", str(self._config), "pkgnames", prefix]).split()

    def fields(self, package: str) -> dict[str, str]:
        """The control fields of the newest version of `package` (Version, Depends, ...)."""
        text = _run(["apt-cache", "-c", str(self._config), "show", "--no-all-versions", package])
        pairs = (line.split(": ", 1) for line in text.splitlines() if not line.startswith(" "))
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}

    def unpack(self, packages: Sequence[str], into: Path) -> None:
        """Download `packages` and unpack their files below `into`."""
        folder = self._config.parent / "packages"
        folder.mkdir(exist_ok=True)
        _retry(["apt-get", "-q", "-c", str(self._config), "download", *packages], cwd=folder)
        into.mkdir(parents=True, exist_ok=True)
        for package in sorted(folder.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(into)])
        shutil.rmtree(folder)


def install(packages: Sequence[str]) -> None:
    """Install `packages` on this system; those its suites do not have are left out."""
    if os.geteuid() != 0:
        raise SetupError(f"{', '.join(packages)} missing: run as root, or install them first")
    say(f"installing {' '.join(packages)}")
    trouble = ""
    try:
        _retry(["apt-get", "-q", *_WAIT, "update"])
    except SetupError as exc:
        trouble = f"\n{exc}"  # perhaps a list that does not matter here: the next step tells
    known = [name for name in packages if name in _run(["apt-cache", "pkgnames", name]).split()]
    command = ["apt-get", "-qq", *_WAIT, "install", "-y", "--no-install-recommends", *known]
    try:
        _retry(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    except SetupError as exc:
        raise SetupError(f"{exc}{trouble}") from exc


def _keyring() -> Path:
    if not _KEYRING.exists():
        install(["debian-archive-keyring"])
    return _KEYRING


def _mirror(suite: str) -> str:
    """Address of the mirror that serves `suite`: where this system has its own suites from."""
    security = suite.endswith("-security")
    variable = "DEBIAN_SECURITY_MIRROR" if security else "DEBIAN_MIRROR"
    if named := os.environ.get(variable):
        return named
    release = platform.freedesktop_os_release()
    own = release.get("VERSION_CODENAME", "") + ("-security" if security else "")
    targets = _run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"]).splitlines()
    for target in targets:
        name, _, address = target.partition(" ")
        if release.get("ID") == "debian" and name == own:
            return address
    raise SetupError(
        f"no mirror for {suite}: apt has no {own} of Debian; set {variable} to its address"
    )


def _retry(
    command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> None:
    for left in reversed(range(_TRIES)):
        try:
            _run(command, cwd=cwd, env=env)
            return
        except SetupError:
            if not left:
                raise
            time.sleep(3)


def _run(
    command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as exc:
        raise SetupError(f"{command[0]} not found: kernels come as Debian packages") from exc
    # apt-get update ends with 0 although a list failed; it says so on a line of its own.
    failed = [
        line for line in done.stderr.splitlines() if line.startswith(("E:", "W: Failed", "Err:"))
    ]
    if done.returncode or failed:
        said = "\n".join(failed) or done.stderr.strip() or done.stdout.strip()
        raise SetupError(f"{' '.join(command)}: exit {done.returncode}\n{said}")
    return done.stdout
