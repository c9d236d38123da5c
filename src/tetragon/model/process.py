"""Process: one exec (or clone) of one process, and the values that hang on it.

Owns    nothing; the reader thread owns the Process objects in the cache. Other threads may read.
Source  the meaning of each field follows the public event schema (docs/outputs.md).
"""

import msgspec

Key = tuple[int, int]
"""(pid, ktime): a process for as long as it runs one image. ktime is ns of CLOCK_BOOTTIME."""


class Namespace(msgspec.Struct, frozen=True, gc=False):
    """One namespace a process is in: inode number, and whether it is the host's (init's)."""

    inum: int
    is_host: bool


class Namespaces(msgspec.Struct, frozen=True, gc=False):
    """The ten namespaces of a process; the two time ones are None on kernels without them."""

    uts: Namespace
    ipc: Namespace
    mnt: Namespace
    pid: Namespace
    pid_for_children: Namespace
    net: Namespace
    time: Namespace | None
    time_for_children: Namespace | None
    cgroup: Namespace
    user: Namespace


class Capabilities(msgspec.Struct, frozen=True, gc=False):
    """Three capability sets as bit masks: bit n set means capability number n is held."""

    permitted: int
    effective: int
    inheritable: int


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """User and group ids, and securebits (0 when none are set)."""

    uid: int
    gid: int
    euid: int
    egid: int
    suid: int
    sgid: int
    fsuid: int
    fsgid: int
    securebits: int = 0


class BinaryProperties(msgspec.Struct, frozen=True, gc=False):
    """
    What an exec changed or ran that deserves attention; given only when at least one applies.

    Args:
        setuid, setgid: the new effective id when the exec changed it.
        privileges_changed: ProcessPrivilegesChanged enum numbers of the API, ascending.
        inode: inode number of an executed file without any link (memfd, deleted), else None.
    """

    setuid: int | None = None
    setgid: int | None = None
    privileges_changed: tuple[int, ...] = ()
    inode: int | None = None


class Image(msgspec.Struct, frozen=True, gc=False):
    """Container image: id with digest, and name."""

    id: str = ""
    name: str = ""


class Container(msgspec.Struct, frozen=True, gc=False):
    """
    The container of a pod a process runs in.

    Args:
        id: with the runtime's scheme, such as ``containerd://...``.
        start_time: Unix time in ns while the container runs, 0 when unknown.
        pid: pid inside the pod's pid namespace, 0 when unknown.
    """

    id: str = ""
    name: str = ""
    image: Image = Image()
    start_time: int = 0
    pid: int = 0
    maybe_exec_probe: bool = False
    privileged: bool = False


class Pod(msgspec.Struct, frozen=True, gc=False):
    """Kubernetes metadata of a process; ``labels`` and ``annotations`` are sorted by key."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    container: Container = Container()
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    workload: str = ""
    workload_kind: str = ""


class Process(msgspec.Struct, gc=False):
    """
    One image a process runs or ran: what every event of its life carries.

    Fields are as the public schema has them, with these units: ``start_time`` is Unix time in
    ns; ``auid`` is 4294967295 when unset; ``flags`` are the printed words; ``docker`` is the
    container id cut to 31 characters or empty. ``cap``, ``ns``, ``credentials``, ``user`` and
    ``environment`` are None or empty unless the matching option is on.

    ``json`` and ``proto`` hold the encoded forms (JSON object text without white space;
    tetragon.Process bytes), None until a sink wants that form. Whoever changes a visible field
    must set both back to None.
    """

    pid: int
    ktime: int
    exec_id: str
    parent_exec_id: str = ""
    parent_key: Key | None = None
    tid: int = 0
    nspid: int = 0
    uid: int = 0
    auid: int = 4294967295
    cwd: str = ""
    binary: str = ""
    arguments: str = ""
    flags: str = ""
    start_time: int = 0
    docker: str = ""
    in_init_tree: bool = False
    refcnt: int = 0
    """References the cache counts; not what events show."""
    shown_refcnt: int = 0
    """What events show: 1 for a process that was cloned and never ran an image, else 0."""
    pod: Pod | None = None
    cap: Capabilities | None = None
    ns: Namespaces | None = None
    credentials: Credentials | None = None
    user: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    complete: bool = True
    """False for a stand-in of which only pid and start_time are known."""
    json: bytes | None = None
    proto: bytes | None = None
    # The process cache's own; see there.
    alive: bool = True
    """Whether the reference to itself still counts: no exit or later exec of its pid was seen."""
    taken: int = 0
    """How many references children took; with ancestors on, descendants too."""
    ended: int = 0
    """The collection pass in which the last reference went, 0 while it awaits no collection."""
