"""Connect: the global flags in, calls to the agent out, tried again while it cannot be reached."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf.message import Message

from tetragon.api.client import Channel, ClientTls
from tetragon.api.wire import Code
from tetragon.cli.command import Globals
from tetragon.errors import ConfigError, RpcError

INFO_FILE: Final = Path("/var/run/tetragon/tetragon-info.json")
DEFAULT_ADDRESS: Final = "localhost:54321"
_SENSORS: Final = "/tetragon.FineGuidanceSensors/"
_NS: Final = 1_000_000_000
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 3600.0

Response = TypeVar("Response", bound=Message)
_Result = TypeVar("_Result")


class Agent:
    """
    The agent that the flags lead to.

    Args:
        flags: the global flags.
        info_file: where a running agent says how to reach it.
    """

    def __init__(self, flags: Globals, info_file: Path = INFO_FILE) -> None:
        self._flags = flags
        self._info_file = info_file
        self._tls = client_tls(flags)

    def call(
        self, method: str, request: Message, response: type[Response], service: str = _SENSORS
    ) -> Response:
        """
        Make a call with one answer.

        Raises:
            RpcError: it failed, perhaps after several attempts.
        """
        deadline = time.monotonic() + self._flags.timeout / _NS

        def once() -> Response:
            channel = self._channel()
            try:
                left = max(deadline - time.monotonic(), 0.001)
                return channel.unary(service + method, request, response, left)
            finally:
                channel.close()

        return self._retried(once)

    def stream(self, method: str, request: Message) -> Iterator[list[bytes]]:
        """
        Connect, and return what a call with many answers yields; iterating raises RpcError.

        Raises:
            RpcError: there is no connection to be had.
        """

        def once() -> Channel:
            channel = self._channel()
            channel.connect(self._flags.timeout / _NS)
            return channel

        return _streamed(self._retried(once), _SENSORS + method, request)

    def _channel(self) -> Channel:
        address = self._flags.server_address
        if address is None:
            address = running_agent(self._info_file)
        self._say(f"connecting to {address}")
        return Channel(address, self._tls, self._flags.max_recv_size)

    def _retried(self, once: Callable[[], _Result]) -> _Result:
        """Call, and again after a pause while the agent is UNAVAILABLE."""
        attempts = max(self._flags.retries, 0) + 1
        pause = _FIRST_PAUSE
        for attempt in range(1, attempts + 1):
            try:
                return once()
            except RpcError as exc:
                if exc.code != Code.UNAVAILABLE or attempts == 1:
                    raise
                if attempt == attempts:
                    raise Exhausted(attempts, exc) from exc
                self._say(f"attempt {attempt} failed, next in {pause:g}s: {exc}")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise AssertionError("every attempt returns or raises")

    def _say(self, text: str) -> None:
        if self._flags.debug:
            print(f"DEBUG: {text}", file=sys.stderr)


def _streamed(channel: Channel, path: str, request: Message) -> Iterator[list[bytes]]:
    try:
        yield from channel.stream(path, request)
    finally:
        channel.close()


class Exhausted(RpcError):
    """Every attempt to reach the agent failed; the text is that of the last one."""

    def __init__(self, attempts: int, last: RpcError) -> None:
        super().__init__(last.code, last.text)
        self._attempts = attempts

    def __str__(self) -> str:
        return f"max retries exhausted: failed after {self._attempts} attempts: {super().__str__()}"


def running_agent(info_file: Path) -> str:
    """
    Return the address the running agent gives, or where it is by default.

    Raises:
        ConfigError: the agent serves no gRPC, or its information cannot be read.
    """
    try:
        told = json.loads(info_file.read_text())
    except FileNotFoundError:
        return DEFAULT_ADDRESS
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{info_file} cannot be read ({exc}); use --server-address") from exc
    address = told.get("server_address", DEFAULT_ADDRESS)
    if not address:
        raise ConfigError(
            f"the agent serves no gRPC (server_address in {info_file} is empty); start it with "
            "--server-address, or name another agent with --server-address"
        )
    return str(address)


def client_tls(flags: Globals) -> ClientTls | None:
    """
    Return what the TLS flags ask for, None when there are none.

    Raises:
        ConfigError: they contradict each other.
    """
    named = (flags.tls_ca_cert_files, flags.tls_cert_file, flags.tls_key_file)
    if not any((*named, flags.tls_server_name, flags.tls_skip_verify)):
        return None
    wrong = "failed to create gRPC client: building TLS credentials: "
    if bool(flags.tls_cert_file) != bool(flags.tls_key_file):
        raise ConfigError(f"{wrong}--tls-cert-file and --tls-key-file must be set together")
    if flags.tls_skip_verify and flags.tls_ca_cert_files:
        raise ConfigError(
            f"{wrong}--tls-skip-verify leaves --tls-ca-cert-files without effect; pick one"
        )
    return ClientTls(
        flags.tls_ca_cert_files,
        flags.tls_cert_file,
        flags.tls_key_file,
        flags.tls_server_name,
        not flags.tls_skip_verify,
    )
