"""One guest: a kernel and a command in, the command's output and exit status out.

Flow    virtiofsd (the host's files) -> QEMU -> virtio-serial port -> Stream -> standard output
Owns    virtiofsd and QEMU processes, a temporary directory; all gone when `run` returns or raises
"""

import os
import secrets
import selectors
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from guest import initramfs
from guest.errors import BootError, DeadlineError, LostError, PanicError, VmError, say
from guest.kernels import Kernel, Tools
from guest.process import is_readable, listen, running
from guest.stream import Stream
from guest.virtiofs import Share, serving

_ACCELERATORS: Final[Mapping[str, Sequence[str]]] = {
    "kvm": ("-accel", "kvm", "-cpu", "host"),
    # QEMU 7.2 emulates cmpxchg16b wrongly now and then, which panics 6.12: leave it out.
    "tcg": ("-accel", "tcg,thread=multi", "-cpu", "max,la57=off,cx16=off"),
}
_BARE: Final = ("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", "q35")
_BOOT_TRIES: Final = 3
_END_SECONDS: Final = 30
_KERNEL_OPTIONS: Final = (
    "console=ttyS0 quiet",
    # Down at the first oops, and at once: QEMU ends (-no-reboot).
    "oops=panic panic=-1",
    # Slow in emulation, and no test of ours looks at it.
    "mitigations=off cryptomgr.notests=1",
    "lsm=landlock,lockdown,yama,integrity,bpf",
)


@dataclass(frozen=True, slots=True)
class Job:
    """What to run in the guest, and in what kind of guest."""

    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    writable: Sequence[Path] = ()
    memory: str = "2G"
    cpus: int = 2
    seconds: float = 1500
    boot_seconds: float = 90
    kernel_options: Sequence[str] = ()
    kernel_log: Path | None = None


def run(
    kernel: Kernel, tools: Tools, job: Job, output: BinaryIO, accelerators: Sequence[str]
) -> int:
    """
    Boot `kernel`, run the job's command, copy what it prints to `output`; return its exit status.

    Args:
        accelerators: kvm, tcg: tried in turn while the guest does not boot, the last one thrice.

    Raises:
        BootError, PanicError, LostError, DeadlineError
    """
    tries = [*accelerators[:-1], *[accelerators[-1]] * _BOOT_TRIES]
    for accelerator in tries[:-1]:
        try:
            return _run_once(kernel, tools, job, output, accelerator)
        except BootError as exc:
            say(f"{exc}\nvm: no boot with {accelerator}, trying again")
    return _run_once(kernel, tools, job, output, tries[-1])


