"""Web: a function from Request to Response in, what serves one HTTP connection out.

Flow    Connections -> [serving] -> answer(Request) -> Response
Owns    nothing

A connection carries one request; only GET and HEAD are known, as nothing here changes anything.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tetragon import __version__
from tetragon.log import get_log

log = get_log(__name__)

TEXT: Final = "text/plain; charset=utf-8"


class Request(NamedTuple):
    """What a client asks for; ``headers`` by lower-case name."""

    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]


class Response(NamedTuple):
    """What it gets; length and connection headers are added."""

    body: bytes
    content_type: str = TEXT
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Request], Response]


def text(body: str, status: int = 200) -> Response:
    """Return plain text with a newline at its end."""
    return Response(f"{body}\n".encode(errors="replace"), status=status)


def serving(answer: Answer) -> Callable[[socket.socket], None]:
    """Return what serves one connection."""

    class Handler(_Handler):
        respond = staticmethod(answer)

    server = BaseServer(("", 0), Handler)  # has no socket: it only makes handlers

    def serve(connection: socket.socket) -> None:
        server.finish_request(connection, connection.getpeername())

    return serve


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # so that what is no HTTP gets a status line too
    server_version = f"tetragon/{__version__}"
    sys_version = ""
    respond: Callable[[Request], Response]

    def do_GET(self) -> None:
        response = self._response()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_HEAD = do_GET

    def version_string(self) -> str:
        return self.server_version

    def log_message(self, format: str, *args: object) -> None:
        log.debug("HTTP request", client=self.client_address[0], request=format % args)

    def _response(self) -> Response:
        """Ask for the answer; what goes wrong is for the log, not for the client."""
        try:
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = parse_qs(url.query, keep_blank_values=True, max_num_fields=100)
        except ValueError as exc:
            return text(f"bad request: {exc}", 400)
        try:
            return self.respond(Request(url.path, query, headers))
        except Exception:
            log.exception("HTTP request failed", path=url.path)
            return text("internal error; see the agent's log", 500)
