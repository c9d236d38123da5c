"""Cgroups: runtimes' names by table, this machine's files against mounts and the kernel's BTF."""

import contextlib
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetragon.errors import DecodeError
from tetragon.procfs.cgroup import (
    PREFERRED,
    CgroupMode,
    Controller,
    Membership,
    container_id,
    detect_mode,
    find_container,
    find_path,
    parse_controllers,
    parse_membership,
    pick_controller,
)
from tetragon.procfs.process import Want, read_process

ID = "713516e64fa59fc6c7216b29b25d395a606083232bdaf07e53540cd3252b2dc2"
CUT = ID[:31]
POD = "0d2f6c52-8d4e-4c5f-9a1e-2f1f6f4f8a11"
SLICE = f"kubepods-burstable-pod{POD.replace('-', '_')}.slice"
NESTED = f"kubelet-{SLICE}:cri-containerd:"

IN_CONTAINER = {
    "docker, cgroupfs driver": f"/docker/{ID}",
    "docker, systemd driver": f"/system.slice/docker-{ID}.scope",
    "docker in docker": f"/docker/{ID[::-1]}/docker/{ID}",
    "containerd, nerdctl": f"/system.slice/nerdctl-{ID}.scope",
    "podman": f"/machine.slice/libpod-{ID}.scope",
    "podman, crun": f"/machine.slice/libpod-{ID}.scope/container",
    "podman, cgroupfs": f"/libpod_parent/libpod-{ID}",
    "podman, rootless": f"/user.slice/user-0.slice/user@0.service/user.slice/libpod-{ID}.scope",
    "kubernetes, cgroupfs driver": f"/kubepods/burstable/pod{POD}/{ID}",
    "kubernetes, guaranteed": f"/kubepods/pod{POD}/{ID}",
    "kubernetes, containerd, systemd driver": f"/kubepods.slice/{SLICE}/cri-containerd-{ID}.scope",
    "kubernetes, containerd without systemd": f"/system.slice/{SLICE}:cri-containerd:{ID}",
    "kubernetes, cri-o, systemd driver": f"/kubepods.slice/{SLICE}/crio-{ID}.scope",
    "kubernetes, cri-o, crun": f"/kubepods.slice/{SLICE}/crio-{ID}.scope/container",
    "kubernetes, cri-o, cgroupfs driver": f"/kubepods/besteffort/pod{POD}/crio-{ID}",
    "kubernetes, docker, systemd driver": f"/kubepods.slice/{SLICE}/docker-{ID}.scope",
    "kind": f"/docker/{ID[::-1]}/kubelet/kubepods/besteffort/pod{POD}/{ID}",
    "outside a cgroup namespace": f"/../../{ID}",
    "bare name": ID,
}

NOT_IN_CONTAINER = {
    "root": "/",
    "empty": "",
    "systemd service": "/system.slice/ssh.service",
    "systemd scope": "/user.slice/user-1000.slice/session-3.scope",
    "init": "/init.scope",
    "service with an id": f"/system.slice/docker-{ID}.service",
    "service instance with an id": f"/system.slice/backup@{ID}.service",
    "word service": f"/x-{ID}service",
    "docker daemon": "/system.slice/docker.service",
    "id one short": f"/docker/{ID[:-1]}",
    "id one long": f"/docker/{ID}0",
    "id in capitals": f"/docker/{ID.upper()}",
    "64 characters that are no number": f"/docker/{'z' * 64}",
    "id of 32": f"/job/{ID[:32]}",
    "id higher up": f"/docker/{ID}/system.slice",
    "pod": f"/kubepods/burstable/pod{POD}",
    "container without parent": "container",
    "container of nobody": "/lxc/container",
    "id and newline": f"/docker/{ID}\n",
}


@pytest.mark.parametrize("path", IN_CONTAINER.values(), ids=IN_CONTAINER.keys())
def test_container_id_of_each_runtime(path: str) -> None:
    """Path and, where the last component tells alone, name give the first 31 characters."""
    assert container_id(path) == CUT
    if not path.endswith("/container"):
        assert container_id(path.rpartition("/")[2]) == CUT


@pytest.mark.parametrize("path", NOT_IN_CONTAINER.values(), ids=NOT_IN_CONTAINER.keys())
def test_no_container_id_outside_of_containers(path: str) -> None:
    """Services, sessions, pods and near misses give nothing, cut or not."""
    assert container_id(path) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ((NESTED + ID)[:127], CUT),
        (f"docker-{ID}.sco", CUT),
        (f"docker-{ID}", CUT),
        (f"docker-{CUT}", CUT),
        (f"docker-{CUT[:-1]}", ""),
        (f"docker-{ID}.service", ""),
        ("a" * 90 + ".slice", ""),
    ],
)
def test_cut_name_gives_an_id_of_31_digits_or_more(name: str, expected: str) -> None:
    """What the kernel half could not send whole still names its container."""
    assert container_id(name, truncated=True) == expected


