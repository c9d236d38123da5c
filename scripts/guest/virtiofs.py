"""Directories of the host in the guest: a directory in, a virtiofsd and QEMU's options for it out.

There are two programs of that name: one in C, part of QEMU up to 7.2 (Debian 12), and its
successor in Rust, a package of its own. Their options differ.
"""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guest.process import listen, running


@dataclass(frozen=True, slots=True)
class Share:
    """A directory of the host, and what the guest may do with it."""

    tag: str  # its name in the guest
    source: Path
    is_writable: bool


@contextmanager
def serving(share: Share, virtiofsd: Path, work: Path) -> Generator[list[str]]:
    """Serve `share` while the block runs; give QEMU's options for it."""
    path = work / f"{share.tag}.sock"
    with listen(path) as listener:
        command = _command(share, virtiofsd, listener.fileno())
        process = running(command, work / f"{share.tag}.log", keep=(listener.fileno(),))
        with process:
            # Ours closed: QEMU's connection fails at once where virtiofsd has ended.
            listener.close()
            yield [
                *("-chardev", f"socket,id={share.tag},path={path}"),
                *("-device", f"vhost-user-fs-pci,chardev={share.tag},tag={share.tag}"),
            ]


def _command(share: Share, virtiofsd: Path, listener: int) -> list[str]:
    # The guest may keep what it read, unless the host changes files for it meanwhile.
    cache = "auto" if share.is_writable else "always"
    command = [str(virtiofsd), f"--fd={listener}"]
    usage = subprocess.run([virtiofsd, "--help"], capture_output=True, text=True, check=False)
    if "--shared-dir" not in usage.stdout:
        options = (f"source={share.source}", f"cache={cache}", "sandbox=chroot", "xattr")
        return command + [
            word for option in (*options, "log_level=warn") for word in ("-o", option)
        ]
    command += [f"--shared-dir={share.source}", f"--cache={cache}", "--sandbox=chroot", "--xattr"]
    # An overlay does not look into mounts below its layers: show those as plain directories.
    wanted = ["--no-announce-submounts", *([] if share.is_writable else ["--readonly"])]
    return [*command, "--log-level=warn", *(option for option in wanted if option in usage.stdout)]
