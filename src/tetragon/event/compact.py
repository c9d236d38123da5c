"""Compact: the JSON object of an event in, one line for a terminal out.

``[TIME ]ICON NAME HOST BINARY DETAIL...[ CAPS]``, and below it stack frames or file hashes.

Owns    nothing but memos of repeated heads; pure, any thread that has its own encoder
Source  docs/outputs.md, "Compact"
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tetragon.model import syscalls

Object = Mapping[str, Any]
"""A JSON object with the field names of the API."""

_Detail = Callable[["CompactEncoder", Sequence[Object]], str]

_RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN = range(31, 37)
_WIDTH: Final = 120
_NO_TIME: Final = "1970-01-01T00:00:00.000000000Z"
_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}


class CompactEncoder:
    """
    Makes lines.

    Args:
        color: with terminal colours; lines are then padded to the same width.
        timestamps: begin each line with the event's time.
        stack_traces: show the frames of kprobe events that have some.
        ima_hash: show the file hash of LSM events that have one.
        abi: which system calls a bare number means.
    """

    def __init__(
        self,
        color: bool,
        timestamps: bool = False,
        stack_traces: bool = True,
        ima_hash: bool = True,
        *,
        abi: str = "x64",
    ) -> None:
        self._color = color
        self._timestamps = timestamps
        self._stack_traces = stack_traces
        self._ima_hash = ima_hash
        self._abi = abi
        self._heads: dict[tuple[str, str], str] = {}
        self._caps = self.paint(_MAGENTA, "🛑 CAP_SYS_ADMIN")
        self._no_caps = self.paint(_MAGENTA, "")
        # The whole dispatch: a new event kind adds its line here.
        self._kinds: Final[Mapping[str, Callable[[Object, str], str]]] = {
            "process_exec": self._exec,
            "process_exit": self._exit,
            "process_kprobe": self._kprobe,
            "process_tracepoint": self._tracepoint,
            "process_uprobe": self._uprobe,
            "process_usdt": self._usdt,
            "process_lsm": self._lsm,
            "process_loader": self._loader,
            "process_throttle": self._throttle,
            "test": _test,
        }

    def encode(self, event: Object) -> str:
        """
        Return the line of an event, and the lines below it, without the last newline.

        Raises:
            ValueError: there is no such line.
        """
        kind = next((name for name in event if name in self._kinds), None)
        if kind is None:
            raise ValueError(f"unknown event type: {_unknown(event)}")
        line = self._kinds[kind](event[kind], event.get("node_name", ""))
        if self._timestamps:
            line = f"{_nanoseconds(event.get('time', _NO_TIME))} {line}"
        return line

    def paint(self, color: int, text: str) -> str:
        """Return text in a colour, as it is when there are none."""
        return f"\x1b[{color}m{text}\x1b[0m" if self._color else text

    def value(self, text: str | None) -> str:
        """Return a value of interest, quoted where needed; nothing when there is none."""
        return "" if text is None else self.paint(_CYAN, quoted(text))

    # --- parts of a line --------------------------------------------------------------------

    def _head(self, icon: str, name: str, color: int = _BLUE) -> str:
        head = self._heads.get((icon, name))
        if head is None:
            head = self._heads[icon, name] = self.paint(color, f"{icon} {name:<7}")
        return head

    def _front(self, icon: str, name: str, body: Object, node: str) -> str:
        """Return everything up to the binary."""
        process = _process(body)
        pod = process.get("pod")
        host = f"{pod.get('namespace', '')}/{pod.get('name', '')}" if pod else quoted(node)
        binary = self.paint(_MAGENTA, quoted(process.get("binary", "")))
        return f"{self._head(icon, name)} {self.paint(_GREEN, host)} {binary}"

    def _finish(self, line: str, body: Object) -> str:
        """Append the capability of note, right-aligned."""
        cap = body["process"].get("cap")
        held = cap is not None and "CAP_SYS_ADMIN" in cap.get("effective", ())
        caps = self._caps if held else self._no_caps
        if not caps:
            return line
        return f"{line} {caps:>{max(0, _WIDTH - len(line.encode()))}}"

    # --- kinds ------------------------------------------------------------------------------

    def _exec(self, body: Object, node: str) -> str:
        front = self._front("🚀", "process", body, node)
        return self._finish(f"{front} {self.value(_process(body).get('arguments', ''))}", body)

    def _exit(self, body: Object, node: str) -> str:
        front = self._front("💥", "exit", body, node)
        status = self.paint(_RED, body.get("signal") or str(body.get("status", 0)))
        arguments = self.value(_process(body).get("arguments", ""))
        return self._finish(f"{front} {arguments} {status}", body)

    def _throttle(self, body: Object, _: str) -> str:
        head = self._head("🧬", "throttle", _RED)
        words = {
            "THROTTLE_START": self.paint(_RED, "START"),
            "THROTTLE_STOP": self.paint(_GREEN, "STOP "),
        }
        return f"{head} {words.get(body.get('type', ''), '')} {quoted(body.get('cgroup', ''))}"

    def _loader(self, body: Object, node: str) -> str:
        front = self._front("🧬", "loader", body, node)
        path = self.paint(_YELLOW, quoted(body.get("path", "")))
        build_id = body.get("buildid", "")
        if build_id:
            path = f"{_hex(build_id)} {path}"
        return self._finish(f"{front} {path}", body)

    def _uprobe(self, body: Object, node: str) -> str:
        front = self._front("🕵️", "uprobe", body, node)
        detail = f"{quoted(body.get('path', ''))} {quoted(body.get('symbol', ''))}"
        return self._finish(f"{front} {detail}", body)

    def _usdt(self, body: Object, node: str) -> str:
        front = self._front("🕵️", "usdt", body, node)
        detail = " ".join((quoted(body.get("path", "")), body.get("provider", "")))
        return self._finish(f"{front} {detail} {body.get('name', '')}", body)

    def _lsm(self, body: Object, node: str) -> str:
        hook = body.get("function_name", "")
        line = self._finish(f"{self._front('🔒', 'LSM', body, node)} {hook}", body)
        file_hash = body.get("ima_hash") if self._ima_hash else None
        member = _HASHED.get(hook)
        if not file_hash or member is None:
            return line
        held = _argument(body.get("args", ()), 0, member)
        if held is None:
            return line
        path = self.paint(_GREEN, f"   {quoted(held.get('path', ''))}")
        return f"{line}\n{path}{self.paint(_BLUE, f' {file_hash}')}"

    def _tracepoint(self, body: Object, node: str) -> str:
        subsystem, event = body.get("subsys", ""), body.get("event", "")
        if (subsystem, event) == ("raw_syscalls", "sys_enter"):
            front = self._front("☎ ", "syscall", body, node)
            return self._finish(f"{front} {self._syscall(body.get('args', ()))}", body)
        front = self._front("⁉️", "tracepoint", body, node)
        return self._finish(f"{front} {subsystem} {event}", body)

    def _kprobe(self, body: Object, node: str) -> str:
        function: str = body.get("function_name", "")
        arguments: Sequence[Object] = body.get("args", ())
        shape = _FUNCTIONS.get(_bare(function))
        if shape is None:
            front = self._front("❓", "syscall", body, node)
            line = self._finish(f"{front} {function}", body)
        else:
            icon, name, detail = shape
            if callable(name):
                icon, name = name(function, arguments)
            front = self._front(icon, name, body, node)
            if detail is not None:
                front = f"{front} {detail(self, arguments)}"
            line = self._finish(front, body)
        return line + self._stacks(body) if self._stack_traces else line

    # --- details ----------------------------------------------------------------------------

    def _syscall(self, arguments: Sequence[Object]) -> str:
        """Return a system call as it might stand in a program."""
        number, abi = _scalar(arguments, 0, "long_arg"), self._abi
        held = _argument(arguments, 0, "syscall_id")
        if held is not None:
            number, abi = held.get("id", 0), held.get("abi", abi)
        elif not arguments or "long_arg" not in arguments[0]:
            return "unknown"
        name = syscalls.names(abi).get(int(number), "unknown")
        if abi != self._abi:
            return f"{abi}/{name}"
        declared = syscalls.parameters().get(name)
        if declared is None:
            return name
        values = [argument.get("size_arg") for argument in arguments[1 : len(declared) + 1]]
        values += [None] * (len(declared) - len(values))
        return f"{name}({', '.join(map(_parameter, declared, values))})"

    def _stacks(self, body: Object) -> str:
        """Return the frames of a kprobe event, each on a line, a newline before the first."""
        text = ""
        if kernel := body.get("kernel_stack_trace"):
            text += "\nKernel:" + "".join(map(self._kernel_frame, kernel))
        if user := body.get("user_stack_trace"):
            text += "\nUser:" + "".join(map(self._user_frame, user))
        return text

    def _kernel_frame(self, frame: Object) -> str:
        symbol = self.paint(_BLUE, f" {frame.get('symbol', '')}")
        offset = self.paint(_YELLOW, f"0x{int(frame.get('offset', 0)):x}")
        return f"\n{self._address(frame)}{symbol}+{offset}"

    def _user_frame(self, frame: Object) -> str:
        symbol = self.paint(_BLUE, f" {frame['symbol']}") if frame.get("symbol") else ""
        module = f" ({quoted(frame.get('module', ''))}+0x{int(frame.get('offset', 0)):x})"
        return f"\n{self._address(frame)}{symbol}{self.paint(_YELLOW, module)}"

    def _address(self, frame: Object) -> str:
        return self.paint(_GREEN, f"   0x{int(frame.get('address', 0)):x}:")


def quoted(text: str) -> str:
    """Return text as it is, or between quotes when it has a blank or does not print."""
    if " " not in text and text.isprintable():
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _process(body: Object) -> Object:
    process: Object | None = body.get("process")
    if process is None:
        raise ValueError("process field is not set")
    return process


def _test(_: Object, __: str) -> str:
    return "TEST EVENT"


def _unknown(event: Object) -> str:
    return "RATE_LIMIT_INFO" if "rate_limit_info" in event else "UNDEF"


def _nanoseconds(stamp: str) -> str:
    """Return an RFC 3339 time with all nine digits of its second."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def _hex(encoded: str) -> str:
    from base64 import b64decode

    return b64decode(encoded).hex()