def test_nested_name_is_longer_than_a_kernel_record() -> None:
    """The name above really needs the rule for cut names."""
    assert len(NESTED + ID) > 127
    assert container_id((NESTED + ID)[:127]) == ""


@given(st.text(max_size=200), st.booleans())
def test_container_id_is_31_digits_or_nothing(name: str, truncated: bool) -> None:
    """No name gives anything else."""
    found = container_id(name, truncated)
    assert found == "" or (len(found) == 31 and set(found) <= set("0123456789abcdef"))


V1 = (
    f"9:name=systemd:/system.slice/docker-{ID}.scope\n8:pids:/p\n4:memory:/m\n3:cpuset:/c\n"
    "2:cpu,cpuacct:/x:y\n0::/u\n"
).encode()


@pytest.mark.parametrize(
    ("text", "mode", "path"),
    [
        (V1, CgroupMode.LEGACY, b"/m"),
        (V1, CgroupMode.HYBRID, b"/m"),
        (V1, CgroupMode.UNIFIED, b"/u"),
        (V1.replace(b"memory", b"misc"), CgroupMode.HYBRID, b"/p"),
        (V1.replace(b"memory", b"misc").replace(b"pids", b"rdma"), CgroupMode.HYBRID, b"/c"),
        (b"5:cpuset,memory:/both\n", CgroupMode.LEGACY, b"/both"),
        (b"1:name=systemd:/s\n0::/u\n", CgroupMode.HYBRID, b"/u"),
        (b"0::/gone (deleted)\n", CgroupMode.UNIFIED, b"/gone"),
        (b"0::/a:b\\c\xff\n", CgroupMode.UNIFIED, b"/a:b\\c\xff"),
        (b"4:memory:/m\n", CgroupMode.UNIFIED, None),
        (b"", CgroupMode.UNIFIED, None),
    ],
)
def test_path_is_that_of_the_hierarchy_that_matters(text, mode, path) -> None:
    """Version 2's when unified; else memory, pids, cpuset in this order, then version 2's."""
    assert find_path(text, mode) == path


def test_container_is_found_in_any_hierarchy() -> None:
    """The hierarchy that matters is asked first, the others after it."""
    assert find_container(V1, CgroupMode.HYBRID) == CUT
    other = V1.replace(b"/m\n", f"/docker/{ID[::-1]}\n".encode())
    assert find_container(other, CgroupMode.HYBRID) == ID[::-1][:31]
    assert find_container(b"0::/\n", CgroupMode.UNIFIED) == ""


HEAD = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
CGROUP2_MOUNT = b"cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
V1_MOUNTS = (
    b"tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
)
OWN_MOUNT = b"none /run/tetragon/cgroup2 cgroup2 rw 0 0\n"
V2_IN_USE = HEAD + b"cpuset\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n"
V1_IN_USE = HEAD + b"cpuset\t3\t1\t1\nmemory\t4\t1\t1\npids\t8\t1\t1\n"
NET_CLS_V1 = V2_IN_USE + b"net_cls\t5\t1\t1\n"


@pytest.mark.parametrize(
    ("mounts", "cgroups", "mode"),
    [
        (CGROUP2_MOUNT, V2_IN_USE, CgroupMode.UNIFIED),
        (b"", V2_IN_USE, CgroupMode.UNIFIED),
        (CGROUP2_MOUNT, HEAD, CgroupMode.UNIFIED),
        (CGROUP2_MOUNT + V1_MOUNTS, NET_CLS_V1, CgroupMode.UNIFIED),
        (V1_MOUNTS, V1_IN_USE, CgroupMode.LEGACY),
        (V1_MOUNTS + OWN_MOUNT, V1_IN_USE, CgroupMode.LEGACY),
        (V1_MOUNTS + b"c /sys/fs/cgroup/unified cgroup2 rw 0 0\n", V1_IN_USE, CgroupMode.HYBRID),
        (V1_MOUNTS + b"c /sys/fs/cgroup2 cgroup2 rw 0 0\n", V1_IN_USE, CgroupMode.LEGACY),
        (b"", b"", CgroupMode.NONE),
    ],
)
def test_mode_follows_the_controllers_in_use(mounts, cgroups, mode) -> None:
    """A net_cls mount, or version 2 mounted elsewhere, changes no mode."""
    assert detect_mode(mounts, cgroups) is mode


