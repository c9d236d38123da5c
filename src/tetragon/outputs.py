"""Outputs: settings in, the sinks and servers they ask for out.

An output is imported when it is on: what is off costs neither time nor memory. Servers get their
own thread; a sink is written to by the reader thread alone.

Flow    pipeline -> sinks: terminal, file, UDP, gRPC streams
Owns    every sink and server, from ``open`` to ``close``.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tetragon import __version__
from tetragon.errors import ConfigError
from tetragon.event.json import JsonEncoder
from tetragon.log import get_log
from tetragon.model.control import AgentControl, EventLogParams
from tetragon.model.event import Event, ExecEvent
from tetragon.model.ledger import Ledger
from tetragon.model.settings import Settings, StdoutFormat, UdpFormat
from tetragon.model.sink import Sink

if TYPE_CHECKING:
    from tetragon.api.server import GrpcServer
    from tetragon.export.file import FileSink
    from tetragon.export.metadata import AgentInfo as Metadata
    from tetragon.export.stage import Front
    from tetragon.model.filters import FilterOptions

log = get_log(__name__)

Environment = tuple[tuple[str, str], ...]


class Books(Protocol):
    """Where books besides the sinks' own come from: the pipeline and the kernel half."""

    def ledgers(self) -> Iterable[Ledger]:
        """Return the books of every stage before the sinks."""
        ...