def kvm_works(tools: Tools) -> bool:
    """Find out whether QEMU can set up a guest with KVM; /dev/kvm alone promises nothing."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = [str(tools.qemu), *_ACCELERATORS["kvm"], *_BARE, "-S", "-monitor", "stdio"]
    try:
        done = subprocess.run(
            command, input=b"quit\n", capture_output=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _run_once(kernel: Kernel, tools: Tools, job: Job, output: BinaryIO, accelerator: str) -> int:
    writable = [Share(f"write{number}", path, True) for number, path in enumerate(job.writable)]
    stream = Stream(secrets.token_hex(16).encode())
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vm-")))
        log = job.kernel_log or work / "kernel.log"
        (work / "initramfs").write_bytes(_pack(kernel, tools, job, writable, stream.mark))
        port = stack.enter_context(listen(work / "out.sock"))
        options = [str(tools.qemu), *_ACCELERATORS[accelerator], *_BARE]
        options += _qemu_options(kernel, job, work, log)
        for share in (Share("host", Path("/"), False), *writable):
            options += stack.enter_context(serving(share, tools.virtiofsd, work))
        qemu = stack.enter_context(running(options, work / "qemu.log"))
        guest = _Guest(qemu, stream, job, work, log)
        connection = stack.enter_context(guest.connect(port))
        status = guest.follow(connection, output, f"Linux {kernel.release} ({accelerator})")
    say(f"exit status {status} after {time.monotonic() - guest.since:.1f} s")
    return status


class _Guest:
    """A started guest."""

    def __init__(
        self, qemu: subprocess.Popen[bytes], stream: Stream, job: Job, work: Path, kernel_log: Path
    ) -> None:
        self._qemu, self._stream, self._job = qemu, stream, job
        self._work, self._kernel_log = work, kernel_log
        self.since = time.monotonic()  # start of QEMU, then start of the command
        self._deadline = self.since + job.boot_seconds

    def connect(self, port: socket.socket) -> socket.socket:
        """Let QEMU connect to `port`, which it does before it runs the guest."""
        self._wait(port)
        if not is_readable(port):
            raise self._failure()
        return port.accept()[0]

    def follow(self, connection: socket.socket, output: BinaryIO, name: str) -> int:
        """Copy the command's output as it comes; return the command's exit status."""
        while self._stream.status is None:
            self._wait(connection)
            # Readable although QEMU has ended: what it sent before, or the end of it.
            data = connection.recv(1 << 16) if is_readable(connection) else b""
            if not data:
                raise self._failure()
            booting = not self._stream.is_ready
            output.write(self._stream.feed(data))
            output.flush()
            if booting and self._stream.is_ready:
                now = time.monotonic()
                say(f"{name} ready after {now - self.since:.1f} s")
                self.since, self._deadline = now, now + self._job.seconds
        return self._stream.status

    def _wait(self, readable: socket.socket) -> None:
        """Wait until there is something to read, QEMU has ended, or time is up."""
        pidfd = os.pidfd_open(self._qemu.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(readable, selectors.EVENT_READ)
                selector.register(pidfd, selectors.EVENT_READ)
                selector.select(max(0.0, self._deadline - time.monotonic()))
        finally:
            os.close(pidfd)

    def _failure(self) -> VmError:
        """Say why there is no more to read."""
        is_late = time.monotonic() >= self._deadline
        if not is_late:
            self._qemu.wait(_END_SECONDS)  # the port closes a little before its process ends
        tail = self._tail()
        if not self._stream.is_ready:
            limit = f"no command running after {self._job.boot_seconds:g} s (--boot-timeout)"
            ended = f"QEMU ended with {self._qemu.returncode} before the command ran"
            return BootError(f"{limit if is_late else ended}\n{tail}")
        if is_late:
            return DeadlineError(f"the command ran longer than {self._job.seconds:g} s (--timeout)")
        if "Kernel panic" in self._kernel_log.read_text(errors="replace"):
            return PanicError(f"the kernel panicked while the command ran\n{tail}")
        return LostError(f"the guest ended while the command ran\n{tail}")

    def _tail(self) -> str:
        """Return the end of what the kernel and our programs on the host said."""
        lengths = dict.fromkeys(sorted(self._work.glob("*.log")), 5) | {self._kernel_log: 50}
        said = [
            f"  {path.stem}: {line}"
            for path, length in lengths.items()
            if path.exists()
            for line in path.read_text(errors="replace").splitlines()[-length:]
        ]
        return "\n".join(said)


def _pack(kernel: Kernel, tools: Tools, job: Job, writable: Sequence[Share], mark: bytes) -> bytes:
    """Build the initramfs, with the job in the form stage2.sh reads."""
    settings = {
        "MARK": mark.decode(),
        "NOW": str(int(time.time())),
        "RELEASE": kernel.release,
        "MODULES": str(kernel.modules),
    }
    variables = [f"{name}={value}" for name, value in job.environment.items()]
    # Not busybox's env: it would run busybox's sh, ls, ... for the host's.
    command = shlex.join(["exec", "/usr/bin/env", "-i", *variables, *job.command])
    files = {
        "settings": "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()),
        "shares": "".join(f"{share.tag} {share.source}\n" for share in writable),
        "command": f"cd {shlex.quote(str(job.directory))} || exit 127\n{command}\n",
    }
    contents = {name: os.fsencode(text) for name, text in files.items()}
    return initramfs.build(kernel, tools.busybox, contents)


def _qemu_options(kernel: Kernel, job: Job, work: Path, log: Path) -> list[str]:
    memory = f"memory-backend-memfd,id=memory,size={job.memory},share=on"
    return [
        *("-smp", str(job.cpus), "-m", job.memory),
        # vhost-user: virtiofsd reads and writes the guest's memory.
        *("-object", memory, "-numa", "node,memdev=memory"),
        *("-kernel", str(kernel.image), "-initrd", str(work / "initramfs")),
        *("-append", " ".join((*_KERNEL_OPTIONS, *job.kernel_options))),
        *("-chardev", f"file,id=log,path={log}", "-serial", "chardev:log"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=out,path={work}/out.sock"),
        *("-device", "virtserialport,chardev=out,name=vm.out"),
    ]
