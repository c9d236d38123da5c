"""TLS: certificate files in, the context of a listener out, TLS 1.3 only.

The files are looked at in each handshake: new ones serve from the next connection on, and until
they are there handshakes fail. A new file that cannot be used leaves the old ones in force.
"""

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tetragon.errors import ConfigError

log = logging.getLogger(__name__)


class TlsFiles(NamedTuple):
    """
    What the ``--server-tls-*`` flags name.

    Args:
        cert: certificate chain, PEM.
        key: its private key, PEM.
        client_ca: bundles that sign the clients' certificates.
        require_client_cert: refuse clients without such a certificate.
    """

    cert: str = ""
    key: str = ""
    client_ca: Sequence[str] = ()
    require_client_cert: bool = False

    def check(self) -> bool:
        """
        Return whether TLS is on.

        Raises:
            ConfigError: the flags contradict each other.
        """
        if bool(self.cert) != bool(self.key):
            raise ConfigError(
                "--server-tls-cert-file and --server-tls-key-file must be set together"
            )
        if self.require_client_cert and not self.client_ca:
            raise ConfigError("--server-tls-require-client-cert needs --server-tls-client-ca-files")
        if self.client_ca and not self.cert:
            raise ConfigError(
                "--server-tls-client-ca-files needs --server-tls-cert-file and -key-file"
            )
        return bool(self.cert)


class ServerTls:
    """Makes the context of a listener and keeps it up to date with its files."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen: tuple[tuple[int, int], ...] | None = None
        self._current: ssl.SSLContext | None = None
        self.context = self._empty()
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> int | None:
        """Give a handshake its certificates; called whether or not the client names a server."""
        self._refresh()
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def _refresh(self) -> None:
        names = [self._files.cert, self._files.key, *self._files.client_ca]
        try:
            seen = tuple((s.st_mtime_ns, s.st_ino) for s in (Path(name).stat() for name in names))
            if seen == self._seen:
                return
            self._seen = seen
            self._current = self._loaded()
        except (OSError, ssl.SSLError) as exc:
            log.warning("TLS certificates cannot be loaded", extra={"error": str(exc)})

    def _loaded(self) -> ssl.SSLContext:
        context = self._empty()
        context.load_cert_chain(self._files.cert, self._files.key)
        for bundle in self._files.client_ca:
            context.load_verify_locations(bundle)
        return context

    def _empty(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["h2"])
        if self._files.require_client_cert:
            context.verify_mode = ssl.CERT_REQUIRED
        elif self._files.client_ca:
            context.verify_mode = ssl.CERT_OPTIONAL
        return context