def test_mode_of_this_machine_agrees_with_statfs() -> None:
    """What stat(1) says of /sys/fs/cgroup and below it is the mode found from the texts."""

    def kind(path: str) -> str:
        command = ["stat", "-f", "-c", "%T", path]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    expected = {"cgroup2fs": CgroupMode.UNIFIED, "tmpfs": CgroupMode.LEGACY}[kind("/sys/fs/cgroup")]
    if expected is CgroupMode.LEGACY and kind("/sys/fs/cgroup/unified") == "cgroup2fs":
        expected = CgroupMode.HYBRID
    texts = (Path("/proc", name).read_bytes() for name in ("mounts", "cgroups"))
    assert detect_mode(*texts) is expected


def btf_enumerator(name: bytes) -> int | None:
    """Look an enumerator's value up in the kernel's own type information."""
    data = Path("/sys/kernel/btf/vmlinux").read_bytes()
    header_size, types, _, strings, size = struct.unpack_from("<5I", data, 4)
    found = data.find(b"\0" + name + b"\0", header_size + strings, header_size + strings + size)
    if found < 0:
        return None
    record = struct.pack("<I", found + 1 - header_size - strings)
    at = data.find(record, header_size + types)
    return struct.unpack_from("<i", data, at + 4)[0]


def test_index_is_the_kernels_number() -> None:
    """The position in /proc/cgroups is what the kernel's own enum says, on this kernel."""
    controllers = parse_controllers(Path("/proc/cgroups").read_bytes())
    if len(controllers) != btf_enumerator(b"CGROUP_SUBSYS_COUNT"):
        pytest.skip("this kernel's /proc/cgroups leaves controllers out")
    numbers = {one.name: one.index for one in controllers if one.name in PREFERRED}
    assert numbers
    assert numbers == {name: btf_enumerator(f"{name}_cgrp_id".encode()) for name in numbers}


def test_controller_is_the_first_preferred_one_in_use() -> None:
    """Disabled ones and those of version 2 do not count."""
    one = Controller("pids", 2, 8, True)
    assert pick_controller(parse_controllers(V1_IN_USE)) == Controller("memory", 1, 4, True)
    disabled = V1_IN_USE.replace(b"memory\t4\t1\t1", b"memory\t4\t1\t0")
    assert pick_controller(parse_controllers(disabled)) == one
    assert pick_controller(parse_controllers(V1_IN_USE.replace(b"y\t4", b"y\t0"))) == one
    assert pick_controller(parse_controllers(NET_CLS_V1)) is None


@pytest.mark.parametrize("line", [b"memory 4 1", b"memory x 1 1", b"memory 4 1 1 1", b"\xff 4 1 1"])
def test_malformed_controllers_are_a_decode_error(line: bytes) -> None:
    """A line that is not four columns is refused and shown."""
    with pytest.raises(DecodeError, match="cgroups file"):
        parse_controllers(HEAD + line)


@pytest.mark.parametrize("line", [b"4:memory", b"x:memory:/", b"nothing"])
def test_malformed_membership_is_a_decode_error(line: bytes) -> None:
    """A line that is not number:controllers:path is refused and shown."""
    with pytest.raises(DecodeError, match="cgroup file"):
        parse_membership(b"0::/\n" + line)


@given(st.binary(max_size=200) | st.text(alphabet="0123456789:/,\n -amz").map(str.encode))
def test_parsers_raise_nothing_else(text: bytes) -> None:
    """Any bytes parse or are a DecodeError."""
    for mode in CgroupMode:
        with contextlib.suppress(DecodeError):
            find_container(text, mode)
    with contextlib.suppress(DecodeError):
        detect_mode(text, text)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A new cgroup on this machine, named as docker names one."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "pids" in options.split(",")):
            made = Path(point, f"docker-{os.urandom(32).hex()}.scope")
            made.mkdir()
            yield made
            made.rmdir()
            return
    pytest.fail("no cgroup hierarchy is mounted")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_process_moved_into_a_cgroup_is_in_that_container(cgroup: Path) -> None:
    """From mkdir to the id: the texts of this kernel, read by our reader."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        (cgroup / "cgroup.procs").write_text(str(child.pid))
        process = read_process("/proc/", child.pid, Want.CGROUP)
        assert process is not None
        mode = detect_mode(*(Path("/proc", name).read_bytes() for name in ("mounts", "cgroups")))
        assert find_container(process.cgroup, mode) == cgroup.name[7:38]
        assert f"/{cgroup.name}".encode() in {one.path for one in parse_membership(process.cgroup)}
    finally:
        child.communicate()


def test_membership_keeps_what_the_line_says() -> None:
    """Number, controllers and path, a path with colons too."""
    assert parse_membership(b"2:cpu,cpuacct:/x:y\n0::/\n") == (
        Membership(2, ("cpu", "cpuacct"), b"/x:y"),
        Membership(0, (), b"/"),
    )