def _parameter(declared: tuple[str, str], value: str | None) -> str:
    kind, name = declared
    if value is None:
        return f"{kind} {name}=?"
    if kind.endswith("*"):
        return f"{kind}{name}=0x{int(value):x}"
    return f"{kind} {name}={value}"


def _bare(function: str) -> str:
    """Return a system call's function without the prefix of its architecture."""
    if function.startswith("__"):
        for prefix in ("__x64_", "__arm64_", "__ia32_"):
            if function.startswith(prefix):
                return function.removeprefix(prefix)
    return function


def _argument(arguments: Sequence[Object], index: int, member: str) -> Object | None:
    """Return the message in an argument, None when it is not there or something else."""
    return arguments[index].get(member) if index < len(arguments) else None


def _scalar(arguments: Sequence[Object], index: int, member: str) -> Any:
    """Return the scalar in an argument; None without the argument, 0 for one of another type."""
    return arguments[index].get(member, 0) if index < len(arguments) else None


# --- what each function of note shows ---------------------------------------------------------


def _path_in(index: int, member: str) -> _Detail:
    def detail(enc: CompactEncoder, args: Sequence[Object]) -> str:
        held = _argument(args, index, member)
        return enc.value(held.get("path", "") if held is not None else None)

    return detail


def _file(index: int) -> _Detail:
    return _path_in(index, "file_arg")


