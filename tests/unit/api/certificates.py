"""Certificates for tests, made by the openssl command."""

import subprocess
from pathlib import Path


def run(*words: str) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *words], check=True, capture_output=True)


_NEW = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Signs certificates; ``ca`` is its own."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self.ca = str(directory / f"{name}.pem")
        self._key = str(directory / f"{name}.key")
        run(*_NEW, "-keyout", self._key, "-out", self.ca, "-subj", f"/CN={name}", "-days", "2")

    def sign(self, name: str, names: str) -> tuple[str, str]:
        """Return files of a certificate for ``names`` (``IP:...``, ``DNS:...``) and its key."""
        cert, key = (str(self._directory / f"{name}.{end}") for end in ("pem", "key"))
        words = ["-keyout", key, "-out", cert, "-subj", f"/CN={name}", "-days", "2"]
        words += ["-CA", self.ca, "-CAkey", self._key, "-addext", f"subjectAltName={names}"]
        run(*_NEW, *words, "-addext", "basicConstraints=critical,CA:FALSE")
        return cert, key
