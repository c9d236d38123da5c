"""User and group ids, capabilities and login uid of an exec are those of the process."""

import ctypes
import os
from pathlib import Path

from kernel.children import start
from kernel.mounts import NEWUSER, unshare
from kernel.watch import IN_VM, Watch
from tetragon.event.json import CAPABILITY_NAMES

IDS = (1001, 2002, 3003)
PR_SET_DUMPABLE = 4
libc = ctypes.CDLL(None)


def _status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def _names(mask: str) -> list[str]:
    return [name for bit, name in enumerate(CAPABILITY_NAMES) if int(mask, 16) >> bit & 1]


def _agrees(shown: dict, status: dict[str, list[str]]) -> None:  # type: ignore[type-arg]
    credentials = shown["process_credentials"]
    for name, column in (("uid", "Uid"), ("gid", "Gid")):
        found = [credentials[f"{kind}{name}"] for kind in ("", "e", "s", "fs")]
        assert [str(number) for number in found] == status[column]
    for name, line in (("permitted", "CapPrm"), ("effective", "CapEff"), ("inheritable", "CapInh")):
        assert shown.get("cap", {}).get(name, []) == _names(status[line][0])


def test_ids_are_those_proc_shows(watch: Watch, actor: str) -> None:
    """Three different user ids and group ids; the saved ones become the effective ones."""

    def change() -> None:
        os.setgroups([])
        os.setresgid(*IDS)
        os.setresuid(*IDS)

    with start(actor, "pause", before=change) as child:
        child.go().line()
        seen = watch.wait_exec(child.pid)
        _agrees(seen.shown, _status(child.pid))
        assert seen.shown["uid"] == IDS[1]
        assert seen.shown["process_credentials"]["uid"] == IDS[0]


def test_capabilities_are_those_proc_shows(watch: Watch, actor: str) -> None:
    """All of root's, as many as this kernel has."""
    with start(actor, "pause") as child:
        child.go().line()
        seen = watch.wait_exec(child.pid)
        _agrees(seen.shown, _status(child.pid))
        assert "CAP_SYS_ADMIN" in seen.shown["cap"]["effective"]


def test_ids_are_the_hosts_inside_a_user_namespace(watch: Watch, actor: str) -> None:
    """Root inside is who it is outside: ids are never those of the inner namespace."""

    def enter() -> None:
        os.setgroups([])
        os.setresgid(*[IDS[0]] * 3)
        os.setresuid(*[IDS[0]] * 3)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # or /proc/self stays root's
        unshare(NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {IDS[0]} 1")
        Path("/proc/self/gid_map").write_text(f"0 {IDS[0]} 1")
        assert os.getuid() == 0

    with start(actor, "pause", before=enter) as child:
        child.go().line()
        seen = watch.wait_exec(child.pid)
        _agrees(seen.shown, _status(child.pid))
        assert seen.shown["uid"] == IDS[0]


def test_login_uid_is_kept_through_changes(watch: Watch, actor: str) -> None:
    """auid is /proc/PID/loginuid, whatever user the process became later."""
    wanted = 4242

    def login() -> None:
        own = Path("/proc/self/loginuid")
        if IN_VM:  # it can be set once, and a host's may not be ours to set
            own.write_text(str(wanted))
        os.setresuid(*IDS)

    with start(actor, "pause", before=login) as child:
        child.go().line()
        shown = int(Path(f"/proc/{child.pid}/loginuid").read_text())
        assert watch.wait_exec(child.pid).shown["auid"] == shown
        assert not IN_VM or shown == wanted