def _texts(*indexes: int) -> _Detail:
    def detail(enc: CompactEncoder, args: Sequence[Object]) -> str:
        return " ".join(enc.value(_text(args, index)) for index in indexes)

    return detail


def _text(arguments: Sequence[Object], index: int) -> str | None:
    return arguments[index].get("string_arg", "") if index < len(arguments) else None


def _file_and_size(enc: CompactEncoder, args: Sequence[Object]) -> str:
    size = _scalar(args, 2, "size_arg")
    amount = "" if size is None else enc.paint(_CYAN, f"{size} bytes")
    return f"{_file(0)(enc, args)} {amount}"


def _number(enc: CompactEncoder, args: Sequence[Object]) -> str:
    number = _scalar(args, 0, "int_arg")
    return "" if number is None else enc.paint(_CYAN, str(number))


def _namespace(_: CompactEncoder, args: Sequence[Object]) -> str:
    return _NAMESPACES.get(_scalar(args, 1, "int_arg"), "")


def _sock(enc: CompactEncoder, args: Sequence[Object]) -> str:
    sock = _argument(args, 0, "sock_arg")
    if sock is None:
        return ""
    source = f"{sock.get('saddr', '')}:{sock.get('sport', 0)}"
    target = f"{sock.get('daddr', '')}:{sock.get('dport', 0)}"
    return enc.paint(_CYAN, f"tcp {source} -> {target}")


def _sock_and_size(enc: CompactEncoder, args: Sequence[Object]) -> str:
    return f"{_sock(enc, args)} bytes {_scalar(args, 1, 'int_arg') or 0}"


