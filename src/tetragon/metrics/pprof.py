"""ProfileServer: a bound socket in, Go's ``/debug/pprof/`` over HTTP out.

Flow    go tool pprof, curl -> ProfileServer -> sample, stacks, heap
Owns    its threads (Connections)
"""

import socket
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from tetragon.log import get_log
from tetragon.metrics import heap, stacks
from tetragon.metrics.connections import Connections
from tetragon.metrics.sample import CpuSampler
from tetragon.metrics.web import Request, Response, serving, text

log = get_log(__name__)

ROOT: Final = "/debug/pprof/"
STOP_TIMEOUT: Final = 0.2
SECONDS: Final = 30
SECONDS_MAX: Final = 600
_BINARY: Final = "application/octet-stream"


class _Page(NamedTuple):
    answer: Callable[[Request], Response]
    about: str


class ProfileServer:
    """
    The profiles of this process.

    Args:
        listener: bound TCP socket.
        sampler: takes the CPU profiles.
    """

    def __init__(self, listener: socket.socket, sampler: CpuSampler) -> None:
        self._connections = Connections(listener, serving(self._answer), "pprof")
        self._sampler = sampler
        self.address = self._connections.address
        """Host and port in use."""
        # The whole dispatch: a new page adds its line here.
        self._pages: Final[Mapping[str, _Page]] = {
            "cmdline": _Page(_cmdline, "command line, arguments separated by NUL"),
            "goroutine": _Page(_goroutine, "stacks of all threads now; as text with ?debug=1"),
            "heap": _Page(_heap, "memory in use, if traced; as text with ?debug=1"),
            "profile": _Page(self._profile, f"CPU profile of ?seconds=N, {SECONDS} if not given"),
            "symbol": _Page(_symbol, "no symbols: profiles have their names in them"),
            "threads": _Page(_threads, "stacks of all threads now, as text"),
            "trace": _Page(_trace, "execution trace: not available"),
        }

    def start(self) -> None:
        """Serve from now on."""
        self._connections.start()
        log.info("Starting pprof server", addr="{}:{}".format(*self.address))

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop serving; a profile being taken ends early, and is sent."""
        self._connections.stop(timeout)

    def _answer(self, request: Request) -> Response:
        if not request.path.startswith(ROOT):
            return text(f"not found; profiles are at {ROOT}", 404)
        name = request.path.removeprefix(ROOT)
        if not name:
            return self._index()
        page = self._pages.get(name)
        return page.answer(request) if page else text(f"unknown profile; see {ROOT}", 404)

    def _index(self) -> Response:
        rows = "".join(
            f'<li><a href="{name}">{name}</a>: {escape(page.about)}</li>'
            for name, page in self._pages.items()
        )
        body = f"<!doctype html><title>{ROOT}</title><h1>{ROOT}</h1><ul>{rows}</ul>\n"
        return Response(body.encode(), "text/html; charset=utf-8")

    def _profile(self, request: Request) -> Response:
        given = _last(request, "seconds") or str(SECONDS)
        try:
            seconds = float(given)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= SECONDS_MAX:
            return text(f"seconds={given}: give a number above 0, at most {SECONDS_MAX}", 400)
        profile = self._sampler.sample(seconds, self._connections.stopping)
        if profile is None:
            return text("a CPU profile is being taken already; try again when it is over", 503)
        return _download("profile", profile)


def _cmdline(_: Request) -> Response:
    return Response(Path("/proc/self/cmdline").read_bytes().rstrip(b"\0"))


def _goroutine(request: Request) -> Response:
    if _last(request, "debug") not in ("", "0"):
        return text(stacks.dump())
    return _download("goroutine", stacks.profile())


def _threads(_: Request) -> Response:
    return text(stacks.dump())


def _heap(request: Request) -> Response:
    if not heap.is_traced():
        return text(heap.HOW, 501)
    if _last(request, "debug") not in ("", "0"):
        return text(heap.table())
    return _download("heap", heap.profile())


def _symbol(_: Request) -> Response:
    return text("num_symbols: 0")


def _trace(_: Request) -> Response:
    return text("not available: there is no execution tracer; see profile and goroutine", 501)


def _last(request: Request, name: str) -> str:
    return request.query.get(name, ("",))[-1]


def _download(name: str, content: bytes) -> Response:
    disposition = ("Content-Disposition", f'attachment; filename="{name}"')
    return Response(content, _BINARY, headers=(disposition,))
