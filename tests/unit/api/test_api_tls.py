"""The TCP listener under TLS 1.3: who gets in, and how certificates change while it runs."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from api_support import FakeAgent, caller
from certificates import Authority

from tetragon.api import messages as api
from tetragon.api.client import Channel, ClientTls
from tetragon.api.encode import ProtoEncoder
from tetragon.api.filters import stream_filter
from tetragon.api.listen import Addresses
from tetragon.api.server import GrpcServer
from tetragon.api.service import AgentService
from tetragon.api.stream import GrpcSink
from tetragon.api.tls import TlsFiles
from tetragon.api.wire import Code
from tetragon.errors import ConfigError, RpcError
from tetragon.model.filters import FilterOptions

VERSION = "/tetragon.FineGuidanceSensors/GetVersion"


class Secure:
    """A server with TLS on TCP, and the plain socket file beside it."""

    def __init__(self, directory: Path, files: TlsFiles) -> None:
        self.path = str(directory / "t.sock")
        sink = GrpcSink(ProtoEncoder("n").frame)
        service = AgentService(
            FakeAgent(), sink, lambda request: stream_filter(request, FilterOptions())
        )
        addresses = Addresses(("127.0.0.1", 0), self.path)
        self.server = GrpcServer(addresses, service.methods(), sink, tls=files)
        self.server.start()
        assert self.server.tcp is not None
        self.where = self.server.tcp
        self.address = "{}:{}".format(*self.where)

    def version(self, tls: ClientTls | None, address: str = "") -> str:
        """Ask for the version, as our client does."""
        channel = Channel(address or self.address, tls)
        try:
            answer = channel.unary(VERSION, api.GetVersionRequest(), api.GetVersionResponse, 5)
            return answer.version
        finally:
            channel.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs everything here."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> tuple[str, str]:
    """The server's certificate and key."""
    return authority.sign("server", "IP:127.0.0.1,DNS:node.example")


@pytest.fixture
def secure(tmp_path: Path, pair: tuple[str, str]) -> Iterator[Secure]:
    """A server that shows its certificate and asks for none."""
    started = Secure(tmp_path, TlsFiles(*pair))
    yield started
    started.server.stop(1)


def refused(secure: Secure, tls: ClientTls | None) -> str:
    """Return the text of the error a client gets instead of a connection."""
    with pytest.raises(RpcError) as raised:
        secure.version(tls)
    assert raised.value.code == Code.UNAVAILABLE
    return raised.value.text


def test_client_that_trusts_the_authority_gets_in(secure: Secure, authority: Authority) -> None:
    """By address, by another name when told so, and with Google's client."""
    assert secure.version(ClientTls([authority.ca])) == "v1.2.3"
    assert secure.version(ClientTls([authority.ca], server_name="node.example")) == "v1.2.3"
    trust = grpc.ssl_channel_credentials(Path(authority.ca).read_bytes())
    with grpc.secure_channel(secure.address, trust) as channel:
        assert caller(channel)("GetVersion").version == "v1.2.3"


def test_client_that_does_not_trust_us_stays_away(secure: Secure, authority: Authority) -> None:
    """Unless told not to verify; a plain one gets nothing at all."""
    assert "certificate verify failed" in refused(secure, ClientTls())
    assert "mismatch" in refused(secure, ClientTls([authority.ca], server_name="other.example"))
    assert secure.version(ClientTls(verify=False)) == "v1.2.3"
    refused(secure, None)


def test_socket_file_stays_plain(secure: Secure) -> None:
    """Local clients need no certificate."""
    assert secure.version(None, f"unix://{secure.path}") == "v1.2.3"


def test_older_tls_is_refused(secure: Secure) -> None:
    """1.3 and nothing below it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(secure.where, 5) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_client_certificates(tmp_path: Path, pair: tuple[str, str], authority: Authority) -> None:
    """Required: ours gets in, none and a stranger's do not."""
    files = TlsFiles(*pair, client_ca=[authority.ca], require_client_cert=True)
    secure = Secure(tmp_path, files)
    mine = authority.sign("client", "DNS:client")
    stranger = Authority(tmp_path, "stranger").sign("someone", "DNS:someone")
    try:
        assert secure.version(ClientTls([authority.ca], *mine)) == "v1.2.3"
        for other in ((), stranger):
            refused(secure, ClientTls([authority.ca], *other))
    finally:
        secure.server.stop(1)


def test_files_may_come_late_and_change(tmp_path: Path, authority: Authority) -> None:
    """No restart: handshakes fail, then work, then show the new certificate."""
    cert, key = str(tmp_path / "c.pem"), str(tmp_path / "c.key")
    secure = Secure(tmp_path, TlsFiles(cert, key))
    trust = ClientTls([authority.ca])
    try:
        refused(secure, trust)
        install(authority.sign("first", "IP:127.0.0.1"), (cert, key))
        assert secure.version(trust) == "v1.2.3"
        first = shown(secure)
        install(authority.sign("second", "IP:127.0.0.1"), (cert, key))
        assert secure.version(trust) == "v1.2.3"
        second = shown(secure)
        assert second != first
        Path(cert).write_text("rubbish")
        assert shown(secure) == second
        Path(key).unlink()
        assert shown(secure) == second
    finally:
        secure.server.stop(1)


def install(made: tuple[str, str], names: tuple[str, str]) -> None:
    """Put a certificate and its key where the server looks."""
    for source, target in zip(made, names, strict=True):
        shutil.copy(source, f"{target}.new")
        Path(f"{target}.new").replace(target)


def shown(secure: Secure) -> Any:
    """Return the certificate the server shows now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(secure.where, 5) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (TlsFiles(cert="a"), "must be set together"),
        (TlsFiles(key="a"), "must be set together"),
        (TlsFiles(client_ca=["a"]), "needs --server-tls-cert-file"),
        (TlsFiles("a", "b", require_client_cert=True), "needs --server-tls-client-ca-files"),
    ],
)
def test_flags_that_contradict_each_other(files: TlsFiles, words: str) -> None:
    """Are a config error that names them."""
    with pytest.raises(ConfigError, match=words):
        files.check()


def test_no_flags_mean_no_tls() -> None:
    """Plain TCP."""
    assert TlsFiles().check() is False


def test_client_files_that_cannot_be_loaded(secure: Secure) -> None:
    """Are a config error, not a connection problem."""
    with pytest.raises(ConfigError, match="TLS files cannot be loaded"):
        secure.version(ClientTls(["/no/such.pem"]))