def _program(enc: CompactEncoder, args: Sequence[Object]) -> str:
    program = _argument(args, 0, "bpf_attr_arg")
    if program is None:
        return ""
    name = f"{program.get('ProgType', '')} {program.get('ProgName', '')}"
    return enc.paint(_CYAN, f"{name} instruction count {program.get('InsnCnt', 0)}")


def _perf_event(enc: CompactEncoder, args: Sequence[Object]) -> str:
    event = _argument(args, 0, "perf_event_arg")
    if event is None:
        return ""
    return enc.paint(_CYAN, f"{event.get('Type', '')} {event.get('KprobeFunc', '')}")


def _map(enc: CompactEncoder, args: Sequence[Object]) -> str:
    found = _argument(args, 0, "bpf_map_arg")
    if found is None:
        return ""
    sizes = f"key size {found.get('KeySize', 0)} value size {found.get('ValueSize', 0)}"
    name = f"{found.get('MapType', '')} {found.get('MapName', '')}"
    return enc.paint(_CYAN, f"{name} {sizes} max entries {found.get('MaxEntries', 0)}")


def _file_of_two(enc: CompactEncoder, args: Sequence[Object]) -> str:
    return _file(0)(enc, args) if len(args) >= 2 else ""


def _permission_name(function: str, args: Sequence[Object]) -> tuple[str, str]:
    names = {2: ("📝", "write"), 4: ("📚", "read")}
    return names.get(_scalar(args, 1, "int_arg"), ("❓", function))


def _mmap_name(function: str, args: Sequence[Object]) -> tuple[str, str]:
    bits = _scalar(args, 1, "uint_arg")
    if bits is None:
        return "❓", function
    return "📝", "mmap-" + "".join(letter for bit, letter in _PROTECTION if bits & bit)


def _truncate_name(function: str, args: Sequence[Object]) -> tuple[str, str]:
    return ("📝", "truncate") if args else ("❓", function)


_PROTECTION: Final = ((1, "r"), (2, "w"), (4, "x"))
_NAMESPACES: Final[Mapping[Any, str]] = {
    0: "any",
    0x80: "time",
    0x20000: "mnt",
    0x2000000: "cgroup",
    0x4000000: "uts",
    0x8000000: "ipc",
    0x10000000: "user",
    0x20000000: "pid",
    0x40000000: "net",
}
_HASHED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "bprm_check_security",
            "bprm_committed_creds",
            "bprm_committing_creds",
            "bprm_creds_for_exec",
            "bprm_creds_from_file",
        ),
        "linux_binprm_arg",
    ),
    **dict.fromkeys(
        ("file_ioctl", "file_lock", "file_open", "file_post_open", "file_receive", "mmap_file"),
        "file_arg",
    ),
}
"""LSM hooks whose file hash is shown, and the argument that names the file."""

_Namer = Callable[[str, Sequence[Object]], tuple[str, str]]

_FUNCTIONS: Final[Mapping[str, tuple[str, str | _Namer, _Detail | None]]] = {
    "sys_write": ("📝", "write", _file_and_size),
    "sys_read": ("📚", "read", _file_and_size),
    "fd_install": ("📬", "open", _file(1)),
    "sys_openat": ("📬️", "openat", _texts(1)),
    "sys_open": ("📬️", "open", _texts(1)),
    "sys_close": ("📪", "close", _file(0)),
    "sys_mount": ("💾", "mount", _texts(0, 1)),
    "sys_pivot_root": ("💾", "pivot_root", _texts(0, 1)),
    "sys_setuid": ("🔑", "setuid", _number),
    "sys_clock_settime": ("⏰", "clock_settime", None),
    "proc_exec_connector": ("🔧", "proc_exec_connector", None),
    "sys_setns": ("🔧", "setns", _namespace),
    "tcp_connect": ("🔌", "connect", _sock),
    "tcp_close": ("🧹", "close", _sock),
    "tcp_sendmsg": ("📤", "sendmsg", _sock_and_size),
    "bpf_check": ("🐝", "bpf_load", _program),
    "security_perf_event_alloc": ("🐝", "perf_event_alloc", _perf_event),
    "security_bpf_map_alloc": ("🗺", "bpf_map_create", _map),
    "security_bpf_map_create": ("🗺", "bpf_map_create", _map),
    "security_file_permission": ("", _permission_name, _file_of_two),
    "security_mmap_file": ("", _mmap_name, _file_of_two),
    "security_path_truncate": ("", _truncate_name, _path_in(0, "path_arg")),
    "security_file_truncate": ("", _truncate_name, _file(0)),
}
"""Function to icon, name (or what finds both) and detail, None for no detail at all."""
