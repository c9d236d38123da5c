"""A container of a real runtime: its id, its pids inside, and its whole life."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.watch import Watch

ID = "fedcba9876543210" * 4
BUSYBOX = "/usr/bin/busybox"


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    """Return an OCI bundle whose root file system is busybox; what runs of it is ended."""
    for tool in ("runc", BUSYBOX):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: apt install runc busybox-static")
    folder = tmp_path / "rootfs" / "bin"
    folder.mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "busybox")
    for name in ("sh", "true"):
        (folder / name).symlink_to("busybox")
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
    yield tmp_path
    subprocess.run(["runc", "delete", "--force", ID], check=False, capture_output=True)


def _configure(bundle: Path, script: str) -> None:
    path = bundle / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/sh", "-c", script]
    config["root"]["readonly"] = False
    path.write_text(json.dumps(config))


def test_container_is_told_from_its_first_to_its_last_process(watch: Watch, bundle: Path) -> None:
    """
    Init and its child in the container: id, pids inside, namespaces of their own, and the end.

    The shell writes the pids it knows; the runtime's own processes are outside.
    """
    _configure(bundle, "echo $$; /bin/true & echo $!; wait; exit 7")
    command = ["runc", "run", "--bundle", str(bundle), ID]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    inside = [int(line) for line in done.stdout.split()]
    assert inside[0] == 1
    execs = watch.wait("execs inside", lambda: _inside(watch, "process_exec", 2))
    exits = watch.wait("exits inside", lambda: _inside(watch, "process_exit", 2))
    init, child = sorted(execs, key=lambda one: one["process"]["pid"])
    assert [one["process"]["docker"] for one in (init, child)] == [ID[:31]] * 2
    assert [one["process"]["binary"] for one in (init, child)] == ["/bin/sh", "/bin/true"]
    assert [one["process"]["in_init_tree"] for one in (init, child)] == [True] * 2
    assert child["parent"]["exec_id"] == init["process"]["exec_id"]
    assert {one["process"]["pid"]: one.get("status", 0) for one in exits} == {
        init["process"]["pid"]: 7,
        child["process"]["pid"]: 0,
    }
    for one in (init, child):
        for name in ("mnt", "pid", "uts", "ipc", "net"):
            assert "is_host" not in one["process"]["ns"][name]
        seen = [a for a in watch.seen if a.process.exec_id == one["process"]["exec_id"]]
        assert seen[0].process.nspid in inside
    runtime = [one for one in watch.seen if one.process.binary.endswith("/runc")]
    assert runtime
    assert not any(one.process.in_init_tree for one in runtime if one.process.nspid == 0)
    assert os.getpid() in {one.parent["pid"] for one in runtime}


def _inside(watch: Watch, kind: str, count: int) -> list[dict[str, Any]]:
    """Return events of that kind of processes in the container, once there are so many."""
    found = [
        one.told
        for one in watch.seen
        if one.kind == kind and one.process.binary in {"/bin/sh", "/bin/true"}
    ]
    return found if len(found) == count else []