class Outputs:
    """
    All outputs of an agent.

    Args:
        run_dir: where the unix socket goes, with a slash at its end.
        books: those of the stages before the sinks, for what is said at the end.
    """

    def __init__(self, settings: Settings, node_name: str, run_dir: str, books: Books) -> None:
        self.settings = settings
        self.sinks: list[Sink] = []
        self.encoder = JsonEncoder(
            node_name, settings.cluster_name, sequence=settings.export_sequence
        )
        self._node_name = node_name
        self._run_dir = run_dir
        self._books = books
        self._file: FileSink | None = None
        self._server: GrpcServer | None = None
        self._unix: str | None = None
        self.redact: Callable[[str, str], str] | None = None
        self.redact_environment: Callable[[str, Environment], Environment] | None = None
        self.metadata = self._describe()

    def open(self) -> None:
        """
        Open what settings ask for, but no server yet.

        Raises:
            ConfigError, FilterError, ExportError: ``close`` then closes what was opened.
        """
        settings = self.settings
        if settings.redaction_filters:
            self._add_redaction(settings.redaction_filters)
        if settings.export_stdout:
            self.sinks.append(self._open_terminal())
        if settings.export_filename and settings.export_rate_limit != 0:
            self._file = self._open_file()
            self.sinks.append(self._file)
        if settings.webhook_url:
            self.sinks.append(self._open_webhook())
        if settings.otlp_endpoint:
            self.sinks.append(self._open_otlp())
        if settings.udp_output_enabled:
            self.sinks.append(self._open_udp())

    def serve(self, control: AgentControl) -> None:
        """
        Start gRPC and its health service where they are on.

        Raises:
            ConfigError, ExportError: an address is malformed or in use.
        """
        settings = self.settings
        if not settings.server_address and not settings.health_server_address:
            return
        from functools import partial

        from tetragon.api.encode import ProtoEncoder
        from tetragon.api.filters import stream_filter
        from tetragon.api.listen import parse_addresses, parse_tcp
        from tetragon.api.server import GrpcServer, HealthCheck
        from tetragon.api.service import AgentService
        from tetragon.api.stream import GrpcSink
        from tetragon.api.tls import TlsFiles

        health = settings.health_server_address
        sink = GrpcSink(
            ProtoEncoder(self._node_name, settings.cluster_name).frame, settings.event_queue_size
        )
        service = AgentService(
            control,
            sink,
            partial(stream_filter, options=self._filter_options()),
            event_log=self if self._file is not None else None,
            deprecated_calls=settings.enable_deprecated_tracingpolicy_grpc,
        )
        addresses = parse_addresses(settings.server_address, f"{self._run_dir}tetragon.sock")
        self._server = GrpcServer(
            addresses,
            service.methods(),
            sink,
            tls=TlsFiles(
                settings.server_tls_cert_file,
                settings.server_tls_key_file,
                settings.server_tls_client_ca_files,
                settings.server_tls_require_client_cert,
            ),
            health=HealthCheck(
                parse_tcp(health, "--health-server-address"),
                lambda: True,
                settings.health_server_interval / 1e9,
            )
            if health
            else None,
        )
        self._server.start()
        self._unix = addresses.unix if addresses else None
        self.sinks.insert(0, sink)  # UDP closes last: its last datagram tells everybody's books
        log.info("Starting gRPC server", address=settings.server_address, health=health)

    @property
    def unix_address(self) -> str:
        """Where local clients reach gRPC, ``unix://PATH``; empty when it is off."""
        return f"unix://{self._unix}" if self._unix else ""

    def tick(self, now: int) -> None:
        """Do what is due in every output."""
        for sink in self.sinks:
            sink.tick(now)

    def ledgers(self) -> list[Ledger]:
        """Return the books of every stage, from the kernel half to the sinks."""
        return [*self._books.ledgers(), *(sink.ledger for sink in self.sinks)]

    def close(self, timeout: float) -> None:
        """
        Deliver what is queued, within ``timeout`` seconds in all; close everything.

        A second call does nothing.
        """
        deadline = time.monotonic() + timeout
        if self._server is not None:
            self._server.stop(timeout / 2)
            self._server = None
        for sink in self.sinks:
            sink.close(max(0.1, deadline - time.monotonic()))
        for ledger in self.ledgers() if self.sinks else ():
            log.info(
                "books",
                stage=ledger.stage,
                produced=ledger.produced,
                delivered=ledger.delivered,
                filtered=ledger.filtered,
                lost=ledger.lost_total,
            )
        self.sinks.clear()

    # -- EventLogControl, for the gRPC service ---------------------------------------------------

    def params(self) -> EventLogParams:
        """Return the JSON file's settings in force."""
        assert self._file is not None
        now = self._file.params
        return EventLogParams(now.max_size_mb, now.max_backups, now.interval)

    def set_params(
        self, max_size_mb: int | None, max_backups: int | None, rotation_interval: int | None
    ) -> None:
        """Change what is not None."""
        assert self._file is not None
        self._file.set_params(max_size_mb, rotation_interval, max_backups)

    # -- sinks -----------------------------------------------------------------------------------

    def _describe(self) -> "Metadata":
        from tetragon.export.address import destination
        from tetragon.export.metadata import describe_agent

        settings = self.settings
        if not settings.udp_output_enabled:
            return describe_agent(time.time_ns(), __version__)
        return describe_agent(
            time.time_ns(),
            __version__,
            udp_destination=destination(settings.udp_output_address, settings.udp_output_port),
            udp_buffer_size=settings.udp_buffer_size,
        )

    def _add_redaction(self, text: str) -> None:
        from tetragon.event.redact import compile_redaction_text

        redactor = compile_redaction_text(text, name="--redaction-filters")
        if redactor is not None:
            self.redact = redactor.redact_arguments
            self.redact_environment = redactor.redact_environment

    def _front(self, stage: str) -> "Front":
        from tetragon.export.aggregate import Aggregator
        from tetragon.export.limit import RateLimiter
        from tetragon.export.stage import Front

        settings = self.settings
        limit = settings.export_rate_limit
        return Front(
            Ledger(stage),
            self.encoder.line,
            accept=self._accept(),
            fields=self._fields(),
            aggregate=Aggregator(
                settings.export_aggregation_window_size, settings.export_aggregation_buffer_size
            )
            if settings.enable_export_aggregation
            else None,
            limit=RateLimiter(limit, time.monotonic_ns()) if limit >= 0 else None,
        )

    def _filter_options(self) -> "FilterOptions":
        from tetragon.event.filter_fields import ancestor_kinds
        from tetragon.model.filters import FilterOptions

        settings = self.settings
        return FilterOptions(
            process_cred=settings.enable_process_cred,
            ancestors=ancestor_kinds(settings.enable_ancestors),
        )

    def _accept(self) -> "Callable[[Event], bool] | None":
        """Compile the export lists anew: a predicate belongs to one output."""
        settings = self.settings
        if not settings.export_allowlist and not settings.export_denylist:
            return None
        from tetragon.event.filter import compile_filter_texts

        return compile_filter_texts(
            settings.export_allowlist,
            settings.export_denylist,
            options=self._filter_options(),
            pid_set=settings.enable_pid_set_filter,
            names=("--export-allowlist", "--export-denylist"),
        )

    def _fields(self) -> Callable[[Event, bytes], bytes] | None:
        text = self.settings.field_filters
        if not text:
            return None
        from tetragon.event.fields import compile_field_filter_text, unknown_paths
        from tetragon.event.fields_json import LineFields
        from tetragon.event.filter_text import parse_field_filters

        name = "--field-filters"
        for warning in unknown_paths(parse_field_filters(text, name=name), name=name):
            log.warning("field filter names nothing", reason=warning)
        filters = compile_field_filter_text(text, name=name)
        return LineFields(filters).line if filters is not None else None

    def _open_file(self) -> "FileSink":
        from tetragon.export.file import FileSink, LogParams

        settings = self.settings
        return FileSink(
            settings.export_filename,
            self._front("file"),
            mode=settings.export_file_perm,
            params=LogParams(
                settings.export_file_max_size_mb,
                settings.export_file_rotation_interval,
                settings.export_file_max_backups,
            ),
            compress=settings.export_file_compress,
            max_events=settings.event_queue_size,
        )

    def _open_terminal(self) -> Sink:
        from tetragon.export.file import STDOUT, FileSink
        from tetragon.export.stage import Front

        encode: Callable[[Event], bytes] = self.encoder.line
        if self.settings.export_stdout_format is StdoutFormat.COMPACT:
            encode = compact_lines(self.encoder.line)
        front = Front(Ledger("stdout"), encode, accept=is_live)
        return FileSink(STDOUT, front, max_events=self.settings.event_queue_size)

    def _open_webhook(self) -> Sink:
        from tetragon.export.webhook import WebhookSink

        settings = self.settings
        return WebhookSink(
            self._front("webhook"),
            settings.webhook_url,
            headers=read_headers(settings.webhook_headers_file, "--webhook-headers-file"),
            ca_file=settings.webhook_ca_file,
        )

    def _open_otlp(self) -> Sink:
        from tetragon.export.otlp import OtlpSink

        settings = self.settings
        return OtlpSink(
            self._front("otlp"),
            settings.otlp_endpoint,
            self._node_name,
            headers=read_headers(settings.otlp_headers_file, "--otlp-headers-file"),
        )

    def _open_udp(self) -> Sink:
        from tetragon.export.syslog import SyslogFrame
        from tetragon.export.udp import Announcement, UdpSink

        settings = self.settings
        syslog = settings.udp_format is UdpFormat.SYSLOG
        return UdpSink(
            self._front("udp"),
            settings.udp_output_address,
            settings.udp_output_port,
            buffer_size=settings.udp_buffer_size,
            max_size=settings.udp_max_size,
            frame=SyslogFrame(self.metadata.hostname, self.metadata.pid) if syslog else None,
            announcement=Announcement(self.metadata, self.ledgers, settings.udp_metadata_interval),
        )


def read_headers(path: str, flag: str) -> dict[str, str]:
    """
    Return the headers of a file with a line ``NAME: VALUE`` each; an empty path has none.

    Raises:
        ConfigError: the file cannot be read, or a line is malformed.
    """
    headers: dict[str, str] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{flag}: cannot read {path}: {exc}") from exc
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip() or not value.strip():
            raise ConfigError(f"{flag}: {path}, line {number}: write NAME: VALUE")
        headers[name.strip()] = value.strip()
    return headers


def compact_lines(line: Callable[[Event], bytes]) -> Callable[[Event], bytes]:
    """Return an encoder of events to lines for people, coloured when standard output is a tty."""
    import os
    import sys

    from msgspec.json import decode

    from tetragon.event.compact import CompactEncoder

    plain = (
        not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )
    encode = CompactEncoder(color=not plain).encode
    return lambda event: f"{encode(decode(line(event)))}\n".encode()


def is_live(event: Event) -> bool:
    """Return whether an event happened now, rather than tells of a process found at start."""
    process = event.process
    return not (
        event.__class__ is ExecEvent and process is not None and process.flags.startswith("procFS")
    )
